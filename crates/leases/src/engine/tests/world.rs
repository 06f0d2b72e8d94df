//! Everything that outlives a crash, and the lives of engines in it.
//!
//! An engine lives in a runtime of its own; dropping that runtime is a crash, which stops every task at whatever it
//! waits for.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use gateward_clock::{Clock, ManualClock, Timestamp};
use gateward_model::{CustomSettings, DynamicSecret, GoDuration, ItemName, ProducerSettings, ProducerUrl};
use gateward_seal::{RootKey, Sealer, SecretValue};
use gateward_store::{Changes, CommitError, Entry, Key, MemoryStore, Revision, Store, StoreError, Write};
use tokio::runtime::{Builder, Runtime};

use super::outside::{Hostile, Outside, yield_many};
use crate::CallEnd;
use crate::engine::{Engine, EngineParts, EngineSettings};
use crate::items::{Catalog, NewDynamicSecret};
use crate::lease::Holder;
use crate::ledger::Caps;
use crate::producer::Capabilities;
use crate::status::{StatusChange, StatusListener};
use crate::witness::{Seen, Witness};

/// A secret whose producer forgets, and one whose producer knows its request ids again.
pub const PLAIN: u64 = 7;
pub const REMEMBERING: u64 = 8;
pub const TTL: Duration = Duration::from_secs(40);

/// A secret that is there only where somebody keeps it.
pub const OTHER: u64 = 9;

/// Everything that outlives a crash.
pub struct World {
    pub store: Arc<Flaky>,
    pub sealer: Arc<Sealer>,
    pub clock: ManualClock,
    pub producers: Hostile,
    pub witness: Arc<InMemory>,
    pub caps: Caps,
    /// The longest that a producer is waited for when it makes a credential.
    pub call_end: Arc<CallEnd>,
    pub heard: Arc<Heard>,
}

/// What was told of leases and producers, and not asked for yet.
#[derive(Default)]
pub struct Heard(Mutex<Vec<StatusChange>>);

impl Heard {
    pub fn taken(&self) -> Vec<StatusChange> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl StatusListener for Heard {
    fn hear(&self, change: StatusChange) {
        self.0.lock().unwrap().push(change);
    }
}

/// One life of an engine.
pub struct Life {
    pub runtime: Runtime,
    pub engine: Arc<Engine>,
    pub owner: &'static str,
}

impl World {
    /// A world in which everything may fail.
    pub fn new(seed: u64) -> Self {
        Self::with(seed, Caps::default(), None)
    }

    /// A world in which nothing fails.
    pub fn calm(seed: u64) -> Self {
        let world = Self::new(seed);
        world.calm_down();
        world
    }

    pub fn with(seed: u64, caps: Caps, of_item: Option<u64>) -> Self {
        // What the engine draws is drawn on this thread.
        fastrand::seed(seed);
        let clock = ManualClock::at(Timestamp::from_secs(1_700_000_000));
        let count = |cap: Option<u64>| cap.map(|cap| usize::try_from(cap).unwrap());
        let outside = Outside {
            faulty: true,
            rng: fastrand::Rng::with_seed(seed),
            caps: [count(of_item), count(caps.identity), count(caps.gateway)],
            ..Outside::default()
        };
        let producers = Hostile::new(Arc::new(Mutex::new(outside)), clock.clone());
        let world = Self {
            store: Arc::new(Flaky::new(seed)),
            sealer: Arc::new(Sealer::new(RootKey::generate())),
            clock,
            producers,
            witness: Arc::default(),
            caps,
            call_end: Arc::default(),
            heard: Arc::default(),
        };
        world.store.state().faulty = false;
        for id in [PLAIN, REMEMBERING] {
            world.keep(DynamicSecret { max_leases: of_item, ..secret(id) });
        }
        world.store.state().faulty = true;
        world
    }

