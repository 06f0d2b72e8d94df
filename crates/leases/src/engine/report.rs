//! What is active, due, failing, parked, UNKNOWN or in quarantine, and, where a producer can list what exists there,
//! what no lease knows.

use gateward_clock::Timestamp;
use serde::Serialize;

use super::{Engine, Held};
use crate::due::LeaseKey;
use crate::items::CatalogError;
use crate::lease::{Lease, LeaseState};
use crate::ledger::attention::Kind;
use crate::ledger::{LedgerError, PAGE};

/// What is to be reported.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The list that is asked for, and the last name of the page before; else the first page of each.
    pub after: Option<(Attention, String)>,
    /// The most of each list; 100, if nothing is said.
    pub limit: Option<usize>,
    /// Asks the producer of this dynamic secret what exists.
    pub reconcile: Option<u64>,
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
    /// What exists at the producer that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconciled: Option<Reconciled>,
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

/// What exists at a producer.
#[derive(Debug, Serialize)]
pub struct Reconciled {
    /// Whether it can list at all.
    pub can_list: bool,
    /// How many it has listed.
    pub listed: u64,
    /// The names that no lease knows. While credentials are being made, theirs may be among them.
    pub unknown_to_us: Vec<String>,
    /// How many are being made.
    pub in_the_making: u64,
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
    /// The producer could not list.
    #[error("the producer could not list what exists: {0}")]
    Producer(String),
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
        for (kind, stored) in KINDS {
            let after = match &query.after {
                Some((asked, _)) if *asked != kind => continue,
                Some((_, after)) => Some(after.as_str()),
                None => None,
            };
            attention.push(self.listed(kind, stored, after, limit).await?);
        }
        let (mut due, mut due_since) = (0, None::<Timestamp>);
        self.ledger
            .look_through(Timestamp::default(), at, None, |since, _| {
                due += 1;
                due_since = Some(due_since.map_or(since, |oldest| oldest.min(since)));
                true
            })
            .await?;
        let not_well: u64 =
            attention.iter().filter(|list| list.kind != Attention::Quarantined).map(|list| list.count).sum();
        let reconciled = match query.reconcile {
            Some(item_id) => Some(self.reconcile(item_id).await?),
            None => None,
        };
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

    /// Asks a producer what exists, and looks for what no lease knows.
    async fn reconcile(&self, item_id: u64) -> Result<Reconciled, ReportError> {
        let producer = self.catalog.producer(item_id).await?;
        let (secret, payload) = producer.ok_or(ReportError::Missing(item_id))?;
        let producer = self.producers.of(&secret, payload);
        let mut reconciled =
            Reconciled { can_list: false, listed: 0, unknown_to_us: Vec::new(), in_the_making: 0 };
        let mut page = None;
        for _ in 0..PAGES {
            let listing = producer.list(page.as_deref()).await;
            let listing = listing.map_err(|error| ReportError::Producer(error.to_string()))?;
            let Some(listing) = listing else { break };
            reconciled.can_list = true;
            for id in listing.ids {
                reconciled.listed += 1;
                // After the listing: what became known meanwhile is known.
                if !self.ledger.is_held(item_id, &id).await? {
                    reconciled.unknown_to_us.push(id);
                }
            }
            page = listing.next;
            if page.is_none() {
                break;
            }
        }
        if !reconciled.unknown_to_us.is_empty() {
            let leases = self.ledger.of_item(item_id).await?;
            let making =
                leases.iter().filter(|recorded| matches!(recorded.lease.state, LeaseState::Intent { .. }));
            reconciled.in_the_making = making.count() as u64;
        }
        Ok(reconciled)
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

/// A listing that does not end by then never does.
const PAGES: usize = 10_000;
