//! What `commit` promises.

use tokio::task::JoinSet;

use super::*;
use crate::{MAX_WRITES, StoreError};

pub(super) async fn a_version_is_one_when_created_and_grows_by_one(store: Arc<dyn Store>) {
    let at = key("p", "a");
    for version in 1..=3 {
        commit(&store, vec![put(&at, &version.to_string())]).await;
        let entry = get(&store, &at).await.expect("what was put");
        assert_eq!((entry.version, entry.value), (version, Bytes::from(version.to_string())));
    }
    let change = Change::Put(Bytes::new());
    commit(&store, vec![write(&at, Precondition::Version(3), change.clone())]).await;
    assert_eq!(get(&store, &at).await.map(|entry| entry.version), Some(4));
    assert_eq!(conflict(&store, vec![write(&at, Precondition::Version(3), change)]).await, at);
}

pub(super) async fn what_was_deleted_starts_at_version_one_again(store: Arc<dyn Store>) {
    let at = key("p", "a");
    commit(&store, vec![put(&at, "1")]).await;
    commit(&store, vec![put(&at, "2")]).await;
    commit(&store, vec![write(&at, Precondition::Version(2), Change::Delete)]).await;
    assert_eq!(get(&store, &at).await, None);
    commit(&store, vec![put(&at, "3")]).await;
    assert_eq!(get(&store, &at).await.map(|entry| entry.version), Some(1));
}

pub(super) async fn a_precondition_that_fails_undoes_the_whole_commit(store: Arc<dyn Store>) {
    let [kept, created, guarded] = ["kept", "created", "guarded"].map(|sort| key("p", sort));
    commit(&store, vec![put(&kept, "before")]).await;
    let before = store.revision().await.expect("a revision");
    let writes = vec![delete(&kept), put(&created, "after"), check(&guarded, Precondition::Version(1))];
    assert_eq!(conflict(&store, writes).await, guarded);
    assert_eq!(get(&store, &kept).await.map(|entry| entry.value), Some(Bytes::from("before")));
    assert_eq!(get(&store, &created).await, None);
    assert_eq!(store.revision().await.expect("a revision"), before);
}

pub(super) async fn a_conflict_names_the_first_key_that_failed(store: Arc<dyn Store>) {
    let [first, second] = ["z", "a"].map(|sort| key("p", sort));
    let writes = vec![check(&first, Precondition::Version(1)), check(&second, Precondition::Version(1))];
    assert_eq!(conflict(&store, writes).await, first);
}

pub(super) async fn absent_means_absent(store: Arc<dyn Store>) {
    let at = key("p", "a");
    let create = || write(&at, Precondition::Absent, Change::Put(Bytes::from("created")));
    commit(&store, vec![create()]).await;
    assert_eq!(conflict(&store, vec![create()]).await, at);
    commit(&store, vec![delete(&at)]).await;
    commit(&store, vec![create()]).await;
    // No version is so low that it means absent.
    let absent = key("p", "b");
    assert_eq!(conflict(&store, vec![check(&absent, Precondition::Version(0))]).await, absent);
}

pub(super) async fn a_check_guards_without_changing(store: Arc<dyn Store>) {
    let [guard, at] = ["guard", "at"].map(|sort| key("p", sort));
    commit(&store, vec![put(&guard, "")]).await;
    let guarded = |version| vec![check(&guard, Precondition::Version(version)), put(&at, "")];
    commit(&store, guarded(1)).await;
    commit(&store, guarded(1)).await;
    assert_eq!(conflict(&store, guarded(2)).await, guard);
    assert_eq!(get(&store, &guard).await.map(|entry| entry.version), Some(1));
    assert_eq!(get(&store, &at).await.map(|entry| entry.version), Some(2));
}

pub(super) async fn a_commit_of_checks_alone_returns_the_newest_revision(store: Arc<dyn Store>) {
    let at = key("p", "a");
    let newest = commit(&store, vec![put(&at, "")]).await;
    assert_eq!(commit(&store, vec![check(&at, Precondition::Version(1))]).await, newest);
    assert_eq!(commit(&store, vec![]).await, newest);
    assert_eq!(store.revision().await.expect("a revision"), newest);
}

pub(super) async fn each_commit_that_writes_has_a_later_revision(store: Arc<dyn Store>) {
    let [a, b] = ["a", "b"].map(|sort| key("p", sort));
    let mut last = store.revision().await.expect("a revision");
    for writes in [vec![put(&a, ""), put(&b, "")], vec![put(&a, "")], vec![delete(&a)], vec![delete(&a)]] {
        let revision = commit(&store, writes).await;
        assert!(revision > last);
        assert_eq!(store.revision().await.expect("a revision"), revision);
        last = revision;
    }
}

pub(super) async fn a_commit_takes_fifty_writes_and_not_one_more(store: Arc<dyn Store>) {
    let mut writes: Vec<Write> = (0..=MAX_WRITES).map(|at| put(&key("p", &at.to_string()), "")).collect();
    let refused = store.commit(writes.clone()).await;
    assert!(matches!(refused, Err(CommitError::Store(StoreError::Unacceptable(_)))));
    writes.truncate(MAX_WRITES);
    commit(&store, writes).await;
    assert_eq!(store.list("p", EVERYTHING, 100).await.expect("a list").len(), MAX_WRITES);
}