    /// Makes `secret`.
    pub fn keep(&self, secret: DynamicSecret) {
        let runtime = Builder::new_current_thread().build().unwrap();
        let new = NewDynamicSecret::new(secret, SecretValue::from("canary-payload"));
        runtime.block_on(self.catalog().create(&new)).unwrap();
    }

    pub fn catalog(&self) -> Catalog {
        let store = Arc::clone(&self.store) as Arc<dyn Store>;
        Catalog::new(store, Arc::clone(&self.sealer), Arc::new(self.clock.clone()))
    }

    pub fn start(&self) -> Life {
        self.start_as("a")
    }

    pub fn start_as(&self, owner: &'static str) -> Life {
        let life = self.life(owner, false);
        life.engine.start();
        life
    }

    /// One that looks at a clock of its own.
    pub fn start_by(&self, owner: &'static str, clock: Arc<dyn Clock>) -> Life {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let engine = self.engine(owner, false, &runtime, clock);
        engine.start();
        Life { runtime, engine, owner }
    }

    /// An engine whose timer never runs: it acts only when it is told to.
    pub fn asleep(&self) -> Life {
        self.life("a function", true)
    }

    fn life(&self, owner: &'static str, remembers_due: bool) -> Life {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let engine = self.engine(owner, remembers_due, &runtime, Arc::new(self.clock.clone()));
        Life { runtime, engine, owner }
    }

    /// Another such engine as that of [`World::asleep`], beside it on its runtime.
    pub fn beside(&self, life: &Life, owner: &'static str) -> Arc<Engine> {
        self.engine(owner, true, &life.runtime, Arc::new(self.clock.clone()))
    }

    fn engine(
        &self,
        owner: &'static str,
        remembers_due: bool,
        runtime: &Runtime,
        clock: Arc<dyn Clock>,
    ) -> Arc<Engine> {
        Engine::new(EngineParts {
            store: Arc::clone(&self.store) as Arc<dyn Store>,
            catalog: Arc::new(self.catalog()),
            producers: Arc::new(self.producers.clone()),
            clock,
            runtime: runtime.handle().clone(),
            owner: owner.to_owned(),
            settings: EngineSettings {
                caps: self.caps,
                witness: Some(Arc::clone(&self.witness) as Arc<dyn Witness>).filter(|_| !remembers_due),
                remembers_due,
                listener: Some(Arc::clone(&self.heard) as Arc<dyn StatusListener>),
                hold_for: Duration::from_secs(100_000),
                call_end: Arc::clone(&self.call_end),
                ..EngineSettings::default()
            },
        })
    }

    pub fn outside(&self) -> MutexGuard<'_, Outside> {
        self.producers.outside.lock().unwrap()
    }

    pub fn calm_down(&self) {
        self.outside().faulty = false;
        self.store.state().faulty = false;
    }
}

impl Life {
    pub fn run(&self, turns: usize) {
        self.runtime.block_on(yield_many(turns));
    }
}

pub fn name(item: u64) -> ItemName {
    ItemName::parse(&format!("/item/{item}")).unwrap()
}

pub fn holder(number: u8) -> Holder {
    Holder { access_id: format!("p-{number}"), sub_claims: BTreeMap::new() }
}

pub fn secret(id: u64) -> DynamicSecret {
    DynamicSecret {
        id,
        name: name(id),
        producer: ProducerSettings::Custom(CustomSettings {
            create_sync_url: ProducerUrl::parse("http://127.0.0.1/sync/create").unwrap(),
            revoke_sync_url: ProducerUrl::parse("http://127.0.0.1/sync/revoke").unwrap(),
            rotate_sync_url: None,
        }),
        timeout_sec: 10,
        user_ttl: GoDuration::parse(&format!("{}s", TTL.as_secs())).unwrap(),
        max_leases: None,
        capabilities: Capabilities { request_id: id == REMEMBERING, list: true, max_batch: None },
    }
}

/// A store that fails before it has done something, or after; and that takes a while.
pub struct Flaky {
    state: Mutex<FlakyState>,
}

