//! What `get` and `list` promise.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::task::JoinSet;

use super::*;
use crate::{MAX_COMMIT_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES, StoreError};

pub(super) async fn nothing_stands_where_nothing_was_put(store: Arc<dyn Store>) {
    assert_eq!(get(&store, &key("p", "a")).await, None);
    assert_eq!(sorts(&store, "p", EVERYTHING, 10).await, [] as [&str; 0]);
}

pub(super) async fn a_list_is_in_the_byte_order_of_sort_keys(store: Arc<dyn Store>) {
    // The order of UTF-8 bytes is the order of code points; UTF-16 would put U+FF5E after U+1F512.
    let ordered = ["", "\0", "A", "Z", "a", "a\0", "a\0b", "aa", "b", "é", "～", "🔒"];
    for sort in ["🔒", "b", "a\0b", "é", "Z", "", "aa", "～", "a", "\0", "A", "a\0"] {
        commit(&store, vec![put(&key("p", sort), sort)]).await;
    }
    assert_eq!(sorts(&store, "p", EVERYTHING, 100).await, ordered);
}

pub(super) async fn a_list_keeps_to_its_range(store: Arc<dyn Store>) {
    for sort in ["a", "ab", "b", "é", "éé"] {
        commit(&store, vec![put(&key("p", sort), "")]).await;
    }
    let [a, b, e] = ["a", "b", "é"].map(str::to_owned);
    let ranges = [
        ((Bound::Included(a.clone()), Bound::Included(b.clone())), vec!["a", "ab", "b"]),
        ((Bound::Included(a.clone()), Bound::Excluded(b.clone())), vec!["a", "ab"]),
        ((Bound::Excluded(a.clone()), Bound::Included(b.clone())), vec!["ab", "b"]),
        ((Bound::Excluded(b.clone()), Bound::Unbounded), vec!["é", "éé"]),
        ((Bound::Unbounded, Bound::Excluded(e)), vec!["a", "ab", "b"]),
        ((Bound::Included("aa".to_owned()), Bound::Included("aaa".to_owned())), vec![]),
        ((Bound::Included(b.clone()), Bound::Included(b)), vec!["b"]),
    ];
    for (range, expected) in ranges {
        assert_eq!(sorts(&store, "p", range.clone(), 100).await, expected, "{range:?}");
    }
}

pub(super) async fn a_list_stops_at_its_limit(store: Arc<dyn Store>) {
    for sort in ["c", "a", "b"] {
        commit(&store, vec![put(&key("p", sort), "")]).await;
    }
    assert_eq!(sorts(&store, "p", EVERYTHING, 2).await, ["a", "b"]);
    assert_eq!(sorts(&store, "p", EVERYTHING, 0).await, [] as [&str; 0]);
}

pub(super) async fn a_list_never_leaves_its_partition(store: Arc<dyn Store>) {
    for partition in ["", "a", "a\u{1}", "ab", "a/b", "é"] {
        commit(&store, vec![put(&key(partition, "x"), partition), put(&key(partition, "🔒"), "")]).await;
    }
    for partition in ["", "a", "a\u{1}", "ab", "a/b", "é"] {
        let listed = store.list(partition, EVERYTHING, 100).await.expect("a list");
        assert_eq!(listed.len(), 2, "{partition:?}");
        assert_eq!(listed[0].key, key(partition, "x"));
        assert_eq!(listed[0].value, partition.as_bytes());
        assert_eq!(listed[0].version, 1);
        assert_eq!(get(&store, &key(partition, "x")).await.as_ref(), Some(&listed[0]));
    }
    assert_eq!(sorts(&store, "b", EVERYTHING, 100).await, [] as [&str; 0]);
}

pub(super) async fn a_range_that_ends_before_it_starts_has_nothing(store: Arc<dyn Store>) {
    commit(&store, vec![put(&key("p", "a"), ""), put(&key("p", "b"), "")]).await;
    let [a, b] = ["a", "b"].map(str::to_owned);
    let ranges = [
        (Bound::Included(b.clone()), Bound::Included(a.clone())),
        (Bound::Excluded(b.clone()), Bound::Excluded(a.clone())),
        (Bound::Excluded(a.clone()), Bound::Excluded(a.clone())),
        (Bound::Included(a.clone()), Bound::Excluded(a)),
        (Bound::Excluded(b.clone()), Bound::Included(b)),
    ];
    for range in ranges {
        assert_eq!(sorts(&store, "p", range.clone(), 100).await, [] as [&str; 0], "{range:?}");
    }
}

pub(super) async fn an_empty_sort_key_is_a_key_like_any_other(store: Arc<dyn Store>) {
    commit(&store, vec![put(&key("p", ""), "value")]).await;
    assert_eq!(get(&store, &key("p", "")).await.map(|entry| entry.value), Some(Bytes::from("value")));
    commit(&store, vec![delete(&key("p", ""))]).await;
    assert_eq!(get(&store, &key("p", "")).await, None);
}

