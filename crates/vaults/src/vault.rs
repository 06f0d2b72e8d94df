//! A vault that references can name: an entity, or a backend by its own name.
//!
//! Its settings may refer to other vaults. It is opened when their values are there, anew each time one has changed,
//! and everything that is wanted of it waits until it is opened for the first time.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateward_model::{Invalid, Vault};
use gateward_seal::SecretValue;
use serde_json::{Map, Value};

use crate::backend::{Backend, KINDS, Kind, Surroundings, kind};
use crate::dependencies::{self, Dependencies};
use crate::entry::{OnDeleted, Terms};
use crate::reference::{Overrides, Reference};
use crate::rules::Rules;
use crate::settings::Settings;
use crate::template::Template;

/// A vault, as it was set.
pub(crate) struct OpenVault {
    /// The backend's name.
    pub(crate) kind: String,
    /// What it was made of besides, to see whether it has changed.
    config: Map<String, Value>,
    /// The settings that refer to other vaults.
    templates: Vec<Referring>,
    pub(crate) backing: Backing,
    pub(crate) rules: Rules,
}

/// A setting that refers to other vaults, and what it says.
pub(crate) type Referring = (&'static str, Template);

/// What answers for a vault.
#[derive(Clone)]
pub(crate) enum Backing {
    /// Its settings' values are not there yet.
    Pending,
    Open(Arc<dyn Backend>),
    /// It cannot be opened.
    Broken(Invalid),
}

/// Values of settings that refer to other vaults.
pub(crate) type Referred = BTreeMap<&'static str, SecretValue>;

impl OpenVault {
    fn new(name: &str, config: Map<String, Value>, surroundings: &Surroundings) -> Self {
        let mut vault = Self {
            kind: name.to_owned(),
            config,
            templates: Vec::new(),
            backing: Backing::Pending,
            rules: Rules::default(),
        };
        let prepared = vault.prepare(surroundings);
        match prepared {
            Ok((templates, rules)) => (vault.templates, vault.rules) = (templates, rules),
            Err(invalid) => vault.backing = Backing::Broken(invalid),
        }
        if matches!(vault.backing, Backing::Pending) && vault.templates.is_empty() {
            vault.backing = vault.open(&Referred::new(), surroundings);
        }
        vault
    }

    #[cfg(test)]
    pub(crate) fn of(kind: &str, backend: Arc<dyn Backend>, rules: Rules) -> Self {
        Self {
            kind: kind.to_owned(),
            config: Map::new(),
            templates: Vec::new(),
            backing: Backing::Open(backend),
            rules,
        }
    }

    fn prepare(&self, surroundings: &Surroundings) -> Result<(Vec<Referring>, Rules), Invalid> {
        let kind = kind(&self.kind).ok_or_else(|| not_installed(&self.kind))?;
        let nothing = Referred::new();
        let settings = settings(kind, &self.config, &surroundings.environment, &nothing);
        settings.check(kind)?;
        Ok((settings.templates(kind)?, Rules::read(&settings)?))
    }

    /// Opens the backend, with `referred` in place of the settings that refer to other vaults.
    pub(crate) fn open(&self, referred: &Referred, surroundings: &Surroundings) -> Backing {
        let Some(kind) = kind(&self.kind) else { return Backing::Broken(not_installed(&self.kind)) };
        let settings = settings(kind, &self.config, &surroundings.environment, referred);
        match (kind.open)(&settings, surroundings) {
            Ok(backend) => Backing::Open(backend),
            Err(invalid) => Backing::Broken(invalid),
        }
    }

    /// A copy that can be opened elsewhere.
    pub(crate) fn unopened(&self) -> Self {
        Self {
            kind: self.kind.clone(),
            config: self.config.clone(),
            templates: self.templates.clone(),
            backing: Backing::Pending,
            rules: self.rules.clone(),
        }
    }

    /// Whether it was made of the same settings as `other`.
    pub(crate) fn is_as(&self, other: &OpenVault) -> bool {
        self.kind == other.kind && self.config == other.config
    }

    /// What its settings refer to, in order.
    pub(crate) fn references(&self) -> Vec<Reference> {
        self.templates.iter().flat_map(|(_, template)| template.references().cloned()).collect()
    }

    /// The values of its settings, made of the values of its references. None if there are too few.
    pub(crate) fn fill(&self, values: &[SecretValue]) -> Option<Referred> {
        let mut values = values.iter();
        self.templates.iter().map(|(field, template)| Some((*field, template.fill(&mut values)?))).collect()
    }

    /// The first of its settings that refers to `reference`.
    pub(crate) fn field_of(&self, reference: &Reference) -> &'static str {
        let refers = |template: &Template| template.references().any(|one| one == reference);
        self.templates.iter().find(|(_, template)| refers(template)).map_or("", |(field, _)| field)
    }

    /// The terms for a reference that says `overrides`.
    pub(crate) fn terms(&self, overrides: Overrides) -> Terms {
        let usual = Terms::default();
        let times = self.rules.times;
        Terms {
            ttl: overrides.ttl.or(times.ttl).unwrap_or(usual.ttl),
            neg_ttl: overrides.neg_ttl.or(times.neg_ttl).unwrap_or(usual.neg_ttl),
            resurrect_ttl: overrides.resurrect_ttl.or(times.resurrect_ttl).unwrap_or(usual.resurrect_ttl),
            on_deleted: if self.rules.fails_when_deleted { OnDeleted::Fail } else { OnDeleted::Keep },
        }
    }
}

