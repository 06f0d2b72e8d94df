//! Many leases at once, where transactions that meet at an item cancel each other.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use gateward_clock::{Clock, ManualClock, Timestamp};
use gateward_model::{DynamicSecret, ItemName};
use gateward_seal::{RootKey, Sealer, SecretValue};
use gateward_store::{Change, Precondition, Store, Write};
use serde_json::Map;
use tokio::runtime::{Builder, Runtime};

use super::transactions::{Rule, Tally, Transactions};
use super::world::{OTHER, TTL, holder, name, secret};
use crate::engine::{Engine, EngineParts, EngineSettings, IssueError, Issued, Wish};
use crate::items::{Catalog, DynamicSecretChange, NewDynamicSecret};
use crate::lease::Lease;
use crate::ledger::{Cap, Caps, counts};
use crate::producer::{
    Capabilities, CreateError, Created, Order, Producer, Producers, RevokeAnswer, RevokeCallError,
};

/// A gateway, or several, on one store.
struct Crowd {
    runtime: Runtime,
    clock: ManualClock,
    store: Arc<Transactions>,
    catalog: Arc<Catalog>,
    engines: Vec<Arc<Engine>>,
}

struct Willing;

impl Producers for Willing {
    fn of(&self, _: &DynamicSecret, _: SecretValue) -> Box<dyn Producer> {
        Box::new(Self)
    }
}

#[async_trait]
impl Producer for Willing {
    async fn create(&self, order: &Order) -> Result<Created, CreateError> {
        Ok(Created { id: order.lease_id.to_string(), response: Map::new() })
    }

    async fn revoke(&self, ids: &[String]) -> Result<RevokeAnswer, RevokeCallError> {
        Ok(RevokeAnswer { gone: ids.to_vec(), message: None })
    }

    async fn dry_run(&self) -> Result<Capabilities, String> {
        Ok(Capabilities::default())
    }
}

impl Crowd {
    fn new(rule: Rule, engines: usize, of_item: Option<u64>, caps: Caps) -> Self {
        fastrand::seed(7);
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let clock = ManualClock::at(Timestamp::from_secs(1_700_000_000));
        let store = Arc::new(Transactions::new(rule));
        let sealer = Arc::new(Sealer::new(RootKey::generate()));
        let catalog = || {
            let store = Arc::clone(&store) as Arc<dyn Store>;
            Arc::new(Catalog::new(store, Arc::clone(&sealer), Arc::new(clock.clone())))
        };
        let known = catalog();
        let new = NewDynamicSecret::new(
            DynamicSecret { max_leases: of_item, ..secret(OTHER) },
            SecretValue::from("payload"),
        );
        runtime.block_on(known.create(&new)).unwrap();
        let engine = |number: usize| {
            Engine::new(EngineParts {
                store: Arc::clone(&store) as Arc<dyn Store>,
                catalog: catalog(),
                producers: Arc::new(Willing),
                clock: Arc::new(clock.clone()),
                runtime: runtime.handle().clone(),
                owner: number.to_string(),
                settings: EngineSettings { caps, ..EngineSettings::default() },
            })
        };
        let engines = (0..engines).map(engine).collect();
        store.tally();
        Self { runtime, clock, store, catalog: known, engines }
    }

    /// So many callers at the same moment, at all engines in turns.
    fn issue(&self, callers: usize) -> Vec<Result<Issued, IssueError>> {
        self.issue_at(&self.engines, callers)
    }

    fn issue_at(&self, engines: &[Arc<Engine>], callers: usize) -> Vec<Result<Issued, IssueError>> {
        let name: ItemName = name(OTHER);
        let engines = engines.iter().cycle();
        let issuing = engines.take(callers).map(|engine| engine.issue(&name, holder(1), Wish::default()));
        self.runtime.block_on(join_all(issuing))
    }

    fn issue_all(&self, callers: usize) -> Tally {
        self.store.tally();
        for issued in self.issue(callers) {
            issued.unwrap();
        }
        self.store.tally()
    }