pub(super) async fn a_key_that_no_engine_holds_is_refused(store: Arc<dyn Store>) {
    // It would be the same bytes as the sort key `b\0c` in the partition `a`.
    commit(&store, vec![put(&key("a", "b\0c"), "")]).await;
    let long = "k".repeat(MAX_KEY_BYTES + 1);
    for refused in [key(&long, "a"), key("a", &long)] {
        assert!(matches!(store.get(&refused).await, Err(StoreError::TooLarge(_))));
        let writing = store.commit(vec![put(&refused, "")]).await;
        assert!(matches!(writing, Err(CommitError::Store(StoreError::TooLarge(_)))));
    }
    let refused = key("a\0b", "c");
    assert!(matches!(store.get(&refused).await, Err(StoreError::Unacceptable(_))));
    let writing = store.commit(vec![put(&refused, "")]).await;
    assert!(matches!(writing, Err(CommitError::Store(StoreError::Unacceptable(_)))));
    assert!(matches!(store.list("a\0b", EVERYTHING, 1).await, Err(StoreError::Unacceptable(_))));
    commit(&store, vec![put(&key(&long[1..], &long[1..]), "")]).await;
}

pub(super) async fn lists_see_each_commit_whole(store: Arc<dyn Store>) {
    let keys: Vec<Key> = (0..20).map(|at| key("p", &format!("{at:02}"))).collect();
    commit(&store, keys.iter().map(|key| put(key, "0")).collect()).await;
    let writing = Arc::new(AtomicBool::new(true));
    let mut readers = JoinSet::new();
    for _ in 0..2 {
        let (store, writing) = (Arc::clone(&store), Arc::clone(&writing));
        readers.spawn(async move {
            while writing.load(Ordering::Relaxed) {
                let entries = store.list("p", EVERYTHING, 100).await.expect("a list");
                let version = entries[0].version;
                assert_eq!(entries.len(), 20);
                assert!(entries.iter().all(|entry| entry.version == version), "half a commit: {entries:?}");
            }
        });
    }
    for round in 1..100 {
        commit(&store, keys.iter().map(|key| put(key, &round.to_string())).collect()).await;
    }
    writing.store(false, Ordering::Relaxed);
    while let Some(reader) = readers.join_next().await {
        reader.expect("a reader that saw whole commits only");
    }
}

pub(super) async fn readers_see_what_was_committed_before_they_asked(store: Arc<dyn Store>) {
    let keys: Vec<Key> = (0..5).map(|at| key("p", &at.to_string())).collect();
    commit(&store, keys.iter().map(|key| put(key, "0")).collect()).await;
    let committed = Arc::new(AtomicU64::new(1));
    let mut readers = JoinSet::new();
    for _ in 0..2 {
        let (store, committed) = (Arc::clone(&store), Arc::clone(&committed));
        readers.spawn(async move {
            loop {
                let before = committed.load(Ordering::SeqCst);
                let entries = store.list("p", EVERYTHING, 100).await.expect("a list");
                let one = get(&store, &key("p", "3")).await.expect("an entry");
                assert_eq!(entries.len(), 5);
                for entry in entries.iter().chain([&one]) {
                    assert!(entry.version >= before, "{before} was committed before: {entry:?}");
                    assert_eq!(entry.value, (entry.version - 1).to_string(), "of another version");
                }
                if before == ROUNDS {
                    return;
                }
            }
        });
    }
    for round in 2..=ROUNDS {
        commit(&store, keys.iter().map(|key| put(key, &(round - 1).to_string())).collect()).await;
        committed.store(round, Ordering::SeqCst);
    }
    while let Some(reader) = readers.join_next().await {
        reader.expect("a reader that saw nothing old");
    }
}

const ROUNDS: u64 = 20;

pub(super) async fn a_value_may_be_empty_or_long_and_no_longer(store: Arc<dyn Store>) {
    let at = key("p", "a");
    for length in [0, 1, 0, MAX_VALUE_BYTES] {
        let value = Bytes::from(vec![7; length]);
        commit(&store, vec![write(&at, Precondition::Any, Change::Put(value.clone()))]).await;
        assert_eq!(get(&store, &at).await.map(|entry| entry.value), Some(value));
    }
    let too_long = Change::Put(Bytes::from(vec![7; MAX_VALUE_BYTES + 1]));
    let refused = store.commit(vec![write(&at, Precondition::Any, too_long)]).await;
    assert!(matches!(refused, Err(CommitError::Store(StoreError::TooLarge(_)))));
    let long = Change::Put(Bytes::from(vec![7; MAX_VALUE_BYTES]));
    let much = (0..=MAX_COMMIT_BYTES / MAX_VALUE_BYTES).map(|at| key("p", &at.to_string()));
    let much = much.map(|at| write(&at, Precondition::Any, long.clone())).collect();
    assert!(matches!(store.commit(much).await, Err(CommitError::Store(StoreError::TooLarge(_)))));
}

async fn sorts(
    store: &Arc<dyn Store>,
    partition: &str,
    range: (Bound<String>, Bound<String>),
    limit: usize,
) -> Vec<String> {
    let listed = store.list(partition, range, limit).await.expect("a list");
    listed.into_iter().map(|entry| entry.key.sort).collect()
}
