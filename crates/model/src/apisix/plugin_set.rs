//! The plugins of a resource: each by its name, with its settings and with what `_meta` says of it.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Invalid;

/// The plugins of a resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PluginSet(Vec<Arc<PluginEntry>>);

/// One plugin of a resource.
#[derive(Clone, PartialEq)]
pub struct PluginEntry {
    /// Which.
    pub name: String,
    /// Its own settings, without `_meta`. Strings may be references.
    pub settings: Value,
    /// What holds for any plugin.
    pub meta: Meta,
}

/// What a plugin's settings may say that is not the plugin's own matter: `_meta`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// Whether it is switched off, and stays only for later.
    #[serde(default)]
    pub disable: bool,
    /// Its place among the others, instead of the one that its kind has.
    pub priority: Option<i32>,
    /// What clients hear instead of what the plugin would tell them when it refuses.
    pub error_response: Option<Value>,
    /// When it has a turn at all: an expression, as `vars` of a route.
    pub filter: Option<Value>,
}

impl PluginSet {
    /// Reads the field `plugins` of a resource.
    pub fn parse(json: Option<&Map<String, Value>>) -> Result<Self, Invalid> {
        let Some(json) = json else { return Ok(Self::default()) };
        let entries = json.iter().map(|(name, settings)| {
            PluginEntry::parse(name, settings)
                .map(Arc::new)
                .map_err(|error| error.within(&format!("plugins.{name}")))
        });
        entries.collect::<Result<_, _>>().map(Self)
    }

    /// All of them, in the order in which they were written.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<PluginEntry>> {
        self.0.iter()
    }

    /// The one of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<PluginEntry>> {
        self.iter().find(|entry| entry.name == name)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PluginEntry {
    /// Whether its settings or its filter name a variable whose value stands in a request's body.
    pub fn names_body(&self) -> bool {
        names_body(&self.settings) || self.meta.filter.as_ref().is_some_and(names_body)
    }

    fn parse(name: &str, settings: &Value) -> Result<Self, Invalid> {
        let Value::Object(fields) = settings else {
            return Err(Invalid::new("", "a plugin's settings are a JSON object"));
        };
        let mut fields = fields.clone();
        let meta = match fields.shift_remove("_meta") {
            Some(meta) => crate::parse(&meta).map_err(|error| error.within("_meta"))?,
            None => Meta::default(),
        };
        Ok(Self { name: name.to_owned(), settings: Value::Object(fields), meta })
    }
}

/// There are no others in APISIX, and none is known by another name than it is written by.
fn names_body(json: &Value) -> bool {
    match json {
        Value::String(text) => text.contains("post_arg"),
        Value::Array(elements) => elements.iter().any(names_body),
        Value::Object(fields) => fields.values().any(names_body),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Which plugin it is, and nothing of its settings: they may hold secrets.
impl std::fmt::Debug for PluginEntry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "PluginEntry({})", self.name)
    }
}
