//! The durable record of every lease, and of when each is due.
//!
//! A lease stands in the partition of its dynamic secret; once it is over it moves to a partition of tombstones. Each
//! write replaces exactly the record that was read, and moves everything that follows from it in the same commit: the
//! entry in the due index, the claim, what people must look at, who holds the credential, and the counters.
//!
//! | partition | sort key | what stands there |
//! |---|---|---|
//! | `~lease/ITEM` | lease | the record |
//! | `~due/MINUTE/SHARD` | due time, item, lease | nothing more: the due index; `~due` lists the slots that have entries |
//! | `~claims/OWNER` | item, lease | nothing more: what that owner is at |
//! | `~attention` | kind, item, lease | nothing more: failing, parked, UNKNOWN; and what is in quarantine |
//! | `~held/ITEM` | digest of the producer's id | how many leases hold that credential, and whether it is going |
//! | `~count/GROUP` | `gateway/PART`, `item/ITEM/PART`, `identity/DIGEST/PART` | how many leases live; `~count` has those of the version before |
//! | `~order/ITEM` | lease | sealed: what a producer is asked again with, should its answer be lost |
//! | `~again/PART` | digest of an idempotency key | the lease that it gives |
//! | `~answer/ITEM` | lease | sealed: the producer's answer, for an idempotency key |
//! | `~over/DAY/PART` | lease | the tombstone; `~over` lists them |
//! | `~forgotten` | `hour` | in which hour tombstones were forgotten last, where there is no timer |

pub(crate) mod attention;
pub(crate) mod counts;
mod due_index;
mod holding;
pub(crate) mod sealed;
mod together;
mod tombstones;

use std::collections::{HashMap, HashSet};
use std::iter;
use std::ops::Bound;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::join;
use gateward_store::{Change, CommitError, Entry, Key, Precondition, Store, StoreError, Write};

pub(crate) use counts::Counted;
pub use counts::{Cap, Caps, OfItem};
pub(crate) use holding::Hold;
pub(crate) use together::Step;

use crate::due::{self, LeaseKey, Slot};
use crate::lease::{Lease, hexadecimal};
use crate::status::{self, StatusChange, StatusListener};

/// A lease as it stands in the store.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The record.
    pub lease: Lease,
    version: u64,
}

