//! Where a lease stands. Each state has what it needs and nothing else.

use gateward_clock::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a lease stands.
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
    Revoking(Revocation),
    /// The same, and for so long, or so hopelessly, that people must know. Still tried.
    Parked(Revocation),
    /// The producer has said that it is gone.
    Revoked {
        /// The producer's name for it.
        producer_id: String,
        /// Since when.
        at: Timestamp,
    },
    /// An operator has decided that it is let be, though it may work.
    Abandoned {
        /// The producer's name for it.
        producer_id: String,
        /// Since when.
        at: Timestamp,
        /// Who, and why.
        verdict: Verdict,
    },
    /// A credential may exist, and nobody knows its name.
    Unknown {
        /// Since when.
        since: Timestamp,
        /// What is known, for people.
        reason: String,
        /// Where the producer can be asked again for the name. Elsewhere an operator must settle it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asking: Option<Asking>,
    },
    /// An operator knows that there is no credential, or that it is gone.
    Settled {
        /// Since when.
        at: Timestamp,
        /// Who, and why.
        verdict: Verdict,
    },
}

/// The work of revoking one credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// The producer's name for it.
    pub producer_id: String,
    /// Since when it must go.
    pub since: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried (again), if nobody has claimed it.
    pub next_at: Timestamp,
    /// Who is at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Why the last attempt failed, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

impl Revocation {
    pub(super) fn new(producer_id: String, now: Timestamp) -> Self {
        Self { producer_id, since: now, attempts: 0, next_at: now, claim: None, last_error: None }
    }
}

/// The work of finding out what a producer has made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asking {
    /// How often it was asked.
    pub attempts: u32,
    /// When it is asked (again), if nobody has claimed it.
    pub next_at: Timestamp,
    /// Who is at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Why it has not told, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// Somebody is at it, until a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Who.
    pub owner: String,
    /// Grows with each claim, so that a late answer of an earlier one is told apart.
    pub fence: u64,
    /// Until when; then anybody may claim.
    pub until: Timestamp,
}

/// What an operator has decided; kept with the lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The operator's access id.
    pub by: String,
    /// Why, in their words.
    pub reason: String,
}