pub(super) async fn a_commit_writes_each_key_once(store: Arc<dyn Store>) {
    let at = key("p", "a");
    let refused = store.commit(vec![put(&at, "1"), check(&at, Precondition::Any)]).await;
    assert!(matches!(refused, Err(CommitError::Store(StoreError::Unacceptable(_)))));
    assert_eq!(get(&store, &at).await, None);
}

pub(crate) async fn no_increment_is_lost_between(tasks: u64, store: Arc<dyn Store>) {
    const INCREMENTS: u64 = 4;
    let counter = key("p", "counter");
    commit(&store, vec![put(&counter, "0")]).await;
    let mut counting = JoinSet::new();
    for _ in 0..tasks {
        let (store, counter) = (Arc::clone(&store), counter.clone());
        counting.spawn(async move {
            for _ in 0..INCREMENTS {
                increment(&store, &counter).await;
            }
        });
    }
    while let Some(task) = counting.join_next().await {
        task.expect("a task that counted");
    }
    let entry = get(&store, &counter).await.expect("the counter");
    assert_eq!(entry.value, (tasks * INCREMENTS).to_string());
    assert_eq!(entry.version, tasks * INCREMENTS + 1);
}

/// Compare and set, until nobody was faster.
async fn increment(store: &Arc<dyn Store>, counter: &Key) {
    loop {
        let entry = get(store, counter).await.expect("the counter");
        let count: u64 = std::str::from_utf8(&entry.value).expect("digits").parse().expect("a number");
        let change = Change::Put(Bytes::from((count + 1).to_string()));
        match store.commit(vec![write(counter, Precondition::Version(entry.version), change)]).await {
            Ok(_) => return,
            Err(CommitError::Conflict { .. }) => {}
            Err(CommitError::Store(error)) => panic!("{error}"),
        }
    }
}

pub(super) async fn commits_asked_for_together_are_judged_one_after_the_other(store: Arc<dyn Store>) {
    let at = key("p", "a");
    let mut tasks = JoinSet::new();
    for claimant in 0..16 {
        let (store, at) = (Arc::clone(&store), at.clone());
        tasks.spawn(async move {
            let claim = Change::Put(Bytes::from(claimant.to_string()));
            store.commit(vec![write(&at, Precondition::Absent, claim)]).await.map(|_| claimant)
        });
    }
    let mut winners = Vec::new();
    while let Some(task) = tasks.join_next().await {
        match task.expect("a task that claimed") {
            Ok(winner) => winners.push(winner),
            Err(CommitError::Conflict { key }) => assert_eq!(key, at),
            Err(CommitError::Store(error)) => panic!("{error}"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(get(&store, &at).await.map(|entry| entry.value), Some(Bytes::from(winners[0].to_string())));
}

pub(super) async fn what_was_asked_for_is_done_though_nobody_waits(store: Arc<dyn Store>) {
    let at = key("p", "a");
    tokio::select! {
        biased;
        _ = store.commit(vec![put(&at, "asked")]) => {}
        () = std::future::ready(()) => {}
    }
    // Commits are done in the order in which they were asked for.
    commit(&store, vec![put(&key("p", "b"), "")]).await;
    assert_eq!(get(&store, &at).await.map(|entry| entry.value), Some(Bytes::from("asked")));
}

pub(super) async fn a_counter_counts_and_is_gone_at_zero(store: Arc<dyn Store>) {
    let at = key("p", "a");
    for (add, expected) in [(3, Some(3)), (-1, Some(2)), (5, Some(7)), (-7, None), (1, Some(1)), (-1, None)] {
        commit(&store, vec![write(&at, Precondition::Any, Change::Add(add))]).await;
        let count = get(&store, &at).await.map(|entry| crate::counter(&entry.value).expect("a counter"));
        assert_eq!(count, expected, "after {add}");
        let everything = store.list("p", EVERYTHING, 10).await.expect("a list");
        assert_eq!(everything.len(), usize::from(expected.is_some()));
    }
    let none_may = write(&at, Precondition::Below(0), Change::Add(1));
    assert_eq!(conflict(&store, vec![none_may]).await, at);
}

pub(super) async fn a_counter_never_passes_the_bound_that_its_writers_set(store: Arc<dyn Store>) {
    const BOUND: u64 = 10;
    let at = key("p", "a");
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let (store, at) = (Arc::clone(&store), at.clone());
        tasks.spawn(async move {
            store.commit(vec![write(&at, Precondition::Below(BOUND), Change::Add(1))]).await
        });
    }
    let mut counted = 0;
    while let Some(task) = tasks.join_next().await {
        match task.expect("a task that counted") {
            Ok(_) => counted += 1,
            Err(CommitError::Conflict { key }) => assert_eq!(key, at),
            Err(CommitError::Store(error)) => panic!("{error}"),
        }
    }
    let count = get(&store, &at).await.and_then(|entry| crate::counter(&entry.value));
    assert_eq!((counted, count), (BOUND, Some(BOUND)));
}

pub(super) async fn what_is_no_counter_is_not_counted_with(store: Arc<dyn Store>) {
    let at = key("p", "a");
    commit(&store, vec![put(&at, "three")]).await;
    let refused = store.commit(vec![write(&at, Precondition::Any, Change::Add(1))]).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(conflict(&store, vec![write(&at, Precondition::Below(9), Change::Check)]).await, at);
    assert_eq!(get(&store, &at).await.map(|entry| entry.value), Some(Bytes::from("three")));
}
