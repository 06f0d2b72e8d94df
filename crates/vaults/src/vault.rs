//! A vault that references can name: an entity, or a backend by its own name.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateward_model::{Invalid, Vault};
use serde_json::{Map, Value};

use crate::backend::{Backend, KINDS, Kind, Surroundings, kind};
use crate::entry::Terms;
use crate::reference::Overrides;
use crate::settings::Settings;

/// A vault, opened, or the reason why it cannot be.
pub(crate) struct OpenVault {
    /// The backend's name.
    pub(crate) name: String,
    /// What it was made of besides, to see whether it has changed.
    config: Map<String, Value>,
    pub(crate) backend: Result<Arc<dyn Backend>, Invalid>,
    times: Overrides,
}

impl OpenVault {
    fn open(name: &str, config: Map<String, Value>, surroundings: &Surroundings) -> Self {
        let opened = match kind(name) {
            Some(kind) => open(kind, &settings(kind, &config, &surroundings.environment), surroundings),
            None => Err(not_installed(name)),
        };
        let (backend, times) = match opened {
            Ok((backend, times)) => (Ok(backend), times),
            Err(invalid) => (Err(invalid), Overrides::default()),
        };
        Self { name: name.to_owned(), config, backend, times }
    }

    #[cfg(test)]
    pub(crate) fn of(name: &str, backend: Arc<dyn Backend>, times: Overrides) -> Self {
        Self { name: name.to_owned(), config: Map::new(), backend: Ok(backend), times }
    }

    /// Whether it was made of the same settings as `other`.
    pub(crate) fn is_as(&self, other: &OpenVault) -> bool {
        self.name == other.name && self.config == other.config
    }

    /// The terms for a reference that says `overrides`.
    pub(crate) fn terms(&self, overrides: Overrides) -> Terms {
        let usual = Terms::default();
        Terms {
            ttl: overrides.ttl.or(self.times.ttl).unwrap_or(usual.ttl),
            neg_ttl: overrides.neg_ttl.or(self.times.neg_ttl).unwrap_or(usual.neg_ttl),
            resurrect_ttl: overrides
                .resurrect_ttl
                .or(self.times.resurrect_ttl)
                .unwrap_or(usual.resurrect_ttl),
        }
    }
}

fn open(
    kind: &Kind,
    settings: &Settings<'_>,
    surroundings: &Surroundings,
) -> Result<(Arc<dyn Backend>, Overrides), Invalid> {
    settings.check(kind)?;
    let times = settings.times()?;
    Ok(((kind.open)(settings, surroundings)?, times))
}

/// All vaults by the name that references use: the backends themselves, and `entities`.
pub(crate) fn open_all(entities: Vec<Vault>, surroundings: &Surroundings) -> BTreeMap<String, OpenVault> {
    let mut vaults = BTreeMap::new();
    for entity in entities {
        vaults.insert(entity.prefix, OpenVault::open(&entity.name, entity.config, surroundings));
    }
    // Last, so that no entity can put itself in a backend's place.
    for kind in KINDS {
        vaults.insert(kind.name.to_owned(), OpenVault::open(kind.name, Map::new(), surroundings));
    }
    vaults
}

/// Checks an entity, in Kong's words. What the environment would add is not looked at: it is the process's own.
pub(crate) fn check(vault: &Vault) -> Result<(), Invalid> {
    Vault::check_prefix(&vault.prefix)?;
    if kind(&vault.prefix).is_some() {
        let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        return Err(Invalid::new("prefix", format!("must not be one of: {}", names.join(", "))));
    }
    let kind = kind(&vault.name).ok_or_else(|| not_installed(&vault.name))?;
    let no_environment = BTreeMap::new();
    let settings = settings(kind, &vault.config, &no_environment);
    let checked = settings.check(kind).and_then(|()| (kind.check)(&settings));
    checked.map_err(|invalid| invalid.within("config"))
}

fn not_installed(name: &str) -> Invalid {
    Invalid::new("name", format!("vault '{name}' is not installed"))
}

fn settings<'a>(
    kind: &'static Kind,
    config: &'a Map<String, Value>,
    environment: &'a BTreeMap<String, String>,
) -> Settings<'a> {
    Settings { kind: kind.name, config, environment }
}
