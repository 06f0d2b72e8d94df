//! Reads settings from the environment and from the settings file.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use gateward_model::Invalid;
use gateward_seal::wipe;
use serde_json::{Map, Value};

use super::given::KEYS;
use super::references::Source;
use super::{Given, SettingsError, vaults};
use crate::surroundings::Surroundings;

/// What the settings file says.
pub(super) struct Written {
    fields: Map<String, Value>,
    path: PathBuf,
    /// Defaults of vaults' settings, as variables.
    pub(super) vault_defaults: BTreeMap<String, String>,
}

/// What the environment gives. A variable that begins as ours do and is none of them is refused.
pub(super) fn environment(source: &Source<'_>) -> Result<Given, SettingsError> {
    let surroundings = source.surroundings;
    let mut fields = Map::new();
    for (name, value) in &surroundings.environment {
        let Some(rest) = name.strip_prefix("GATEWARD_") else {
            continue;
        };
        if let Some(key) = KEYS.iter().find(|key| variable(key) == *name) {
            if !value.is_empty() {
                fields.insert((*key).to_owned(), Value::from(value.as_str()));
            }
        } else if rest.starts_with("VAULT_") {
            vaults::check_variable(name)?;
        } else if !OTHER_VARIABLES.contains(&name.as_str()) {
            let settings = KEYS.iter().map(|key| variable(key));
            let others = OTHER_VARIABLES.iter().map(|name| (*name).to_owned());
            return Err(SettingsError::UnknownVariable {
                name: name.clone(),
                known: settings.chain(others).collect::<Vec<_>>().join(", "),
            });
        }
    }
    // The name that the vendor's gateway reads it by.
    if let Some(fragments) = surroundings.variable("CUSTOMER_FRAGMENTS")
        && !fields.contains_key("customer_fragments_file")
    {
        fields.entry("customer_fragments").or_insert_with(|| Value::from(fragments));
    }
    source.fill(&mut fields, &variable)?;
    read(fields, variable)
}

/// Reads the settings file: the one that was named, or the usual one if it is there. References in what it says of vaults
/// have their values then.
pub(super) fn file(named: Option<&Path>, surroundings: &Surroundings) -> Result<Written, SettingsError> {
    let named = named.or_else(|| surroundings.variable("GATEWARD_CONFIG").map(Path::new));
    let path = named.map_or_else(|| surroundings.directory.join(USUAL_FILE), PathBuf::from);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
            return Ok(Written { fields: Map::new(), path, vault_defaults: BTreeMap::new() });
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
            return Err(SettingsError::Yaml { path, line });
        }
    };
    let mut fields = flat(fields.unwrap_or_default());
    let vault_defaults = match fields.shift_remove(VAULT) {
        Some(table) => {
            let mut table = Map::from_iter([(VAULT.to_owned(), table)]);
            let literal = BTreeMap::new();
            Source { surroundings, defaults: &literal }.fill(&mut table, &|key| place(&path, key))?;
            vaults::defaults(table.remove(VAULT).unwrap_or_default(), &place(&path, VAULT))?
        }
        None => BTreeMap::new(),
    };
    if let Some(key) = fields.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let known = format!("{}, {VAULT}", KEYS.join(", "));
        return Err(SettingsError::UnknownKey { key: key.clone(), path, known });
    }
    Ok(Written { fields, path, vault_defaults })
}

impl Written {
    /// The settings, with values in the places of their references.
    pub(super) fn into_given(mut self, source: &Source<'_>) -> Result<Given, SettingsError> {
        let path = &self.path;
        source.fill(&mut self.fields, &|key| place(path, key))?;
        read(self.fields, |key| place(path, key))
    }
}

fn place(path: &Path, key: &str) -> String {
    format!("the settings file {}: {key}", path.display())
}

/// What the tables `tls` and `dynamodb` hold, as the settings that it stands for: `tls: {ca: …}` is `tls_ca`.
fn flat(fields: Map<String, Value>) -> Map<String, Value> {
    let mut all = Map::new();
    for (key, value) in fields {
        match value {
            Value::Object(table) if matches!(key.as_str(), "tls" | "dynamodb") => {
                all.extend(table.into_iter().map(|(name, value)| (format!("{key}_{name}"), value)));
            }
            value => {
                all.insert(key, value);
            }
        }
    }
    all
}

/// Reads `fields`; `place` says where a field stands.
fn read(fields: Map<String, Value>, place: impl Fn(&str) -> String) -> Result<Given, SettingsError> {
    let mut fields = Value::Object(fields);
    let given = gateward_model::parse(&fields)
        .map_err(|Invalid { field, problem }| SettingsError::Value { place: place(&field), problem });
    wipe(&mut fields);
    given
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
