//! The kinds of vaults. A new one is a file of its own and a line in [`KINDS`].

mod aws;
mod env;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use gateward_aws::Chain;
use gateward_clock::Timestamp;
use gateward_model::Invalid;
use gateward_net::Client;
use gateward_seal::SecretValue;

use crate::reference::Overrides;
use crate::settings::Settings;
use crate::unresolved::Miss;

/// A vault that can be asked.
#[async_trait]
pub(crate) trait Backend: Send + Sync {
    /// The secret called `name`, whole.
    async fn fetch(&self, name: &str, now: Timestamp) -> Result<SecretValue, Miss>;
}

/// A kind of vault.
pub(crate) struct Kind {
    /// What entities call it, and references that need no entity.
    pub(crate) name: &'static str,
    /// Checks the settings, those that the environment gives included.
    pub(crate) check: fn(&Settings<'_>) -> Result<(), Invalid>,
    /// Opens it.
    pub(crate) open: fn(&Settings<'_>, &Surroundings) -> Result<Opened, Invalid>,
}

/// What a backend may use.
pub(crate) struct Surroundings {
    pub(crate) client: Client,
    pub(crate) environment: Arc<BTreeMap<String, String>>,
    /// Whom AWS takes this process for.
    pub(crate) aws: Arc<Chain>,
}

/// A vault that was opened.
pub(crate) struct Opened {
    pub(crate) backend: Arc<dyn Backend>,
    /// The times that its settings give.
    pub(crate) times: Overrides,
}

/// All kinds of vaults.
pub(crate) const KINDS: &[Kind] = &[env::KIND, aws::KIND];

/// The kind called `name`.
pub(crate) fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}
