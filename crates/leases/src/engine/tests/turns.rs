//! Gateways in which nothing runs between two events, and what they do at each of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join;
use gateward_clock::{Clock, Timestamp};
use gateward_items::Tree;
use gateward_model::{DynamicSecret, GoDuration, ProducerSettings, ProducerUrl};
use gateward_seal::SecretValue;

use super::SETTLE;
use super::outside::yield_many;
use super::sentences::leases;
use super::world::{Life, OTHER, TTL, World, holder, name, secret};
use crate::engine::Wish;
use crate::items::NewDynamicSecret;
use crate::lease::LeaseState;
use crate::producer::{Producer, Producers, RevokeFailure, RotateCall, RotateError};
use crate::rotation::{Every, RotatedSecrets, Rotator, RotatorParts};
use crate::turns::{Announcer, Turns};

/// A queue that is asked to call later, and what it makes of that.
#[derive(Default)]
pub struct Queue {
    /// By the time at which a call comes: the moments that it is about.
    pub calls: Mutex<BTreeMap<Timestamp, Vec<Timestamp>>>,
    pub rng: Mutex<fastrand::Rng>,
    pub now: Mutex<Timestamp>,
    /// In a thousand: how many calls are not taken, lost, doubled, and late by up to ten seconds.
    pub faults: AtomicU16,
}

impl Queue {
    fn set_faults(&self, faults: u16) {
        self.faults.store(faults, Ordering::Relaxed);
    }

    fn put(&self, at: Timestamp, due: Timestamp) {
        self.calls.lock().unwrap().entry(at).or_default().push(due);
    }
}

#[async_trait]
impl Announcer for Queue {
    async fn announce(&self, due: Timestamp, delay: Duration) -> Result<(), String> {
        let at = *self.now.lock().unwrap() + delay;
        let draw = || self.rng.lock().unwrap().u16(0..1000) < self.faults.load(Ordering::Relaxed);
        if draw() {
            return Err("the queue is on fire".to_owned());
        }
        if draw() {
            return Ok(());
        }
        if draw() {
            self.put(at, due);
        }
        let late = if draw() { self.rng.lock().unwrap().u64(0..10_000) } else { 0 };
        self.put(at + Duration::from_millis(late), due);
        Ok(())
    }
}

pub struct Function {
    pub world: World,
    pub life: Life,
    queue: Arc<Queue>,
    pub turns: Turns,
}

impl Function {
    pub fn new(seed: u64, faults: u16) -> Self {
        let world = World::calm(seed);
        world.keep(DynamicSecret { user_ttl: GoDuration::minutes(60), ..secret(OTHER) });
        let life = world.asleep();
        let rng = Mutex::new(fastrand::Rng::with_seed(seed));
        let queue = Arc::new(Queue { rng, faults: faults.into(), ..Queue::default() });
        let announcer = Some(Arc::clone(&queue) as Arc<dyn Announcer>);
        let (engine, clock) = (Arc::clone(&life.engine), Arc::new(world.clock.clone()));
        let turns = Turns::new(engine, None, announcer, Arc::clone(&world.call_end), clock);
        Self { world, life, queue, turns }
    }

    pub fn at(&self, now: Timestamp) {
        self.world.clock.set(now);
        *self.queue.now.lock().unwrap() = now;
    }

    pub fn until(&self) -> Timestamp {
        self.world.clock.now() + Duration::from_secs(25)
    }

    /// A request that gets a credential for `ttl`.
    pub fn issue(&self, ttl: Duration) {
        let wish = Wish { ttl: Some(ttl), ..Wish::default() };
        self.life.runtime.block_on(async {
            self.turns.begin(self.until());
            self.life.engine.issue(&name(OTHER), holder(1), wish).await.unwrap();
            self.turns.settle(self.until()).await;
        });
    }

    pub fn tick(&self) {
        self.life.runtime.block_on(self.turns.tick(self.until())).unwrap();
    }

    /// How many credentials work when a tick has done all that nobody has to be waited for, before its time is over.
    pub fn alive_late_in_a_tick(&self) -> usize {
        let until = self.until();
        let tick = self.turns.tick(until);
        let looked = async {
            yield_many(SETTLE).await;
            let alive = self.alive();
            self.at(until);
            alive
        };
        let (done, alive) = self.life.runtime.block_on(join(tick, looked));
        assert!(done.is_ok());
        alive
    }

