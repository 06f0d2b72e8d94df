//! Histories of issuing, revoking, faults, crashes and time, checked against what must never happen.
//!
//! Each history is a seed. The engine lives in a runtime of its own; dropping that runtime is a crash, which stops
//! every task at whatever it waits for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gateward_clock::{Clock, ManualClock, Timestamp};
use gateward_model::{DynamicSecret, GoDuration, ItemName, ProducerUrl};
use gateward_seal::{RootKey, Sealer, SecretValue};
use gateward_store::{MemoryStore, Store};
use serde_json::Map;
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::items::NewDynamicSecret;
use crate::lease::{Holder, LeaseId, LeaseState};
use crate::producer::{CreateError, Created, Order, Producer, RevokeAnswer, RevokeCallError};

const ITEM: u64 = 7;
const TTL: Duration = Duration::from_secs(40);

/// Turns of the runtime after which nothing moves any more that need not wait for the clock.
const SETTLE: usize = 400;

/// What really exists out there, and what went wrong.
#[derive(Default)]
struct Outside {
    /// Credentials that work, and the lease that each was made for.
    alive: HashMap<String, LeaseId>,
    /// Credentials that a caller holds, and when each may go.
    held: HashMap<String, Timestamp>,
    revoked_early: Vec<String>,
    made: u64,
    /// The next credential's answer cannot be handed out.
    unusable: bool,
    /// Every credential has this name.
    shared: Option<&'static str>,
    /// A call to revoke gets no answer.
    hangs: bool,
    faulty: bool,
    rng: fastrand::Rng,
}

#[derive(Clone)]
struct Hostile {
    outside: Arc<Mutex<Outside>>,
    clock: ManualClock,
}

impl Producers for Hostile {
    fn of(&self, _: &DynamicSecret, payload: SecretValue) -> Box<dyn Producer> {
        assert_eq!(payload.expose(), "canary-payload");
        Box::new(self.clone())
    }
}

impl Hostile {
    fn chance(&self, percent: u8) -> bool {
        let mut outside = self.outside.lock().unwrap();
        outside.faulty && outside.rng.u8(0..100) < percent
    }

    async fn take_a_while(&self) {
        let turns = self.outside.lock().unwrap().rng.usize(0..4);
        yield_many(turns).await;
    }
}

#[async_trait]
impl Producer for Hostile {
    async fn create(&self, order: &Order) -> Result<Created, CreateError> {
        self.take_a_while().await;
        if self.chance(15) {
            return Err(CreateError::NotCreated("refused".to_owned()));
        }
        let id = {
            let mut outside = self.outside.lock().unwrap();
            outside.made += 1;
            let id = outside.shared.map_or_else(|| format!("user-{}", outside.made), str::to_owned);
            outside.alive.insert(id.clone(), order.lease_id.clone());
            id
        };
        self.take_a_while().await;
        if self.chance(10) {
            return Err(CreateError::Lost { reason: "timeout".to_owned(), timeout: true });
        }
        let unusable = std::mem::take(&mut self.outside.lock().unwrap().unusable);
        if unusable || self.chance(10) {
            return Err(CreateError::Unusable { id, reason: "no object".to_owned() });
        }
        Ok(Created { id, response: Map::new() })
    }

    async fn dry_run(&self) -> Result<(), String> {
        Ok(())
    }

    async fn revoke(&self, ids: &[String]) -> Result<RevokeAnswer, RevokeCallError> {
        self.take_a_while().await;
        if self.outside.lock().unwrap().hangs {
            std::future::pending::<()>().await;
        }
        if self.chance(30) {
            return Err(RevokeCallError("503".to_owned()));
        }
        let mut gone = Vec::new();
        for id in ids {
            if self.chance(20) {
                continue;
            }
            let now = self.clock.now();
            let mut outside = self.outside.lock().unwrap();
            outside.alive.remove(id);
            if outside.held.get(id).is_some_and(|until| now < *until) {
                outside.revoked_early.push(id.clone());
            }
            gone.push(id.clone());
        }
        self.take_a_while().await;
        // Done, and the answer lost.
        if self.chance(10) {
            return Err(RevokeCallError("reset".to_owned()));
        }
        Ok(RevokeAnswer { gone, message: None })
    }
}

