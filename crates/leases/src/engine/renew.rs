//! Renewing: the holder of a lease is given more time, as long as nobody has begun to revoke it.

use std::time::Duration;

use gateward_clock::Timestamp;

use super::Engine;
use crate::due::LeaseKey;
use crate::failpoint;
use crate::items::CatalogError;
use crate::lease::LeaseId;
use crate::ledger::{Hold, LedgerError};

/// Why a lease was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// No such lease, or it is over.
    #[error("there is no lease {0} of this item that could be renewed")]
    Missing(LeaseId),
    /// Its time is over, or somebody wants it revoked.
    #[error("lease {0} is not active any more; ask for a new credential")]
    Over(LeaseId),
    /// The credential ends by itself, and what ends it gives it no more time.
    #[error("not renewed: {0}")]
    Producer(String),
    /// The dynamic secret cannot be read.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The store failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Engine {
    /// Gives a lease `ttl` from now on, at most the item's time to live; that, if nothing is said. Returns its new end.
    pub async fn renew(
        &self,
        item_id: u64,
        lease_id: LeaseId,
        ttl: Option<Duration>,
    ) -> Result<Timestamp, RenewError> {
        let missing = || RenewError::Missing(lease_id);
        let (secret, payload) = self.catalog.producer(item_id).await?.ok_or_else(missing)?;
        let most = secret.user_ttl.span();
        let ttl = ttl.map_or(most, |wished| wished.min(most));
        let producer = self.producers.of(&secret, payload);
        loop {
            let key = LeaseKey { item_id, lease_id };
            let recorded = self.ledger.get(key).await?.ok_or_else(missing)?;
            let now = self.clock.now();
            let renewed = recorded.lease.renew(now + ttl, now).map_err(|_| RenewError::Over(lease_id))?;
            if let Some(id) = recorded.lease.producer_id() {
                // Before it is promised: a credential that lives longer than its lease is revoked on time all the same.
                let extended = producer.extend(id, now + ttl).await;
                extended.map_err(|error| RenewError::Producer(error.words))?;
            }
            match self.replace(&recorded, renewed, Hold::Keep).await {
                Ok(_) => {
                    failpoint::reach("renewed");
                    return Ok(now + ttl);
                }
                Err(LedgerError::Changed { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
