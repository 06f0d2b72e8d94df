//! The order in which leases fall due: on disk in partitions of one minute and shard, in memory its near future.
//!
//! The index stands in the store, written in the same commit as the lease. A directory says which minutes have
//! entries at all, so that a start after a long stop looks at those and no others.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Bound;
use std::time::Duration;

use gateward_clock::Timestamp;
use gateward_store::Key;

use crate::lease::{Lease, LeaseId};

/// How a lease is found: the dynamic secret that it comes from, and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LeaseKey {
    pub item_id: u64,
    pub lease_id: LeaseId,
}

impl LeaseKey {
    pub(crate) fn of(lease: &Lease) -> Self {
        Self { item_id: lease.item_id, lease_id: lease.id }
    }

    /// As it stands in the sort keys of several tables.
    pub(crate) fn sort(self) -> String {
        let mut sort = String::with_capacity(SORT_BYTES);
        self.write_to(&mut sort);
        sort
    }

    fn write_to(self, text: &mut String) {
        let _never_fails = write!(text, "{:020}/{}", self.item_id, self.lease_id);
    }

    /// The lease that [`LeaseKey::sort`] wrote.
    pub(crate) fn from_sort(sort: &str) -> Option<Self> {
        let (item_id, lease_id) = sort.split_once('/')?;
        Some(Self { item_id: item_id.parse().ok()?, lease_id: LeaseId::parse(lease_id)? })
    }
}

/// One partition of the index: the leases of one shard that fall due in one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot {
    minute: u64,
    shard: u8,
}

impl Slot {
    pub(crate) fn of(due: Timestamp, lease: LeaseId) -> Self {
        Self { minute: due.millis() / MINUTE_MILLIS, shard: lease.part(SHARDS) }
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

    /// The directory's range that holds everything due from `from` on and before `end`.
    pub(crate) fn directory_range(from: Timestamp, end: Timestamp) -> (Bound<String>, Bound<String>) {
        let first = format!("{:010}", from.millis() / MINUTE_MILLIS);
        // `0` is the character after `/`.
        let last = format!("{:010}0", end.millis() / MINUTE_MILLIS);
        (Bound::Included(first), Bound::Excluded(last))
    }

    /// The end of the minute that `due` is in.
    pub(crate) fn end_of_minute(due: Timestamp) -> Timestamp {
        Timestamp::from_millis((due.millis() / MINUTE_MILLIS + 1) * MINUTE_MILLIS)
    }

    /// Whether its minute is long over. An entry that comes as late as this finds the slot listed no more, and lists it.
    pub(crate) fn is_over(self, now: Timestamp) -> bool {
        let end = Timestamp::from_millis((self.minute + 1) * MINUTE_MILLIS);
        now.saturating_since(end) > MARGIN
    }
}

/// The place of `lease` in the index, when it is due at `due`.
pub(crate) fn entry_key(due: Timestamp, lease: LeaseKey) -> Key {
    let mut sort = String::with_capacity(SORT_BYTES + 16);
    let _never_fails = write!(sort, "{:015}/", due.millis());
    lease.write_to(&mut sort);
    Key { partition: Slot::of(due, lease.lease_id).partition(), sort }
}

/// Where entries that are due from `due` on begin.
pub(crate) fn entries_from(due: Timestamp) -> Bound<String> {
    Bound::Included(format!("{:015}", due.millis()))
}

/// What an entry of the index says.
pub(crate) fn read_entry(sort: &str) -> Option<(Timestamp, LeaseKey)> {
    let (due, lease) = sort.split_once('/')?;
    Some((Timestamp::from_millis(due.parse().ok()?), LeaseKey::from_sort(lease)?))
}

/// The lease and the time that `key` names, if it is one of the index.
pub(crate) fn entry_of(key: &Key) -> Option<(Timestamp, LeaseKey)> {
    key.partition.starts_with("~due/").then(|| read_entry(&key.sort))?
}

/// The near future of the index, in memory: never more entries than `most`, whatever falls due. Everything that is due
/// before `reaches` is in it.
#[derive(Debug)]
pub(crate) struct Horizon {
    entries: BTreeSet<(Timestamp, LeaseKey)>,
    reaches: Timestamp,
    most: usize,
}

impl Horizon {
    /// A horizon that reaches nowhere yet.
    pub(crate) fn of_at_most(most: usize) -> Self {
        Self { entries: BTreeSet::new(), reaches: Timestamp::default(), most }
    }

    /// Notes that `lease` is due at `due`, if that is near; what is far is found when it has come nearer.
    pub(crate) fn note(&mut self, due: Timestamp, lease: LeaseKey) {
        if due >= self.reaches {
            return;
        }
        self.entries.insert((due, lease));
        if self.entries.len() > self.most
            && let Some((last, _)) = self.entries.pop_last()
        {
            self.reaches = last;
        }
    }

    /// `lease` is not due at `due` any more.
    pub(crate) fn forget(&mut self, due: Timestamp, lease: LeaseKey) {
        self.entries.remove(&(due, lease));
    }

    /// Up to where everything is known.
    pub(crate) fn reaches(&self) -> Timestamp {
        self.reaches
    }

    /// From now on takes in what is due before `reaches`.
    pub(crate) fn reach(&mut self, reaches: Timestamp) {
        self.reaches = reaches;
    }

    /// Whether there is room for much more.
    pub(crate) fn is_roomy(&self) -> bool {
        self.entries.len() <= self.most / 2
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

/// How long a lease's place in sort keys is.
const SORT_BYTES: usize = 55;

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

    fn lease(number: u32) -> LeaseKey {
        LeaseKey { item_id: 7, lease_id: LeaseId::parse(&format!("l-{number:032x}")).unwrap() }
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn an_entry_reads_back_and_sorts_by_time() {
        let early = entry_key(at(999), lease(2));
        let late = entry_key(at(10_000), lease(1));
        assert!(early.sort < late.sort);
        assert_eq!(read_entry(&late.sort), Some((at(10_000), lease(1))));
        let Bound::Included(from) = entries_from(at(10_000)) else { panic!("it is included") };
        assert!(early.sort < from && from < late.sort);
    }

    #[test]
    fn the_directorys_range_includes_the_minutes_of_its_ends() {
        let minute =
            |number: u64| Slot::of(Timestamp::from_secs(number * 60), lease(1).lease_id).directory_key().sort;
        let range = Slot::directory_range(Timestamp::from_secs(3605), Timestamp::from_secs(3665));
        let inside = |sort: &String| std::ops::RangeBounds::contains(&range, sort);
        assert!(!inside(&minute(59)) && inside(&minute(60)) && inside(&minute(61)) && !inside(&minute(62)));
    }

    #[test]
    fn what_is_beyond_the_horizon_is_left_to_the_store() {
        let mut horizon = Horizon::of_at_most(10);
        horizon.reach(at(100));
        horizon.note(at(50), lease(1));
        horizon.note(at(99), lease(2));
        horizon.note(at(100), lease(3));
        assert_eq!(horizon.take_due(at(200), 10), [lease(1), lease(2)]);
    }

    #[test]
    fn a_horizon_that_is_full_reaches_less_far() {
        let mut horizon = Horizon::of_at_most(2);
        horizon.reach(at(100));
        for (due, number) in [(30, 3), (10, 1), (20, 2)] {
            horizon.note(at(due), lease(number));
        }
        assert_eq!(horizon.reaches(), at(30), "what was put out is looked for again from there");
        horizon.forget(at(10), lease(1));
        assert_eq!(horizon.take_due(at(200), 10), [lease(2)]);
    }
}
