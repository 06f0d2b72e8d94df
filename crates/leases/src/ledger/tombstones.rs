//! Leases that are over, kept for a while for those who ask what became of one.
//!
//! Where nothing runs between two events no process knows when they were forgotten last: which hour that was stands in the
//! store, and whoever comes first in a later one forgets what there is by then.

use std::ops::Bound;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use gateward_clock::Timestamp;
use gateward_store::{Change, Entry, Key, MAX_WRITES, Precondition, Write};
use serde::{Deserialize, Serialize};

use super::{Ledger, LedgerError, delete, put};
use crate::lease::{Lease, LeaseState};

/// When leases were forgotten last.
#[derive(Default, Serialize, Deserialize)]
struct Forgotten {
    /// In which hour since 1970 all of it was done.
    hour: u64,
    /// Until when somebody is at it.
    taken_until: Timestamp,
}

impl Ledger {
    /// The writes that put `lease`, which is over, among the tombstones of its day.
    pub(super) fn bury(&self, lease: &Lease) -> Result<Vec<Write>, LedgerError> {
        let (LeaseState::Revoked { at, .. }
        | LeaseState::Abandoned { at, .. }
        | LeaseState::Settled { at, .. }) = lease.state
        else {
            return Ok(Vec::new());
        };
        let day = format!("{:06}/{:02}", day(at), lease.id.part(PARTS));
        let key = Key { partition: format!("{DIRECTORY}/{day}"), sort: lease.id.to_string() };
        let mut writes = vec![put(key, Precondition::Any, lease)?];
        // Should the directory lose it, nothing but room is lost.
        if self.days.lock().unwrap_or_else(PoisonError::into_inner).insert(day.clone()) {
            let key = Key { partition: DIRECTORY.to_owned(), sort: day };
            writes.push(Write { key, precondition: Precondition::Any, change: Change::Put(Bytes::new()) });
        }
        Ok(writes)
    }

    /// Forgets leases that were over before `end`, whole days of them; says how many.
    pub(crate) async fn compact(&self, end: Timestamp) -> Result<u64, LedgerError> {
        let first_kept = format!("{:06}", day(end));
        let range = (Bound::Unbounded, Bound::Excluded(first_kept.clone()));
        let mut forgotten = 0;
        for listed in self.store.list(DIRECTORY, range, usize::MAX).await? {
            let partition = format!("{DIRECTORY}/{}", listed.key.sort);
            loop {
                let all = (Bound::Unbounded, Bound::Unbounded);
                let page = self.store.list(&partition, all, MAX_WRITES).await?;
                if page.is_empty() {
                    break;
                }
                forgotten += page.len() as u64;
                for some in page.chunks(AT_ONCE) {
                    try_join_all(some.iter().map(|entry| self.forget_credential_of(entry))).await?;
                }
                self.commit(page.into_iter().map(|entry| delete(entry.key)).collect()).await?;
            }
            self.commit(vec![delete(listed.key)]).await?;
        }
        // Also what others have forgotten.
        self.days.lock().unwrap_or_else(PoisonError::into_inner).retain(|listed| *listed >= first_kept);
        Ok(forgotten)
    }

    /// The same, if nobody has done it in the hour of `now`; what is not done at `until` the next one goes on with, and
    /// nobody before. `None` if there was nothing to do.
    pub(crate) async fn compact_hourly(
        &self,
        now: Timestamp,
        end: Timestamp,
        until: Timestamp,
    ) -> Result<Option<u64>, LedgerError> {
        let hour = now.secs() / HOUR.as_secs();
        if self.forgotten_in.load(Ordering::Relaxed) == hour {
            return Ok(None);
        }
        let entry = self.store.get(&forgotten_key()).await?;
        let precondition =
            entry.as_ref().map_or(Precondition::Absent, |entry| Precondition::Version(entry.version));
        // What cannot be read is written anew.
        let last: Forgotten =
            entry.and_then(|entry| serde_json::from_slice(&entry.value).ok()).unwrap_or_default();
        // Not "at least": a clock that was ahead for a while must not end it until it is as late as that.
        if last.hour == hour {
            self.forgotten_in.store(hour, Ordering::Relaxed);
            return Ok(None);
        }
        let is_taken = last.taken_until > now && last.taken_until <= now + LONGEST;
        let taken = Forgotten { taken_until: until, ..last };
        if is_taken || !self.unless_changed(taken.write(precondition)).await? {
            return Ok(None);
        }
        let forgotten = self.compact(end).await?;
        // Whoever has taken it since has seen that it was not done, and does it, too.
        let done = Forgotten { hour, taken_until: Timestamp::default() };
        self.commit(vec![done.write(Precondition::Any)]).await?;
        self.forgotten_in.store(hour, Ordering::Relaxed);
        Ok(Some(forgotten))
    }

    async fn forget_credential_of(&self, tombstone: &Entry) -> Result<(), LedgerError> {
        let Ok(recorded) = super::read(tombstone) else { return Ok(()) };
        match self.forget_credential(&recorded.lease).await {
            // It stays; nothing else is to wait for it.
            Err(LedgerError::Unreadable(record)) => {
                tracing::error!(record, "the record of a credential that is gone cannot be read");
                Ok(())
            }
            forgotten => forgotten,
        }
    }
}

impl Forgotten {
    fn write(&self, precondition: Precondition) -> Write {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        Write { key: forgotten_key(), precondition, change: Change::Put(bytes.into()) }
    }
}

fn forgotten_key() -> Key {
    Key { partition: "~forgotten".to_owned(), sort: "hour".to_owned() }
}

fn day(at: Timestamp) -> u64 {
    at.secs() / DAY.as_secs()
}

const DIRECTORY: &str = "~over";
const DAY: Duration = Duration::from_secs(24 * 3600);
const HOUR: Duration = Duration::from_secs(3600);

/// Nobody is at it for longer in one event.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Of how many leases the credentials are forgotten side by side.
const AT_ONCE: usize = 8;

/// Of each day, so that not all write into one partition.
const PARTS: u8 = 16;
