//! What exists at a producer that no lease knows: the only proof that nothing was lost.
//!
//! Only of producers that can list. A name that is listed is looked up after the listing, so what became known meanwhile
//! is known; what is being made at that moment may be told, and how many that are is told with it. Several dynamic secrets
//! may have one producer: what any of them holds there is known.

use futures_util::StreamExt as _;
use futures_util::stream;
use gateward_model::{DynamicSecret, ItemName, ProducerSettings};
use gateward_seal::SecretValue;
use serde::Serialize;

use super::{Engine, ReportError};
use crate::lease::LeaseState;
use crate::ledger::Recorded;
use crate::producer::{NO_ANSWER, RevokeCallError};

/// Which producers are asked what exists there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// None.
    #[default]
    Nobody,
    /// That of one dynamic secret, whether it has said that it can list or not.
    One(u64),
    /// Each that has said that it can list.
    All,
}

/// What exists at a producer.
#[derive(Debug, Serialize)]
pub struct Reconciled {
    /// The dynamic secret that it is the producer of.
    pub item: ItemName,
    /// Whether it can list at all.
    pub can_list: bool,
    /// How many it has listed.
    pub listed: u64,
    /// The names that no lease knows. While credentials are being made, theirs may be among them.
    pub unknown_to_us: Vec<String>,
    /// How many are being made.
    pub in_the_making: u64,
    /// Why it could not list, if it could not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Engine {
    /// Asks producers what exists. One that cannot tell keeps nobody from hearing of the others.
    pub(super) async fn reconcile(&self, asked: &Asked) -> Result<Vec<Reconciled>, ReportError> {
        let mut secrets = Vec::new();
        match asked {
            Asked::Nobody => {}
            Asked::One(id) => {
                let producer = self.catalog.producer(*id).await?;
                secrets.push(producer.ok_or(ReportError::Missing(*id))?);
            }
            Asked::All => {
                for secret in self.catalog.list().await?.into_iter().flatten().map(|known| known.secret) {
                    if secret.capabilities.list {
                        secrets.extend(self.catalog.producer(secret.id).await?);
                    }
                }
            }
        }
        if secrets.is_empty() {
            return Ok(Vec::new());
        }
        let all: Vec<_> =
            self.catalog.list().await?.into_iter().flatten().map(|known| known.secret).collect();
        let asking = secrets.into_iter().map(|(secret, payload)| {
            let beside = all.iter().filter(|other| lists_alike(&secret.producer, &other.producer));
            let beside = beside.map(|other| other.id).filter(|other| *other != secret.id).collect();
            self.existing(secret, payload, beside)
        });
        stream::iter(asking).buffered(AT_ONCE).collect::<Vec<_>>().await.into_iter().collect()
    }

    /// Asks one producer what exists, and looks for what no lease knows, neither of this dynamic secret nor of those `beside`
    /// it, whose credentials the same list tells.
    async fn existing(
        &self,
        secret: DynamicSecret,
        payload: SecretValue,
        beside: Vec<u64>,
    ) -> Result<Reconciled, ReportError> {
        let producer = self.producers.of(&secret, payload);
        let mut told = Reconciled {
            item: secret.name.clone(),
            can_list: false,
            listed: 0,
            unknown_to_us: Vec::new(),
            in_the_making: 0,
            error: None,
        };
        let mut page = None;
        for _ in 0..PAGES {
            let listing = tokio::select! {
                biased;
                listing = producer.list(page.as_deref()) => listing,
                () = self.clock.sleep_until(self.call_end.get()) => Err(RevokeCallError::transient(NO_ANSWER)),
            };
            let listing = match listing {
                Ok(Some(listing)) => listing,
                Ok(None) => break,
                Err(error) => {
                    told.error = Some(error.to_string());
                    break;
                }
            };
            told.can_list = true;
            for id in listing.ids {
                told.listed += 1;
                if !self.is_held_by_any(secret.id, &beside, &id).await? {
                    told.unknown_to_us.push(id);
                }
            }
            page = listing.next;
            if page.is_none() {
                break;
            }
        }
        if page.is_some() && told.error.is_none() {
            told.error = Some(format!("its list goes on after {PAGES} pages; it was read no further"));
        }
        if !told.unknown_to_us.is_empty() {
            for item in beside.into_iter().chain([secret.id]) {
                let leases = self.ledger.of_item(item).await?;
                let is_made =
                    |recorded: &&Recorded| matches!(recorded.lease.state, LeaseState::Intent { .. });
                told.in_the_making += leases.iter().filter(is_made).count() as u64;
            }
        }
        Ok(told)
    }

    async fn is_held_by_any(&self, item: u64, beside: &[u64], id: &str) -> Result<bool, ReportError> {
        for item in [item].iter().chain(beside) {
            if self.ledger.is_held(*item, id).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether two dynamic secrets ask one list. (Users of PostgreSQL say by their names whose they are.)
fn lists_alike(one: &ProducerSettings, other: &ProducerSettings) -> bool {
    match (one, other) {
        (ProducerSettings::Custom(one), ProducerSettings::Custom(other)) => {
            one.create_sync_url == other.create_sync_url
        }
        _ => false,
    }
}

/// How many producers are asked at once.
const AT_ONCE: usize = 8;

/// A listing that does not end by then never does.
const PAGES: usize = 10_000;