async fn yield_many(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// Everything that outlives a crash.
struct World {
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    clock: ManualClock,
    producers: Hostile,
}

/// One life of the engine.
struct Life {
    runtime: Runtime,
    engine: Arc<Engine>,
}

impl World {
    fn new(seed: u64) -> Self {
        let clock = ManualClock::at(Timestamp::from_secs(1_700_000_000));
        let outside = Outside { faulty: true, rng: fastrand::Rng::with_seed(seed), ..Outside::default() };
        let producers = Hostile { outside: Arc::new(Mutex::new(outside)), clock: clock.clone() };
        let world = Self {
            store: Arc::new(MemoryStore::new()),
            sealer: Arc::new(Sealer::new(RootKey::generate())),
            clock,
            producers,
        };
        let catalog = world.catalog();
        let new = NewDynamicSecret::new(secret(), SecretValue::from("canary-payload"));
        Builder::new_current_thread().build().unwrap().block_on(catalog.create(&new)).unwrap();
        world
    }

    fn catalog(&self) -> Catalog {
        Catalog::new(Arc::clone(&self.store), Arc::clone(&self.sealer), Arc::new(self.clock.clone()))
    }

    fn start(&self) -> Life {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let engine = Engine::new(EngineParts {
            store: Arc::clone(&self.store),
            catalog: Arc::new(self.catalog()),
            producers: Arc::new(self.producers.clone()),
            clock: Arc::new(self.clock.clone()),
            runtime: runtime.handle().clone(),
            owner: "only".to_owned(),
        });
        engine.start();
        Life { runtime, engine }
    }

    fn outside(&self) -> std::sync::MutexGuard<'_, Outside> {
        self.producers.outside.lock().unwrap()
    }
}

impl Life {
    fn run(&self, turns: usize) {
        self.runtime.block_on(yield_many(turns));
    }

    fn issue(&self, outside: &Arc<Mutex<Outside>>) {
        let engine = Arc::clone(&self.engine);
        let outside = Arc::clone(outside);
        self.runtime.spawn(async move {
            let issued = engine.issue(&name(), holder(), Map::new()).await;
            let Ok(issued) = issued else { return };
            let mut outside = outside.lock().unwrap();
            let made = outside.alive.iter().find(|(_, lease)| **lease == issued.lease_id);
            let id = made.map(|(id, _)| id.clone()).expect("a caller gets a credential that works");
            outside.held.insert(id, issued.expires_at);
        });
    }

    fn revoke_some(&self, outside: &Arc<Mutex<Outside>>) {
        let chosen = {
            let mut outside = outside.lock().unwrap();
            let Some(id) = outside.held.keys().min().cloned() else {
                return;
            };
            outside.held.remove(&id);
            outside.alive.get(&id).cloned()
        };
        let Some(lease) = chosen else { return };
        let engine = Arc::clone(&self.engine);
        self.runtime.spawn(async move { engine.revoke(ITEM, &lease).await });
    }
}

fn name() -> ItemName {
    ItemName::parse("/db").unwrap()
}

fn holder() -> Holder {
    Holder { access_id: "p-caller".to_owned(), sub_claims: BTreeMap::new() }
}

fn secret() -> DynamicSecret {
    DynamicSecret {
        id: ITEM,
        name: name(),
        create_sync_url: ProducerUrl::parse("http://127.0.0.1/sync/create").unwrap(),
        revoke_sync_url: ProducerUrl::parse("http://127.0.0.1/sync/revoke").unwrap(),
        rotate_sync_url: None,
        timeout_sec: 10,
        user_ttl: GoDuration::parse(&format!("{}s", TTL.as_secs())).unwrap(),
    }
}

