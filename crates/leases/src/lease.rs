//! The lease machine: what a lease is, and each step that its life may take.
//!
//! Pure: a step takes the record and the time, and gives the next record or refuses. Whoever stores the result does
//! so only if the record has not changed in the meantime, which is what makes a step safe against every other.
//!
//! ```text
//!  INTENT ──create──► ACTIVE ──due──► REVOKING ──► REVOKED
//!     │                  │ renew        │  ▲
//!     │                  └──────────────┤  └─ PARKED ──► ABANDONED
//!     └─ answer lost ─► UNKNOWN ────────┘
//!                          └──► SETTLED
//! ```

mod id;
mod state;

use std::collections::BTreeMap;
use std::time::Duration;

use gateward_clock::Timestamp;
use gateward_model::ItemName;
use serde::{Deserialize, Serialize};

pub use id::LeaseId;
pub(crate) use id::hexadecimal;
pub use state::{Asking, Claim, LeaseState, Revocation, Verdict};

use crate::backoff;
use crate::ledger::Counted;
use crate::producer::RevokeFailure;

/// Who asked for a credential; producers are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The caller's access id.
    pub access_id: String,
    /// What is known of the caller.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sub_claims: BTreeMap<String, Vec<String>>,
}

/// One credential that was issued, or may have been, and must be revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Its name.
    pub id: LeaseId,
    /// The dynamic secret that it comes from.
    pub item_id: u64,
    /// That secret's name when it was issued.
    pub item_name: ItemName,
    /// Who asked for it.
    pub holder: Holder,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// How long the credential lives, in milliseconds from the producer's answer.
    pub ttl_millis: u64,
    /// How long it was given with its last renewal, from that one on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed_millis: Option<u64>,
    /// Which parts of the counters count it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) counted: Option<Counted>,
    /// The same of a lease that began under the version before: the part of the gateway's counter.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) counted_in: u8,
    /// Whether what the producer was asked with is kept, to ask again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) order_kept: bool,
    /// Where its idempotency key stands, if the caller gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) again: Option<String>,
    /// Where it stands.
    pub state: LeaseState,
}

/// A step that the lease's state does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease is not in a state that allows this")]
pub struct Refused;

impl Lease {
    /// A lease about to be created.
    pub fn intent(
        item: (u64, &ItemName),
        holder: Holder,
        ttl: Duration,
        now: Timestamp,
        deadline: Timestamp,
    ) -> Self {
        Self {
            id: LeaseId::random(),
            item_id: item.0,
            item_name: item.1.clone(),
            holder,
            created_at: now,
            ttl_millis: millis(ttl),
            renewed_millis: None,
            counted: None,
            counted_in: 0,
            order_kept: false,
            again: None,
            state: LeaseState::Intent { deadline },
        }
    }

    /// When somebody must look at it next; `None` when nothing is left to do, or nothing can be done.
    pub fn due(&self) -> Option<Timestamp> {
        match &self.state {
            LeaseState::Intent { deadline } => Some(*deadline),
            LeaseState::Active { expires_at, .. } => Some(*expires_at),
            LeaseState::Revoking(work) | LeaseState::Parked(work) => {
                Some(work.claim.as_ref().map_or(work.next_at, |claim| claim.until))
            }
            LeaseState::Unknown { asking: Some(asking), .. } => {
                Some(asking.claim.as_ref().map_or(asking.next_at, |claim| claim.until))
            }
            LeaseState::Unknown { asking: None, .. }
            | LeaseState::Revoked { .. }
            | LeaseState::Abandoned { .. }
            | LeaseState::Settled { .. } => None,
        }
    }

    /// The producer's name for the credential, where it is known.
    pub fn producer_id(&self) -> Option<&str> {
        match &self.state {
            LeaseState::Active { producer_id, .. }
            | LeaseState::Revoked { producer_id, .. }
            | LeaseState::Abandoned { producer_id, .. } => Some(producer_id),
            LeaseState::Revoking(work) | LeaseState::Parked(work) => Some(&work.producer_id),
            LeaseState::Intent { .. } | LeaseState::Unknown { .. } | LeaseState::Settled { .. } => None,
        }
    }

    /// Who is at it.
    pub fn claim_held(&self) -> Option<&Claim> {
        match &self.state {
            LeaseState::Revoking(work) | LeaseState::Parked(work) => work.claim.as_ref(),
            LeaseState::Unknown { asking: Some(asking), .. } => asking.claim.as_ref(),
            _ => None,
        }
    }

