//! The engine against moto, with everything going wrong in between, and against dynalite where that is.
//!
//! moto rolls a failed transaction back by putting an old copy of the whole table in place, so calls to it go one at a
//! time; and it has no notion of tokens, so what stands in front of it does what AWS's documentation says of them.

mod dynalite;
mod faults;
mod moto;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use fastrand::Rng;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::*;
use crate::{Change, MemoryStore, Precondition, conformance};
use faults::Faulty;

const TEST_PACE: Pace = Pace { period: Some(Duration::from_millis(50)), ring: 16, remembered: 200 };

async fn open(api: Arc<dyn Api>, name: &str) -> Arc<DynamoStore> {
    DynamoStore::open_at(api, name, Handle::current(), TEST_PACE).await.expect("a store")
}

async fn open_new(moto: &moto::Server) -> Arc<DynamoStore> {
    let table = moto.table();
    let name = table.name.clone();
    open(table, &name).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sentence_of_the_trait_holds() {
    let moto = moto::start();
    let mut failed = Vec::new();
    for (name, sentence) in conformance::all() {
        let store = open_new(&moto).await;
        if let Err(failure) = Handle::current().spawn(sentence(store)).await {
            failed.push((name, failure));
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
    conformance::commits::no_increment_is_lost_between(6, open_new(&moto).await).await;
    let store = open_new(&moto).await;
    conformance::changes::a_follower_that_fell_behind_is_told_so(store, TEST_PACE.remembered).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_everything_going_wrong_it_does_what_the_model_does() {
    let moto = moto::start();
    for seed in 0..4 {
        let table = moto.table();
        let faulty = Faulty::new(Arc::clone(&table) as Arc<dyn Api>, seed, 30);
        let store = open(Arc::clone(&faulty) as Arc<dyn Api>, &table.name).await;
        let elsewhere = open(Arc::clone(&table) as Arc<dyn Api>, &table.name).await;
        let model = MemoryStore::new();
        let mirror = Handle::current().spawn(mirror(elsewhere));
        let mut random = Rng::with_seed(seed);
        for step in 0..60 {
            let writes = any_writes(&mut random);
            let expected = model.commit(writes.clone()).await;
            let done = store.commit(writes.clone()).await;
            let context = format!("seed {seed}, step {step}: {writes:?}");
            match (expected, done) {
                (Ok(expected), Ok(done)) => assert_eq!(done, expected, "{context}"),
                (Err(CommitError::Conflict { key: expected }), Err(CommitError::Conflict { key })) => {
                    assert_eq!(key, expected, "{context}");
                }
                // Without a token, nobody can tell: it may have been done before somebody else wrote there.
                (Err(CommitError::Conflict { key }), Err(CommitError::Store(error)))
                    if writes.len() == 1 && crate::is_quiet(&key.partition) =>
                {
                    assert!(is_uncertain(&error), "{context}");
                }
                (expected, done) => panic!("{done:?} and not {expected:?}; {context}"),
            }
            let partition = *random.choice(PARTITIONS).expect("a partition");
            assert_eq!(
                everything(&*store, partition).await,
                everything(&model, partition).await,
                "{context}"
            );
        }
        assert!(faulty.come() > 20, "{} faults", faulty.come());
        store.commit(vec![put("p", LAST)]).await.expect("a commit");
        model.commit(vec![put("p", LAST)]).await.expect("a commit");
        let mirrored = mirror.await.expect("a follower");
        for partition in PARTITIONS.iter().filter(|partition| !crate::is_quiet(partition)) {
            assert_eq!(mirrored[*partition], everything(&model, partition).await, "seed {seed}");
        }
    }
}

/// Follows what stands in another process, until the last entry has come, and returns what it saw.
async fn mirror(store: Arc<DynamoStore>) -> BTreeMap<&'static str, BTreeMap<String, Entry>> {
    let mut seen = store.revision().await.expect("a revision");
    let mut mirrored: BTreeMap<&str, BTreeMap<String, Entry>> = BTreeMap::new();
    let followed = || PARTITIONS.iter().copied().filter(|partition| !crate::is_quiet(partition));
    for partition in followed() {
        mirrored.insert(partition, everything(&*store, partition).await);
    }
    while !mirrored["p"].contains_key(LAST) {
        match store.changes(seen).await.expect("changes") {
            Changes::Keys { revision, keys } => {
                for key in keys {
                    let entries = mirrored.get_mut(key.partition.as_str()).expect("a followed partition");
                    match store.get(&key).await.expect("a read") {
                        Some(entry) => entries.insert(key.sort, entry),
                        None => entries.remove(&key.sort),
                    };
                }
                seen = revision;
            }
            Changes::Forgotten { revision } => {
                for partition in followed() {
                    mirrored.insert(partition, everything(&*store, partition).await);
                }
                seen = revision;
            }
        }
    }
    mirrored
}

async fn everything(store: &dyn Store, partition: &str) -> BTreeMap<String, Entry> {
    let listed =
        store.list(partition, (Bound::Unbounded, Bound::Unbounded), usize::MAX).await.expect("a list");
    listed.into_iter().map(|entry| (entry.key.sort.clone(), entry)).collect()
}

fn any_writes(random: &mut Rng) -> Vec<Write> {
    let mut writes: BTreeMap<Key, Write> = BTreeMap::new();
    // Often one, in a quiet partition: that takes another way.
    for _ in 0..random.usize(1..4) {
        let partition = (*random.choice(PARTITIONS).expect("a partition")).to_owned();
        let key = Key { partition, sort: random.u8(0..3).to_string() };
        let precondition = match random.u8(0..6) {
            0 | 1 => Precondition::Absent,
            2 | 3 => Precondition::Version(random.u64(1..4)),
            _ => Precondition::Any,
        };
        let change = match random.u8(0..8) {
            0 => Change::Check,
            1 | 2 => Change::Delete,
            3 => Change::Put(Bytes::new()),
            _ => Change::Put(Bytes::from(random.u64(..).to_string())),
        };
        writes.insert(key.clone(), Write { key, precondition, change });
    }
    writes.into_values().collect()
}

fn put(partition: &str, sort: &str) -> Write {
    let key = Key { partition: partition.to_owned(), sort: sort.to_owned() };
    Write { key, precondition: Precondition::Any, change: Change::Put(Bytes::new()) }
}

const PARTITIONS: &[&str] = &["p", "q", "~r"];
const LAST: &str = "last";

/// What was done is seen, and what was not done is not, though two processes write at the same places and calls fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_lose_nothing_and_do_nothing_twice() {
    let moto = moto::start();
    for partition in ["p", "~p"] {
        let table = moto.table();
        let mut racing = JoinSet::new();
        for process in 0..2 {
            let faulty = Faulty::new(Arc::clone(&table) as Arc<dyn Api>, process, 20);
            let store = open(faulty, &table.name).await;
            for task in 0..2 {
                let store = Arc::clone(&store);
                let id = format!("{process}{task}");
                racing.spawn(async move { append(&*store, partition, &id).await });
            }
        }
        let mut appended = Vec::new();
        while let Some(task) = racing.join_next().await {
            appended.extend(task.expect("a task that appended"));
        }
        let store = open(Arc::clone(&table) as Arc<dyn Api>, &table.name).await;
        let mut stands = read(&*store, partition).await.0;
        stands.sort_unstable();
        appended.sort_unstable();
        assert_eq!(stands, appended, "{partition}");
    }
}

/// Appends ten texts of its own to a list that others append to as well, and returns them.
async fn append(store: &dyn Store, partition: &str, id: &str) -> Vec<String> {
    let key = Key { partition: partition.to_owned(), sort: "list".to_owned() };
    let texts: Vec<String> = (0..10).map(|at| format!("{id}-{at}")).collect();
    for text in &texts {
        loop {
            let (mut list, version) = read(store, partition).await;
            if list.contains(text) {
                // An earlier commit that nobody could be certain of.
                break;
            }
            list.push(text.clone());
            let precondition = version.map_or(Precondition::Absent, Precondition::Version);
            let change = Change::Put(Bytes::from(list.join(",")));
            match store.commit(vec![Write { key: key.clone(), precondition, change }]).await {
                Ok(_) => break,
                Err(CommitError::Conflict { .. }) => {
                    // Nobody else writes this text: had it been done, that would be a false conflict.
                    assert!(!read(store, partition).await.0.contains(text), "{text} was done after all");
                }
                Err(CommitError::Store(error)) => assert!(is_uncertain(&error)),
            }
        }
    }
    texts
}

fn is_uncertain(error: &StoreError) -> bool {
    let StoreError::Engine(error) = error else { return false };
    matches!(error.downcast_ref(), Some(DynamoError::Uncertain))
}

async fn read(store: &dyn Store, partition: &str) -> (Vec<String>, Option<u64>) {
    let key = Key { partition: partition.to_owned(), sort: "list".to_owned() };
    let Some(entry) = store.get(&key).await.expect("a read") else { return (Vec::new(), None) };
    let text = std::str::from_utf8(&entry.value).expect("a list of texts");
    (text.split(',').map(str::to_owned).collect(), Some(entry.version))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_missing_or_somebody_elses_is_named() {
    let moto = moto::start();
    let missing = DynamoStore::open(moto.named("missing"), "missing", Handle::current(), Looks::Often).await;
    let told = missing.err().expect("no table").to_string();
    assert!(told.contains("no table \"missing\"") && told.contains("docs/serverless.md"), "{told}");
    moto.call(
        "CreateTable",
        &json!({
            "TableName": "other",
            "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
            "BillingMode": "PAY_PER_REQUEST",
        }),
    );
    let other = DynamoStore::open(moto.named("other"), "other", Handle::current(), Looks::Often).await;
    let told = other.err().expect("another key").to_string();
    assert!(told.contains("\"other\" is no store"), "{told}");
}

/// A table with nothing in it, which counts how often it was asked.
#[derive(Default)]
struct Empty(AtomicU32);

#[async_trait]
impl Api for Empty {
    async fn call(&self, _action: &'static str, _request: Bytes) -> Result<Bytes, Failure> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Bytes::from_static(b"{}"))
    }
}

#[tokio::test]
async fn a_store_that_looks_when_it_is_asked_makes_no_call_of_its_own() {
    let open = async |period: Option<Duration>| {
        let table = Arc::new(Empty::default());
        let pace = Pace { period, ..TEST_PACE };
        let api = Arc::clone(&table) as Arc<dyn Api>;
        let store = DynamoStore::open_at(api, "t", Handle::current(), pace).await.expect("a store");
        (table, store)
    };
    let (table, store) = open(Some(Duration::from_millis(1))).await;
    let looks = async {
        while table.0.load(Ordering::Relaxed) < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        changes = store.changes(Revision(0)) => panic!("nothing has changed: {changes:?}"),
        looked = tokio::time::timeout(Duration::from_secs(60), looks) => looked.expect("a store that looks"),
    }
    let (table, store) = open(None).await;
    let nothing = store.changes(Revision(0));
    assert!(tokio::time::timeout(Duration::from_millis(50), nothing).await.is_err());
    assert_eq!(table.0.load(Ordering::Relaxed), 1, "only that of its start");
}

/// A table that answers so many readings in transactions, and then none until there is leave for more.
struct Tired {
    inner: Arc<dyn Api>,
    left: AtomicU32,
    tired: Notify,
}

#[async_trait]
impl Api for Tired {
    async fn call(&self, action: &'static str, request: Bytes) -> Result<Bytes, Failure> {
        let one_less = |left: u32| left.checked_sub(1);
        if action == "TransactGetItems"
            && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err()
        {
            self.tired.notify_one();
            std::future::pending::<()>().await;
        }
        self.inner.call(action, request).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_far_behind_and_must_go_again_and_again_catches_up_all_the_same() {
    let moto = moto::start();
    let pace = Pace { period: None, ring: 1_024, remembered: 200 };
    let table = moto.table();
    let name = table.name.clone();
    let inner = Arc::clone(&table) as Arc<dyn Api>;
    let tired = Arc::new(Tired { inner, left: AtomicU32::new(0), tired: Notify::new() });
    let api = Arc::clone(&tired) as Arc<dyn Api>;
    let behind = DynamoStore::open_at(api, &name, Handle::current(), pace).await.expect("a store");
    let ahead = DynamoStore::open_at(table, &name, Handle::current(), pace).await.expect("a store");
    let commits = 100;
    for sort in 0..commits {
        ahead.commit(vec![put("p", &sort.to_string())]).await.expect("a commit");
    }
    let mut looks = 0;
    loop {
        looks += 1;
        // Eight readings of ten keys, where a look must end each time.
        tired.left.store(8, Ordering::Relaxed);
        tokio::select! {
            revision = behind.revision() => break assert_eq!(revision.expect("a revision"), Revision(commits)),
            () = tired.tired.notified() => assert!(looks < 5, "it begins anew each time"),
        }
    }
    match behind.changes(Revision(0)).await.expect("changes") {
        Changes::Keys { revision, keys } => assert_eq!((revision, keys.len()), (Revision(commits), 100)),
        other => panic!("{other:?}"),
    }
}

/// What DynamoDB says of itself is shown; what stands in its answers is not.
#[test]
fn an_error_shows_nothing_of_the_answer() {
    let answer = Bytes::from_static(b"canary");
    let refusal = Refusal { status: 400, error: "ValidationException".to_owned(), answer };
    let error = DynamoError::Failed(Failure::Refused(refusal));
    let shown = format!("{error} {error:?}") + &StoreError::Engine(Box::new(error)).to_string();
    assert!(shown.contains("ValidationException") && !shown.contains("canary"), "{shown}");
}
