//! Revoking because somebody wants it, and not because it is due. The wish is durable before anything is done.

use std::sync::Arc;

use gateward_clock::Timestamp;
use gateward_model::{DynamicSecret, ItemName};
use gateward_store::StoreError;

use super::lane::BATCH;
use super::{Engine, lock};
use crate::due::LeaseKey;
use crate::failpoint;
use crate::items::CatalogError;
use crate::lease::{LeaseId, LeaseState};
use crate::ledger::{Hold, LedgerError, Recorded, Step};

/// Why a lease is not revoked yet. If it is a revocable one, it will be: the engine goes on trying.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// No such lease, or it is revoked already.
    #[error("there is no lease {0} of this item that could be revoked")]
    Missing(LeaseId),
    /// Nobody knows the credential's name.
    #[error("lease {0} is UNKNOWN: the producer's answer was lost, and an operator must settle it")]
    Unknown(LeaseId),
    /// The producer has not confirmed it.
    #[error("not revoked yet, and tried again until it is: {0}")]
    Producer(String),
    /// The store failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The item's record cannot be read or written.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The engine's task was ended.
    #[error("the gateway is stopping; what was asked for is recorded and will be done")]
    Stopping,
}

impl From<StoreError> for RevokeError {
    fn from(error: StoreError) -> Self {
        Self::Ledger(error.into())
    }
}

impl Engine {
    /// Revokes one lease now. When this returns `Ok`, the producer has confirmed it.
    pub async fn revoke(self: &Arc<Self>, item_id: u64, lease_id: LeaseId) -> Result<(), RevokeError> {
        let recorded = self.ledger.get(LeaseKey { item_id, lease_id }).await?;
        let recorded = recorded.ok_or(RevokeError::Missing(lease_id))?;
        self.revoke_now(item_id, vec![recorded]).await
    }

    /// Revokes every lease of a dynamic secret now, but those that are UNKNOWN or still being made.
    ///
    /// A task of the engine: once begun it is done, whoever hangs up.
    pub async fn revoke_all(self: &Arc<Self>, item_id: u64) -> Result<(), RevokeError> {
        let engine = Arc::clone(self);
        let task = self.runtime.spawn(async move {
            let leases = engine.revocable(item_id).await?;
            engine.revoke_now(item_id, leases).await
        });
        task.await.map_err(|_| RevokeError::Stopping)?
    }

    /// Deletes the dynamic secret `name`, and its leases with it: now if the producer can be reached, else as soon as it
    /// can. That they must go is durable in the commit that deletes it.
    ///
    /// A task of the engine: once begun it is done, whoever hangs up.
    pub async fn delete(self: &Arc<Self>, name: &ItemName) -> Result<DynamicSecret, RevokeError> {
        let (engine, name) = (Arc::clone(self), name.clone());
        let task = self.runtime.spawn(async move {
            let secret = engine.catalog.delete(&name).await?;
            failpoint::reach("deleted");
            if let Err(error) = engine.revoke_deleted(secret.id).await {
                tracing::warn!(item = %name, %error, "leases of a deleted item wait for their producer");
            }
            engine.catalog.forget(secret.id).await?;
            Ok(secret)
        });
        task.await.map_err(|_| RevokeError::Stopping)?
    }

    /// Writes down what deletions that were interrupted have not: which leases go with them. What is not written down at
    /// `until` is left to the next look. Says whether there was such a deletion.
    pub(crate) async fn finish_deletions(&self, until: Timestamp) -> bool {
        let mut is_any = false;
        let finishing = async {
            let mut outcome = Ok::<(), RevokeError>(());
            for item_id in self.catalog.going().await? {
                is_any = true;
                // One that cannot be finished keeps its mark, and no other back.
                let finished = self.bring_all_forward(item_id).await;
                outcome = outcome.and(finished.and_then(|(_, finished)| finished));
            }
            outcome
        };
        let finished = tokio::select! {
            biased;
            finished = finishing => finished,
            () = self.clock.sleep_until(until) => Ok(()),
        };
        if let Err(error) = finished {
            tracing::error!(%error, "leases of a deleted item are not written down as to be revoked yet");
        }
        is_any
    }

    async fn revoke_deleted(self: &Arc<Self>, item_id: u64) -> Result<(), RevokeError> {
        let (wished, outcome) = self.bring_all_forward(item_id).await?;
        outcome.and(self.await_revocation(item_id, &wished).await)
    }