    /// What is left alive when everything that is due has been seen to.
    fn revoke_due(&self) -> Tally {
        self.clock.advance(TTL + Duration::from_secs(1));
        self.store.tally();
        let until = self.clock.now() + Duration::from_secs(60);
        self.runtime.block_on(self.engines[0].turn(until)).unwrap();
        self.store.tally()
    }

    fn leases(&self) -> Vec<Lease> {
        self.runtime.block_on(self.engines[0].leases(OTHER)).unwrap()
    }

    fn live(&self) -> u64 {
        self.runtime.block_on(self.engines[0].ledger.live()).unwrap()
    }

    /// Writes all leases and counters as the version before has left them.
    fn count_as_before(&self) {
        self.runtime.block_on(async {
            let store = &self.store.inner;
            let all = || (Bound::Unbounded, Bound::Unbounded);
            for entry in store.list(&format!("~lease/{OTHER}"), all(), 99).await.unwrap() {
                let lease: Lease = serde_json::from_slice(&entry.value).unwrap();
                let mut writes = counts::release(&lease).to_vec();
                let lease = Lease { counted: None, counted_in: 5, ..lease };
                writes.extend(counts::release(&lease).map(|write| Write { change: Change::Add(1), ..write }));
                let (key, precondition) = (entry.key, Precondition::Version(entry.version));
                let change = Change::Put(serde_json::to_vec(&lease).unwrap().into());
                writes.push(Write { key, precondition, change });
                store.commit(writes).await.unwrap();
            }
        });
    }

    fn set_cap(&self, of_item: Option<u64>) {
        let name = name(OTHER);
        self.runtime.block_on(async {
            let known = self.catalog.known(&name).await.unwrap();
            let change = DynamicSecretChange {
                found: known.secret.producer.clone(),
                secret: DynamicSecret { max_leases: of_item, ..known.secret },
                payload: None,
                description: None,
                tags: None,
                delete_protection: None,
                every: None,
                protection: None,
            };
            self.catalog.update(&name, &change).await.unwrap();
        });
    }
}

#[test]
fn a_hundred_leases_that_are_due_together_are_revoked_in_few_transactions_of_which_hardly_one_is_cancelled() {
    // The directory of the due index is checked by several of them.
    for (rule, most_cancelled) in [(Rule::Writes, 5), (Rule::Anything, 20)] {
        for of_item in [None, Some(100), Some(1000)] {
            let crowd = Crowd::new(rule, 1, of_item, Caps::default());
            for _ in 0..10 {
                crowd.issue_all(10);
            }
            let tally = crowd.revoke_due();
            let hardly = tally.cancelled <= most_cancelled;
            assert!(tally.transactions <= 45 && hardly, "{rule:?}, {of_item:?}: {tally:?}");
            assert_eq!((crowd.leases(), crowd.live()), (Vec::new(), 0));
        }
    }
}

#[test]
fn a_secret_with_two_hundred_leases_is_deleted_in_few_transactions() {
    for rule in [Rule::Writes, Rule::Anything] {
        let crowd = Crowd::new(rule, 1, None, Caps::default());
        for _ in 0..20 {
            crowd.issue_all(10);
        }
        crowd.store.tally();
        crowd.runtime.block_on(crowd.engines[0].delete(&name(OTHER))).unwrap();
        let Tally { transactions, cancelled, .. } = crowd.store.tally();
        // Brought forward, claimed, revoked: each sixteen or more of a hundred, and what the deletion itself takes.
        assert!(transactions <= 130 && cancelled <= 60, "{rule:?}: {transactions}, {cancelled}");
        assert_eq!((crowd.leases(), crowd.live()), (Vec::new(), 0));
    }
}

