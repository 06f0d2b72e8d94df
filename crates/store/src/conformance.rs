//! What every engine must do: each sentence of [`Store`]'s documentation as a test, run against each engine.
//!
//! A new engine adds one line at [`conformance!`]'s call below.

mod changes;
mod commits;
mod reads;

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Change, CommitError, Entry, Key, LocalStore, MemoryStore, Precondition, Revision, Store, Write};

/// Makes a module of tests for the engine that `$open` opens, with whatever must live as long as the store.
macro_rules! conformance {
    ($engine:ident, $open:expr, { $($group:ident: $($sentence:ident),+;)+ }) => {
        mod $engine {
            use super::*;

            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $sentence() {
                    let (_kept, store) = $open;
                    $group::$sentence(store).await;
                }
            )+)+
        }
    };
    ($($engine:ident: $open:expr;)+) => {
        $(conformance!($engine, $open, {
            reads:
                nothing_stands_where_nothing_was_put,
                a_list_is_in_the_byte_order_of_sort_keys,
                a_list_keeps_to_its_range,
                a_list_stops_at_its_limit,
                a_list_never_leaves_its_partition,
                a_range_that_ends_before_it_starts_has_nothing,
                an_empty_sort_key_is_a_key_like_any_other,
                a_key_that_no_engine_holds_is_refused,
                readers_see_each_commit_whole;
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
                no_increment_is_lost_between_sixty_four_tasks,
                commits_asked_for_together_are_judged_one_after_the_other,
                what_was_asked_for_is_done_though_nobody_waits;
            changes:
                changes_are_told_once_each_in_the_order_of_the_last_write,
                changes_wait_until_something_is_written,
                every_follower_is_woken,
                checks_alone_wake_nobody,
                a_follower_that_fell_behind_is_told_so,
                a_revision_that_is_yet_to_come_is_forgotten;
        });)+
    };
}

conformance! {
    memory: ((), Arc::new(MemoryStore::new()) as Arc<dyn Store>);
    local: {
        let directory = tempfile::tempdir().expect("a directory");
        let store = LocalStore::open(directory.path()).expect("a store");
        (directory, store as Arc<dyn Store>)
    };
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
