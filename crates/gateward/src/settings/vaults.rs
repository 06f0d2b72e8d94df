//! Defaults of vaults' settings: the table `vault` of the settings file, and the variables that say the same.

use std::collections::{BTreeMap, BTreeSet};

use gateward_vaults::Resolver;
use serde_json::{Map, Value};

use super::SettingsError;
use super::references::{self, Source};
use crate::own_resolver::with_defaults;

/// The table `vault`: `{aws: {region: eu-west-1}}` is the variable `GATEWARD_VAULT_AWS_REGION`. `place` says where it
/// stands.
pub(super) fn defaults(table: Value, place: &str) -> Result<BTreeMap<String, String>, SettingsError> {
    let wrong = |key: &str, problem: &str| SettingsError::Value {
        place: format!("{place}{key}"),
        problem: problem.to_owned(),
    };
    let unknown = |key: &str, known: Vec<String>| SettingsError::Value {
        place: format!("{place}{key}"),
        problem: format!("there is no such setting; there are {}", known.join(", ")),
    };
    let mut defaults = BTreeMap::new();
    let Some(kinds) = table_of(table) else {
        return Err(wrong("", "is a table of backends, each with a table of settings"));
    };
    for (kind, settings) in kinds {
        if !Resolver::has_backend(&kind) {
            let known = Resolver::kinds().into_iter().map(str::to_owned).collect();
            return Err(unknown(&format!(".{kind}"), known));
        }
        let fields = fields(&kind);
        let Some(settings) = table_of(settings) else {
            return Err(wrong(&format!(".{kind}"), "is a table of settings"));
        };
        for (name, value) in settings {
            let key = format!(".{kind}.{name}");
            if !fields.contains(&name) {
                return Err(unknown(&key, fields.into_iter().collect()));
            }
            let text = text(value)
                .ok_or_else(|| wrong(&key, "is text, a number, true, false or a list of texts"))?;
            defaults.insert(variable(&kind, &name), text);
        }
    }
    Ok(defaults)
}

/// Refuses a variable that begins as those of vaults do and is none.
pub(super) fn check_variable(name: &str) -> Result<(), SettingsError> {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for kind in Resolver::kinds() {
        known.extend(fields(kind).iter().map(|field| variable(kind, field)));
    }
    if known.contains(name) {
        return Ok(());
    }
    let kind = Resolver::kinds().into_iter().find(|kind| name.starts_with(&variable(kind, "")));
    let known: Vec<String> = match kind {
        Some(kind) => fields(kind).iter().map(|field| variable(kind, field)).collect(),
        None => Resolver::kinds().into_iter().map(|kind| variable(kind, "…")).collect(),
    };
    Err(SettingsError::UnknownVaultVariable { name: name.to_owned(), known: known.join(", ") })
}

/// Sees that each of vaults' settings is of its form, in the variables and in the file; `place` says where a variable is set.
pub(super) fn check_values(source: &Source<'_>, place: &dyn Fn(&str) -> String) -> Result<(), SettingsError> {
    let together = with_defaults(source.surroundings, &source.defaults.0);
    Resolver::check_environment(&together)
        .map_err(|(name, problem)| SettingsError::Value { place: place(&name), problem })
}

/// Sees that what vaults' settings refer to has a value, in the variables and in the file; `place` says where a variable
/// is set. Their texts stay: a vault is opened anew when a value changes.
pub(super) fn check_references(
    source: &Source<'_>,
    place: &dyn Fn(&str) -> String,
) -> Result<(), SettingsError> {
    let mut wanted = Vec::new();
    for (name, text) in with_defaults(source.surroundings, &source.defaults.0) {
        let ours = name.replacen("KONG_", "GATEWARD_", 1);
        let Some((kind, field)) = setting_of(&ours) else { continue };
        let before = wanted.len();
        references::collect(&Value::String(text), &place(&name), &mut wanted)?;
        if wanted.len() > before && !Resolver::takes_references(kind, &field) {
            let problem = Resolver::TAKES_NO_REFERENCE.to_owned();
            return Err(SettingsError::Value { place: place(&name), problem });
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    source.resolve(&wanted).map(drop)
}

/// The key in the table `vault` that says the same as the variable `name`: `vault.aws.region`.
pub(super) fn key_of(name: &str) -> Option<String> {
    setting_of(name).map(|(kind, field)| format!("vault.{kind}.{field}"))
}

/// The backend and the setting that the variable `name` is about.
fn setting_of(name: &str) -> Option<(&'static str, String)> {
    if !name.starts_with("GATEWARD_VAULT_") {
        return None;
    }
    Resolver::kinds().into_iter().find_map(|kind| {
        let field = fields(kind).into_iter().find(|field| variable(kind, field) == name)?;
        Some((kind, field))
    })
}

fn variable(kind: &str, field: &str) -> String {
    format!("GATEWARD_VAULT_{kind}_{field}").to_uppercase().replace('-', "_")
}

/// The names of the settings of a backend.
fn fields(kind: &str) -> BTreeSet<String> {
    let schema = Resolver::schema(kind).unwrap_or_default();
    let fields = schema.pointer("/fields/0/config/fields").and_then(Value::as_array);
    let names = fields.into_iter().flatten().filter_map(Value::as_object).flat_map(Map::keys);
    names.cloned().collect()
}

/// A table; one that was left empty has nothing in it.
fn table_of(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(table) => Some(table),
        Value::Null => Some(Map::new()),
        _ => None,
    }
}

/// What a variable would say.
fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Array(elements) => {
            let texts: Option<Vec<String>> = elements.into_iter().map(text).collect();
            Some(texts?.join(","))
        }
        Value::Null => Some(String::new()),
        Value::Object(_) => None,
    }
}