    /// Whether its life is over, and it counts no more.
    pub fn is_over(&self) -> bool {
        matches!(
            self.state,
            LeaseState::Revoked { .. } | LeaseState::Abandoned { .. } | LeaseState::Settled { .. }
        )
    }

    /// The producer has answered: the credential `producer_id` is out, and its time runs from `now`.
    pub fn activate(&self, producer_id: String, now: Timestamp) -> Result<Self, Refused> {
        match self.state {
            LeaseState::Intent { .. } => {
                let expires_at = now + Duration::from_millis(self.ttl_millis);
                Ok(self.with(LeaseState::Active { producer_id, expires_at }))
            }
            _ => Err(Refused),
        }
    }

    /// The producer's answer is lost, or names no credential. If it can be asked again, that is due after a moment.
    pub fn lose(&self, reason: impl Into<String>, now: Timestamp, askable: bool) -> Result<Self, Refused> {
        match self.state {
            LeaseState::Intent { .. } => {
                let asking = askable.then(|| Asking {
                    attempts: 0,
                    next_at: now + ASK_AFTER,
                    claim: None,
                    last_error: None,
                });
                Ok(self.with(LeaseState::Unknown { since: now, reason: reason.into(), asking }))
            }
            _ => Err(Refused),
        }
    }

    /// The credential `producer_id` exists and nobody is to have it: its answer was unusable, came too late, or somebody
    /// has found it out since.
    pub fn discard(&self, producer_id: String, now: Timestamp) -> Result<Self, Refused> {
        match self.state {
            LeaseState::Intent { .. } | LeaseState::Unknown { .. } => {
                Ok(self.with(LeaseState::Revoking(Revocation::new(producer_id, now))))
            }
            _ => Err(Refused),
        }
    }

    /// Another lease, for the credential `producer_id` that came of this one when its record was gone already.
    #[must_use]
    pub fn found(&self, producer_id: String, now: Timestamp) -> Self {
        let state = LeaseState::Revoking(Revocation::new(producer_id, now));
        Self { id: LeaseId::random(), again: None, order_kept: false, state, ..self.clone() }
    }

    /// The credential lives until `expires_at` instead. Refused once its time is over: then somebody may be at it.
    pub fn renew(&self, expires_at: Timestamp, now: Timestamp) -> Result<Self, Refused> {
        match &self.state {
            LeaseState::Active { producer_id, expires_at: until } if *until > now => {
                let renewed = self.with(LeaseState::Active { producer_id: producer_id.clone(), expires_at });
                let given = millis(expires_at.saturating_since(now));
                Ok(Self { renewed_millis: Some(given), ..renewed })
            }
            _ => Err(Refused),
        }
    }

    /// The credential must go now, before its time, or before the next attempt's.
    pub fn revoke(&self, now: Timestamp) -> Result<Self, Refused> {
        match &self.state {
            LeaseState::Active { producer_id, .. } => {
                Ok(self.with(LeaseState::Revoking(Revocation::new(producer_id.clone(), now))))
            }
            // Already on its way, perhaps waiting for its next attempt: that is now.
            LeaseState::Revoking(work) | LeaseState::Parked(work) if work.claim.is_none() => {
                Ok(self.working(Revocation { next_at: now, ..work.clone() }))
            }
            _ => Err(Refused),
        }
    }

    /// `owner` takes over what is due, until `until`, if nobody else is at it.
    ///
    /// A claim of `owner` itself does not count when `owner` knows that it is not at it: it is from before a restart.
    pub fn claim(&self, owner: &str, now: Timestamp, until: Timestamp) -> Result<Self, Refused> {
        let free = |claim: &Option<Claim>, next_at: Timestamp| match claim {
            None => next_at <= now,
            Some(claim) => claim.until <= now || claim.owner == owner,
        };
        let claim = |fence: u32| Some(Claim { owner: owner.to_owned(), fence: u64::from(fence), until });
        match &self.state {
            LeaseState::Active { producer_id, expires_at } if *expires_at <= now => {
                let work = Revocation::new(producer_id.clone(), now);
                Ok(self.with(LeaseState::Revoking(Revocation { attempts: 1, claim: claim(1), ..work })))
            }
            LeaseState::Revoking(work) | LeaseState::Parked(work) if free(&work.claim, work.next_at) => {
                let attempts = work.attempts.saturating_add(1);
                Ok(self.working(Revocation { attempts, claim: claim(attempts), ..work.clone() }))
            }
            LeaseState::Unknown { since, reason, asking: Some(asking) }
                if free(&asking.claim, asking.next_at) =>
            {
                let attempts = asking.attempts.saturating_add(1);
                let asking = Some(Asking { attempts, claim: claim(attempts), ..asking.clone() });
                Ok(self.with(LeaseState::Unknown { since: *since, reason: reason.clone(), asking }))
            }
            _ => Err(Refused),
        }
    }

