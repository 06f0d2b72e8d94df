//! A backend's settings: what the entity says, else what the environment says for every vault of that kind.

use std::collections::BTreeMap;
use std::time::Duration;

use gateward_model::Invalid;
use serde_json::{Map, Value};

use crate::reference::Overrides;

/// The longest time that can be set, about three years (Kong's limit).
const MAX_SECONDS: f64 = 1e8;

/// Reads a vault's settings by name, and knows which of them are there at all.
pub(crate) struct Settings<'a> {
    /// The backend's name.
    pub(crate) kind: &'static str,
    /// What the entity says.
    pub(crate) config: &'a Map<String, Value>,
    /// The process's environment.
    pub(crate) environment: &'a BTreeMap<String, String>,
}

impl Settings<'_> {
    /// Refuses a setting that is not one of `known`, in Kong's words.
    pub(crate) fn check_names(&self, known: &[&str]) -> Result<(), Invalid> {
        match self.config.keys().find(|name| !known.contains(&name.as_str())) {
            Some(unknown) => Err(Invalid::new(unknown, "unknown field")),
            None => Ok(()),
        }
    }

    /// A setting that is text. Empty is as good as absent.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Invalid> {
        let text = match self.config.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            None | Some(Value::Null) => self.default_of(name).cloned(),
            Some(_) => return Err(Invalid::new(name, "expected a string")),
        };
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// A setting that is a number of seconds, written as a number or as text (a form has only text).
    pub(crate) fn seconds(&self, name: &str) -> Result<Option<Duration>, Invalid> {
        let number = match self.config.get(name) {
            Some(Value::Number(number)) => number.as_f64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            None | Some(Value::Null) => match self.default_of(name) {
                Some(text) => text.trim().parse().ok(),
                None => return Ok(None),
            },
            Some(_) => None,
        };
        let number = number.ok_or_else(|| Invalid::new(name, "expected a number"))?;
        let span = seconds(number);
        span.map(Some).ok_or_else(|| Invalid::new(name, "value should be between 0 and 100000000"))
    }

    /// `ttl`, `neg_ttl` and `resurrect_ttl`.
    pub(crate) fn times(&self) -> Result<Overrides, Invalid> {
        Ok(Overrides {
            ttl: self.seconds("ttl")?,
            neg_ttl: self.seconds("neg_ttl")?,
            resurrect_ttl: self.seconds("resurrect_ttl")?,
        })
    }

    /// `GATEWARD_VAULT_AWS_REGION`, or `KONG_VAULT_AWS_REGION`.
    fn default_of(&self, name: &str) -> Option<&String> {
        let variable = format!("VAULT_{}_{}", self.kind, name).to_ascii_uppercase();
        let ours = self.environment.get(&format!("GATEWARD_{variable}"));
        ours.or_else(|| self.environment.get(&format!("KONG_{variable}"))).filter(|value| !value.is_empty())
    }
}

/// A time of `number` seconds, if that is one that can be set.
pub(crate) fn seconds(number: f64) -> Option<Duration> {
    (0.0..=MAX_SECONDS).contains(&number).then(|| Duration::from_secs_f64(number))
}
