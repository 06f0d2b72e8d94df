//! The kinds of vaults. A new one is a file of its own and a line in [`KINDS`].

mod authorized;
mod aws;
mod azure;
mod call;
mod conjur;
mod env;
mod fence;
mod file;
mod fs;
mod gateward;
mod gcp;
mod hcv;
mod text;
mod tokens;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use gateward_aws::Chain;
use gateward_clock::{Clock, Timestamp};
use gateward_items::StaticSecrets;
use gateward_model::Invalid;
use gateward_net::Client;
use gateward_seal::SecretValue;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::reference::{Reference, Version};
use crate::settings::{CHANGING, COMMON, Field, Settings};
use crate::unresolved::Miss;
pub(crate) use fence::Fence;
use file::small_file;
pub(crate) use hcv::Unwrapped;

/// A vault that can be asked.
#[async_trait]
pub(crate) trait Backend: Send + Sync {
    /// The secret, whole.
    async fn fetch(&self, wanted: Wanted<'_>) -> Result<SecretValue, Miss>;

    /// Begins to tell which secrets are no longer what was fetched, if the vault lets that be known. Called once.
    fn follow(&self, _changes: Changes) {}
}

/// Hears from a vault which of its secrets have changed.
#[derive(Clone)]
pub(crate) struct Changes {
    pub(crate) vault: Arc<str>,
    pub(crate) doubts: mpsc::Sender<Doubt>,
}

impl Changes {
    /// The secret `name` is no longer what was fetched. False when nobody is there any more to hear of it.
    pub(crate) async fn tell(&self, name: String) -> bool {
        self.doubts.send(Doubt::Secret { vault: Arc::clone(&self.vault), name }).await.is_ok()
    }
}

/// A sign that a value is not what its vault has now.
pub(crate) enum Doubt {
    /// Who was shown the values of these references refused them.
    Refused(Vec<Reference>),
    /// The vault itself says so.
    Secret {
        /// The vault.
        vault: Arc<str>,
        /// The secret's name.
        name: String,
    },
}

/// What is asked of a vault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// The secret's name.
    pub(crate) name: &'a str,
    /// Which of its versions.
    pub(crate) version: Version,
    /// The time at which it is asked.
    pub(crate) now: Timestamp,
}

/// A kind of vault.
pub(crate) struct Kind {
    /// What entities call it, and references that need no entity.
    pub(crate) name: &'static str,
    /// Its own settings. Each is of its form before anybody else looks at it.
    pub(crate) fields: &'static [Field],
    /// Whether its secrets stay as they are while the process lives, so that times mean nothing to it.
    pub(crate) is_constant: bool,
    /// Checks what the fields' forms do not say.
    pub(crate) check: fn(&Settings<'_>) -> Result<(), Invalid>,
    /// Opens it.
    pub(crate) open: Open,
}

impl Kind {
    /// All settings that it can have.
    pub(crate) fn all_fields(&self) -> impl Iterator<Item = &'static Field> + use<> {
        let changing: &[Field] = if self.is_constant { &[] } else { CHANGING };
        self.fields.iter().chain(COMMON).chain(changing)
    }
}

/// Makes a vault of its settings. Nobody is called for it yet.
pub(crate) type Open = fn(&Settings<'_>, &Surroundings) -> Result<Arc<dyn Backend>, Invalid>;

/// What a backend may use.
pub(crate) struct Surroundings {
    pub(crate) clock: Arc<dyn Clock>,
    /// Where its tasks run.
    pub(crate) runtime: Handle,
    pub(crate) client: Client,
    pub(crate) environment: Arc<BTreeMap<String, String>>,
    /// Whom AWS takes this process for.
    pub(crate) aws: Arc<Chain>,
    /// What calls the metadata services of clouds, which no other client may.
    pub(crate) metadata_client: Client,
    /// What wrapping tokens stood for, which can be unwrapped once.
    pub(crate) unwrapped: Arc<Unwrapped>,
    /// The gateway's own secrets, where this process is one.
    pub(crate) secrets: Option<Arc<StaticSecrets>>,
    /// Keeps vaults from files that they must not read.
    pub(crate) fence: Arc<Fence>,
}

/// All kinds of vaults.
pub(crate) const KINDS: &[Kind] =
    &[env::KIND, aws::KIND, azure::KIND, conjur::KIND, fs::KIND, gateward::KIND, gcp::KIND, hcv::KIND];

/// The kind called `name`.
pub(crate) fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}