    /// The lease ends without a call, its credential being another lease's, too. Only of what is due and free.
    pub fn let_go(&self, owner: &str, now: Timestamp) -> Result<Self, Refused> {
        let claimed = self.claim(owner, now, now)?;
        claimed.revoked(now)
    }

    /// The producer has named the credential as gone.
    pub fn revoked(&self, now: Timestamp) -> Result<Self, Refused> {
        match &self.state {
            LeaseState::Revoking(work) | LeaseState::Parked(work) if work.claim.is_some() => {
                Ok(self.with(LeaseState::Revoked { producer_id: work.producer_id.clone(), at: now }))
            }
            _ => Err(Refused),
        }
    }

    /// The attempt has failed; the claim is given back, and the next attempt has a time.
    pub fn retry(
        &self,
        failure: RevokeFailure,
        why: &str,
        now: Timestamp,
        rng: &mut fastrand::Rng,
    ) -> Result<Self, Refused> {
        match &self.state {
            LeaseState::Revoking(work) | LeaseState::Parked(work) if work.claim.is_some() => {
                let so_far = now.saturating_since(work.since);
                let next_at = now + backoff::delay(failure, work.attempts, so_far, rng);
                let work =
                    Revocation { next_at, claim: None, last_error: Some(why.to_owned()), ..work.clone() };
                let parked = failure == RevokeFailure::Refused
                    || so_far >= PARKED_AFTER
                    || matches!(self.state, LeaseState::Parked(_));
                Ok(self.with(if parked { LeaseState::Parked(work) } else { LeaseState::Revoking(work) }))
            }
            _ => Err(Refused),
        }
    }

    /// The producer was asked once more for the credential's name, and has not told it.
    pub fn ask_later(&self, why: &str, now: Timestamp, rng: &mut fastrand::Rng) -> Result<Self, Refused> {
        match &self.state {
            LeaseState::Unknown { since, reason, asking: Some(asking) } if asking.claim.is_some() => {
                let so_far = now.saturating_since(*since);
                let next_at = now + backoff::delay(RevokeFailure::Transient, asking.attempts, so_far, rng);
                let last_error = Some(why.to_owned());
                let asking = Some(Asking { attempts: asking.attempts, next_at, claim: None, last_error });
                Ok(self.with(LeaseState::Unknown { since: *since, reason: reason.clone(), asking }))
            }
            _ => Err(Refused),
        }
    }

    /// An operator takes it upon themselves that the credential is let be. Only of a parked one that nobody is at.
    pub fn abandon(&self, verdict: Verdict, now: Timestamp) -> Result<Self, Refused> {
        match &self.state {
            LeaseState::Parked(work) if work.claim.as_ref().is_none_or(|claim| claim.until <= now) => {
                let producer_id = work.producer_id.clone();
                Ok(self.with(LeaseState::Abandoned { producer_id, at: now, verdict }))
            }
            _ => Err(Refused),
        }
    }

    /// An operator knows that no credential exists. Not while the producer is being asked: it may be making one.
    pub fn settle(&self, verdict: Verdict, now: Timestamp) -> Result<Self, Refused> {
        match &self.state {
            LeaseState::Unknown { .. } if self.claim_held().is_none_or(|claim| claim.until <= now) => {
                Ok(self.with(LeaseState::Settled { at: now, verdict }))
            }
            _ => Err(Refused),
        }
    }

    fn with(&self, state: LeaseState) -> Self {
        Self { state, ..self.clone() }
    }

    /// The same kind of work, further on.
    fn working(&self, work: Revocation) -> Self {
        self.with(match self.state {
            LeaseState::Parked(_) => LeaseState::Parked(work),
            _ => LeaseState::Revoking(work),
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u8) -> bool {
    *number == 0
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A revocation that has failed for so long is told to people, who may look at the producer, or abandon it.
const PARKED_AFTER: Duration = Duration::from_secs(3600);

/// A producer is asked again for what it may have made when it had time to make it.
const ASK_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
