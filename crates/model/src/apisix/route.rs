//! A route: which requests it takes, and where they go.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{AddressRange, Description, Expression, PluginSet, ResourceId, Upstream, UriPattern};
use crate::Invalid;

/// The methods that a route may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// GET
    Get,
    /// POST
    Post,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// PATCH
    Patch,
    /// HEAD
    Head,
    /// OPTIONS
    Options,
    /// CONNECT
    Connect,
    /// TRACE
    Trace,
    /// PURGE
    Purge,
}

impl HttpMethod {
    /// As it stands in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Connect => "CONNECT",
            Self::Trace => "TRACE",
            Self::Purge => "PURGE",
        }
    }
}

/// How long each phase of a proxied request may take; seconds in JSON, fractions allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "TimeoutFields")]
pub struct Timeout {
    /// To connect, TLS included.
    pub connect: Duration,
    /// Between two parts of the request that the upstream takes.
    pub send: Duration,
    /// Until the response begins, and between two parts of it.
    pub read: Duration,
}

impl Default for Timeout {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self { connect: minute, send: minute, read: minute }
    }
}

/// A route.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its id.
    pub id: ResourceId,
    /// What it says about itself.
    pub description: Description,
    /// Exact paths, prefixes that end with `*`, and patterns with parameters; at least one.
    pub uris: Vec<String>,
    /// Exact hosts, and those that begin with `*`; empty for those of its service, or any. In lower case.
    pub hosts: Vec<String>,
    /// Empty for all methods.
    pub methods: Vec<HttpMethod>,
    /// Where clients may be; empty for anywhere.
    pub remote_addrs: Vec<AddressRange>,
    /// What else must hold of a request.
    pub vars: Option<Value>,
    /// Of routes with the same path pattern the one with the highest priority is asked first.
    pub priority: i32,
    /// What is done with its requests.
    pub plugins: PluginSet,
    /// Plugins that stand elsewhere.
    pub plugin_config: Option<ResourceId>,
    /// What it has in common with other routes.
    pub service: Option<ResourceId>,
    /// Where requests go that no plugin has answered.
    pub upstream: Option<RouteUpstream>,
    /// How long each phase may take; wins over the upstream's own.
    pub timeout: Option<Timeout>,
    /// Whether connections may turn into WebSockets and the like.
    pub enable_websocket: Option<bool>,
    /// Whether it takes requests at all.
    pub enabled: bool,
}

/// Where a route's requests go.
#[derive(Clone, Debug)]
pub enum RouteUpstream {
    /// An upstream of its own.
    Own(Arc<Upstream>),
    /// One that stands elsewhere.
    Id(ResourceId),
}

impl Route {
    /// Reads the route `id`, as the Admin API takes it.
    pub fn parse(id: ResourceId, json: &Value) -> Result<Self, Invalid> {
        refuse_lua(json)?;
        let (description, fields): (_, Fields) = Description::and(json)?;
        let upstream = upstream_of(fields.upstream.as_ref(), fields.upstream_id.as_ref())?;
        let service = fields.service_id.map(|id| id_field("service_id", &id)).transpose()?;
        let plugin_config =
            fields.plugin_config_id.map(|id| id_field("plugin_config_id", &id)).transpose()?;
        if upstream.is_none() && service.is_none() && plugin_config.is_none() && fields.plugins.is_none() {
            let message = "a route needs one of upstream, upstream_id, service_id and plugins";
            return Err(Invalid::new("upstream", message));
        }
        Ok(Self {
            id,
            description,
            uris: uris(fields.uri, fields.uris)?,
            hosts: hosts(fields.host, fields.hosts)?,
            methods: fields.methods.unwrap_or_default(),
            remote_addrs: remote_addrs(fields.remote_addr, fields.remote_addrs)?,
            vars: match fields.vars {
                Some(vars) => {
                    Expression::parse(&vars).map_err(|error| error.within("vars"))?;
                    Some(vars)
                }
                None => None,
            },
            priority: fields.priority.unwrap_or_default(),
            plugins: PluginSet::parse(fields.plugins.as_ref())?,
            plugin_config,
            service,
            upstream,
            timeout: fields.timeout,
            enable_websocket: fields.enable_websocket,
            enabled: match fields.status {
                None | Some(1) => true,
                Some(0) => false,
                Some(_) => return Err(Invalid::new("status", "is 1 (enabled) or 0 (disabled)")),
            },
        })
    }
}

/// Refuses what only APISIX can run.
pub(super) fn refuse_lua(json: &Value) -> Result<(), Invalid> {
    for field in ["filter_func", "script", "script_id"] {
        if json.get(field).is_some() {
            let message = "is Lua, which does not run here; say with vars when the route takes a request, and with plugins \
                           what is done with it";
            return Err(Invalid::new(field, message));
        }
    }
    Ok(())
}

