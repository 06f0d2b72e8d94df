//! Reads settings from the flags, the environment and the settings file.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use gateward_model::Invalid;
use gateward_seal::wipe;
use serde_json::{Map, Value};

use super::given::KEYS;
use super::references::{self, Source};
use super::{Given, SettingsError, VaultDefaults, vaults};
use crate::arguments::ProcessArguments;
use crate::surroundings::Surroundings;

/// What is given in all three places, with values where references stood; a flag counts before the environment, and that
/// before the file. Besides, defaults of vaults' settings.
pub(super) fn read(
    arguments: &ProcessArguments,
    surroundings: &Surroundings,
) -> Result<(Given, VaultDefaults), SettingsError> {
    let written = file(arguments.config.as_deref(), surroundings)?;
    check_variables(surroundings)?;
    let layers = [flags(arguments), environment(surroundings), written.layer];
    let literal = arguments.given.clone();
    let source = source(surroundings, written.vault_defaults, &literal, &layers)?;
    check_vaults(&source, &written.path)?;
    let mut given = literal;
    for layer in layers {
        given = given.or(layer.into_given(&source)?);
    }
    Ok((given, source.defaults))
}

/// Where values come from for a command that asks vaults itself: what the environment and the settings file say of them.
pub(super) fn for_a_command(surroundings: &Surroundings) -> Result<Source<'_>, SettingsError> {
    let written = file(None, surroundings)?;
    for name in surroundings.environment.keys().filter(|name| name.starts_with("GATEWARD_VAULT_")) {
        vaults::check_variable(name)?;
    }
    let layers = [environment(surroundings), written.layer];
    let source = source(surroundings, written.vault_defaults, &Given::default(), &layers)?;
    vaults::check_values(&source, &|name| place_of_variable(&source, &written.path, name))?;
    Ok(source)
}

fn check_vaults(source: &Source<'_>, path: &Path) -> Result<(), SettingsError> {
    let place = |name: &str| place_of_variable(source, path, name);
    vaults::check_values(source, &place)?;
    vaults::check_references(source, &place)
}

/// Where what the variable `name` says of vaults is set: there, or in the table of the settings file that says the same.
fn place_of_variable(source: &Source<'_>, path: &Path, name: &str) -> String {
    match source.defaults.0.contains_key(name) {
        true if source.surroundings.variable(name).is_none() => {
            place(path, &vaults::key_of(name).unwrap_or_else(|| VAULT.to_owned()))
        }
        _ => format!("the environment variable {name}"),
    }
}

/// How vaults are asked. What the settings say of that may be a reference too, whose vault is called without it.
fn source<'s>(
    surroundings: &'s Surroundings,
    defaults: VaultDefaults,
    literal: &Given,
    layers: &[Layer],
) -> Result<Source<'s>, SettingsError> {
    let mut source = Source { surroundings, defaults, tls_ca: None, dns_servers: Vec::new() };
    let mut given = Given {
        tls_ca: literal.tls_ca.clone(),
        dns_servers: literal.dns_servers.clone(),
        ..Given::default()
    };
    for layer in layers {
        given = given.or(layer.only(&["tls_ca", "dns_servers"]).into_given(&source)?);
    }
    source.tls_ca = given.tls_ca;
    source.dns_servers = given.dns_servers.map(|servers| servers.0).unwrap_or_default();
    Ok(source)
}

/// What one place gives, as it stands there.
struct Layer {
    place: Place,
    fields: Map<String, Value>,
}

#[derive(Clone)]
enum Place {
    Flags,
    Environment,
    File(PathBuf),
}

impl Layer {
    /// The settings `keys` alone.
    fn only(&self, keys: &[&str]) -> Self {
        let named = self.fields.iter().filter(|(key, _)| keys.contains(&key.as_str()));
        let fields = named.map(|(key, value)| (key.clone(), value.clone())).collect();
        Self { place: self.place.clone(), fields }
    }

    /// The settings, with values in the places of their references.
    fn into_given(mut self, source: &Source<'_>) -> Result<Given, SettingsError> {
        let place = self.place;
        source.fill(&mut self.fields, &|key| place.of(key))?;
        let mut fields = Value::Object(self.fields);
        let given = gateward_model::parse(&fields)
            .map_err(|Invalid { field, problem }| SettingsError::Value { place: place.of(&field), problem });
        wipe(&mut fields);
        given
    }
}

impl Place {
    fn of(&self, key: &str) -> String {
        match self {
            Self::Flags => format!("--{}", key.replace('_', "-")),
            Self::Environment => variable(key),
            Self::File(path) => place(path, key),
        }
    }
}

/// The flags that hold references; the others have been read already.
fn flags(arguments: &ProcessArguments) -> Layer {
    let fields = arguments.referring.iter().map(|(key, text)| (key.clone(), Value::from(text.as_str())));
    Layer { place: Place::Flags, fields: fields.collect() }
}

