//! Revoking: claim, call, and believe only what the producer names.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use gateward_model::DynamicSecret;
use gateward_seal::SecretValue;

use super::Engine;
use crate::due::LeaseKey;
use crate::failpoint;
use crate::items::CatalogError;
use crate::lease::{LeaseId, LeaseState};
use crate::ledger::{LedgerError, Recorded};

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
    /// The engine's task was ended.
    #[error("the gateway is stopping; what was asked for is recorded and will be done")]
    Stopping,
}

impl Engine {
    /// Revokes one lease now. When this returns `Ok`, the producer has confirmed it.
    pub async fn revoke(self: &Arc<Self>, item_id: u64, lease_id: &LeaseId) -> Result<(), RevokeError> {
        let key = LeaseKey { item_id, lease_id: lease_id.clone() };
        self.revoke_now(item_id, vec![key]).await
    }

    /// Revokes every lease of a dynamic secret now, but those that are UNKNOWN or still being made.
    ///
    /// A task of the engine: once begun it is done, whoever hangs up.
    pub async fn revoke_all(self: &Arc<Self>, item_id: u64) -> Result<(), RevokeError> {
        let engine = Arc::clone(self);
        let task = self.runtime.spawn(async move {
            let leases = engine.ledger.of_item(item_id).await?;
            let revocable = leases.iter().filter(|recorded| recorded.lease.producer_id().is_some());
            engine
                .revoke_now(item_id, revocable.map(|recorded| LeaseKey::of(&recorded.lease)).collect())
                .await
        });
        task.await.map_err(|_| RevokeError::Stopping)?
    }

