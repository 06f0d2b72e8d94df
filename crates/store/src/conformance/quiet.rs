//! What is promised of quiet partitions.

use super::*;
use crate::Changes;

pub(super) async fn nobody_is_told_of_a_quiet_partition(store: Arc<dyn Store>) {
    let [quiet, followed] = [key("~p", "a"), key("p", "a")];
    let start = commit(&store, vec![put(&followed, "")]).await;
    for writes in
        [vec![put(&quiet, "1")], vec![put(&quiet, "2"), put(&key("~q", "b"), "")], vec![delete(&quiet)]]
    {
        assert_eq!(commit(&store, writes).await, start);
    }
    assert_eq!(store.revision().await.expect("a revision"), start);
    assert_eq!(get(&store, &quiet).await, None);
    assert_eq!(get(&store, &key("~q", "b")).await.map(|entry| entry.version), Some(1));
    let next = commit(&store, vec![put(&followed, "")]).await;
    let changes = store.changes(start).await.expect("changes");
    assert_eq!(changes, Changes::Keys { revision: next, keys: vec![followed] });
}

pub(super) async fn quiet_commits_keep_their_preconditions(store: Arc<dyn Store>) {
    let [a, b] = ["a", "b"].map(|sort| key("~p", sort));
    let create = |at: &Key| write(at, Precondition::Absent, Change::Put(Bytes::from("created")));
    commit(&store, vec![create(&a)]).await;
    assert_eq!(conflict(&store, vec![create(&a)]).await, a);
    let replace = |version| write(&a, Precondition::Version(version), Change::Put(Bytes::new()));
    commit(&store, vec![replace(1)]).await;
    assert_eq!(conflict(&store, vec![replace(1)]).await, a);
    assert_eq!(conflict(&store, vec![create(&b), replace(1)]).await, a);
    assert_eq!(get(&store, &b).await, None);
    commit(&store, vec![create(&b), replace(2)]).await;
    commit(
        &store,
        vec![write(&a, Precondition::Version(3), Change::Delete), check(&b, Precondition::Version(1))],
    )
    .await;
    assert_eq!(get(&store, &a).await, None);
    commit(&store, vec![put(&a, "again")]).await;
    assert_eq!(get(&store, &a).await.map(|entry| entry.version), Some(1));
}

pub(super) async fn a_commit_in_both_kinds_of_partitions_tells_of_the_followed_ones(store: Arc<dyn Store>) {
    let [quiet, followed] = [key("~p", "a"), key("p", "a")];
    let start = store.revision().await.expect("a revision");
    let revision = commit(&store, vec![put(&quiet, ""), put(&followed, "")]).await;
    assert!(revision > start);
    let changes = store.changes(start).await.expect("changes");
    assert_eq!(changes, Changes::Keys { revision, keys: vec![followed.clone()] });
    // What guards in a followed partition does not change it.
    assert_eq!(
        commit(&store, vec![check(&followed, Precondition::Version(1)), put(&quiet, "")]).await,
        revision
    );
}
