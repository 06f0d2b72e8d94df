//! Who calls: consumers, what they show, and the groups that they are in.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::route::id_field;
use super::{Description, PluginSet, ResourceId};
use crate::Invalid;

/// Somebody who calls.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Its name, which is its id too.
    pub username: ResourceId,
    /// What it says about itself.
    pub description: Description,
    /// What it shows (plugins that authenticate), and what is done with its requests (others).
    pub plugins: PluginSet,
    /// The group that it is in.
    pub group: Option<ResourceId>,
}

/// Something that a consumer shows: one plugin that authenticates.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Its id among the consumer's.
    pub id: ResourceId,
    /// Whose it is.
    pub consumer: ResourceId,
    /// What it says about itself.
    pub description: Description,
    /// The one plugin.
    pub plugins: PluginSet,
}

impl Consumer {
    /// Reads a consumer, as the Admin API takes it.
    pub fn parse(json: &Value) -> Result<Self, Invalid> {
        let (description, fields): (_, ConsumerFields) = Description::and(json)?;
        let username = fields.username.ok_or_else(|| Invalid::new("username", "is required"))?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if username.is_empty() || username.len() > 64 || !username.bytes().all(plain) {
            return Err(Invalid::new("username", "is 1 to 64 letters, digits, `-`, `_` or `.`"));
        }
        Ok(Self {
            username: ResourceId::parse(&username)?,
            description,
            plugins: PluginSet::parse(fields.plugins.as_ref())?,
            group: fields.group_id.map(|id| id_field("group_id", &id)).transpose()?,
        })
    }
}

impl Credential {
    /// Reads the credential `id` of `consumer`, as the Admin API takes it.
    pub fn parse(consumer: ResourceId, id: ResourceId, json: &Value) -> Result<Self, Invalid> {
        let (description, fields): (_, CredentialFields) = Description::and(json)?;
        let plugins = PluginSet::parse(fields.plugins.as_ref())?;
        if plugins.iter().count() != 1 {
            return Err(Invalid::new(
                "plugins",
                "a credential has exactly one plugin, one that authenticates",
            ));
        }
        Ok(Self { id, consumer, description, plugins })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsumerFields {
    username: Option<String>,
    plugins: Option<Map<String, Value>>,
    group_id: Option<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CredentialFields {
    plugins: Option<Map<String, Value>>,
}
