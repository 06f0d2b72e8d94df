//! What only an engine with a directory can promise.

mod failures;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::*;
use crate::{Change, MemoryStore, Precondition};

const EVERYTHING: (Bound<String>, Bound<String>) = (Bound::Unbounded, Bound::Unbounded);

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = LocalStore::open(directory.path()).expect("a store");
    store.commit(vec![put("p", "a", "1"), put("p", "gone", "")]).await.expect("a commit");
    store.commit(vec![put("p", "a", "2")]).await.expect("a commit");
    let last = store.commit(vec![delete("p", "gone")]).await.expect("a commit");
    let before = store.list("p", EVERYTHING, 10).await.expect("a list");
    drop(store);

    let store = LocalStore::open(directory.path()).expect("the same store");
    let after = store.list("p", EVERYTHING, 10).await.expect("a list");
    assert_eq!(after, before);
    assert_eq!((after.len(), after[0].version, &after[0].value[..]), (1, 2, &b"2"[..]));
    assert_eq!(store.revision().await.expect("a revision"), last);
    assert!(store.commit(vec![put("p", "b", "")]).await.expect("a commit") > last);
}

#[tokio::test]
async fn a_follower_from_before_a_restart_is_told_to_read_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = LocalStore::open(directory.path()).expect("a store");
    let old = store.commit(vec![put("p", "a", "")]).await.expect("a commit");
    let revision = store.commit(vec![put("p", "b", "")]).await.expect("a commit");
    drop(store);

    let store = LocalStore::open(directory.path()).expect("the same store");
    assert_eq!(store.changes(old).await.expect("changes"), Changes::Forgotten { revision });
}

/// What a killed process leaves behind is what its files hold at that moment.
#[tokio::test]
async fn what_was_answered_is_in_the_files_while_the_store_still_runs() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = LocalStore::open(directory.path()).expect("a store");
    for round in 0..20 {
        store.commit(vec![put("p", &round.to_string(), "value")]).await.expect("a commit");
    }
    let left_behind = tempfile::tempdir().expect("a directory");
    copy(directory.path(), left_behind.path());

    let survivor = LocalStore::open(left_behind.path()).expect("a store");
    assert_eq!(survivor.list("p", EVERYTHING, 100).await.expect("a list").len(), 20);
    assert_eq!(survivor.revision().await.expect("a revision"), store.revision().await.expect("a revision"));
}

#[test]
fn a_store_is_its_owners_alone_in_a_directory_that_everybody_may_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("store");
    fs::create_dir(&path).expect("a directory");
    for path in [directory.path(), &path] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("it is ours");
    }
    let store = LocalStore::open(&path).expect("a store");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let segments =
        fs::read_dir(path.join("journal")).expect("a journal").map(|file| file.expect("a file").path());
    let segments: Vec<_> = segments.collect();
    assert!(!segments.is_empty());
    for file in segments.iter().chain([&path.join("lock")]) {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    drop(store);
}

#[test]
fn a_directory_in_use_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let _store = LocalStore::open(directory.path()).expect("a store");
    let refusal = LocalStore::open(directory.path()).err().expect("a refusal");
    assert!(matches!(refusal, OpenError::InUse { .. }));
    let message = refusal.to_string();
    assert!(message.contains(&directory.path().display().to_string()), "{message}");
    assert!(message.contains("in use by another process"), "{message}");
}

#[test]
fn a_path_that_is_no_directory_is_refused_by_name() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let refusal = LocalStore::open(file.path()).err().expect("a refusal");
    assert!(refusal.to_string().contains(&file.path().display().to_string()), "{refusal}");
}

#[tokio::test]
async fn a_closed_store_finishes_what_was_asked_and_lets_the_directory_go() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = LocalStore::open(directory.path()).expect("a store");
    let start = store.revision().await.expect("a revision");
    let (closer, watched) = (Arc::clone(&store), Arc::clone(&store));
    let mut commits = tokio::task::JoinSet::new();
    for round in 0..32 {
        let store = Arc::clone(&store);
        commits.spawn(async move { store.commit(vec![put("p", &round.to_string(), "")]).await });
    }
    // On the one thread of this test's runtime, every task has asked before the close is reached.
    tokio::task::yield_now().await;
    closer.close();
    let mut done = 0;
    while let Some(commit) = commits.join_next().await {
        match commit.expect("a task that committed") {
            Ok(_) => done += 1,
            Err(error) => assert!(matches!(error, CommitError::Store(StoreError::Closed)), "{error}"),
        }
    }
    assert!(matches!(watched.changes(start).await, Err(StoreError::Closed)));
    assert!(matches!(watched.get(&at("p", "0")).await, Err(StoreError::Closed)));
    assert!(matches!(watched.commit(vec![]).await, Err(CommitError::Store(StoreError::Closed))));

    let reopened = LocalStore::open(directory.path()).expect("the directory, though the closed store lives");
    assert_eq!(reopened.list("p", EVERYTHING, 100).await.expect("a list").len(), done);
    assert_eq!(done, 32);
}