    async fn revoke_now(self: &Arc<Self>, item_id: u64, keys: Vec<LeaseKey>) -> Result<(), RevokeError> {
        // All of the wish is durable before any of it is done.
        let mut wished = Vec::with_capacity(keys.len());
        let mut outcome = Ok(());
        for key in keys {
            match self.bring_forward(&key).await {
                Ok(()) => wished.push(key),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        for batch in wished.chunks(BATCH) {
            let (engine, batch) = (Arc::clone(self), batch.to_vec());
            let task = self.runtime.spawn(async move { engine.revoke_batch(item_id, batch).await });
            task.await.map_err(|_| RevokeError::Stopping)?;
        }
        // Some may have been another task's to do.
        self.at_work.ended(&wished).await;
        for key in &wished {
            if let Some(left) = self.ledger.get(key).await? {
                let why = match left.lease.state {
                    LeaseState::Revoking { last_error: Some(why), .. } => why,
                    _ => "it waits for its turn".to_owned(),
                };
                outcome = outcome.and(Err(RevokeError::Producer(why)));
            }
        }
        outcome
    }

    /// Makes a lease due now, durably, so that the wish outlives this process.
    async fn bring_forward(&self, key: &LeaseKey) -> Result<(), RevokeError> {
        loop {
            let missing = || RevokeError::Missing(key.lease_id.clone());
            let recorded = self.ledger.get(key).await?.ok_or_else(missing)?;
            let Ok(lease) = recorded.lease.revoke(self.clock.now()) else {
                return match recorded.lease.state {
                    LeaseState::Revoking { .. } => Ok(()),
                    LeaseState::Unknown { .. } => Err(RevokeError::Unknown(key.lease_id.clone())),
                    _ => Err(missing()),
                };
            };
            // The timer is not told: whoever wishes it does it, all in one call, and the due index knows of it.
            match self.ledger.replace(&recorded, lease, None).await {
                Ok(_) => return Ok(()),
                Err(LedgerError::Changed) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Claims what is due of `keys`, revokes it in one call, and records what came of it.
    pub(super) async fn revoke_batch(&self, item_id: u64, keys: Vec<LeaseKey>) {
        let (mine, others) = self.at_work.take(keys);
        for key in others {
            // Whoever is at it may be about to end with it still due.
            self.note_at(self.clock.now() + SOON, key);
        }
        self.revoke_mine(item_id, &mine.keys).await;
    }

    async fn revoke_mine(&self, item_id: u64, keys: &[LeaseKey]) {
        let (secret, payload) = match self.catalog.producer(item_id).await {
            Ok(Some(producer)) => producer,
            outcome => return self.postpone(item_id, keys, outcome),
        };
        let mut claimed = Vec::with_capacity(keys.len());
        for key in keys {
            claimed.extend(self.claim(key, &secret).await);
        }
        if claimed.is_empty() {
            return;
        }
        failpoint::reach("revoking");
        self.call_and_settle(&secret, payload, claimed).await;
        self.forget_producer(item_id).await;
    }

    /// The producer's record cannot be had: without it nothing can be revoked, and nothing is given up.
    fn postpone(
        &self,
        item_id: u64,
        keys: &[LeaseKey],
        outcome: Result<Option<(DynamicSecret, SecretValue)>, CatalogError>,
    ) {
        match outcome {
            Err(error) => tracing::error!(item_id, %error, "producer not read; its leases wait"),
            Ok(_) => tracing::error!(item_id, "no producer for leases that are due"),
        }
        for key in keys {
            self.note_at(self.clock.now() + WITHOUT_PRODUCER, key.clone());
        }
    }

    async fn claim(&self, key: &LeaseKey, secret: &DynamicSecret) -> Option<Recorded> {
        let now = self.clock.now();
        let until = now + Duration::from_secs(secret.timeout_sec) + MARGIN;
        match self.ledger.get(key).await {
            Ok(Some(recorded)) => {
                // Renewed, revoked or claimed by another node: then it is not ours.
                let claim = recorded.lease.claim(&self.owner, now, until).ok()?;
                match self.replace(&recorded, claim).await {
                    Ok(claimed) => return Some(claimed),
                    Err(LedgerError::Changed) => {}
                    Err(error) => tracing::error!(lease = %key.lease_id, %error, "lease not claimed"),
                }
            }
            Ok(None) => return None,
            Err(error) => tracing::error!(lease = %key.lease_id, %error, "lease not read"),
        }
        self.note_at(now + SOON, key.clone());
        None
    }

    async fn call_and_settle(&self, secret: &DynamicSecret, payload: SecretValue, claimed: Vec<Recorded>) {
        let keys: Vec<LeaseKey> = claimed.iter().map(|recorded| LeaseKey::of(&recorded.lease)).collect();
        let mut to_revoke = Vec::with_capacity(claimed.len());
        for recorded in claimed {
            to_revoke.extend(self.let_go_if_shared(recorded, &keys).await);
        }
        let ids: BTreeSet<String> =
            to_revoke.iter().filter_map(|recorded| recorded.lease.producer_id().map(str::to_owned)).collect();
        if ids.is_empty() {
            return;
        }
        let ids: Vec<String> = ids.into_iter().collect();
        let answer = self.producers.of(secret, payload).revoke(&ids).await;
        failpoint::reach("revoke-answered");
        let (gone, why) = match answer {
            Ok(answer) => {
                let unnamed = answer.message.map_or_else(
                    || "the producer did not name it as revoked".to_owned(),
                    |message| format!("the producer did not name it as revoked: {message}"),
                );
                (answer.gone.into_iter().collect::<HashSet<_>>(), unnamed)
            }
            Err(error) => (HashSet::new(), error.to_string()),
        };
        for recorded in to_revoke {
            let revoked = recorded.lease.producer_id().is_some_and(|id| gone.contains(id));
            self.settle(&recorded, revoked, &why).await;
        }
    }

    /// Ends a lease whose credential another lease holds too, without a call: the credential goes with the last of them.
    /// Gives the lease back if it is the last, or if that cannot be told.
    async fn let_go_if_shared(&self, recorded: Recorded, batch: &[LeaseKey]) -> Option<Recorded> {
        let held = match self.ledger.held_elsewhere(&recorded.lease, batch).await {
            Ok(None) => return Some(recorded),
            Ok(Some(held)) => held,
            Err(error) => {
                tracing::error!(lease = %recorded.lease.id, %error, "who else holds a credential is not known");
                self.note_at(self.clock.now() + SOON, LeaseKey::of(&recorded.lease));
                return None;
            }
        };
        let ended = recorded.lease.revoked(self.clock.now()).ok()?;
        // The condition is that the other still holds it: of two that let go at the same time, one has to call.
        if let Err(error) = self.replace_if(&recorded, ended, Some(held)).await {
            tracing::debug!(lease = %recorded.lease.id, %error, "a shared credential was let go elsewhere");
            self.note_at(self.clock.now() + SOON, LeaseKey::of(&recorded.lease));
        }
        None
    }

    async fn settle(&self, recorded: &Recorded, revoked: bool, why: &str) {
        let now = self.clock.now();
        let lease = &recorded.lease;
        let next = if revoked {
            lease.revoked(now)
        } else {
            lease.retry(why.to_owned(), now, &mut fastrand::Rng::new())
        };
        let Ok(next) = next else { return };
        match self.replace(recorded, next).await {
            Ok(_) if revoked => {
                failpoint::reach("revoked");
                tracing::info!(lease = %lease.id, item = %lease.item_name, "lease revoked");
            }
            Ok(_) => tracing::warn!(lease = %lease.id, item = %lease.item_name, "lease not revoked yet"),
            // The claim ends by itself, and then it is tried again: revoking twice harms nobody.
            Err(error) => {
                tracing::error!(lease = %lease.id, %error, "outcome of a revocation not recorded");
                self.note_at(now + SOON, LeaseKey::of(lease));
            }
        }
    }
}

/// The most ids in one call to a producer.
pub(super) const BATCH: usize = 100;

/// Between the end of the producer's time and the end of the claim.
const MARGIN: Duration = Duration::from_secs(5);

/// When something is tried again that should not have failed.
const SOON: Duration = Duration::from_secs(1);

/// When leases are looked at again whose producer cannot be read.
const WITHOUT_PRODUCER: Duration = Duration::from_secs(30);