/// What the environment gives.
fn environment(surroundings: &Surroundings) -> Layer {
    let given = KEYS.iter().filter_map(|key| Some((*key, surroundings.variable(&variable(key))?)));
    let mut fields: Map<String, Value> =
        given.map(|(key, value)| (key.to_owned(), Value::from(value))).collect();
    // The name that the vendor's gateway reads it by.
    if let Some(fragments) = surroundings.variable("CUSTOMER_FRAGMENTS")
        && !fields.contains_key("customer_fragments_file")
    {
        fields.entry("customer_fragments").or_insert_with(|| Value::from(fragments));
    }
    Layer { place: Place::Environment, fields }
}

/// Refuses a variable that begins as ours do and is none of them.
fn check_variables(surroundings: &Surroundings) -> Result<(), SettingsError> {
    for name in surroundings.environment.keys() {
        let Some(rest) = name.strip_prefix("GATEWARD_") else { continue };
        if KEYS.iter().any(|key| variable(key) == *name) || OTHER_VARIABLES.contains(&name.as_str()) {
            continue;
        }
        if rest.starts_with("VAULT_") {
            vaults::check_variable(name)?;
            continue;
        }
        let settings = KEYS.iter().map(|key| variable(key));
        let others = OTHER_VARIABLES.iter().map(|name| (*name).to_owned());
        return Err(SettingsError::UnknownVariable {
            name: name.clone(),
            known: settings.chain(others).collect::<Vec<_>>().join(", "),
        });
    }
    Ok(())
}

/// What the settings file says.
struct Written {
    path: PathBuf,
    layer: Layer,
    /// Defaults of vaults' settings, as variables.
    vault_defaults: VaultDefaults,
}

/// Reads the settings file: the one that was named, or the usual one if it is there.
fn file(named: Option<&Path>, surroundings: &Surroundings) -> Result<Written, SettingsError> {
    let named = named.or_else(|| surroundings.variable("GATEWARD_CONFIG").map(Path::new));
    let path = named.map_or_else(|| surroundings.directory.join(USUAL_FILE), PathBuf::from);
    let written = |fields, vault_defaults| {
        let layer = Layer { place: Place::File(path.clone()), fields };
        Written { path: path.clone(), layer, vault_defaults: VaultDefaults(vault_defaults) }
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
            return Ok(written(Map::new(), BTreeMap::new()));
        }
        Err(source) => return Err(SettingsError::File { path, source }),
    };
    // As YAML 1.2 has it: `off` is a word.
    let options = serde_saphyr::options! { strict_booleans: true };
    // The parser's own words quote the file, which may hold secrets.
    let fields: Option<Map<String, Value>> = match serde_saphyr::from_str_with_options(&text, options) {
        Ok(fields) => fields,
        Err(error) => {
            let line = error.location().map_or(1, |location| location.line());
            let problem = match error.without_snippet() {
                serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
                    gateward_model::stands_twice(key)
                }
                _ => "this is no YAML of keys and values".to_owned(),
            };
            return Err(SettingsError::Yaml { path, line, problem });
        }
    };
    let mut fields = flat(fields.unwrap_or_default(), &path)?;
    let vault_defaults = match fields.shift_remove(VAULT) {
        Some(table) => {
            references::check(&table, &place(&path, VAULT))?;
            vaults::defaults(table, &place(&path, VAULT))?
        }
        None => BTreeMap::new(),
    };
    if let Some(key) = fields.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let known = format!("{}, {VAULT}", KEYS.join(", "));
        return Err(SettingsError::UnknownKey { key: key.clone(), path, known });
    }
    Ok(written(fields, vault_defaults))
}

fn place(path: &Path, key: &str) -> String {
    format!("the settings file {}: {key}", path.display())
}

/// What the tables `tls` and `dynamodb` hold, as the settings that it stands for: `tls: {ca: …}` is `tls_ca`.
/// A setting that is said in both ways is refused: one of the two would count.
fn flat(fields: Map<String, Value>, path: &Path) -> Result<Map<String, Value>, SettingsError> {
    let mut all = Map::new();
    let mut put = |key: String, value: Value| match all.contains_key(&key) {
        true => {
            let problem = "is set twice, by its name and in a table; keep one".to_owned();
            Err(SettingsError::Value { place: place(path, &key), problem })
        }
        false => {
            all.insert(key, value);
            Ok(())
        }
    };
    for (key, value) in fields {
        match value {
            Value::Object(table) if matches!(key.as_str(), "tls" | "dynamodb") => {
                table.into_iter().try_for_each(|(name, value)| put(format!("{key}_{name}"), value))?;
            }
            value => put(key, value)?,
        }
    }
    Ok(all)
}

/// The variable of a setting.
fn variable(key: &str) -> String {
    format!("GATEWARD_{}", key.to_uppercase())
}

/// The table of vaults' defaults.
const VAULT: &str = "vault";

const USUAL_FILE: &str = "gateward.yaml";

/// Variables of ours that are no settings.
const OTHER_VARIABLES: [&str; 6] = [
    "GATEWARD_CONFIG",
    "GATEWARD_GATEWAY_URL",
    "GATEWARD_TOKEN",
    "GATEWARD_FAILPOINT",
    "GATEWARD_TEST_VENV",
    crate::handover::VARIABLE,
];