/// Why a lease could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Somebody else has changed it, or what it depends on, in the meantime.
    #[error("the lease has changed in the meantime")]
    Changed {
        /// What was not as it had been read.
        key: Key,
    },
    /// The credential is being revoked on behalf of another lease.
    #[error("the producer has named a credential that is being revoked; try again")]
    Going,
    /// Other leases hold the credential, too.
    #[error("other leases hold the same credential")]
    Shared,
    /// No more leases may live.
    #[error("{0}")]
    Full(Cap),
    /// The record is there and makes no sense.
    #[error("the record of lease {0} cannot be read")]
    Unreadable(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The records of all leases.
pub struct Ledger {
    store: Arc<dyn Store>,
    caps: Caps,
    listener: Option<Arc<dyn StatusListener>>,
    /// Slots of the due index that its directory is believed to have; each commit checks it.
    listed: Mutex<HashSet<Slot>>,
    /// The partitions of tombstones that were listed by this process.
    days: Mutex<HashSet<String>>,
    /// In this hour since 1970 what was to be forgotten was, as far as this process knows.
    forgotten_in: AtomicU64,
    /// Which part of the counters the next lease is counted in.
    turn: AtomicU8,
    /// What is known of counters that have a cap.
    looked: Mutex<HashMap<String, counts::Looked>>,
    commits: AtomicU64,
}

impl Ledger {
    /// The ledger that stands in `store`, with no more live leases than `caps` allow. `listener` hears of what becomes of
    /// them.
    pub fn new(store: Arc<dyn Store>, caps: Caps, listener: Option<Arc<dyn StatusListener>>) -> Self {
        Self {
            store,
            caps,
            listener,
            listed: Mutex::default(),
            days: Mutex::default(),
            forgotten_in: AtomicU64::new(0),
            turn: AtomicU8::new(fastrand::u8(..)),
            looked: Mutex::default(),
            commits: AtomicU64::new(0),
        }
    }

    /// Where everything stands.
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// Writes a new lease down with `also`, of which no more may live at once than `of_item` says, and reserves its place.
    pub async fn open(
        &self,
        mut lease: Lease,
        also: &[Write],
        of_item: OfItem,
    ) -> Result<Recorded, LedgerError> {
        let (places, ()) = join(self.places(&lease, of_item), self.learn(iter::once(&lease))).await;
        let mut places = places?;
        for _ in 0..TRIES {
            lease.counted = Some(places.counted());
            let mut writes = also.to_vec();
            writes.push(put(record_key(LeaseKey::of(&lease)), Precondition::Absent, &lease)?);
            writes.extend(places.writes());
            let marks = self.marks(&lease);
            writes.extend(marks.into_iter().flat_map(|mark| self.mark(mark)));
            let belief = Self::belief(&writes);
            match self.commit(writes).await {
                Ok(()) => {
                    self.remember_slot(&lease);
                    return Ok(Recorded { lease, version: 1 });
                }
                Err(LedgerError::Changed { key }) if self.corrects(belief.as_ref(), &key) => {}
                Err(LedgerError::Changed { key }) => match counts::full(&key) {
                    Some(cap) => self.choose_another(&mut places, cap).await?,
                    None => return Err(LedgerError::Changed { key }),
                },
                Err(error) => return Err(error),
            }
        }
        Err(LedgerError::Changed { key: record_key(LeaseKey::of(&lease)) })
    }

    /// Replaces `before` by `lease`, if nobody has changed it since it was read; `hold` says what becomes of the
    /// credential's own record, and `also` goes into the commit.
    pub async fn replace(
        &self,
        before: &Recorded,
        lease: Lease,
        hold: Hold,
        also: &[Write],
    ) -> Result<Recorded, LedgerError> {
        // Most credentials are new to us, which needs no look.
        let mut look = hold != Hold::Join;
        self.learn(iter::once(&lease).filter(|lease| lease.due() != before.lease.due())).await;
        for _ in 0..TRIES {
            let writes = self.replacing(before, &lease, hold, look, also).await?;
            let belief = Self::belief(&writes);
            match self.commit(writes).await {
                Ok(()) => return Ok(self.replaced(before, lease)),
                Err(LedgerError::Changed { key }) if self.corrects(belief.as_ref(), &key) => {}
                Err(LedgerError::Changed { key }) if holding::is_one(&key) => look = true,
                Err(error) => return Err(error),
            }
        }
        Err(LedgerError::Changed { key: record_key(LeaseKey::of(&lease)) })
    }

    /// What replaces `before` by `lease`, with `also` and everything that follows from it.
    async fn replacing(
        &self,
        before: &Recorded,
        lease: &Lease,
        hold: Hold,
        look: bool,
        also: &[Write],
    ) -> Result<Vec<Write>, LedgerError> {
        let key = record_key(LeaseKey::of(lease));
        let standing = Precondition::Version(before.version);
        let mut writes = also.to_vec();
        if lease.is_over() {
            writes.push(Write { key, precondition: standing, change: Change::Delete });
            writes.extend(self.bury(lease)?);
            writes.extend(counts::release(lease));
        } else {
            writes.push(put(key, standing, lease)?);
        }
        writes.extend(self.hold(&before.lease, lease, hold, look).await?);
        writes.extend(sealed::left_behind(&before.lease, lease));
        self.remark(&before.lease, lease, &mut writes);
        Ok(writes)
    }

    /// A commit has replaced `before` by `lease`.
    fn replaced(&self, before: &Recorded, lease: Lease) -> Recorded {
        self.remember_slot(&lease);
        self.tell(|| status::change(Some(&before.lease), &lease));
        Recorded { lease, version: before.version + 1 }
    }

    /// Writes down a credential of which it is certain that it exists, and of which no record is left. It must go, and no
    /// cap keeps it from being known.
    pub(crate) async fn find(&self, lease: &Lease) -> Result<Recorded, LedgerError> {
        let places = self.unlimited(lease);
        let lease = &Lease { counted: Some(places.counted()), ..lease.clone() };
        for _ in 0..TRIES {
            let mut writes = vec![put(record_key(LeaseKey::of(lease)), Precondition::Absent, lease)?];
            writes.extend(places.writes());
            writes.extend(self.hold(lease, lease, Hold::JoinToRevoke, true).await?);
            writes.extend(self.marks(lease).into_iter().flat_map(|mark| self.mark(mark)));
            let belief = Self::belief(&writes);
            match self.commit(writes).await {
                Ok(()) => {
                    self.remember_slot(lease);
                    return Ok(Recorded { lease: lease.clone(), version: 1 });
                }
                Err(LedgerError::Changed { key })
                    if self.corrects(belief.as_ref(), &key) || holding::is_one(&key) => {}
                Err(error) => return Err(error),
            }
        }
        Err(LedgerError::Changed { key: record_key(LeaseKey::of(lease)) })
    }

    /// Takes a lease back of which it is certain that no credential was made.
    pub async fn withdraw(&self, before: &Recorded) -> Result<(), LedgerError> {
        let lease = &before.lease;
        let standing = Precondition::Version(before.version);
        let mut writes = vec![Write {
            key: record_key(LeaseKey::of(lease)),
            precondition: standing,
            change: Change::Delete,
        }];
        writes.extend(self.marks(lease).into_iter().map(delete));
        writes.extend(counts::release(lease));
        writes.extend(sealed::of_lease(lease).into_iter().map(delete));
        self.commit(writes).await?;
        self.tell(|| Some(status::not_issued(lease)));
        Ok(())
    }

    fn tell(&self, change: impl FnOnce() -> Option<StatusChange>) {
        if let Some(listener) = &self.listener
            && let Some(change) = change()
        {
            listener.hear(change);
        }
    }

    /// The lease, if it stands and is not over.
    pub(crate) async fn get(&self, key: LeaseKey) -> Result<Option<Recorded>, LedgerError> {
        self.store.get(&record_key(key)).await?.as_ref().map(read).transpose()
    }

    /// A page of the leases of `item_id` that are not over, after `after`: what is readable, what is not, and the last.
    pub(crate) async fn page(
        &self,
        item_id: u64,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, LedgerError> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.to_owned()));
        let listed = self.store.list(&record_partition(item_id), (from, Bound::Unbounded), limit).await?;
        let mut page = Page::default();
        if listed.len() >= limit {
            page.next = listed.last().map(|entry| entry.key.sort.clone());
        }
        for entry in listed {
            match read(&entry) {
                Ok(recorded) => page.leases.push(recorded),
                Err(_) => page.unreadable.push(entry.key.sort),
            }
        }
        Ok(page)
    }

    /// Every lease of the dynamic secret `item_id` that is not over. Unreadable ones are left out.
    pub async fn of_item(&self, item_id: u64) -> Result<Vec<Recorded>, LedgerError> {
        let mut leases = Vec::new();
        let mut after = None;
        loop {
            let page = self.page(item_id, after.as_deref(), PAGE).await?;
            leases.extend(page.leases);
            for unreadable in page.unreadable {
                tracing::error!(
                    lease = unreadable,
                    item_id,
                    "lease in quarantine: its record cannot be read"
                );
            }
            after = page.next;
            if after.is_none() {
                return Ok(leases);
            }
        }
    }

    /// What `owner` was at when it last wrote.
    pub(crate) async fn claims_of(&self, owner: &str) -> Result<Vec<LeaseKey>, LedgerError> {
        let all = (Bound::Unbounded, Bound::Unbounded);
        let listed = self.store.list(&claims_partition(owner), all, usize::MAX).await?;
        Ok(listed.iter().filter_map(|entry| LeaseKey::from_sort(&entry.key.sort)).collect())
    }

    /// The entries elsewhere that follow from where `lease` stands.
    fn marks(&self, lease: &Lease) -> Vec<Key> {
        let key = LeaseKey::of(lease);
        let mut marks = Vec::with_capacity(3);
        marks.extend(lease.due().map(|due| due::entry_key(due, key)));
        marks.extend(attention::of(lease).map(|kind| attention::key(kind, key)));
        marks.extend(
            lease
                .claim_held()
                .map(|claim| Key { partition: claims_partition(&claim.owner), sort: key.sort() }),
        );
        marks
    }

    fn mark(&self, key: Key) -> Vec<Write> {
        let mut writes = Vec::with_capacity(2);
        if let Some((due, lease)) = due::entry_of(&key) {
            writes.push(self.listing(Slot::of(due, lease.lease_id)));
        }
        writes.push(Write { key, precondition: Precondition::Any, change: Change::Put(Bytes::new()) });
        writes
    }

    /// Moves the entries that follow from a lease.
    fn remark(&self, before: &Lease, after: &Lease, writes: &mut Vec<Write>) {
        let (old, new) = (self.marks(before), self.marks(after));
        writes.extend(old.iter().filter(|key| !new.contains(key)).cloned().map(delete));
        for key in new {
            if !old.contains(&key) {
                writes.extend(self.mark(key));
            }
        }
    }

    /// How many times something was written.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), LedgerError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        match self.store.commit(writes).await {
            Ok(_) => Ok(()),
            Err(CommitError::Conflict { key }) => Err(LedgerError::Changed { key }),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }
}

