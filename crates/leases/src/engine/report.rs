//! What is active, due, failing, parked, UNKNOWN or in quarantine, and, where a producer can list what exists there,
//! what no lease knows.

use gateward_clock::Timestamp;
use serde::Serialize;

use super::{Asked, Engine, Held, Reconciled};
use crate::due::LeaseKey;
use crate::items::CatalogError;
use crate::lease::{Lease, LeaseId};
use crate::ledger::attention::Kind;
use crate::ledger::{LedgerError, PAGE};

/// What is to be reported.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The list that is asked for, and the last name of the page before; else the first page of each.
    pub after: Option<(Attention, String)>,
    /// The most of each list; 100, if nothing is said.
    pub limit: Option<usize>,
    /// Which producers are asked what exists there.
    pub producers: Asked,
}

/// Why people must look at a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// Its revocation has failed, and is tried again.
    Failing,
    /// The same, for so long or so hopelessly that somebody must look at it.
    Parked,
    /// A credential may exist, and nobody knows its name.
    Unknown,
    /// Its record cannot be read.
    Quarantined,
}

/// How the leases are.
#[derive(Debug, Serialize)]
pub struct Report {
    /// When.
    pub at: Timestamp,
    /// Leases that are not over.
    pub live: u64,
    /// Of those, what is neither due, nor failing, parked or UNKNOWN.
    pub active: u64,
    /// What is due at this moment and not done.
    pub due: u64,
    /// The oldest of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_since: Option<Timestamp>,
    /// Why revocation waits, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// What people must look at.
    pub attention: Vec<Listed>,
    /// What exists at the producers that were asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reconciled: Vec<Reconciled>,
}

/// One list of a report.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// Why.
    pub kind: Attention,
    /// How many there are.
    pub count: u64,
    /// A page of them.
    pub leases: Vec<Lease>,
    /// Names of what cannot be read as a lease.
    pub unreadable: Vec<String>,
    /// How the next page is asked for, if there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The dynamic secret cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// There is no such dynamic secret.
    #[error("there is no dynamic secret with the number {0}")]
    Missing(u64),
    /// The store failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Engine {
    /// How the leases are.
    pub async fn report(&self, query: Query) -> Result<Report, ReportError> {
        let at = self.clock.now();
        let live = self.ledger.live().await?;
        let limit = query.limit.unwrap_or(PAGE_OF_LIST).clamp(1, PAGE);
        let mut attention = Vec::with_capacity(KINDS.len());
        let mut not_well = 0;
        for (kind, stored) in KINDS {
            let list = match &query.after {
                // Of the others only how many there are.
                Some((asked, _)) if *asked != kind => self.listed(kind, stored, None, 0).await?,
                Some((_, after)) => self.listed(kind, stored, Some(after), limit).await?,
                None => self.listed(kind, stored, None, limit).await?,
            };
            if kind != Attention::Quarantined {
                not_well += list.count;
            }
            if query.after.as_ref().is_none_or(|(asked, _)| *asked == kind) {
                attention.push(list);
            }
        }
        let (mut due, mut due_since) = (0, None::<Timestamp>);
        self.ledger
            .look_through(Timestamp::default(), at, None, |since, _| {
                due += 1;
                due_since = Some(due_since.map_or(since, |oldest| oldest.min(since)));
                true
            })
            .await?;
        let reconciled = self.reconcile(&query.producers).await?;
        Ok(Report {
            at,
            live,
            // Something may be due and failing at once.
            active: live.saturating_sub(due).saturating_sub(not_well),
            due,
            due_since,
            held: self.held(),
            attention,
            reconciled,
        })
    }

    /// The dynamic secret of a lease that people must look at; others are found under their secrets.
    pub async fn item_of(&self, lease_id: LeaseId) -> Result<Option<u64>, LedgerError> {
        for (_, stored) in KINDS {
            let (_, names) = self.ledger.attention(stored, None, usize::MAX).await?;
            let mut keys = names.iter().filter_map(|name| LeaseKey::from_sort(name));
            if let Some(key) = keys.find(|key| key.lease_id == lease_id) {
                return Ok(Some(key.item_id));
            }
        }
        Ok(None)
    }

    async fn listed(
        &self,
        kind: Attention,
        stored: Kind,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listed, ReportError> {
        let (count, names) = self.ledger.attention(stored, after, limit).await?;
        let next = names.last().filter(|_| names.len() == limit).cloned();
        let mut list = Listed { kind, count, leases: Vec::new(), unreadable: Vec::new(), next };
        for name in names {
            let lease = match LeaseKey::from_sort(&name) {
                Some(key) if stored == Kind::Quarantine => match self.ledger.get(key).await {
                    // It can be read after all, or is not there any more.
                    Ok(_) => {
                        self.ledger.release(&name).await?;
                        continue;
                    }
                    Err(_) => None,
                },
                Some(key) => match self.ledger.get(key).await {
                    // Over, since it was listed.
                    Ok(None) => continue,
                    Ok(Some(recorded)) => Some(recorded.lease),
                    Err(LedgerError::Unreadable(_)) => None,
                    Err(error) => return Err(error.into()),
                },
                None => None,
            };
            match lease {
                Some(lease) => list.leases.push(lease),
                None => list.unreadable.push(name),
            }
        }
        Ok(list)
    }
}

const KINDS: [(Attention, Kind); 4] = [
    (Attention::Failing, Kind::Failing),
    (Attention::Parked, Kind::Parked),
    (Attention::Unknown, Kind::Unknown),
    (Attention::Quarantined, Kind::Quarantine),
];

/// How many leases of each list are told at once.
const PAGE_OF_LIST: usize = 100;
