//! Something that is to be rotated, as it was read: a dynamic secret's payload, or the value of a rotated secret.

use std::time::Duration;

use gateward_model::ItemName;

use super::{Rotation, secrets};
use crate::items::Producer;

/// What was read.
pub(super) enum Loaded {
    /// With the version of its record.
    Dynamic(Box<(Producer, u64)>),
    Rotated(Box<secrets::Rotated>),
}

impl Loaded {
    pub(super) fn name(&self) -> ItemName {
        match self {
            Self::Dynamic(read) => read.0.secret.name.clone(),
            Self::Rotated(rotated) => rotated.name.clone(),
        }
    }

    pub(super) fn rotation(&self) -> Rotation {
        match self {
            Self::Dynamic(read) => read.0.rotation.clone(),
            Self::Rotated(rotated) => rotated.rotation.clone(),
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(match self {
            Self::Dynamic(read) => read.0.secret.timeout_sec,
            Self::Rotated(rotated) => rotated.timeout_sec,
        })
    }

    /// Whether the same call again is the same rotation; only a dry run tells, and a rotated secret has none.
    pub(super) fn is_repeatable(&self) -> bool {
        matches!(self, Self::Dynamic(read) if read.0.secret.capabilities.request_id)
    }

    pub(super) fn has_no_url(&self) -> bool {
        matches!(self, Self::Dynamic(read) if read.0.secret.rotate_sync_url().is_none())
    }
}