#[test]
fn sixty_four_callers_at_once_get_a_credential_each_of_one_process_or_of_as_many() {
    let most_cancelled = [
        (Rule::Writes, None, 200),
        (Rule::Writes, Some(64), 400),
        (Rule::Writes, Some(1000), 200),
        (Rule::Anything, None, 600),
    ];
    for (rule, of_item, most) in most_cancelled {
        for engines in [1, 64] {
            let crowd = Crowd::new(rule, engines, of_item, Caps::default());
            let tally = crowd.issue_all(64);
            assert!(tally.cancelled <= most, "{rule:?}, {of_item:?}, {engines}: {tally:?}");
            assert_eq!((crowd.leases().len(), crowd.live()), (64, 64));
        }
    }
}

#[test]
fn where_the_minute_is_known_no_lease_is_in_anothers_way_also_to_a_process_that_is_new() {
    let crowd = Crowd::new(Rule::Writes, 2, None, Caps::default());
    // The slots of the due index are put into its directory.
    let first = [Arc::clone(&crowd.engines[0])];
    crowd.issue_at(&first, 200);
    for engine in &crowd.engines {
        crowd.store.tally();
        crowd.issue_at(&[Arc::clone(engine)], 64);
        let Tally { transactions, cancelled, .. } = crowd.store.tally();
        assert_eq!((transactions, cancelled), (128, 0));
    }
}

/// What `deploy/costs.py` works with.
#[test]
fn a_credential_that_is_issued_and_revoked_writes_and_checks_as_many_items_as_its_price_says() {
    let crowd = Crowd::new(Rule::Writes, 1, None, Caps::default());
    // The store gets its name.
    crowd.revoke_due();
    let issued = crowd.issue_all(1);
    let revoked = crowd.revoke_due();
    let (written, checked) = (issued.written + revoked.written, issued.checked + revoked.checked);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/costs.py");
    let page = std::fs::read_to_string(page).unwrap();
    for line in [format!("WRITTEN = {written}\n"), format!("CHECKED = {checked}\n")] {
        assert!(page.contains(&line), "deploy/costs.py is to have {line}; {issued:?}, {revoked:?}");
    }
}

#[test]
fn a_cap_that_is_set_while_leases_live_holds_at_once_wherever_they_are_counted() {
    let crowd = Crowd::new(Rule::Writes, 2, None, Caps::default());
    crowd.issue_all(40);
    for (cap, more) in [(60, 20), (50, 0), (100, 40), (33, 0), (120, 20)] {
        crowd.set_cap(Some(cap));
        let given = crowd.issue(50);
        let full = given.iter().filter(|given| matches!(given, Err(IssueError::Full(Cap::Item)))).count();
        assert_eq!((given.iter().filter(|given| given.is_ok()).count(), full), (more, 50 - more), "{cap}");
    }
    crowd.revoke_due();
    assert_eq!(crowd.issue(121).iter().filter(|given| given.is_ok()).count(), 120);
    assert_eq!(crowd.live(), 120);
}

#[test]
fn every_cap_holds_where_several_do() {
    let caps = Caps { gateway: Some(70), identity: Some(40), item: Some(100) };
    let crowd = Crowd::new(Rule::Writes, 3, None, caps);
    let given = crowd.issue(60);
    let full = given.iter().filter(|given| matches!(given, Err(IssueError::Full(Cap::Identity)))).count();
    assert_eq!((crowd.live(), full), (40, 20));
}

#[test]
fn leases_of_the_version_before_count_against_caps_and_give_their_places_back() {
    let crowd = Crowd::new(Rule::Writes, 1, None, Caps::default());
    crowd.issue_all(10);
    crowd.count_as_before();
    crowd.set_cap(Some(12));
    assert_eq!(crowd.live(), 10, "they are counted where they were");
    assert_eq!(crowd.issue(5).iter().filter(|given| given.is_ok()).count(), 2);
    crowd.revoke_due();
    assert_eq!((crowd.leases(), crowd.live()), (Vec::new(), 0));
    let left = |partition: &'static str| {
        let all = (Bound::Unbounded, Bound::Unbounded);
        crowd.runtime.block_on(crowd.store.inner.list(partition, all, 99)).unwrap()
    };
    assert_eq!(left("~count"), []);
    assert_eq!(crowd.issue(20).iter().filter(|given| given.is_ok()).count(), 12);
}
