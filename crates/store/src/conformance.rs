//! What every engine must do: each sentence of [`Store`]'s documentation as a test, run against each engine.
//!
//! A new engine that is opened in no time adds a module below; another goes through [`all`].

pub(crate) mod changes;
pub(crate) mod commits;
mod quiet;
mod reads;

use std::ops::Bound;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Change, CommitError, Entry, Key, LocalStore, MemoryStore, Precondition, Revision, Store, Write};

/// Calls `$run` with every sentence, each as its group, its name and its test.
macro_rules! sentences {
    ($run:ident) => {
        $run! {
            reads:
                nothing_stands_where_nothing_was_put,
                a_list_is_in_the_byte_order_of_sort_keys,
                a_list_keeps_to_its_range,
                a_list_stops_at_its_limit,
                a_list_never_leaves_its_partition,
                a_range_that_ends_before_it_starts_has_nothing,
                an_empty_sort_key_is_a_key_like_any_other,
                a_key_that_no_engine_holds_is_refused,
                a_value_may_be_empty_or_long_and_no_longer,
                readers_see_what_was_committed_before_they_asked;
            commits:
                a_version_is_one_when_created_and_grows_by_one,
                what_was_deleted_starts_at_version_one_again,
                a_precondition_that_fails_undoes_the_whole_commit,
                a_conflict_names_the_first_key_that_failed,
                absent_means_absent,
                a_check_guards_without_changing,
                a_commit_of_checks_alone_returns_the_newest_revision,
                each_commit_that_writes_has_a_later_revision,
                a_commit_takes_fifty_writes_and_not_one_more,
                a_commit_writes_each_key_once,
                commits_asked_for_together_are_judged_one_after_the_other,
                what_was_asked_for_is_done_though_nobody_waits,
                a_counter_counts_and_is_gone_at_zero,
                a_counter_never_passes_the_bound_that_its_writers_set,
                what_is_no_counter_is_not_counted_with;
            changes:
                changes_are_told_once_each_in_the_order_of_the_last_write,
                changes_wait_until_something_is_written,
                every_follower_is_woken,
                checks_alone_wake_nobody,
                a_revision_that_is_yet_to_come_is_forgotten;
            quiet:
                nobody_is_told_of_a_quiet_partition,
                quiet_commits_keep_their_preconditions,
                a_commit_in_both_kinds_of_partitions_tells_of_the_followed_ones;
        }
    };
}
/// Makes a test of each sentence, for the engine that `open` of the module opens.
macro_rules! test_each {
    ($($group:ident: $($sentence:ident),+;)+) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                let (_kept, store) = open();
                $group::$sentence(store).await;
            }
        )+)+

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn no_increment_is_lost_between_sixty_four_tasks() {
            let (_kept, store) = open();
            commits::no_increment_is_lost_between(64, store).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn a_follower_that_fell_behind_is_told_so() {
            let (_kept, store) = open();
            changes::a_follower_that_fell_behind_is_told_so(store, crate::history::CAPACITY).await;
        }

        // More than is promised of every engine.
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn lists_see_each_commit_whole() {
            let (_kept, store) = open();
            reads::lists_see_each_commit_whole(store).await;
        }
    };
}

mod memory {
    use super::*;

    fn open() -> ((), Arc<dyn Store>) {
        ((), Arc::new(MemoryStore::new()))
    }

    sentences!(test_each);
}

mod local {
    use super::*;

    fn open() -> (tempfile::TempDir, Arc<dyn Store>) {
        let directory = tempfile::tempdir().expect("a directory");
        let store = LocalStore::open(directory.path()).expect("a store");
        (directory, store)
    }

    sentences!(test_each);
}

/// A sentence, for an engine whose peer is too dear to be started for each.
pub(crate) type Sentence = fn(Arc<dyn Store>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Every sentence by its name, to be tried on one empty store each.
pub(crate) fn all() -> Vec<(&'static str, Sentence)> {
    macro_rules! name_each {
        ($($group:ident: $($sentence:ident),+;)+) => {
            vec![$($( (stringify!($sentence), |store| Box::pin($group::$sentence(store))) ),+),+]
        };
    }
    sentences!(name_each)
}

const EVERYTHING: (Bound<String>, Bound<String>) = (Bound::Unbounded, Bound::Unbounded);

fn key(partition: &str, sort: &str) -> Key {
    Key { partition: partition.to_owned(), sort: sort.to_owned() }
}

fn write(at: &Key, precondition: Precondition, change: Change) -> Write {
    Write { key: at.clone(), precondition, change }
}

fn put(at: &Key, value: &str) -> Write {
    write(at, Precondition::Any, Change::Put(Bytes::copy_from_slice(value.as_bytes())))
}

fn delete(at: &Key) -> Write {
    write(at, Precondition::Any, Change::Delete)
}

fn check(at: &Key, precondition: Precondition) -> Write {
    write(at, precondition, Change::Check)
}

async fn commit(store: &Arc<dyn Store>, writes: Vec<Write>) -> Revision {
    store.commit(writes).await.expect("a commit that nothing stands against")
}

async fn get(store: &Arc<dyn Store>, at: &Key) -> Option<Entry> {
    store.get(at).await.expect("a read")
}

async fn conflict(store: &Arc<dyn Store>, writes: Vec<Write>) -> Key {
    match store.commit(writes).await {
        Err(CommitError::Conflict { key }) => key,
        other => panic!("no conflict, but {other:?}"),
    }
}
