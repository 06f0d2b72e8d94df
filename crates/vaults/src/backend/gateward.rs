//! The gateway's own static secrets as a vault.
//!
//! `{vault://gateward/databases/orders/password}` is the field `password` of the secret `/databases/orders`, or else the
//! secret `/databases/orders/password`; with the prefix `/team`, the same below that folder. A secret that changes is
//! asked for again at once, whichever gateway on the same store has changed it.

use std::sync::Arc;

use async_trait::async_trait;
use gateward_items::{ItemError, StaticSecrets, Which};
use gateward_model::{Invalid, ItemName};
use gateward_seal::SecretValue;
use tokio::runtime::Handle;

use super::{Backend, Changes, Kind, Surroundings, Wanted};
use crate::reference::Version;
use crate::settings::{Field, Settings};
use crate::unresolved::{Miss, MissKind};

pub(super) const KIND: Kind = Kind {
    name: "gateward",
    fields: &[Field::text("prefix")],
    is_constant: false,
    check: |settings| prefix(settings).map(|_| ()),
    open,
};

struct Own {
    prefix: String,
    secrets: Arc<StaticSecrets>,
    runtime: Handle,
}

fn open(settings: &Settings<'_>, surroundings: &Surroundings) -> Result<Arc<dyn Backend>, Invalid> {
    let prefix = prefix(settings)?;
    let outside = "a gateway's static secrets can be read only through it; name one with --gateway-url";
    let secrets = surroundings.secrets.clone().ok_or_else(|| Invalid::new("name", outside))?;
    Ok(Arc::new(Own { prefix, secrets, runtime: surroundings.runtime.clone() }))
}

/// The folder that names begin in, without a slash at its end; empty for the whole tree.
fn prefix(settings: &Settings<'_>) -> Result<String, Invalid> {
    let prefix = settings.text("prefix")?.unwrap_or_default();
    let folder = prefix.trim_matches('/');
    if folder.is_empty() {
        return Ok(String::new());
    }
    ItemName::parse(folder).map(|name| name.to_string()).map_err(|invalid| invalid.within("prefix"))
}

#[async_trait]
impl Backend for Own {
    async fn fetch(&self, wanted: Wanted<'_>) -> Result<SecretValue, Miss> {
        let name = format!("{}/{}", self.prefix, wanted.name.trim_start_matches('/'));
        let name = ItemName::parse(&name).map_err(|error| Miss::because(MissKind::NotFound, &error))?;
        let which = match wanted.version {
            Version::Current => Which::Current,
            Version::Previous => Which::Previous,
        };
        let value = self.secrets.value(&name, which).await;
        value.map_err(|error| Miss::because(kind_of(&error), &error))
    }

    fn follow(&self, changes: Changes) {
        let (secrets, prefix) = (Arc::clone(&self.secrets), self.prefix.clone());
        self.runtime.spawn(async move {
            let Ok(mut since) = secrets.revision().await else { return };
            // An error means that the store is closed.
            while let Ok((now, names)) = secrets.changes(since).await {
                since = now;
                let below = |name: &ItemName| {
                    Some(name.as_str().strip_prefix(&prefix)?.strip_prefix('/')?.to_owned())
                };
                for name in names.iter().filter_map(below) {
                    // A reference may have written it with its slash.
                    let with_slash = format!("/{name}");
                    if !changes.tell(name).await || !changes.tell(with_slash).await {
                        return;
                    }
                }
            }
        });
    }
}

fn kind_of(error: &ItemError) -> MissKind {
    match error {
        ItemError::Missing(_) | ItemError::NoVersion { .. } | ItemError::Kind { .. } => MissKind::NotFound,
        ItemError::Disabled(_) => MissKind::Denied,
        ItemError::Sealed { .. } | ItemError::Invalid(_) => MissKind::Garbage,
        ItemError::Store(_) | ItemError::Changed(_) => MissKind::Unavailable,
        // Reading meets none of these.
        ItemError::Exists(_)
        | ItemError::Protected(_)
        | ItemError::InUse { .. }
        | ItemError::Taken { .. } => MissKind::Garbage,
    }
}
