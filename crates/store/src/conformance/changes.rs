//! What `changes` promises.

use std::pin::pin;
use std::time::Duration;

use super::*;
use crate::{Changes, StoreError};

pub(super) async fn changes_are_told_once_each_in_the_order_of_the_last_write(store: Arc<dyn Store>) {
    let [a, b, c] = ["a", "b", "c"].map(|sort| key("p", sort));
    let start = store.revision().await.expect("a revision");
    let first = commit(&store, vec![put(&c, ""), put(&a, "")]).await;
    commit(&store, vec![put(&b, ""), check(&a, Precondition::Version(1))]).await;
    let last = commit(&store, vec![delete(&c)]).await;
    assert_eq!(changes(&store, start).await, keys(last, &[&a, &b, &c]));
    assert_eq!(changes(&store, first).await, keys(last, &[&b, &c]));
}

pub(super) async fn changes_wait_until_something_is_written(store: Arc<dyn Store>) {
    let at = key("p", "a");
    let before = commit(&store, vec![put(&at, "before")]).await;
    let mut following = pin!(store.changes(before));
    tokio::select! {
        biased;
        early = &mut following => panic!("nothing has changed, but {early:?}"),
        () = std::future::ready(()) => {}
    }
    let after = commit(&store, vec![put(&at, "after")]).await;
    assert_eq!(in_time(following).await.expect("changes"), keys(after, &[&at]));
}

pub(super) async fn every_follower_is_woken(store: Arc<dyn Store>) {
    let at = key("p", "a");
    let start = store.revision().await.expect("a revision");
    let mut followers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(&store);
        followers.spawn(async move { store.changes(start).await });
    }
    let revision = commit(&store, vec![put(&at, "")]).await;
    while let Some(follower) = in_time(followers.join_next()).await {
        assert_eq!(follower.expect("a follower").expect("changes"), keys(revision, &[&at]));
    }
}

pub(super) async fn checks_alone_wake_nobody(store: Arc<dyn Store>) {
    let at = key("p", "a");
    let newest = commit(&store, vec![put(&at, "")]).await;
    let mut following = pin!(store.changes(newest));
    commit(&store, vec![check(&at, Precondition::Version(1))]).await;
    conflict(&store, vec![put(&at, ""), check(&key("p", "b"), Precondition::Version(1))]).await;
    tokio::select! {
        biased;
        early = &mut following => panic!("nothing has changed, but {early:?}"),
        () = std::future::ready(()) => {}
    }
}

/// `remembered` is how many keys the engine remembers.
pub(crate) async fn a_follower_that_fell_behind_is_told_so(store: Arc<dyn Store>, remembered: usize) {
    let start = store.revision().await.expect("a revision");
    let mut newest = start;
    for round in 0..=remembered / 50 {
        let writes = (0..50).map(|at| put(&key("p", &format!("{round}/{at}")), "")).collect();
        newest = commit(&store, writes).await;
    }
    assert_eq!(changes(&store, start).await, Changes::Forgotten { revision: newest });
    let at = key("p", "a");
    let after = commit(&store, vec![put(&at, "")]).await;
    assert_eq!(changes(&store, newest).await, keys(after, &[&at]));
}

pub(super) async fn a_revision_that_is_yet_to_come_is_forgotten(store: Arc<dyn Store>) {
    let revision = commit(&store, vec![put(&key("p", "a"), "")]).await;
    assert_eq!(changes(&store, Revision(revision.0 + 1)).await, Changes::Forgotten { revision });
}

fn keys(revision: Revision, keys: &[&Key]) -> Changes {
    Changes::Keys { revision, keys: keys.iter().copied().cloned().collect() }
}

async fn changes(store: &Arc<dyn Store>, since: Revision) -> Changes {
    let changes: Result<Changes, StoreError> = in_time(store.changes(since)).await;
    changes.expect("changes")
}

/// What must come, comes within the deadline; a test that waits for ever says nothing.
async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("an answer in time")
}
