//! The order in which leases fall due: on disk in partitions of one minute and shard, in memory its near future.
//!
//! The index stands in the store, written in the same commit as the lease. A directory says which minutes have
//! entries at all, so that a start after a long stop looks at those and no others.

use std::collections::BTreeSet;
use std::time::Duration;

use gateward_clock::Timestamp;
use gateward_store::Key;

use crate::lease::{Lease, LeaseId};

/// How a lease is found: the dynamic secret that it comes from, and its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LeaseKey {
    pub item_id: u64,
    pub lease_id: LeaseId,
}

impl LeaseKey {
    pub(crate) fn of(lease: &Lease) -> Self {
        Self { item_id: lease.item_id, lease_id: lease.id.clone() }
    }
}

/// One partition of the index: the leases of one shard that fall due in one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot {
    minute: u64,
    shard: u8,
}

impl Slot {
    pub(crate) fn of(due: Timestamp, lease: &LeaseId) -> Self {
        let sum = lease.as_str().bytes().fold(0_u8, u8::wrapping_add);
        Self { minute: due.millis() / MINUTE_MILLIS, shard: sum % SHARDS }
    }

    /// The partition of its entries.
    pub(crate) fn partition(self) -> String {
        format!("~due/{:010}/{:02}", self.minute, self.shard)
    }

    /// Its place in the directory.
    pub(crate) fn directory_key(self) -> Key {
        Key { partition: DIRECTORY.to_owned(), sort: format!("{:010}/{:02}", self.minute, self.shard) }
    }

    /// The slot that a directory entry names.
    pub(crate) fn from_directory(sort: &str) -> Option<Self> {
        let (minute, shard) = sort.split_once('/')?;
        Some(Self { minute: minute.parse().ok()?, shard: shard.parse().ok()? })
    }

    /// The end of the directory's range that holds everything due before `end`.
    pub(crate) fn directory_bound(end: Timestamp) -> String {
        format!("{:010}0", end.millis() / MINUTE_MILLIS)
    }

    /// Whether nothing can be written here any more: entries are never put into the past.
    pub(crate) fn is_over(self, now: Timestamp) -> bool {
        let end = Timestamp::from_millis((self.minute + 1) * MINUTE_MILLIS);
        now.saturating_since(end) > MARGIN
    }
}

/// The place of `lease` in the index, when it is due at `due`.
pub(crate) fn entry_key(due: Timestamp, lease: &LeaseKey) -> Key {
    Key {
        partition: Slot::of(due, &lease.lease_id).partition(),
        sort: format!("{:015}/{:020}/{}", due.millis(), lease.item_id, lease.lease_id),
    }
}

/// What an entry of the index says.
pub(crate) fn read_entry(sort: &str) -> Option<(Timestamp, LeaseKey)> {
    let mut parts = sort.splitn(3, '/');
    let due = Timestamp::from_millis(parts.next()?.parse().ok()?);
    let item_id = parts.next()?.parse().ok()?;
    let lease_id = LeaseId::from_text(parts.next()?);
    Some((due, LeaseKey { item_id, lease_id }))
}

/// The near future of the index, in memory.
#[derive(Debug, Default)]
pub(crate) struct Horizon {
    entries: BTreeSet<(Timestamp, LeaseKey)>,
    reaches: Timestamp,
}

impl Horizon {
    /// Notes that `lease` is due at `due`, if that is near; what is far is found when it has come nearer.
    pub(crate) fn note(&mut self, due: Timestamp, lease: LeaseKey) {
        if due < self.reaches {
            self.entries.insert((due, lease));
        }
    }

    /// From now on holds everything up to `reaches`.
    pub(crate) fn extend(&mut self, reaches: Timestamp, found: Vec<(Timestamp, LeaseKey)>) {
        self.reaches = self.reaches.max(reaches);
        self.entries.extend(found);
    }

    /// When the first entry is due.
    pub(crate) fn first(&self) -> Option<Timestamp> {
        self.entries.first().map(|(due, _)| *due)
    }

    /// Takes out what is due at `now`, at most `limit` of it.
    pub(crate) fn take_due(&mut self, now: Timestamp, limit: usize) -> Vec<LeaseKey> {
        let mut due = Vec::new();
        while due.len() < limit && self.first().is_some_and(|first| first <= now) {
            due.extend(self.entries.pop_first().map(|(_, lease)| lease));
        }
        due
    }
}

/// The partition that lists the slots that may have entries.
pub(crate) const DIRECTORY: &str = "~due";

/// How far memory looks ahead.
pub(crate) const HORIZON: Duration = Duration::from_secs(120);

const MINUTE_MILLIS: u64 = 60_000;

/// Keeps a burst of one minute from being one partition's burden.
const SHARDS: u8 = 16;

/// Clocks of several nodes may differ by this much.
const MARGIN: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(text: &str) -> LeaseKey {
        LeaseKey { item_id: 7, lease_id: LeaseId::from_text(text) }
    }

    #[test]
    fn an_entry_reads_back_and_sorts_by_time() {
        let early = entry_key(Timestamp::from_millis(999), &lease("l-b"));
        let late = entry_key(Timestamp::from_millis(10_000), &lease("l-a"));
        assert!(early.sort < late.sort);
        assert_eq!(read_entry(&late.sort), Some((Timestamp::from_millis(10_000), lease("l-a"))));
    }

    #[test]
    fn the_directory_bound_includes_the_minute_of_its_end() {
        let end = Timestamp::from_secs(3600);
        let inside = Slot::of(end, &lease("l-a").lease_id).directory_key().sort;
        let outside = Slot::of(end + Duration::from_secs(60), &lease("l-a").lease_id).directory_key().sort;
        assert!(inside > format!("{:010}", 59) && inside.as_str() < "00000000610");
        assert!(Slot::directory_bound(end + Duration::from_secs(60)) > inside);
        assert!(Slot::directory_bound(end) < outside);
    }

    #[test]
    fn what_is_beyond_the_horizon_is_left_to_the_store() {
        let mut horizon = Horizon::default();
        horizon.extend(Timestamp::from_secs(100), vec![(Timestamp::from_secs(50), lease("l-a"))]);
        horizon.note(Timestamp::from_secs(99), lease("l-b"));
        horizon.note(Timestamp::from_secs(100), lease("l-c"));
        assert_eq!(horizon.take_due(Timestamp::from_secs(200), 10), [lease("l-a"), lease("l-b")]);
    }
}
