//! A service: what several routes have in common.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::route::{check_host, refuse_lua, upstream_of};
use super::{Description, PluginSet, ResourceId, RouteUpstream};
use crate::Invalid;

/// What the routes that name it have in common. What a route says itself wins.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its id.
    pub id: ResourceId,
    /// What it says about itself.
    pub description: Description,
    /// Hosts of those routes that name none.
    pub hosts: Vec<String>,
    /// Plugins of the routes; one that a route has itself, by name, is the route's.
    pub plugins: PluginSet,
    /// Where requests go.
    pub upstream: Option<RouteUpstream>,
    /// Whether connections may turn into WebSockets and the like.
    pub enable_websocket: Option<bool>,
}

impl Service {
    /// Reads the service `id`, as the Admin API takes it.
    pub fn parse(id: ResourceId, json: &Value) -> Result<Self, Invalid> {
        refuse_lua(json)?;
        let (description, fields): (_, Fields) = Description::and(json)?;
        let hosts = fields.hosts.unwrap_or_default();
        let hosts = hosts.iter().map(|host| check_host("hosts", host)).collect::<Result<_, _>>()?;
        Ok(Self {
            id,
            description,
            hosts,
            plugins: PluginSet::parse(fields.plugins.as_ref())?,
            upstream: upstream_of(fields.upstream.as_ref(), fields.upstream_id.as_ref())?,
            enable_websocket: fields.enable_websocket,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    hosts: Option<Vec<String>>,
    plugins: Option<Map<String, Value>>,
    upstream: Option<Value>,
    upstream_id: Option<Value>,
    enable_websocket: Option<bool>,
}