/// Some of a dynamic secret's leases.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub leases: Vec<Recorded>,
    /// The names of those that cannot be read.
    pub unreadable: Vec<String>,
    /// What to ask with for the next page, if there is one.
    pub next: Option<String>,
}

pub(crate) fn record_partition(item_id: u64) -> String {
    format!("~lease/{item_id}")
}

pub(crate) fn record_key(lease: LeaseKey) -> Key {
    Key { partition: record_partition(lease.item_id), sort: lease.lease_id.to_string() }
}

fn claims_partition(owner: &str) -> String {
    format!("~claims/{owner}")
}

/// What others choose may be of any length and hold anything: its digest stands in keys.
pub(crate) fn digest(parts: &[&str]) -> String {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    // Half of it: nobody finds two with the same in this universe's time.
    let mut half = [0; 16];
    half.copy_from_slice(&context.finish().as_ref()[..16]);
    String::from_utf8_lossy(&hexadecimal(half)).into_owned()
}

fn delete(key: Key) -> Write {
    Write { key, precondition: Precondition::Any, change: Change::Delete }
}

fn put(key: Key, precondition: Precondition, lease: &Lease) -> Result<Write, LedgerError> {
    let mut record = Vec::with_capacity(RECORD_BYTES);
    serde_json::to_writer(&mut record, lease).map_err(|_| LedgerError::Unreadable(lease.id.to_string()))?;
    Ok(Write { key, precondition, change: Change::Put(record.into()) })
}

fn read(entry: &Entry) -> Result<Recorded, LedgerError> {
    let lease: Lease =
        serde_json::from_slice(&entry.value).map_err(|_| LedgerError::Unreadable(entry.key.sort.clone()))?;
    Ok(Recorded { lease, version: entry.version })
}

/// Most records are shorter.
const RECORD_BYTES: usize = 640;

/// How many records are read at once.
pub(crate) const PAGE: usize = 1000;

/// How often a commit is made anew that met somebody else's.
const TRIES: usize = 40;
