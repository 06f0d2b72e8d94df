//! Leases that are over, kept for a while for those who ask what became of one.

use std::ops::Bound;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use gateward_clock::Timestamp;
use gateward_store::{Change, Key, MAX_WRITES, Precondition, Write};

use super::{Ledger, LedgerError, delete, put};
use crate::lease::{Lease, LeaseState};

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
        let range = (Bound::Unbounded, Bound::Excluded(format!("{:06}", day(end))));
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
                for lease in page.iter().filter_map(|entry| super::read(entry).ok()) {
                    self.forget_credential(&lease.lease).await?;
                }
                self.commit(page.into_iter().map(|entry| delete(entry.key)).collect()).await?;
            }
            self.days.lock().unwrap_or_else(PoisonError::into_inner).remove(&listed.key.sort);
            self.commit(vec![delete(listed.key)]).await?;
        }
        Ok(forgotten)
    }
}

fn day(at: Timestamp) -> u64 {
    at.secs() / DAY.as_secs()
}

const DIRECTORY: &str = "~over";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Of each day, so that not all write into one partition.
const PARTS: u8 = 16;
