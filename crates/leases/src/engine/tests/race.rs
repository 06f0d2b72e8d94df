//! Two engines race for one due list, on the store that keeps files.
//!
//! The histories race them too, on a store in memory and one step at a time; here their tasks run beside each other. The
//! clock is the test's: it stands still while they work, so that a machine that is busy changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gateward_clock::{Clock, ManualClock, Timestamp};
use gateward_model::DynamicSecret;
use gateward_seal::{RootKey, Sealer, SecretValue};
use gateward_store::{LocalStore, Store};
use serde_json::Map;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::world::{PLAIN, holder, name, secret};
use crate::engine::{Engine, EngineParts, EngineSettings, IssueError, Query, Wish};
use crate::items::{Catalog, NewDynamicSecret};
use crate::ledger::Caps;
use crate::producer::{
    Capabilities, CreateError, Created, Order, Producer, Producers, RevokeAnswer, RevokeCallError,
};

/// A producer that notes when each credential was to go at the earliest, and how often it was asked to let it go.
struct Noting {
    clock: ManualClock,
    made: Mutex<BTreeMap<String, Timestamp>>,
    asked: Mutex<BTreeMap<String, u32>>,
    early: Mutex<BTreeSet<String>>,
    gone: watch::Sender<usize>,
}

#[derive(Clone)]
struct Both(Arc<Noting>);

impl Producers for Both {
    fn of(&self, _: &DynamicSecret, _: SecretValue) -> Box<dyn Producer> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Producer for Both {
    async fn create(&self, order: &Order) -> Result<Created, CreateError> {
        let id = order.lease_id.to_string();
        self.0.made.lock().unwrap().insert(id.clone(), self.0.clock.now() + order.ttl);
        Ok(Created { id, response: Map::new() })
    }

    async fn revoke(&self, ids: &[String]) -> Result<RevokeAnswer, RevokeCallError> {
        let now = self.0.clock.now();
        for id in ids {
            let made = self.0.made.lock().unwrap();
            if made.get(id).is_none_or(|until| now < *until) {
                self.0.early.lock().unwrap().insert(id.clone());
            }
            *self.0.asked.lock().unwrap().entry(id.clone()).or_default() += 1;
        }
        // The other engine has time to look at what is due.
        tokio::task::yield_now().await;
        self.0.gone.send_modify(|gone| *gone += ids.len());
        Ok(RevokeAnswer { gone: ids.to_vec(), message: None })
    }

    async fn dry_run(&self) -> Result<Capabilities, String> {
        Ok(Capabilities::default())
    }
}

fn engine(store: &Arc<dyn Store>, sealer: &Arc<Sealer>, noting: &Arc<Noting>, owner: &str) -> Arc<Engine> {
    let clock: Arc<dyn Clock> = Arc::new(noting.clock.clone());
    let engine = Engine::new(EngineParts {
        store: Arc::clone(store),
        catalog: Arc::new(Catalog::new(Arc::clone(store), Arc::clone(sealer), Arc::clone(&clock))),
        producers: Arc::new(Both(Arc::clone(noting))),
        clock,
        runtime: Handle::current(),
        owner: owner.to_owned(),
        settings: EngineSettings {
            caps: Caps { gateway: Some(LEASES as u64), ..Caps::default() },
            ..EngineSettings::default()
        },
    });
    engine.start();
    engine
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_engines_on_one_store_of_files_revoke_each_lease_once_and_pass_no_cap() {
    let folder = tempfile::tempdir().unwrap();
    let local = LocalStore::open(folder.path()).unwrap();
    let store = Arc::clone(&local) as Arc<dyn Store>;
    let sealer = Arc::new(Sealer::new(RootKey::generate()));
    let clock = ManualClock::at(Timestamp::from_secs(1_700_000_000));
    let catalog = Catalog::new(Arc::clone(&store), Arc::clone(&sealer), Arc::new(clock.clone()));
    catalog.create(&NewDynamicSecret::new(secret(PLAIN), SecretValue::from("payload"))).await.unwrap();
    let noting = Arc::new(Noting {
        clock: clock.clone(),
        made: Mutex::default(),
        asked: Mutex::default(),
        early: Mutex::default(),
        gone: watch::Sender::default(),
    });
    let engines = ["a", "b"].map(|owner| engine(&store, &sealer, &noting, owner));
    let mut issuing = tokio::task::JoinSet::new();
    for number in 0..LEASES + BEYOND {
        let engine = Arc::clone(&engines[number % 2]);
        let wish = Wish { ttl: Some(TTL), ..Wish::default() };
        issuing.spawn(async move { engine.issue(&name(PLAIN), holder(1), wish).await });
    }
    let given = issuing.join_all().await;
    let full = given.iter().filter(|given| matches!(given, Err(IssueError::Full(_)))).count();
    assert_eq!((given.iter().filter(|given| given.is_ok()).count(), full), (LEASES, BEYOND));
    clock.advance(TTL);
    let mut gone = noting.gone.subscribe();
    let mut waits = 0;
    // What one found in the other's hands it looks at again after a second. So time goes on where nothing else does, and
    // never so far that a claim ends.
    while tokio::time::timeout(PAUSE, gone.wait_for(|gone| *gone >= LEASES)).await.is_err() {
        waits += 1;
        assert!(waits < MOST_PAUSES, "all are revoked in time");
        if waits % 10 == 0 {
            clock.advance(Duration::from_secs(1));
        }
    }
    // The last answers are still being written down.
    let over = async {
        while engines[0].report(Query::default()).await.unwrap().live > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, over).await.expect("all are over in time");
    let report = engines[1].report(Query::default()).await.unwrap();
    assert_eq!((report.live, report.due), (0, 0));
    assert!(report.attention.iter().all(|list| list.count == 0), "{:?}", report.attention);
    assert_eq!(*noting.early.lock().unwrap(), BTreeSet::new());
    let asked = noting.asked.lock().unwrap();
    assert_eq!((asked.len(), asked.values().max()), (LEASES, Some(&1)), "each was claimed by one of the two");
}

const LEASES: usize = 300;
const BEYOND: usize = 20;
const TTL: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);
const MOST_PAUSES: u32 = 120;
const DEADLINE: Duration = Duration::from_secs(120);
