//! Gateways in which nothing runs between two events, and what they do at each of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gateward_clock::{Clock, Timestamp};

use super::world::{Life, PLAIN, TTL, World, holder, name};
use crate::engine::Wish;
use crate::turns::{Announcer, Turns};

/// A queue that is asked to call later, and what it makes of that.
#[derive(Default)]
pub struct Queue {
    /// By the time at which a call comes: the moments that it is about.
    pub calls: Mutex<BTreeMap<Timestamp, Vec<Timestamp>>>,
    pub rng: Mutex<fastrand::Rng>,
    pub now: Mutex<Timestamp>,
    /// In a thousand: how many calls are lost, doubled, and late by up to ten seconds.
    pub faults: u16,
}

impl Queue {
    fn put(&self, at: Timestamp, due: Timestamp) {
        self.calls.lock().unwrap().entry(at).or_default().push(due);
    }
}

#[async_trait]
impl Announcer for Queue {
    async fn announce(&self, due: Timestamp, delay: Duration) -> Result<(), String> {
        let at = *self.now.lock().unwrap() + delay;
        let draw = || self.rng.lock().unwrap().u16(0..1000) < self.faults;
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

struct Function {
    world: World,
    life: Life,
    queue: Arc<Queue>,
    turns: Turns,
}

impl Function {
    fn new(seed: u64, faults: u16) -> Self {
        let world = World::calm(seed);
        let life = world.asleep();
        let rng = Mutex::new(fastrand::Rng::with_seed(seed));
        let queue = Arc::new(Queue { rng, faults, ..Queue::default() });
        let announcer = Some(Arc::clone(&queue) as Arc<dyn Announcer>);
        let (engine, clock) = (Arc::clone(&life.engine), Arc::new(world.clock.clone()));
        let turns = Turns { engine, rotator: None, announcer, clock };
        Self { world, life, queue, turns }
    }

    fn at(&self, now: Timestamp) {
        self.world.clock.set(now);
        *self.queue.now.lock().unwrap() = now;
    }

    fn until(&self) -> Timestamp {
        self.world.clock.now() + Duration::from_secs(25)
    }

    /// A request that gets a credential for `ttl`.
    fn issue(&self, ttl: Duration) {
        let wish = Wish { ttl: Some(ttl), ..Wish::default() };
        self.life.runtime.block_on(async {
            self.turns.engine.issue(&name(PLAIN), holder(1), wish).await.unwrap();
            self.turns.settle(self.until()).await;
        });
    }

    fn tick(&self) {
        self.life.runtime.block_on(self.turns.tick(self.until())).unwrap();
    }

    fn call(&self, due: Timestamp) {
        self.life.runtime.block_on(self.turns.call(due, self.until())).unwrap();
    }

    fn alive(&self) -> usize {
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
    let calls: Vec<_> = function.queue.calls.lock().unwrap().values().flatten().copied().collect();
    assert!(calls.contains(&(start + TTL)), "{calls:?}");
    function.queue.calls.lock().unwrap().clear();
    function.at(start + Duration::from_secs(1));
    function.tick();
    let calls: Vec<_> = function.queue.calls.lock().unwrap().values().flatten().copied().collect();
    assert_eq!(calls, [start + TTL]);
    function.at(start + TTL);
    function.call(start + TTL);
    assert_eq!(function.alive(), 0);
    // The same once more, and an hour late, harms nobody.
    function.at(start + TTL + Duration::from_secs(3600));
    function.call(start + TTL);
    assert_eq!(function.alive(), 0);
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
        let turn = function.turns.call(start + TTL, until);
        let time = async {
            super::outside::yield_many(500).await;
            function.at(until);
        };
        futures_util::future::join(turn, time).await.0
    };
    assert!(function.life.runtime.block_on(turn).is_err());
    function.world.outside().hangs = false;
    // The call that hangs keeps its claim until that ends; then it is tried again, after a while.
    for minute in 1..=3 {
        function.at(until + Duration::from_secs(60 * minute));
        function.tick();
    }
    assert_eq!(function.alive(), 0);
}