/// Memory is sealed, written out and merged all the time here, under the readers' feet.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_commits_whole_and_what_was_answered_while_files_come_and_go() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = LocalStore::open(directory.path()).expect("a store");
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            for round in 0..ROUNDS {
                let (value, name) = (round.to_string(), |part: u32| format!("{writer}/{part}"));
                let writes = (0..3).map(|part| put("p", &name(part), &value)).collect();
                store.commit(writes).await.expect("a commit");
                let seen = store.get(&at("p", &name(0))).await.expect("a get").expect("an entry");
                assert_eq!((&seen.value[..], seen.version), (value.as_bytes(), round + 1));
                let gone = [put("q", &format!("{writer}/{round:04}"), &value), delete("q", &name(0))];
                store.commit(gone.to_vec()).await.expect("a commit");
            }
        });
    }
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let store = Arc::clone(&store);
        readers.spawn(async move {
            let mut before = Vec::new();
            loop {
                let listed = store.list("p", EVERYTHING, 100).await.expect("a list");
                for commit in listed.chunks(3) {
                    assert!(commit.iter().all(|entry| entry.version == commit[0].version), "{commit:?}");
                }
                let versions: Vec<u64> = listed.iter().map(|entry| entry.version).collect();
                assert!(versions.iter().zip(&before).all(|(now, before)| now >= before));
                if versions.len() == 12 && versions.iter().all(|version| *version == ROUNDS) {
                    return;
                }
                before = versions;
            }
        });
    }
    for tasks in [writers, readers] {
        tasks.join_all().await;
    }
    drop(store);
    let store = LocalStore::open(directory.path()).expect("the same store");
    let rounds = usize::try_from(ROUNDS).expect("a small number");
    assert_eq!(store.list("q", EVERYTHING, usize::MAX).await.expect("a list").len(), 4 * rounds);
    let kept = std::fs::read_dir(directory.path().join("journal")).expect("a directory").count();
    assert!(kept < 8, "{kept} segments are kept, though what they say is in files");
}

#[test]
fn a_store_of_another_form_is_refused_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(directory.path().join("keyspaces")).expect("a directory");
    let refusal = LocalStore::open(directory.path()).err().expect("a refusal");
    assert!(matches!(refusal, OpenError::Older { .. }), "{refusal}");
    assert!(refusal.to_string().contains(&directory.path().display().to_string()), "{refusal}");
}

const ROUNDS: u64 = 150;

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<Write>),
    List(String, (Bound<String>, Bound<String>), usize),
    Reopen,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_reads_as_in_the_model(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(compare(steps))?;
    }
}

async fn compare(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let directory = tempfile::tempdir().expect("a directory");
    let model = MemoryStore::new();
    let mut store = LocalStore::open(directory.path()).expect("a store");
    for step in steps {
        match step {
            Step::Commit(writes) => {
                let expected = outcome(model.commit(writes.clone()).await);
                prop_assert_eq!(outcome(store.commit(writes.clone()).await), expected);
                for write in &writes {
                    let expected = model.get(&write.key).await.ok();
                    prop_assert_eq!(store.get(&write.key).await.ok(), expected);
                }
            }
            Step::List(partition, range, limit) => {
                let expected = model.list(&partition, range.clone(), limit).await.expect("a list");
                prop_assert_eq!(store.list(&partition, range, limit).await.expect("a list"), expected);
            }
            Step::Reopen => {
                drop(store);
                store = LocalStore::open(directory.path()).expect("the same store");
            }
        }
        prop_assert_eq!(store.revision().await.ok(), model.revision().await.ok());
    }
    Ok(())
}

/// What is to be the same; errors of the engine are not compared, they fail.
fn outcome(result: Result<Revision, CommitError>) -> Result<Revision, String> {
    result.map_err(|error| error.to_string())
}

fn step() -> impl Strategy<Value = Step> {
    let bound = || {
        prop_oneof![
            Just(Bound::Unbounded),
            sort().prop_map(Bound::Included),
            sort().prop_map(Bound::Excluded),
        ]
    };
    prop_oneof![
        6 => prop::collection::vec(any_write(), 0..5).prop_map(Step::Commit),
        3 => (partition(), (bound(), bound()), 0..6_usize)
            .prop_map(|(partition, range, limit)| Step::List(partition, range, limit)),
        1 => Just(Step::Reopen),
    ]
}

fn any_write() -> impl Strategy<Value = Write> {
    let precondition = prop_oneof![
        3 => Just(Precondition::Any),
        1 => Just(Precondition::Absent),
        2 => (1..4_u64).prop_map(Precondition::Version),
    ];
    let change = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| Change::Put(Bytes::from(bytes))),
        2 => Just(Change::Delete),
        1 => Just(Change::Check),
        2 => (-3_i64..4).prop_map(Change::Add),
    ];
    (partition(), sort(), precondition, change).prop_map(|(partition, sort, precondition, change)| Write {
        key: Key { partition, sort },
        precondition,
        change,
    })
}

/// Few, and neighbours in the byte order, so that histories meet themselves.
fn partition() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "a", "a\u{1}", "ab"]).prop_map(str::to_owned)
}

fn sort() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "\0", "a", "a\0", "é", "～", "🔒"]).prop_map(str::to_owned)
}

fn at(partition: &str, sort: &str) -> Key {
    Key { partition: partition.to_owned(), sort: sort.to_owned() }
}

fn put(partition: &str, sort: &str, value: &str) -> Write {
    let change = Change::Put(Bytes::copy_from_slice(value.as_bytes()));
    Write { key: at(partition, sort), precondition: Precondition::Any, change }
}

fn delete(partition: &str, sort: &str) -> Write {
    Write { key: at(partition, sort), precondition: Precondition::Any, change: Change::Delete }
}

fn copy(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).expect("a directory") {
        let file = file.expect("a file");
        let target = to.join(file.file_name());
        if file.file_type().expect("a type").is_dir() {
            std::fs::create_dir(&target).expect("a directory");
            copy(&file.path(), &target);
        } else {
            std::fs::copy(file.path(), target).expect("a copy");
        }
    }
}