fn history(seed: u64) {
    let world = World::new(seed);
    let mut rng = fastrand::Rng::with_seed(!seed);
    let mut life = world.start();
    for _ in 0..60 {
        match rng.u8(0..10) {
            0..=3 => life.issue(&world.producers.outside),
            4 => life.revoke_some(&world.producers.outside),
            5 => {
                drop(life);
                life = world.start();
            }
            _ => world.clock.advance(Duration::from_millis(rng.u64(0..15_000))),
        }
        life.run(rng.usize(0..60));
    }
    // From here on nothing fails any more, and all the time in the world passes.
    world.outside().faulty = false;
    drop(life);
    let life = world.start();
    for _ in 0..40 {
        life.run(SETTLE);
        world.clock.advance(Duration::from_secs(20));
    }
    life.run(SETTLE);

    let leases = life.runtime.block_on(life.engine.leases(ITEM)).unwrap();
    let outside = world.outside();
    assert_eq!(outside.revoked_early, Vec::<String>::new(), "seed {seed}");
    for (credential, lease) in &outside.alive {
        let known = leases.iter().find(|recorded| recorded.id == *lease);
        let state = known.map(|lease| &lease.state);
        assert!(
            matches!(state, Some(LeaseState::Unknown { .. })),
            "seed {seed}: {credential} works and its lease is {state:?}"
        );
    }
    for lease in leases {
        assert!(matches!(lease.state, LeaseState::Unknown { .. }), "seed {seed}: {lease:?} is left over");
    }
}

#[test]
fn no_credential_is_lost_and_none_revoked_early_whatever_fails() {
    for seed in 0..300 {
        history(seed);
    }
}

#[test]
fn a_revocation_starts_within_a_second_of_expiry() {
    let world = World::new(1);
    world.outside().faulty = false;
    let life = world.start();
    life.issue(&world.producers.outside);
    life.run(SETTLE);
    assert_eq!(world.outside().alive.len(), 1);
    world.clock.advance(TTL - Duration::from_millis(1));
    life.run(SETTLE);
    assert_eq!(world.outside().alive.len(), 1, "not before its time");
    world.clock.advance(Duration::from_millis(2));
    life.run(SETTLE);
    assert_eq!(world.outside().alive.len(), 0, "and then at once");
}

#[test]
fn what_was_made_and_cannot_be_handed_out_is_revoked_at_once() {
    let world = World::new(4);
    world.outside().faulty = false;
    world.outside().unusable = true;
    let life = world.start();
    life.issue(&world.producers.outside);
    life.run(SETTLE);
    assert_eq!(world.outside().made, 1);
    assert_eq!(life.runtime.block_on(life.engine.leases(ITEM)).unwrap(), []);
    assert_eq!(world.outside().alive.len(), 0);
}

#[test]
fn a_credential_of_several_leases_goes_with_the_last_of_them() {
    let world = World::new(7);
    world.outside().faulty = false;
    world.outside().shared = Some("team");
    let life = world.start();
    for _ in 0..2 {
        let engine = Arc::clone(&life.engine);
        life.runtime.block_on(engine.issue(&name(), holder(), Map::new())).unwrap();
        world.clock.advance(TTL / 2);
        life.run(SETTLE);
    }
    // The first has expired; the second has half its life before it.
    assert_eq!(life.runtime.block_on(life.engine.leases(ITEM)).unwrap().len(), 1);
    assert_eq!(world.outside().alive.len(), 1, "the second lease still needs it");
    world.clock.advance(TTL / 2);
    life.run(SETTLE);
    assert_eq!(world.outside().alive.len(), 0);
    assert_eq!(life.runtime.block_on(life.engine.leases(ITEM)).unwrap(), []);
}

