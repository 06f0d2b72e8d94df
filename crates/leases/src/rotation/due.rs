//! When payloads are rotated by themselves: an index in the store, in the order of time, that is written in the commit
//! that changes what it tells.

use std::ops::Bound;

use bytes::Bytes;
use gateward_clock::Timestamp;
use gateward_store::{Change, Key, Precondition, Store, StoreError, Write};

/// Whose payload is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The payload of the producer of the dynamic secret with this number.
    Dynamic(u64),
    /// The rotated secret with this number.
    Rotated(u64),
}

/// What moves `subject` in the index from `before` to `after`, as part of a commit.
pub(crate) fn moved(subject: Subject, before: Option<Timestamp>, after: Option<Timestamp>) -> Vec<Write> {
    if before == after {
        return Vec::new();
    }
    let at = |due, change| Write { key: key(due, subject), precondition: Precondition::Any, change };
    let gone = before.map(|due| at(due, Change::Delete));
    gone.into_iter().chain(after.map(|due| at(due, Change::Put(Bytes::new())))).collect()
}

/// The first entries of the index.
pub(super) async fn first(store: &dyn Store, limit: usize) -> Result<Vec<(Timestamp, Subject)>, StoreError> {
    let entries = store.list(PARTITION, (Bound::Unbounded, Bound::Unbounded), limit).await?;
    let read = |sort: &str| {
        let found = parsed(sort);
        if found.is_none() {
            tracing::error!(entry = sort, "entry of the index of rotations in quarantine");
        }
        found
    };
    Ok(entries.iter().filter_map(|entry| read(&entry.key.sort)).collect())
}

/// Takes an entry out that is about nothing.
pub(super) async fn forget(store: &dyn Store, due: Timestamp, subject: Subject) {
    // Should it fail, it is found again.
    let _ = store.commit(moved(subject, Some(due), None)).await;
}

fn key(due: Timestamp, subject: Subject) -> Key {
    let (kind, id) = match subject {
        Subject::Dynamic(id) => ("dynamic", id),
        Subject::Rotated(id) => ("rotated", id),
    };
    Key { partition: PARTITION.to_owned(), sort: format!("{:015}/{kind}/{id:020}", due.millis()) }
}

fn parsed(sort: &str) -> Option<(Timestamp, Subject)> {
    let mut parts = sort.splitn(3, '/');
    let due = Timestamp::from_millis(parts.next()?.parse().ok()?);
    let kind = parts.next()?;
    let id = parts.next()?.parse().ok()?;
    match kind {
        "dynamic" => Some((due, Subject::Dynamic(id))),
        "rotated" => Some((due, Subject::Rotated(id))),
        _ => None,
    }
}

const PARTITION: &str = "rotations";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_and_sorts_by_time() {
        let (early, late) = (Timestamp::from_millis(999), Timestamp::from_millis(10_000));
        assert!(key(early, Subject::Rotated(9)).sort < key(late, Subject::Dynamic(1)).sort);
        for subject in [Subject::Dynamic(7), Subject::Rotated(u64::MAX)] {
            assert_eq!(parsed(&key(late, subject).sort), Some((late, subject)));
        }
        assert_eq!(parsed("1/other/2"), None);
    }
}
