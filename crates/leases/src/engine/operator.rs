//! What only an operator can decide: that a parked credential is let be, what an UNKNOWN lease really is, and that held
//! revocations may go on. Each with a reason, kept with the lease and told in the log.

use super::Engine;
use crate::due::LeaseKey;
use crate::failpoint;
use crate::lease::{LeaseId, LeaseState, Verdict};
use crate::ledger::{Hold, LedgerError};

/// What an operator has found out about an UNKNOWN lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// There is no credential, or it is gone.
    Nothing,
    /// There is one, with this name at the producer; it is revoked.
    Credential(String),
}

/// Why an operator's decision was not taken.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// No such lease, or it is over.
    #[error("there is no lease {0} of this item")]
    Missing(LeaseId),
    /// It can be abandoned when it is parked, and nobody is at it.
    #[error("lease {0} is not parked, or is being tried at this moment; only a parked one can be abandoned")]
    NotParked(LeaseId),
    /// It can be settled when it is UNKNOWN.
    #[error(
        "lease {0} is not UNKNOWN, or its producer is being asked at this moment; there is nothing to settle"
    )]
    NotUnknown(LeaseId),
    /// A decision wants a reason.
    #[error("say why: the reason is kept with the lease")]
    NoReason,
    /// The store, or the witness of it, failed.
    #[error("{0}")]
    Guard(String),
    /// The store failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl Engine {
    /// Lets a parked credential be, though it may work.
    pub async fn abandon(
        &self,
        item_id: u64,
        lease_id: LeaseId,
        verdict: Verdict,
    ) -> Result<(), OperatorError> {
        reasoned(&verdict)?;
        loop {
            let key = LeaseKey { item_id, lease_id };
            let recorded = self.ledger.get(key).await?.ok_or(OperatorError::Missing(lease_id))?;
            let abandoned = recorded.lease.abandon(verdict.clone(), self.clock.now());
            let abandoned = abandoned.map_err(|_| OperatorError::NotParked(lease_id))?;
            match self.replace(&recorded, abandoned, Hold::Leave).await {
                Ok(_) => {
                    failpoint::reach("abandoned");
                    tracing::warn!(lease = %lease_id, verdict.by, why = verdict.reason, "lease abandoned");
                    self.forget_producer(item_id).await;
                    return Ok(());
                }
                Err(LedgerError::Changed { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Settles an UNKNOWN lease.
    pub async fn settle(
        &self,
        item_id: u64,
        lease_id: LeaseId,
        settlement: Settlement,
        verdict: Verdict,
    ) -> Result<(), OperatorError> {
        reasoned(&verdict)?;
        loop {
            let key = LeaseKey { item_id, lease_id };
            let recorded = self.ledger.get(key).await?.ok_or(OperatorError::Missing(lease_id))?;
            if !matches!(recorded.lease.state, LeaseState::Unknown { .. }) {
                return Err(OperatorError::NotUnknown(lease_id));
            }
            let now = self.clock.now();
            let (settled, hold) = match &settlement {
                Settlement::Nothing => (recorded.lease.settle(verdict.clone(), now), Hold::Keep),
                Settlement::Credential(id) => (recorded.lease.discard(id.clone(), now), Hold::JoinToRevoke),
            };
            let settled = settled.map_err(|_| OperatorError::NotUnknown(lease_id))?;
            match self.replace(&recorded, settled, hold).await {
                Ok(_) => {
                    failpoint::reach("settled");
                    tracing::warn!(lease = %lease_id, verdict.by, why = verdict.reason, "UNKNOWN lease settled");
                    self.forget_producer(item_id).await;
                    return Ok(());
                }
                Err(LedgerError::Changed { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Lets revocations go on that were held; says whether any were.
    pub async fn let_go(&self, verdict: Verdict) -> Result<bool, OperatorError> {
        reasoned(&verdict)?;
        let held =
            self.guard.let_go(&verdict).await.map_err(|error| OperatorError::Guard(error.to_string()))?;
        self.look_again();
        Ok(held)
    }
}

fn reasoned(verdict: &Verdict) -> Result<(), OperatorError> {
    match verdict.reason.trim().is_empty() {
        true => Err(OperatorError::NoReason),
        false => Ok(()),
    }
}