pub struct FlakyState {
    inner: Arc<MemoryStore>,
    pub faulty: bool,
    /// Nothing is read or written.
    pub down: bool,
    /// Lists of this partition are never answered.
    pub hangs: Option<String>,
    /// The answers of so many commits are lost, which are done.
    pub lost_answers: usize,
    /// After so many calls one panics.
    pub panics_after: Option<usize>,
    rng: fastrand::Rng,
}

impl Flaky {
    fn new(seed: u64) -> Self {
        let rng = fastrand::Rng::with_seed(seed.rotate_left(17));
        let inner = Arc::new(MemoryStore::new());
        let state = FlakyState {
            inner,
            faulty: true,
            down: false,
            hangs: None,
            lost_answers: 0,
            panics_after: None,
            rng,
        };
        Self { state: Mutex::new(state) }
    }

    pub fn state(&self) -> MutexGuard<'_, FlakyState> {
        self.state.lock().unwrap()
    }

    /// The store as it stands.
    pub fn copy(&self) -> MemoryStore {
        self.state().inner.copy()
    }

    /// Puts an earlier state back.
    pub fn restore(&self, copy: &MemoryStore) {
        self.state().inner = Arc::new(copy.copy());
    }

    /// What works without failing.
    pub fn quietly<T>(&self, with: impl FnOnce(&MemoryStore) -> T) -> T {
        let inner = Arc::clone(&self.state().inner);
        with(&inner)
    }

    fn inner(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.state().inner)
    }

    fn fails(&self, per_mille: u16) -> Result<(), StoreError> {
        let mut state = self.state();
        if let Some(left) = state.panics_after {
            state.panics_after = left.checked_sub(1);
            drop(state);
            assert_ne!(left, 0, "a bug that a test has put there");
            return Ok(());
        }
        if state.down || state.faulty && state.rng.u16(0..1000) < per_mille {
            return Err(StoreError::Engine("the disk is on fire".into()));
        }
        Ok(())
    }

    async fn take_a_while(&self) {
        let turns = {
            let mut state = self.state();
            if state.faulty { state.rng.usize(0..3) } else { 0 }
        };
        yield_many(turns).await;
    }
}

#[async_trait]
impl Store for Flaky {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        self.fails(4)?;
        self.inner().get(key).await
    }

    async fn list(
        &self,
        partition: &str,
        range: (Bound<String>, Bound<String>),
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.fails(4)?;
        let hangs = self.state().hangs.as_deref() == Some(partition);
        if hangs {
            std::future::pending::<()>().await;
        }
        self.inner().list(partition, range, limit).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, CommitError> {
        self.take_a_while().await;
        self.fails(10)?;
        let done = self.inner().commit(writes).await;
        self.take_a_while().await;
        self.fails(10)?;
        let left = self.state().lost_answers.checked_sub(1);
        if let Some(left) = left {
            self.state().lost_answers = left;
            return Err(StoreError::Engine("the answer is lost".into()).into());
        }
        done
    }

    async fn changes(&self, since: Revision) -> Result<Changes, StoreError> {
        self.inner().changes(since).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.inner().revision().await
    }
}

/// A witness that a restored store does not take along.
#[derive(Default)]
pub struct InMemory {
    pub seen: Mutex<Option<Seen>>,
    /// It can be neither read nor written.
    pub broken: AtomicBool,
}

impl InMemory {
    fn check(&self) -> io::Result<()> {
        match self.broken.load(Ordering::Relaxed) {
            true => Err(io::Error::other("the witness is on fire")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Witness for InMemory {
    async fn recall(&self) -> io::Result<Option<Seen>> {
        self.check()?;
        Ok(self.seen.lock().unwrap().clone())
    }

    async fn remember(&self, seen: &Seen) -> io::Result<()> {
        self.check()?;
        *self.seen.lock().unwrap() = Some(seen.clone());
        Ok(())
    }

    fn boot(&self) -> Option<String> {
        Some("this one".to_owned())
    }
}