    pub fn message(&self, due: Timestamp) {
        self.life.runtime.block_on(self.turns.message(due, self.until())).unwrap();
    }

    /// The moments that it is to be called for.
    pub fn calls(&self) -> Vec<Timestamp> {
        self.queue.calls.lock().unwrap().values().flatten().copied().collect()
    }

    /// None of those that it was to be called for comes.
    pub fn forget_calls(&self) {
        self.queue.calls.lock().unwrap().clear();
    }

    pub fn alive(&self) -> usize {
        let outside = self.world.outside();
        assert_eq!(outside.wrong, Vec::<String>::new());
        outside.alive.len()
    }
}

#[test]
fn a_tick_revokes_what_is_overdue_and_nothing_before_its_time() {
    let function = Function::new(1, 1000);
    let start = function.world.clock.now();
    function.at(start);
    function.issue(TTL);
    function.at(start + TTL - Duration::from_millis(1));
    function.tick();
    assert_eq!(function.alive(), 1);
    function.at(start + TTL + Duration::from_millis(1));
    function.tick();
    assert_eq!(function.alive(), 0);
}

#[test]
fn a_lease_is_announced_when_it_is_issued_and_once_more_by_the_tick_before() {
    let function = Function::new(2, 0);
    let start = function.world.clock.now();
    function.at(start);
    function.issue(TTL);
    // In its second, and in three rounds after it; nothing of the deadline that its producer has kept.
    let expected = [0, 15, 30, 45].map(|late| start + TTL + Duration::from_secs(late));
    assert_eq!(function.calls(), expected);
    function.forget_calls();
    function.at(start + Duration::from_secs(1));
    function.tick();
    assert_eq!(function.calls(), expected);
    function.at(start + TTL);
    function.message(start + TTL);
    assert_eq!(function.alive(), 0);
    // The same once more, and an hour late, harms nobody.
    function.at(start + TTL + Duration::from_secs(3600));
    function.message(start + TTL);
    assert_eq!(function.alive(), 0);
}

#[test]
fn every_second_of_a_minute_in_which_many_leases_end_is_announced_by_the_tick() {
    let function = Function::new(8, 0);
    let start = function.world.clock.now();
    function.at(start);
    let seconds = || (0..30).map(|second| start + TTL + Duration::from_secs(second));
    for second in 0..30 {
        // More than there are shards, so that some share one.
        (0..4).for_each(|_| function.issue(TTL + Duration::from_secs(second)));
    }
    function.forget_calls();
    function.tick();
    let calls = function.calls();
    assert!(seconds().all(|second| calls.contains(&second)), "{calls:?}");
}

#[test]
fn a_call_that_comes_a_second_early_waits_for_its_moment() {
    let function = Function::new(9, 0);
    let start = function.world.clock.now();
    function.at(start);
    function.issue(TTL);
    function.at(start + TTL - Duration::from_secs(1));
    let called = async {
        let call = function.turns.message(start + TTL, function.until());
        let time = async {
            super::outside::yield_many(300).await;
            assert_eq!(function.alive(), 1, "not before its time");
            function.at(start + TTL);
        };
        futures_util::future::join(call, time).await.0
    };
    function.life.runtime.block_on(called).unwrap();
    assert_eq!(function.alive(), 0);
}

#[test]
fn what_leases_share_is_asked_for_once_unless_it_was_not_taken() {
    let function = Function::new(7, 0);
    let start = function.world.clock.now();
    function.at(start);
    function.queue.set_faults(1000);
    function.issue(TTL);
    assert_eq!(function.calls(), [], "nothing is taken");
    function.queue.set_faults(0);
    function.issue(TTL);
    let expected = [0, 15, 30, 45].map(|late| start + TTL + Duration::from_secs(late));
    assert_eq!(function.calls(), expected);
    function.issue(TTL + Duration::from_secs(1));
    let more = start + TTL + Duration::from_secs(1);
    assert_eq!(function.calls(), [expected[0], more, expected[1], expected[2], expected[3]]);
    // A tick does not rely on what was asked for before it.
    function.tick();
    assert_eq!(function.calls().len(), 10);
}

