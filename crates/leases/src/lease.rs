//! The lease machine: what a lease is, and each step that its life may take.
//!
//! Pure: a step takes the record and the time, and gives the next record or refuses. Whoever stores the result does
//! so only if the record has not changed in the meantime, which is what makes a step safe against every other.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use gateward_clock::Timestamp;
use gateward_model::ItemName;
use serde::{Deserialize, Serialize};

use crate::backoff;

/// The name of a lease: `l-` and 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseId(String);

impl LeaseId {
    /// A name that no other lease has.
    pub fn random() -> Self {
        // Not a secret: whoever acts on a lease is asked who they are.
        Self(format!("l-{:032x}", fastrand::u128(..)))
    }

    /// The lease that `text` names.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Who asked for a credential; producers are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The caller's access id.
    pub access_id: String,
    /// What is known of the caller.
    #[serde(default)]
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
    /// Where it stands.
    pub state: LeaseState,
}

/// Where a lease stands; each state has what it needs and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LeaseState {
    /// The producer is about to be called, or is being called.
    Intent {
        /// When its answer counts as lost.
        deadline: Timestamp,
    },
    /// The credential is out.
    Active {
        /// The producer's name for it.
        producer_id: String,
        /// When it is to be revoked.
        expires_at: Timestamp,
    },
    /// The credential must go.
    Revoking {
        /// The producer's name for it.
        producer_id: String,
        /// Since when.
        since: Timestamp,
        /// How often it was tried.
        attempts: u32,
        /// When it is tried (again), if nobody has claimed it.
        next_at: Timestamp,
        /// Who is at it.
        claim: Option<Claim>,
        /// Why the last attempt failed, for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_error: Option<String>,
    },
    /// The producer has said that it is gone.
    Revoked {
        /// The producer's name for it.
        producer_id: String,
        /// Since when.
        at: Timestamp,
    },
    /// A credential may exist, and nobody knows its name; for an operator to settle.
    Unknown {
        /// Since when.
        since: Timestamp,
        /// What is known, for people.
        reason: String,
    },
}

/// Somebody is at a revocation, until a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Who.
    pub owner: String,
    /// Grows with each claim, so that a late answer of an earlier one is told apart.
    pub fence: u64,
    /// Until when; then anybody may claim.
    pub until: Timestamp,
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
            ttl_millis: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
            state: LeaseState::Intent { deadline },
        }
    }

    /// When somebody must look at it next; `None` when nothing is left to do.
    pub fn due(&self) -> Option<Timestamp> {
        match &self.state {
            LeaseState::Intent { deadline } => Some(*deadline),
            LeaseState::Active { expires_at, .. } => Some(*expires_at),
            LeaseState::Revoking { claim: Some(claim), .. } => Some(claim.until),
            LeaseState::Revoking { next_at, .. } => Some(*next_at),
            LeaseState::Revoked { .. } | LeaseState::Unknown { .. } => None,
        }
    }

    /// The producer's name for the credential, where it is known.
    pub fn producer_id(&self) -> Option<&str> {
        match &self.state {
            LeaseState::Active { producer_id, .. }
            | LeaseState::Revoking { producer_id, .. }
            | LeaseState::Revoked { producer_id, .. } => Some(producer_id),
            LeaseState::Intent { .. } | LeaseState::Unknown { .. } => None,
        }
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

    /// The producer's answer is lost, or names no credential.
    pub fn lose(&self, reason: impl Into<String>, now: Timestamp) -> Result<Self, Refused> {
        match self.state {
            LeaseState::Intent { .. } => {
                Ok(self.with(LeaseState::Unknown { since: now, reason: reason.into() }))
            }
            _ => Err(Refused),
        }
    }

    /// The credential `producer_id` exists and nobody is to have it: its answer was unusable, or came too late.
    pub fn discard(&self, producer_id: String, now: Timestamp) -> Result<Self, Refused> {
        match self.state {
            LeaseState::Intent { .. } | LeaseState::Unknown { .. } => {
                Ok(self.with(revoking(producer_id, now)))
            }
            _ => Err(Refused),
        }
    }

    /// The credential must go now, before its time.
    pub fn revoke(&self, now: Timestamp) -> Result<Self, Refused> {
        match &self.state {
            LeaseState::Active { producer_id, .. } => Ok(self.with(revoking(producer_id.clone(), now))),
            // Already on its way, perhaps waiting for its next attempt: that is now.
            LeaseState::Revoking { producer_id, since, attempts, claim: None, last_error, .. } => Ok(self
                .with(LeaseState::Revoking {
                    producer_id: producer_id.clone(),
                    since: *since,
                    attempts: *attempts,
                    next_at: now,
                    claim: None,
                    last_error: last_error.clone(),
                })),
            _ => Err(Refused),
        }
    }

    /// `owner` takes the revocation over until `until`, if it is due and nobody else is at it.
    ///
    /// A claim of `owner` itself does not count when `owner` knows that it is not at it: it is from before a restart.
    pub fn claim(&self, owner: &str, now: Timestamp, until: Timestamp) -> Result<Self, Refused> {
        let (producer_id, since, attempts, fence, last_error) = match &self.state {
            LeaseState::Active { producer_id, expires_at } if *expires_at <= now => {
                (producer_id, now, 0, 1, &None)
            }
            LeaseState::Revoking { producer_id, since, attempts, next_at, claim: None, last_error }
                if *next_at <= now =>
            {
                (producer_id, *since, *attempts, u64::from(*attempts) + 1, last_error)
            }
            LeaseState::Revoking { producer_id, since, attempts, claim: Some(claim), last_error, .. }
                if claim.until <= now || claim.owner == owner =>
            {
                (producer_id, *since, *attempts, claim.fence + 1, last_error)
            }
            _ => return Err(Refused),
        };
        Ok(self.with(LeaseState::Revoking {
            producer_id: producer_id.clone(),
            since,
            attempts: attempts.saturating_add(1),
            next_at: now,
            claim: Some(Claim { owner: owner.to_owned(), fence, until }),
            last_error: last_error.clone(),
        }))
    }

    /// The producer has named the credential as gone.
    pub fn revoked(&self, now: Timestamp) -> Result<Self, Refused> {
        match &self.state {
            LeaseState::Revoking { producer_id, claim: Some(_), .. } => {
                Ok(self.with(LeaseState::Revoked { producer_id: producer_id.clone(), at: now }))
            }
            _ => Err(Refused),
        }
    }

    /// The attempt has failed; the claim is given back, and the next attempt has a time.
    pub fn retry(&self, why: String, now: Timestamp, rng: &mut fastrand::Rng) -> Result<Self, Refused> {
        match &self.state {
            LeaseState::Revoking { producer_id, since, attempts, claim: Some(_), .. } => {
                let wait = backoff::delay(*attempts, now.saturating_since(*since), rng);
                Ok(self.with(LeaseState::Revoking {
                    producer_id: producer_id.clone(),
                    since: *since,
                    attempts: *attempts,
                    next_at: now + wait,
                    claim: None,
                    last_error: Some(why),
                }))
            }
            _ => Err(Refused),
        }
    }

    fn with(&self, state: LeaseState) -> Self {
        Self { state, ..self.clone() }
    }
}

fn revoking(producer_id: String, now: Timestamp) -> LeaseState {
    LeaseState::Revoking { producer_id, since: now, attempts: 0, next_at: now, claim: None, last_error: None }
}

#[cfg(test)]
mod tests;