impl Drop for OpenVault {
    /// A setting may be a secret.
    fn drop(&mut self) {
        self.config.values_mut().for_each(gateward_seal::wipe);
    }
}

/// All vaults by the name that references use: the backends themselves, and `entities`.
pub(crate) fn open_all(entities: Vec<Vault>, surroundings: &Surroundings) -> BTreeMap<Arc<str>, OpenVault> {
    let mut vaults = BTreeMap::new();
    for entity in entities {
        let vault = OpenVault::new(&entity.name, entity.config, surroundings);
        vaults.insert(Arc::from(entity.prefix), vault);
    }
    // Last, so that no entity can put itself in a backend's place.
    for kind in KINDS {
        vaults.insert(Arc::from(kind.name), OpenVault::new(kind.name, Map::new(), surroundings));
    }
    break_circles(&mut vaults);
    vaults
}

/// A vault that needs itself before it can be opened would wait for itself for ever.
fn break_circles(vaults: &mut BTreeMap<Arc<str>, OpenVault>) {
    let named = |vault: &OpenVault| vault.references().iter().map(|one| one.vault().to_owned()).collect();
    let of: Dependencies = vaults.iter().map(|(name, vault)| (name.to_string(), named(vault))).collect();
    for (name, vault) in vaults {
        if let Some(circle) = dependencies::circle(name, &of) {
            vault.templates.clear();
            vault.backing = Backing::Broken(circle);
        }
    }
}

/// Checks an entity, in Kong's words. What the environment would add is not looked at: it is the process's own.
pub(crate) fn check(vault: &Vault) -> Result<(), Invalid> {
    Vault::check_prefix(&vault.prefix)?;
    if kind(&vault.prefix).is_some() {
        let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        return Err(Invalid::new("prefix", format!("must not be one of: {}", names.join(", "))));
    }
    let kind = kind(&vault.name).ok_or_else(|| not_installed(&vault.name))?;
    check_config(kind, &vault.config).map_err(|invalid| invalid.within("config"))
}

/// Checks that what `environment` says of vaults of `kind` is of the settings' forms.
pub(crate) fn check_environment(
    kind: &'static Kind,
    environment: &BTreeMap<String, String>,
) -> Result<(), Invalid> {
    let (config, nothing) = (Map::new(), Referred::new());
    settings(kind, &config, environment, &nothing).check(kind)
}

fn check_config(kind: &'static Kind, config: &Map<String, Value>) -> Result<(), Invalid> {
    let no_environment = BTreeMap::new();
    let nothing = Referred::new();
    let written = settings(kind, config, &no_environment, &nothing);
    written.check(kind)?;
    written.check_types(kind)?;
    // What a reference stands for is not known here. That something will stand there is, if it is a text; what else it
    // may be decides what else there must be.
    let templates = written.templates(kind)?;
    let is_text = |name: &str| kind.fields.iter().any(|field| field.name == name && field.is_text());
    if !templates.iter().all(|(field, _)| is_text(field)) {
        return Ok(());
    }
    let referred: Referred =
        templates.into_iter().map(|(field, _)| (field, SecretValue::from("-"))).collect();
    let standing_in = settings(kind, config, &no_environment, &referred);
    match (kind.check)(&standing_in) {
        Err(invalid) if referred.keys().any(|field| invalid.field.split('.').next() == Some(field)) => Ok(()),
        checked => checked,
    }
}

fn not_installed(name: &str) -> Invalid {
    Invalid::new("name", format!("vault '{name}' is not installed"))
}

fn settings<'a>(
    kind: &'static Kind,
    config: &'a Map<String, Value>,
    environment: &'a BTreeMap<String, String>,
    referred: &'a Referred,
) -> Settings<'a> {
    Settings { kind: kind.name, config, environment, referred }
}