/// The upstream of a route or a service, which stands there or elsewhere.
pub(super) fn upstream_of(own: Option<&Value>, id: Option<&Value>) -> Result<Option<RouteUpstream>, Invalid> {
    match (own, id) {
        (Some(_), Some(_)) => {
            Err(Invalid::new("upstream_id", "give either upstream or upstream_id, not both"))
        }
        (Some(own), None) => {
            let own = Upstream::parse(own).map_err(|error| error.within("upstream"))?;
            Ok(Some(RouteUpstream::Own(Arc::new(own))))
        }
        (None, Some(id)) => Ok(Some(RouteUpstream::Id(id_field("upstream_id", id)?))),
        (None, None) => Ok(None),
    }
}

/// A host, or one that begins with `*`; in lower case.
pub(super) fn check_host(field: &str, host: &str) -> Result<String, Invalid> {
    let name = host.strip_prefix('*').unwrap_or(host);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    if host.is_empty() || !name.bytes().all(allowed) {
        let message = "a host is a name or an address, without port; a * may only come first";
        return Err(Invalid::new(field, message));
    }
    Ok(host.to_ascii_lowercase())
}

/// The id that a field refers to.
pub(super) fn id_field(field: &str, json: &Value) -> Result<ResourceId, Invalid> {
    let text = match json {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.as_u64().is_some_and(|number| number > 0) => number.to_string(),
        _ => return Err(Invalid::new(field, "is a string or a whole number from 1 on")),
    };
    ResourceId::parse(&text).map_err(|error| Invalid::new(field, error.problem))
}

fn uris(uri: Option<String>, uris: Option<Vec<String>>) -> Result<Vec<String>, Invalid> {
    let uris = match (uri, uris) {
        (Some(uri), None) => vec![uri],
        (None, Some(uris)) if !uris.is_empty() => uris,
        (Some(_), Some(_)) => return Err(Invalid::new("uri", "give either uri or uris, not both")),
        _ => return Err(Invalid::new("uri", "is required; give uri, or uris with at least one path")),
    };
    uris.iter().try_for_each(|uri| UriPattern::parse(uri).map(drop))?;
    Ok(uris)
}

fn hosts(host: Option<String>, hosts: Option<Vec<String>>) -> Result<Vec<String>, Invalid> {
    match (host, hosts) {
        (Some(_), Some(_)) => Err(Invalid::new("host", "only one of host or hosts is allowed")),
        (Some(host), None) => Ok(vec![check_host("host", &host)?]),
        (None, Some(hosts)) if hosts.is_empty() => Err(Invalid::new("hosts", "has at least one host")),
        (None, Some(hosts)) => hosts.iter().map(|host| check_host("hosts", host)).collect(),
        (None, None) => Ok(Vec::new()),
    }
}

fn remote_addrs(
    one: Option<AddressRange>,
    several: Option<Vec<AddressRange>>,
) -> Result<Vec<AddressRange>, Invalid> {
    match (one, several) {
        (Some(_), Some(_)) => {
            Err(Invalid::new("remote_addr", "only one of remote_addr or remote_addrs is allowed"))
        }
        (Some(one), None) => Ok(vec![one]),
        (None, Some(several)) if several.is_empty() => {
            Err(Invalid::new("remote_addrs", "has at least one address"))
        }
        (None, several) => Ok(several.unwrap_or_default()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    uri: Option<String>,
    uris: Option<Vec<String>>,
    host: Option<String>,
    hosts: Option<Vec<String>>,
    methods: Option<Vec<HttpMethod>>,
    remote_addr: Option<AddressRange>,
    remote_addrs: Option<Vec<AddressRange>>,
    vars: Option<Value>,
    priority: Option<i32>,
    plugins: Option<Map<String, Value>>,
    plugin_config_id: Option<Value>,
    service_id: Option<Value>,
    upstream: Option<Value>,
    upstream_id: Option<Value>,
    timeout: Option<Timeout>,
    enable_websocket: Option<bool>,
    status: Option<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimeoutFields {
    connect: f64,
    send: f64,
    read: f64,
}

impl TryFrom<TimeoutFields> for Timeout {
    type Error = Invalid;

    fn try_from(fields: TimeoutFields) -> Result<Self, Invalid> {
        let span = |field: &str, seconds: f64| match Duration::try_from_secs_f64(seconds) {
            Ok(span) if !span.is_zero() && span <= LONGEST_TIMEOUT => Ok(span),
            _ => Err(Invalid::new(field, "is seconds, more than 0 and at most 86400")),
        };
        Ok(Self {
            connect: span("connect", fields.connect)?,
            send: span("send", fields.send)?,
            read: span("read", fields.read)?,
        })
    }
}

const LONGEST_TIMEOUT: Duration = Duration::from_secs(86_400);