#[test]
fn what_a_lost_message_was_about_goes_with_the_next_round() {
    let function = Function::new(4, 0);
    let start = function.world.clock.now();
    function.at(start);
    let ttl = TTL + Duration::from_secs(1);
    function.issue(ttl);
    let calls = function.calls();
    assert_eq!(calls[0], start + ttl);
    function.at(calls[1]);
    function.message(calls[1]);
    assert_eq!((function.alive(), calls[1].saturating_since(calls[0])), (0, Duration::from_secs(14)));
}

#[test]
fn what_falls_due_in_five_minutes_is_in_the_rounds_of_each_tick_and_what_is_farther_in_none() {
    let function = Function::new(5, 0);
    let start = function.world.clock.now();
    function.at(start);
    // Like a round, it falls due at a quarter of a minute.
    let ttl = Duration::from_secs(1210);
    function.issue(ttl);
    assert_eq!(function.calls(), [], "no queue keeps a message for that long");
    for (before, expected) in [
        (301, &[][..]),
        (300, &[15, 30, 45]),
        (240, &[15, 30, 45]),
        (180, &[15, 30, 45]),
        (120, &[0, 15, 30, 45]),
        (60, &[0, 15, 30, 45]),
    ] {
        function.forget_calls();
        function.at(start + ttl - Duration::from_secs(before));
        function.tick();
        let late: Vec<u64> =
            function.calls().iter().map(|at| at.saturating_since(start + ttl).as_secs()).collect();
        assert_eq!(late, expected, "{before} s before");
    }
}

#[test]
fn a_revocation_that_fails_is_announced_for_the_time_at_which_it_is_tried_again() {
    let function = Function::new(6, 0);
    let start = function.world.clock.now();
    function.at(start);
    function.issue(TTL);
    function.forget_calls();
    function.world.outside().down = Some(RevokeFailure::Transient);
    function.at(start + TTL);
    function.message(start + TTL);
    assert_eq!(function.alive(), 1);
    function.world.outside().down = None;
    let again = function.calls()[0];
    assert!(again <= start + TTL + Duration::from_secs(2), "{again:?}");
    function.at(again);
    function.message(again);
    assert_eq!(function.alive(), 0);
}

/// Rotates for ever.
struct Hanging;

#[async_trait]
impl Producers for Hanging {
    fn of(&self, _: &DynamicSecret, _: SecretValue) -> Box<dyn Producer> {
        unreachable!("it is asked for nothing but rotations")
    }

    async fn rotate(&self, _: &RotateCall) -> Result<SecretValue, RotateError> {
        std::future::pending().await
    }
}

/// A rotator that is to rotate the secret 77 once a day, beside the function's engine.
fn rotator(function: &Function) -> Arc<Rotator> {
    let world = &function.world;
    let catalog = Arc::new(world.catalog());
    let mut rotated = DynamicSecret { timeout_sec: 60, ..secret(77) };
    if let ProducerSettings::Custom(urls) = &mut rotated.producer {
        urls.rotate_sync_url = Some(ProducerUrl::parse("http://127.0.0.1/sync/rotate").unwrap());
    }
    let new = NewDynamicSecret::new(rotated, SecretValue::from("canary-payload"));
    let new = NewDynamicSecret { every: Some(Every::days(1)), ..new };
    function.life.runtime.block_on(catalog.create(&new)).unwrap();
    let (store, clock) = (world.store.clone(), Arc::new(world.clock.clone()));
    Rotator::new(RotatorParts {
        secrets: Arc::new(RotatedSecrets::new(Tree::new(store.clone()), world.sealer.clone(), clock.clone())),
        store,
        catalog,
        producers: Arc::new(Hanging),
        clock,
        runtime: function.life.runtime.handle().clone(),
        listener: None,
        call_end: Arc::clone(&world.call_end),
    })
}

#[test]
fn a_rotation_that_hangs_holds_no_revocation_up() {
    let mut function = Function::new(12, 0);
    let start = function.world.clock.now();
    let rotator = rotator(&function);
    let (call_end, clock) = (Arc::clone(&function.world.call_end), Arc::new(function.world.clock.clone()));
    function.turns = Turns::new(Arc::clone(&function.life.engine), Some(rotator), None, call_end, clock);
    let day = start + Duration::from_secs(24 * 3600);
    function.at(day);
    function.issue(TTL);
    function.at(day + TTL);
    assert_eq!(function.alive_late_in_a_tick(), 0, "it was revoked while the rotation hung");
}

