//! A disk that fails, and a thread that panics: whoever commits is told, what was answered before is there, and nothing
//! waits for ever.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::*;

/// What must come, comes; a test that waits for ever says nothing.
async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("an answer in time")
}

/// Why a commit is refused, if the store cannot do it.
async fn attempt(store: &LocalStore, name: &str) -> Result<(), String> {
    match in_time(store.commit(vec![put("p", name, &"x".repeat(100))])).await {
        Ok(_) => Ok(()),
        Err(CommitError::Store(StoreError::Engine(error))) => Err(error.to_string()),
        Err(error) => panic!("{error:?}"),
    }
}

/// Commits until one is refused; gives what was answered before, and why the last was not.
async fn until_refused(store: &LocalStore) -> (BTreeSet<String>, String) {
    let mut answered = BTreeSet::new();
    for round in 0..10_000 {
        let name = format!("{round:05}");
        match attempt(store, &name).await {
            Ok(()) => answered.insert(name),
            Err(why) => return (answered, why),
        };
    }
    panic!("what cannot be written was answered ten thousand times");
}

async fn names(store: &LocalStore) -> BTreeSet<String> {
    let listed = in_time(store.list("p", EVERYTHING, usize::MAX)).await.expect("a list");
    listed.into_iter().map(|entry| entry.key.sort).collect()
}

/// The store is told to have failed with `why`, what it answered can be read, and it goes on refusing.
async fn it_says_so(store: &LocalStore, answered: &BTreeSet<String>, why: &str) {
    let told = store.failure().expect("it says so");
    assert!(told.starts_with("nothing can be written until a restart: ") && told.ends_with(why), "{told}");
    assert!(names(store).await.is_superset(answered));
    for name in ["again", "and again"] {
        assert!(attempt(store, name).await.is_err(), "nobody knows what the disk has");
    }
}

/// A restart finds all that was answered, and writes.
async fn a_restart_mends_it(directory: &Path, answered: &BTreeSet<String>) {
    let store = LocalStore::open(directory).expect("the same store");
    assert!(names(&store).await.is_superset(answered), "something that was answered is gone");
    assert_eq!((store.failure(), attempt(&store, "after").await), (None, Ok(())));
}

#[tokio::test]
async fn a_disk_without_room_for_the_journal_is_told_to_everybody_who_commits() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = LocalStore::open(directory.path()).expect("a store");
    attempt(&store, "before").await.expect("a commit");
    assert_eq!(store.failure(), None);
    drop(store);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("a disk without room");
    let store = LocalStore::open_with(directory.path(), |journal| journal.writing_to(full));
    let store = store.expect("the same store");
    let mut commits = tokio::task::JoinSet::new();
    for round in 0..40 {
        let store = Arc::clone(&store);
        commits.spawn(async move { attempt(&store, &round.to_string()).await });
    }
    for refused in commits.join_all().await {
        assert!(refused.as_ref().is_err_and(|why| why.contains("No space left")), "{refused:?}");
    }
    let before = BTreeSet::from(["before".to_owned()]);
    assert_eq!(names(&store).await, before, "what was refused is not shown");
    it_says_so(&store, &before, "No space left on device (os error 28)").await;
    drop(store);
    a_restart_mends_it(directory.path(), &before).await;
}

#[tokio::test]
async fn a_disk_that_has_room_again_needs_no_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let room = Arc::new(AtomicUsize::new(3000));
    let store = LocalStore::open_with(directory.path(), |journal| journal.with_room(&room));
    let store = store.expect("a store");
    let mut answered = BTreeSet::new();
    for round in 0..3 {
        let (more, why) = until_refused(&store).await;
        assert!(more.len() > 3, "{more:?}");
        answered.extend(more);
        assert!(why.contains("no storage space"), "{why}");
        let told = store.failure().expect("it says so");
        assert!(told.starts_with("the disk has no room, and what it refuses is tried again: "), "{told}");
        assert_eq!(names(&store).await, answered, "what was refused is not shown");
        room.store(3000, Relaxed);
        let name = format!("again {round}");
        assert_eq!((attempt(&store, &name).await, store.failure()), (Ok(()), None));
        answered.insert(name);
        // Those that were there are written anew.
        for name in &answered {
            store.commit(vec![delete("p", name)]).await.expect("a commit");
        }
        answered.clear();
        room.store(3000, Relaxed);
    }
    assert_eq!(attempt(&store, "last").await, Ok(()));
    answered.insert("last".to_owned());
    drop(store);
    a_restart_mends_it(directory.path(), &answered).await;
}

#[tokio::test]
async fn a_journal_that_cannot_go_on_takes_nothing_along() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = LocalStore::open(directory.path()).expect("a store");
    // Something stands where the next segment is to begin.
    let journal = directory.path().join("journal");
    fs::write(journal.join(format!("{:020}.journal", 2)), "in the way").expect("a file");
    let (answered, why) = until_refused(&store).await;
    assert!(answered.len() > 3, "{answered:?}");
    it_says_so(&store, &answered, &why).await;
    drop(store);
    a_restart_mends_it(directory.path(), &answered).await;
}

#[tokio::test]
async fn files_that_cannot_be_written_keep_nobody_waiting_and_the_journal_keeps_what_they_lack() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = LocalStore::open(directory.path()).expect("a store");
    attempt(&store, "before").await.expect("a commit");
    let (here, away) = (directory.path().join("tree/tables"), directory.path().join("tree/away"));
    fs::rename(&here, &away).expect("a directory");
    let (answered, why) = until_refused(&store).await;
    it_says_so(&store, &answered, &why).await;
    drop(store);
    let _ = fs::remove_dir_all(&here);
    fs::rename(&away, &here).expect("a directory");
    a_restart_mends_it(directory.path(), &answered).await;
}

#[tokio::test]
async fn a_writer_that_panics_keeps_nobody_waiting_and_takes_nothing_along() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = LocalStore::open(directory.path()).expect("a store");
    attempt(&store, "before").await.expect("a commit");
    let commits = async |from: u32| {
        let mut commits = tokio::task::JoinSet::new();
        for round in from..from + 10 {
            let store = Arc::clone(&store);
            commits.spawn(async move { (round.to_string(), attempt(&store, &round.to_string()).await) });
        }
        // On the one thread of this test's runtime, all have asked before this goes on.
        tokio::task::yield_now().await;
        commits
    };
    let mut asked = commits(0).await;
    assert!(store.orders.send(Order::Panic).is_ok());
    let after = commits(10).await;
    let mut answered = BTreeSet::from(["before".to_owned()]);
    while let Some(done) = asked.join_next().await {
        // Some were in the group that the panic has ended, and some may have been before it.
        match done.expect("a task that committed") {
            (name, Ok(())) => assert!(answered.insert(name)),
            (_, Err(why)) => assert_eq!(why, PANIC),
        }
    }
    for (name, refused) in after.join_all().await {
        assert_eq!(refused, Err(PANIC.to_owned()), "{name}");
    }
    it_says_so(&store, &answered, PANIC).await;
    store.close();
    assert!(matches!(in_time(store.changes(Revision(9))).await, Err(StoreError::Closed)));
    assert!(matches!(in_time(store.commit(vec![])).await, Err(CommitError::Store(StoreError::Closed))));
    a_restart_mends_it(directory.path(), &answered).await;
}
