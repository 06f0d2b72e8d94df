//! Reads settings from the environment and from the settings file.

use std::io;
use std::path::{Path, PathBuf};

use gateward_model::Invalid;
use gateward_seal::wipe;
use serde_json::{Map, Value};

use super::given::KEYS;
use super::{Given, SettingsError};
use crate::surroundings::Surroundings;

/// What the environment gives. A variable that begins as ours do and is none of them is refused.
pub(super) fn environment(surroundings: &Surroundings) -> Result<Given, SettingsError> {
    let mut fields = Map::new();
    for (name, value) in &surroundings.environment {
        let Some(rest) = name.strip_prefix("GATEWARD_") else {
            continue;
        };
        if let Some(key) = KEYS.iter().find(|key| variable(key) == *name) {
            if !value.is_empty() {
                fields.insert((*key).to_owned(), Value::from(value.as_str()));
            }
        } else if !OTHER_VARIABLES.contains(&name.as_str()) && !rest.starts_with("VAULT_") {
            let settings = KEYS.iter().map(|key| variable(key));
            let others = OTHER_VARIABLES.iter().map(|name| (*name).to_owned());
            return Err(SettingsError::UnknownVariable {
                name: name.clone(),
                known: settings.chain(others).collect::<Vec<_>>().join(", "),
            });
        }
    }
    read(fields, variable)
}

/// What the settings file gives: the one that was named, or the usual one if it is there.
pub(super) fn file(named: Option<&Path>, surroundings: &Surroundings) -> Result<Given, SettingsError> {
    let named = named.or_else(|| surroundings.variable("GATEWARD_CONFIG").map(Path::new));
    let path = named.map_or_else(|| surroundings.directory.join(USUAL_FILE), PathBuf::from);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
            return Ok(Given::default());
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
    let fields = flat(fields.unwrap_or_default());
    if let Some(key) = fields.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(SettingsError::UnknownKey { key: key.clone(), path, known: KEYS.join(", ") });
    }
    read(fields, |key| format!("the settings file {}: {key}", path.display()))
}

/// What the table `tls` holds, as the settings that it stands for: `tls: {ca: …}` is `tls_ca`.
fn flat(fields: Map<String, Value>) -> Map<String, Value> {
    let mut all = Map::new();
    for (key, value) in fields {
        match value {
            Value::Object(table) if key == "tls" => {
                all.extend(table.into_iter().map(|(name, value)| (format!("tls_{name}"), value)));
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
