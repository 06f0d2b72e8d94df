//! Resources that are plugins and nothing else: global rules, plugin configs, consumer groups.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Description, PluginSet, ResourceId};
use crate::Invalid;

/// Plugins that stand on their own: for every request (a global rule), or for whoever refers to them (a plugin config,
/// a consumer group).
#[derive(Clone, Debug)]
pub struct SharedPlugins {
    /// Its id.
    pub id: ResourceId,
    /// What it says about itself.
    pub description: Description,
    /// The plugins.
    pub plugins: PluginSet,
}

impl SharedPlugins {
    /// Reads the one of that id, as the Admin API takes it.
    pub fn parse(id: ResourceId, json: &Value) -> Result<Self, Invalid> {
        let (description, fields): (_, Fields) = Description::and(json)?;
        let plugins = fields.plugins.ok_or_else(|| Invalid::new("plugins", "is required"))?;
        Ok(Self { id, description, plugins: PluginSet::parse(Some(&plugins))? })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    plugins: Option<Map<String, Value>>,
}
