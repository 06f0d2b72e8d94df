//! What others may hear of a lease, a producer or a rotation when it changes: that it did, and nothing secret.
//!
//! A change is told when it is durable, by whoever has made it, once. Whoever listens never keeps the engine waiting, and
//! what is not heard is lost to nobody: the store is the truth.

use gateward_clock::Timestamp;
use gateward_model::ItemName;
use serde::Serialize;

use crate::lease::{Lease, LeaseId, LeaseState};

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusChange {
    /// Of a lease.
    Lease {
        /// Which.
        lease_id: LeaseId,
        /// The dynamic secret that it is a credential of.
        item: Subject,
        /// Who holds it.
        access_id: String,
        /// What it is now.
        status: LeaseStatus,
        /// When it is to be revoked, as long as it lives.
        expires_at: Option<Timestamp>,
    },
    /// Of a producer that is called, or no longer.
    Producer {
        /// Whose producer it is.
        item: Subject,
        /// What it is now.
        status: ProducerStatus,
    },
    /// Of the payload of a dynamic secret, or the value of a rotated secret, that was to be replaced.
    Rotation {
        /// Whose.
        item: Subject,
        /// What came of it.
        status: RotationStatus,
    },
}

/// A dynamic or a rotated secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its number.
    pub id: u64,
    /// Its name, where it is known.
    pub name: Option<ItemName>,
}

/// What a lease can become that others hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseStatus {
    /// The credential is out.
    Issued,
    /// It lives to another time than before.
    Renewed,
    /// The producer has made none.
    NotIssued,
    /// One may exist, and nobody knows its name.
    Unknown,
    /// It should be gone, and its producer does not do it.
    Parked,
    /// It is gone.
    Revoked,
    /// An operator lets it be.
    Abandoned,
    /// An operator knows that there is none.
    Settled,
}

/// What a producer can become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProducerStatus {
    /// It has failed again and again, and is only tried from time to time.
    CircuitOpen,
    /// It has answered again.
    CircuitClosed,
}

/// What can come of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RotationStatus {
    /// The new payload is kept.
    Rotated,
    /// The producer has made none.
    NotRotated,
    /// The producer may have made one, and its answer is lost.
    Unknown,
}

/// Hears of changes.
pub trait StatusListener: Send + Sync {
    /// A change was made. It must not wait for anything.
    fn hear(&self, change: StatusChange);
}

/// The change from `before`, or from nothing, to `after`, if others hear of it.
pub(crate) fn change(before: Option<&Lease>, after: &Lease) -> Option<StatusChange> {
    let status = match (before.map(|before| &before.state), &after.state) {
        (
            Some(LeaseState::Active { expires_at: before, .. }),
            LeaseState::Active { expires_at: after, .. },
        ) => (before != after).then_some(LeaseStatus::Renewed)?,
        (_, LeaseState::Active { .. }) => LeaseStatus::Issued,
        (Some(LeaseState::Parked(_)), LeaseState::Parked(_))
        | (Some(LeaseState::Unknown { .. }), LeaseState::Unknown { .. })
        | (_, LeaseState::Intent { .. } | LeaseState::Revoking(_)) => return None,
        (_, LeaseState::Parked(_)) => LeaseStatus::Parked,
        (_, LeaseState::Unknown { .. }) => LeaseStatus::Unknown,
        (_, LeaseState::Revoked { .. }) => LeaseStatus::Revoked,
        (_, LeaseState::Abandoned { .. }) => LeaseStatus::Abandoned,
        (_, LeaseState::Settled { .. }) => LeaseStatus::Settled,
    };
    Some(of(after, status))
}

/// The producer has made no credential for `lease`.
pub(crate) fn not_issued(lease: &Lease) -> StatusChange {
    of(lease, LeaseStatus::NotIssued)
}

fn of(lease: &Lease, status: LeaseStatus) -> StatusChange {
    let expires_at = match lease.state {
        LeaseState::Active { expires_at, .. } => Some(expires_at),
        _ => None,
    };
    StatusChange::Lease {
        lease_id: lease.id,
        item: Subject { id: lease.item_id, name: Some(lease.item_name.clone()) },
        access_id: lease.holder.access_id.clone(),
        status,
        expires_at,
    }
}