const SILENT: u64 = 10;
const DEAF: u64 = 11;

#[test]
fn whoever_waits_for_a_producer_behind_an_api_gateway_hears_of_it_within_25_s_and_what_came_of_it_is_known() {
    let function = Function::new(13, 0);
    let (life, world) = (&function.life, &function.world);
    let engine = &life.engine;
    for id in [SILENT, DEAF] {
        world.keep(DynamicSecret { timeout_sec: 60, ..secret(id) });
    }
    life.runtime.block_on(engine.issue(&name(DEAF), holder(1), Wish::default())).unwrap();
    let lease = leases(life, DEAF)[0].id;
    let rotator = rotator(&function);
    world.outside().hangs = true;
    world.outside().is_silent = true;
    let (silent, rotated) = (name(SILENT), name(77));
    let after_25_s = async |ends: std::pin::Pin<&mut dyn Future<Output = String>>| {
        let start = world.clock.now();
        // The event has ten minutes, and API Gateway half of one.
        function.turns.begin(start + Duration::from_secs(600));
        let time = async {
            yield_many(SETTLE).await;
            function.at(start + Duration::from_millis(24_999));
            yield_many(SETTLE).await;
            function.at(start + Duration::from_secs(25));
            yield_many(SETTLE).await;
            unreachable!("it is still waited for")
        };
        tokio::select! {
            biased;
            () = time => unreachable!("it ends in a panic"),
            said = ends => {
                assert_eq!(world.clock.now(), start + Duration::from_secs(25), "{said}");
                said
            }
        }
    };
    life.runtime.block_on(async {
        let payload = SecretValue::from("canary-payload");
        let created = async { format!("{:?}", engine.issue(&silent, holder(1), Wish::default()).await) };
        let said = after_25_s(std::pin::pin!(created)).await;
        assert!(said.contains("Timeout"), "{said}");
        let tried_out = async { format!("{:?}", engine.dry_run(&secret(DEAF), payload).await) };
        let said = after_25_s(std::pin::pin!(tried_out)).await;
        assert!(said.contains("did not answer in time"), "{said}");
        let rotated = async { format!("{:?}", rotator.rotate(&rotated).await) };
        let said = after_25_s(std::pin::pin!(rotated)).await;
        assert!(said.contains("Timeout") && said.contains("may have been rotated or not"), "{said}");
        let revoked = async { format!("{:?}", engine.revoke(DEAF, lease).await) };
        let said = after_25_s(std::pin::pin!(revoked)).await;
        assert!(said.contains("Producer") && said.contains("did not answer in time"), "{said}");
    });
    let states = |id| leases(life, id).remove(0).state;
    assert!(matches!(states(SILENT), LeaseState::Unknown { .. }), "{:?}", states(SILENT));
    assert!(matches!(states(DEAF), LeaseState::Revoking(_)), "{:?}", states(DEAF));
    function.turns.begin(world.clock.now() + Duration::from_secs(2));
    let refused = life.runtime.block_on(rotator.rotate(&name(77))).unwrap_err();
    assert!(refused.to_string().contains("nothing was rotated"), "{refused}");
}

#[test]
fn a_producer_that_hangs_ends_the_turn_in_time_and_the_next_one_goes_on() {
    let function = Function::new(3, 0);
    let start = function.world.clock.now();
    function.at(start);
    function.issue(TTL);
    function.world.outside().hangs = true;
    function.at(start + TTL);
    let until = start + TTL + Duration::from_secs(5);
    let turn = async {
        let turn = function.turns.message(start + TTL, until);
        let time = async {
            yield_many(SETTLE).await;
            // What is left of the event is for writing down what came of it.
            function.at(until - Duration::from_secs(2));
        };
        join(turn, time).await.0
    };
    function.life.runtime.block_on(turn).unwrap();
    let again = function.calls().into_iter().max().unwrap();
    function.world.outside().hangs = false;
    function.at(again);
    function.message(again);
    assert_eq!(function.alive(), 0);
}