#[test]
fn of_two_that_let_go_of_one_credential_at_once_one_has_to_call() {
    let world = World::new(8);
    world.outside().faulty = false;
    world.outside().shared = Some("team");
    let life = world.start();
    let mut leases = Vec::new();
    for _ in 0..2 {
        let engine = Arc::clone(&life.engine);
        leases.push(life.runtime.block_on(engine.issue(&name(), holder(), Map::new())).unwrap().lease_id);
    }
    let engine = &life.engine;
    let outcomes = life.runtime.block_on(async {
        let mut both = Vec::new();
        for lease_id in leases {
            let recorded = engine.ledger.get(&LeaseKey { item_id: ITEM, lease_id }).await.unwrap().unwrap();
            let now = world.clock.now();
            let due = recorded.lease.revoke(now).unwrap().claim("only", now, now + TTL).unwrap();
            let claimed = engine.replace(&recorded, due).await.unwrap();
            let held = engine.ledger.held_elsewhere(&claimed.lease, &[LeaseKey::of(&claimed.lease)]).await;
            both.push((claimed, held.unwrap()));
        }
        // Each has seen the other before either lets go.
        let mut outcomes = Vec::new();
        for (claimed, held) in both {
            assert!(held.is_some());
            let ended = claimed.lease.revoked(world.clock.now()).unwrap();
            outcomes.push(engine.replace_if(&claimed, ended, held).await.is_ok());
        }
        outcomes
    });
    assert_eq!(outcomes, [true, false]);
}

#[test]
fn a_claim_from_before_a_restart_holds_nobody_off() {
    let world = World::new(5);
    world.outside().faulty = false;
    let life = world.start();
    life.issue(&world.producers.outside);
    life.run(SETTLE);
    world.outside().hangs = true;
    world.clock.advance(TTL);
    life.run(SETTLE);
    drop(life);
    world.outside().hangs = false;
    let life = world.start();
    life.run(SETTLE);
    assert_eq!(world.outside().alive.len(), 0);
}

#[test]
fn deleting_a_secret_keeps_its_producer_until_the_last_lease_is_gone() {
    let world = World::new(2);
    world.outside().faulty = false;
    let life = world.start();
    life.issue(&world.producers.outside);
    life.run(SETTLE);
    let catalog = Arc::clone(&life.engine.catalog);
    life.runtime.block_on(catalog.delete(&name())).unwrap();
    assert!(life.runtime.block_on(catalog.get(&name())).is_err());
    assert!(life.runtime.block_on(catalog.producer(ITEM)).unwrap().is_some());
    life.runtime.block_on(life.engine.revoke_all(ITEM)).unwrap();
    assert_eq!(world.outside().alive.len(), 0);
    assert!(life.runtime.block_on(catalog.producer(ITEM)).unwrap().is_none());
}

#[test]
fn who_asks_for_a_revocation_hears_of_it_when_it_is_done_though_the_timer_was_faster() {
    for seed in 0..20 {
        let world = World::new(seed);
        world.outside().faulty = false;
        let life = world.start();
        life.issue(&world.producers.outside);
        life.run(SETTLE);
        // The lease is due, and the timer is calling the producer already.
        world.clock.advance(TTL);
        life.run(1);
        let outcome = life.runtime.block_on(life.engine.revoke_all(ITEM));
        assert!(outcome.is_ok(), "{outcome:?}");
        assert_eq!(world.outside().alive.len(), 0);
    }
}

#[test]
fn no_lease_begins_after_its_secret_was_deleted() {
    let world = World::new(6);
    world.outside().faulty = false;
    let life = world.start();
    let catalog = Arc::clone(&life.engine.catalog);
    let open = life.runtime.block_on(catalog.open(&name())).unwrap();
    life.runtime.block_on(catalog.delete(&name())).unwrap();
    let lease = Lease::intent((ITEM, &name()), holder(), TTL, world.clock.now(), world.clock.now() + TTL);
    let begun = life.runtime.block_on(life.engine.ledger.open(lease, open.stands));
    assert!(matches!(begun, Err(LedgerError::Changed)));
}

#[test]
fn nothing_that_is_stored_shows_the_payload() {
    let world = World::new(3);
    let runtime = Builder::new_current_thread().build().unwrap();
    let everything = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    let records = runtime.block_on(world.store.list("producers", everything, 10)).unwrap();
    assert_eq!(records.len(), 1);
    for record in records {
        assert!(!String::from_utf8_lossy(&record.value).contains("canary"));
    }
}
