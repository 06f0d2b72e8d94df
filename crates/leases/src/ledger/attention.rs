//! What people must look at: revocations that fail, parked ones, UNKNOWN leases, and what is in quarantine.
//!
//! An index written with the leases, so that a report does not read all of them.

use std::ops::Bound;

use bytes::Bytes;
use gateward_store::{Change, CommitError, Key, Precondition, Write};

use super::{Ledger, LedgerError, delete};
use crate::due::LeaseKey;
use crate::lease::{Lease, LeaseState};

/// Why a lease is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Failing,
    Parked,
    Unknown,
    Quarantine,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Parked => "parked",
            Self::Unknown => "unknown",
            Self::Quarantine => "quarantine",
        }
    }
}

/// Why `lease` is looked at, if it is.
pub(super) fn of(lease: &Lease) -> Option<Kind> {
    match &lease.state {
        LeaseState::Revoking(work) if work.last_error.is_some() => Some(Kind::Failing),
        LeaseState::Parked(_) => Some(Kind::Parked),
        LeaseState::Unknown { .. } => Some(Kind::Unknown),
        _ => None,
    }
}

/// Where that is written down.
pub(super) fn key(kind: Kind, lease: LeaseKey) -> Key {
    at(kind, &lease.sort())
}

impl Ledger {
    /// How many there are, and the names of at most `limit` after `after`.
    pub(crate) async fn attention(
        &self,
        kind: Kind,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(u64, Vec<String>), LedgerError> {
        let word = kind.word();
        let (start, end) = (format!("{word}/"), format!("{word}0"));
        let mut count = 0;
        let mut named = Vec::new();
        let mut from = Bound::Included(start.clone());
        loop {
            let range = (from, Bound::Excluded(end.clone()));
            let page = self.store.list(PARTITION, range, super::PAGE).await?;
            count += page.len() as u64;
            for entry in &page {
                let name = entry.key.sort.get(start.len()..).unwrap_or_default();
                if named.len() < limit && after.is_none_or(|after| name > after) {
                    named.push(name.to_owned());
                }
            }
            match page.last() {
                Some(last) if page.len() == super::PAGE => from = Bound::Excluded(last.key.sort.clone()),
                _ => return Ok((count, named)),
            }
        }
    }

    /// Puts what cannot be read into quarantine, where people see it. Says whether it is new there.
    pub(crate) async fn quarantine(&self, name: &str, why: &str) -> Result<bool, LedgerError> {
        let change = Change::Put(Bytes::copy_from_slice(why.as_bytes()));
        let write = Write { key: at(Kind::Quarantine, name), precondition: Precondition::Absent, change };
        match self.store.commit(vec![write]).await {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict { .. }) => Ok(false),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    /// Takes out of quarantine what can be read after all.
    pub(crate) async fn release(&self, name: &str) -> Result<(), LedgerError> {
        self.commit(vec![delete(at(Kind::Quarantine, name))]).await
    }
}

fn at(kind: Kind, name: &str) -> Key {
    Key { partition: PARTITION.to_owned(), sort: format!("{}/{name}", kind.word()) }
}

const PARTITION: &str = "~attention";
