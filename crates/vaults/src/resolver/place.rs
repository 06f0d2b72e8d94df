//! A vault among those that there are, and the calls to it.

use std::sync::Arc;

use gateward_model::Invalid;

use super::binding::Binding;
use super::lane::Lane;
use super::slot::Key;
use crate::unresolved::{Miss, MissKind};
use crate::vault::{Backing, OpenVault};

/// A vault, and the calls to it.
pub(super) struct Place {
    pub(super) vault: OpenVault,
    pub(super) lane: Lane<Arc<Key>>,
    /// Tells it from what was set under its name before.
    pub(super) generation: u64,
    /// Changes each time it is opened anew, so that answers of what was open before are known.
    pub(super) epoch: u64,
    /// Hears of the values that its settings refer to.
    pub(super) binding: Option<Binding>,
}

impl Place {
    pub(super) fn new(vault: OpenVault, generation: u64) -> Self {
        let lane = match &vault.backing {
            Backing::Open(_) => Lane::new(),
            Backing::Pending => Lane::closed(),
            Backing::Broken(invalid) => Lane::shut(unusable(invalid)),
        };
        Self { vault, lane, generation, epoch: generation, binding: None }
    }
}

/// The miss of whoever asks a vault that cannot be opened.
pub(super) fn unusable(invalid: &Invalid) -> Miss {
    Miss::new(MissKind::Misconfigured, format!("the vault cannot be used: {invalid}"))
}
