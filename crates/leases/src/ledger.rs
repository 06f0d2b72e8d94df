//! The durable record of every lease, and of when each is due.
//!
//! A lease stands in the partition of its dynamic secret; once revoked it moves to a partition of tombstones. Each
//! write replaces exactly the record that was read, and moves the entry in the due index in the same commit.

use std::collections::HashSet;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use gateward_clock::Timestamp;
use gateward_store::{Change, CommitError, Entry, Key, Precondition, Store, StoreError, Write};

use crate::due::{self, LeaseKey, Slot};
use crate::lease::{Lease, LeaseState};

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
    /// Somebody else has changed it in the meantime.
    #[error("the lease has changed in the meantime")]
    Changed,
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
    /// Slots that the directory is known to have, so that it is not written for each lease.
    listed: Mutex<HashSet<Slot>>,
}

impl Ledger {
    /// The ledger that stands in `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, listed: Mutex::new(HashSet::new()) }
    }

    /// Writes a new lease down, if `condition` holds.
    pub async fn open(&self, lease: Lease, condition: Write) -> Result<Recorded, LedgerError> {
        let mut writes = vec![condition, put(live_key(&LeaseKey::of(&lease)), Precondition::Absent, &lease)?];
        self.enter(&lease, &mut writes);
        self.commit(writes, &lease).await?;
        Ok(Recorded { lease, version: 1 })
    }

    /// Replaces `before` by `lease`, if nobody has changed it since it was read, and `condition` holds.
    pub async fn replace(
        &self,
        before: &Recorded,
        lease: Lease,
        condition: Option<Write>,
    ) -> Result<Recorded, LedgerError> {
        let key = LeaseKey::of(&lease);
        let standing = Precondition::Version(before.version);
        let mut writes = Vec::with_capacity(6);
        writes.extend(condition);
        if let LeaseState::Revoked { .. } = lease.state {
            writes.push(Write { key: live_key(&key), precondition: standing, change: Change::Delete });
            writes.push(put(tombstone_key(&key), Precondition::Any, &lease)?);
        } else {
            writes.push(put(live_key(&key), standing, &lease)?);
        }
        writes.extend(holding(&before.lease, &lease));
        let unmoved = before.lease.due() == lease.due();
        if !unmoved {
            if let Some(due) = before.lease.due() {
                let entry = due::entry_key(due, &key);
                writes.push(Write { key: entry, precondition: Precondition::Any, change: Change::Delete });
            }
            self.enter(&lease, &mut writes);
        }
        self.commit(writes, &lease).await?;
        Ok(Recorded { lease, version: before.version + 1 })
    }

    /// Takes a lease back of which it is certain that no credential was made.
    pub async fn withdraw(&self, before: &Recorded) -> Result<(), LedgerError> {
        let key = LeaseKey::of(&before.lease);
        let standing = Precondition::Version(before.version);
        let mut writes = vec![Write { key: live_key(&key), precondition: standing, change: Change::Delete }];
        if let Some(due) = before.lease.due() {
            let entry = due::entry_key(due, &key);
            writes.push(Write { key: entry, precondition: Precondition::Any, change: Change::Delete });
        }
        self.commit(writes, &before.lease).await
    }

    /// The lease, if it stands and is not revoked.
    pub(crate) async fn get(&self, key: &LeaseKey) -> Result<Option<Recorded>, LedgerError> {
        self.store.get(&live_key(key)).await?.as_ref().map(read).transpose()
    }

    /// What holds only while some other lease than `but` has the same credential as `lease`; `None` if none has.
    pub(crate) async fn held_elsewhere(
        &self,
        lease: &Lease,
        but: &[LeaseKey],
    ) -> Result<Option<Write>, LedgerError> {
        let Some(producer_id) = lease.producer_id() else { return Ok(None) };
        let range = held_range(producer_id);
        let held = self.store.list(&held_partition(lease.item_id), range, usize::MAX).await?;
        let is_other = |entry: &&Entry| {
            let lease_id = entry.key.sort.rsplit('/').next().unwrap_or_default();
            !but.iter().any(|key| key.lease_id.as_str() == lease_id)
        };
        Ok(held.iter().find(is_other).map(|entry| Write {
            key: entry.key.clone(),
            precondition: Precondition::Version(entry.version),
            change: Change::Check,
        }))
    }

    /// Every lease of the dynamic secret `item_id` that is not revoked. Unreadable ones are reported and left out.
    pub async fn of_item(&self, item_id: u64) -> Result<Vec<Recorded>, LedgerError> {
        let mut leases = Vec::new();
        let mut from = Bound::Unbounded;
        loop {
            let page = self.store.list(&live_partition(item_id), (from, Bound::Unbounded), PAGE).await?;
            let last = page.last().map(|entry| entry.key.sort.clone());
            let complete = page.len() < PAGE;
            for entry in page {
                match read(&entry) {
                    Ok(recorded) => leases.push(recorded),
                    Err(error) => tracing::error!(%error, "lease in quarantine"),
                }
            }
            match last {
                Some(last) if !complete => from = Bound::Excluded(last),
                _ => return Ok(leases),
            }
        }
    }

    /// Everything in the due index up to `end`; drops directory entries of slots that are empty and over.
    pub(crate) async fn due_before(
        &self,
        end: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<(Timestamp, LeaseKey)>, LedgerError> {
        let mut found = Vec::new();
        let bound = Bound::Excluded(Slot::directory_bound(end));
        let directory = self.store.list(due::DIRECTORY, (Bound::Unbounded, bound), usize::MAX).await?;
        for listed in directory {
            let Some(slot) = Slot::from_directory(&listed.key.sort) else {
                tracing::error!(entry = listed.key.sort, "due directory entry in quarantine");
                continue;
            };
            let entries =
                self.store.list(&slot.partition(), (Bound::Unbounded, Bound::Unbounded), usize::MAX).await?;
            if entries.is_empty() && slot.is_over(now) {
                self.unlist(slot, listed.version).await?;
            }
            for entry in entries {
                match due::read_entry(&entry.key.sort) {
                    Some((due, lease)) if due < end => found.push((due, lease)),
                    Some(_) => {}
                    None => tracing::error!(entry = entry.key.sort, "due entry in quarantine"),
                }
            }
        }
        Ok(found)
    }

    async fn unlist(&self, slot: Slot, version: u64) -> Result<(), LedgerError> {
        let write = Write {
            key: slot.directory_key(),
            precondition: Precondition::Version(version),
            change: Change::Delete,
        };
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).remove(&slot);
        match self.store.commit(vec![write]).await {
            Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    /// Adds what puts `lease` into the due index.
    fn enter(&self, lease: &Lease, writes: &mut Vec<Write>) {
        let Some(due) = lease.due() else { return };
        let key = due::entry_key(due, &LeaseKey::of(lease));
        let change = Change::Put(Bytes::new());
        writes.push(Write { key, precondition: Precondition::Any, change: change.clone() });
        let slot = Slot::of(due, &lease.id);
        if !self.listed.lock().unwrap_or_else(PoisonError::into_inner).contains(&slot) {
            writes.push(Write { key: slot.directory_key(), precondition: Precondition::Any, change });
        }
    }

    async fn commit(&self, writes: Vec<Write>, lease: &Lease) -> Result<(), LedgerError> {
        match self.store.commit(writes).await {
            Ok(_) => {}
            Err(CommitError::Conflict { .. }) => return Err(LedgerError::Changed),
            Err(CommitError::Store(error)) => return Err(error.into()),
        }
        if let Some(due) = lease.due() {
            // Only now: had the commit failed, the directory would not have it.
            let slot = Slot::of(due, &lease.id);
            self.listed.lock().unwrap_or_else(PoisonError::into_inner).insert(slot);
        }
        Ok(())
    }
}

fn live_partition(item_id: u64) -> String {
    format!("~lease/{item_id}")
}

fn live_key(lease: &LeaseKey) -> Key {
    Key { partition: live_partition(lease.item_id), sort: lease.lease_id.to_string() }
}

fn held_partition(item_id: u64) -> String {
    format!("~held/{item_id}")
}

/// A producer's ids may be of any length and hold anything: their digests stand in keys.
fn digest(producer_id: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, producer_id.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn held_range(producer_id: &str) -> (Bound<String>, Bound<String>) {
    let digest = digest(producer_id);
    // `0` is the character after `/`.
    (Bound::Included(format!("{digest}/")), Bound::Excluded(format!("{digest}0")))
}

/// Writes down which leases hold a credential: several may hold one, and it goes with the last of them.
fn holding(before: &Lease, after: &Lease) -> Option<Write> {
    let producer_id = after.producer_id()?;
    let change = match (&after.state, before.producer_id()) {
        (LeaseState::Revoked { .. }, _) => Change::Delete,
        (_, None) => Change::Put(Bytes::new()),
        (_, Some(_)) => return None,
    };
    let sort = format!("{}/{}", digest(producer_id), after.id);
    let key = Key { partition: held_partition(after.item_id), sort };
    Some(Write { key, precondition: Precondition::Any, change })
}

fn tombstone_key(lease: &LeaseKey) -> Key {
    Key { partition: format!("~revoked/{}", lease.item_id), sort: lease.lease_id.to_string() }
}

fn put(key: Key, precondition: Precondition, lease: &Lease) -> Result<Write, LedgerError> {
    let record = serde_json::to_vec(lease).map_err(|_| LedgerError::Unreadable(lease.id.to_string()))?;
    Ok(Write { key, precondition, change: Change::Put(record.into()) })
}

fn read(entry: &Entry) -> Result<Recorded, LedgerError> {
    let lease =
        serde_json::from_slice(&entry.value).map_err(|_| LedgerError::Unreadable(entry.key.sort.clone()))?;
    Ok(Recorded { lease, version: entry.version })
}

const PAGE: usize = 1000;