    /// Brings forward what it can. If that is all, the deletion is durable, and its mark is not needed any more.
    async fn bring_all_forward(
        &self,
        item_id: u64,
    ) -> Result<(Vec<LeaseKey>, Result<(), RevokeError>), RevokeError> {
        // What an earlier try has brought forward is not touched again, so that each try comes farther.
        let (due, others): (Vec<_>, Vec<_>) =
            self.revocable(item_id).await?.into_iter().partition(|recorded| {
                matches!(recorded.lease.state, LeaseState::Revoking(_) | LeaseState::Parked(_))
            });
        let mut wished: Vec<LeaseKey> = due.iter().map(|recorded| LeaseKey::of(&recorded.lease)).collect();
        let mut outcome = Ok(());
        for (key, done) in self.bring_forward_together(&others).await {
            match done {
                Ok(()) => wished.push(key),
                // Over meanwhile.
                Err(RevokeError::Missing(_)) => {}
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        if outcome.is_ok() {
            self.catalog.gone(item_id).await?;
        }
        Ok((wished, outcome))
    }

    async fn revocable(&self, item_id: u64) -> Result<Vec<Recorded>, LedgerError> {
        let leases = self.ledger.of_item(item_id).await?.into_iter();
        Ok(leases.filter(|recorded| recorded.lease.producer_id().is_some()).collect())
    }

    async fn revoke_now(self: &Arc<Self>, item_id: u64, leases: Vec<Recorded>) -> Result<(), RevokeError> {
        // All of the wish is durable before any of it is done.
        let mut wished = Vec::with_capacity(leases.len());
        let mut outcome = Ok(());
        for (key, done) in self.bring_forward_together(&leases).await {
            match done {
                Ok(()) => wished.push(key),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome.and(self.await_revocation(item_id, &wished).await)
    }

    /// Does what was brought forward, before all that waits, and says whether all of it is over.
    async fn await_revocation(
        self: &Arc<Self>,
        item_id: u64,
        wished: &[LeaseKey],
    ) -> Result<(), RevokeError> {
        let mut outcome = Ok(());
        {
            let mut lanes = lock(&self.lanes);
            lanes.entry(item_id).or_default().urge(wished);
        }
        self.begin_work(item_id);
        let waits = self.no_longer_known(item_id, wished).await;
        for key in wished {
            if let Some(left) = self.ledger.get(*key).await? {
                let why = match left.lease.state {
                    LeaseState::Revoking(work) | LeaseState::Parked(work) => work.last_error,
                    _ => None,
                };
                let why = why.unwrap_or_else(|| match waits {
                    true => "its producer does not answer at the moment".to_owned(),
                    false => "it waits for its turn".to_owned(),
                });
                outcome = outcome.and(Err(RevokeError::Producer(why)));
            }
        }
        outcome
    }

    /// Makes leases due now, several in one commit, and says of each what came of it.
    async fn bring_forward_together(&self, leases: &[Recorded]) -> Vec<(LeaseKey, Result<(), RevokeError>)> {
        let mut brought = Vec::with_capacity(leases.len());
        for some in leases.chunks(BATCH) {
            let now = self.clock.now();
            let mut alone = Vec::new();
            let mut steps = Vec::with_capacity(some.len());
            for before in some {
                match before.lease.revoke(now) {
                    Ok(lease) => steps.push(Step { before, lease, hold: Hold::Keep }),
                    Err(_) => alone.push(LeaseKey::of(&before.lease)),
                }
            }
            // The timer is not told: whoever wishes it does it, all in one call, and the due index knows of it.
            let done = self.ledger.replace_together(&steps).await;
            for (key, done) in steps.iter().map(|step| LeaseKey::of(&step.lease)).zip(done) {
                match done {
                    Ok(_) => {
                        failpoint::reach("wished");
                        brought.push((key, Ok(())));
                    }
                    Err(LedgerError::Changed { .. }) => alone.push(key),
                    Err(error) => brought.push((key, Err(error.into()))),
                }
            }
            for key in alone {
                brought.push((key, self.bring_forward(key).await));
            }
        }
        brought
    }

    /// Makes a lease due now, durably, so that the wish outlives this process.
    async fn bring_forward(&self, key: LeaseKey) -> Result<(), RevokeError> {
        loop {
            let missing = || RevokeError::Missing(key.lease_id);
            let recorded = self.ledger.get(key).await?.ok_or_else(missing)?;
            let Ok(lease) = recorded.lease.revoke(self.clock.now()) else {
                return match recorded.lease.state {
                    LeaseState::Revoking(_) | LeaseState::Parked(_) => Ok(()),
                    LeaseState::Unknown { .. } => Err(RevokeError::Unknown(key.lease_id)),
                    _ => Err(missing()),
                };
            };
            // The timer is not told: whoever wishes it does it, all in one call, and the due index knows of it.
            match self.ledger.replace(&recorded, lease, Hold::Keep, &[]).await {
                Ok(_) => {
                    failpoint::reach("wished");
                    return Ok(());
                }
                Err(LedgerError::Changed { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Completes when nobody is at any of `keys` any more, or, with true, when their producer is not to be called for now.
    async fn no_longer_known(&self, item_id: u64, keys: &[LeaseKey]) -> bool {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Before the look, or an end between the look and the wait would be missed.
            ended.as_mut().enable();
            {
                let lanes = lock(&self.lanes);
                let Some(lane) = lanes.get(&item_id) else { return false };
                if !keys.iter().any(|key| lane.knows(key)) {
                    return false;
                }
                if lane.open_until(self.clock.now()).is_some() || self.is_out_of_time() {
                    return true;
                }
            }
            ended.await;
        }
    }
}
