//! Which kinds of vaults there are, what can be set of each, and whether entities are right.

use std::collections::BTreeMap;
use std::path::Path;

use gateward_model::{Invalid, Vault};
use serde_json::{Value, json};

use super::Resolver;
use crate::backend::{self, KINDS};
use crate::settings::{Field, TAKES_NONE};
use crate::{dependencies, vault};

impl Resolver {
    /// Whether `name` is a backend's, so that references to it need no entity.
    pub fn has_backend(name: &str) -> bool {
        backend::kind(name).is_some()
    }

    /// Checks an entity: its prefix, that the backend exists, and that its settings are known and of the right type.
    pub fn check_vault(vault: &Vault) -> Result<(), Invalid> {
        vault::check(vault)
    }

    /// Checks entities together: that the vaults exist to which their settings refer, and that none needs itself
    /// before it can be opened. Gives the prefix of the one that is wrong.
    pub fn check_vaults(vaults: &[Vault]) -> Result<(), (String, Invalid)> {
        dependencies::check(vaults)
    }

    /// Refuses an entity whose directory no vault of this gateway reads. Whatever stands there later is looked at when it
    /// is read.
    pub fn check_place(&self, vault: &Vault) -> Result<(), Invalid> {
        let directory = vault.config.get("prefix").and_then(Value::as_str).filter(|_| vault.name == "fs");
        let Some(Ok(directory)) = directory.map(|path| Path::new(path).canonicalize()) else { return Ok(()) };
        self.surroundings
            .fence
            .check(&directory)
            .map_err(|problem| Invalid::new("prefix", problem).within("config"))
    }

    /// The names of the backends.
    pub fn kinds() -> Vec<&'static str> {
        KINDS.iter().map(|kind| kind.name).collect()
    }

    /// Checks what `environment` says of vaults' settings for all that set none of their own: the first variable that is not
    /// of its setting's form, and what is wrong with it. Only those that are ours by name: Kong's may be meant for Kong.
    pub fn check_environment(environment: &BTreeMap<String, String>) -> Result<(), (String, String)> {
        let ours = environment.range(PREFIX.to_owned()..).take_while(|(name, _)| name.starts_with(PREFIX));
        let ours: BTreeMap<String, String> = ours.map(|(name, text)| (name.clone(), text.clone())).collect();
        if ours.is_empty() {
            return Ok(());
        }
        KINDS.iter().try_for_each(|kind| {
            vault::check_environment(kind, &ours).map_err(|Invalid { field, problem }| {
                (format!("{PREFIX}{}_{field}", kind.name).to_uppercase().replace('-', "_"), problem)
            })
        })
    }

    /// What Kong's Admin API calls the schema of the backend `kind`. None if there is no such backend.
    pub fn schema(kind: &str) -> Option<Value> {
        let fields = backend::kind(kind)?.all_fields().map(|field| json!({ field.name: field.schema() }));
        let config = json!({"type": "record", "required": true, "fields": fields.collect::<Vec<_>>()});
        Some(json!({"entity_checks": [], "fields": [{ "config": config }]}))
    }

    /// Whether the setting `field` of the backend `kind` may refer to other vaults.
    pub fn takes_references(kind: &str, field: &str) -> bool {
        backend::kind(kind).is_some_and(|kind| kind.fields.iter().any(|known| known.name == field))
    }

    /// Why another setting may not.
    pub const TAKES_NO_REFERENCE: &str = TAKES_NONE;

    /// Which settings of the backend `kind` are secrets themselves.
    pub fn secret_fields(kind: &str) -> Vec<&'static str> {
        let fields = backend::kind(kind).into_iter().flat_map(backend::Kind::all_fields);
        fields.filter(|field| field.is_secret()).map(|field| field.name).collect()
    }

    /// The settings of the backend `kind` that say where its secret `field` is sent.
    pub fn sent_to(kind: &str, field: &str) -> &'static [&'static str] {
        let fields = backend::kind(kind).map_or(&[][..], |kind| kind.fields);
        fields.iter().find(|known| known.name == field).map_or(&[], Field::sent_to)
    }
}

/// How the variables begin that say what vaults' settings are.
const PREFIX: &str = "GATEWARD_VAULT_";
