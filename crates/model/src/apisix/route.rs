//! A route: which requests it takes, and where they go.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{ResourceId, Upstream};
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
    /// Exact paths, and prefixes that end with `*`; at least one.
    pub uris: Vec<String>,
    /// The only host it takes, in lower case; a leading `*` stands for any beginning.
    pub host: Option<String>,
    /// The only methods it takes; empty means all.
    pub methods: Vec<HttpMethod>,
    /// Plugins by name, as configured. Strings in here may be references.
    pub plugins: Map<String, Value>,
    /// Where requests go that no plugin has answered.
    pub upstream: Option<RouteUpstream>,
    /// How long each phase may take; wins over the upstream's own.
    pub timeout: Option<Timeout>,
    /// Whether it takes requests at all.
    pub enabled: bool,
}

/// Where a route's requests go.
#[derive(Clone, Debug)]
pub enum RouteUpstream {
    /// An upstream of its own.
    Own(Upstream),
    /// One that stands elsewhere.
    Id(ResourceId),
}

impl Route {
    /// Reads the route `id`, as the Admin API takes it.
    pub fn parse(id: ResourceId, json: &Value) -> Result<Self, Invalid> {
        let fields: Fields = crate::parse(json)?;
        let uris = match (fields.uri, fields.uris) {
            (Some(uri), None) => vec![uri],
            (None, Some(uris)) if !uris.is_empty() => uris,
            (Some(_), Some(_)) => return Err(Invalid::new("uri", "give either uri or uris, not both")),
            _ => {
                return Err(Invalid::new("uri", "is required; give uri, or uris with at least one path"));
            }
        };
        for uri in &uris {
            check_uri(uri)?;
        }
        let host = fields.host.map(|host| check_host(&host)).transpose()?;
        let upstream = match (fields.upstream, fields.upstream_id) {
            (Some(_), Some(_)) => {
                return Err(Invalid::new("upstream_id", "give either upstream or upstream_id, not both"));
            }
            (Some(own), None) => {
                Some(RouteUpstream::Own(Upstream::parse(&own).map_err(|error| error.within("upstream"))?))
            }
            (None, Some(id)) => Some(RouteUpstream::Id(upstream_id(&id)?)),
            (None, None) => None,
        };
        if upstream.is_none() && fields.plugins.is_none() {
            return Err(Invalid::new("upstream", "a route needs one of upstream, upstream_id and plugins"));
        }
        Ok(Self {
            id,
            uris,
            host,
            methods: fields.methods.unwrap_or_default(),
            plugins: fields.plugins.unwrap_or_default(),
            upstream,
            timeout: fields.timeout,
            enabled: match fields.status {
                None | Some(1) => true,
                Some(0) => false,
                Some(_) => return Err(Invalid::new("status", "is 1 (enabled) or 0 (disabled)")),
            },
        })
    }
}

fn check_uri(uri: &str) -> Result<(), Invalid> {
    let visible = uri.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    let ends_with_star = uri.find('*').is_none_or(|star| star + 1 == uri.len());
    match (uri.starts_with('/'), visible, ends_with_star) {
        (true, true, true) => Ok(()),
        (false, ..) => Err(Invalid::new("uri", "a uri begins with /")),
        (_, false, _) => {
            Err(Invalid::new("uri", "a uri has visible ASCII characters only; percent-encode others"))
        }
        (.., false) => Err(Invalid::new("uri", "a * is the last character of a uri")),
    }
}

fn check_host(host: &str) -> Result<String, Invalid> {
    let name = host.strip_prefix('*').unwrap_or(host);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    if host.is_empty() || !name.bytes().all(allowed) {
        return Err(Invalid::new(
            "host",
            "a host is a name or an address, without port; a * may only come first",
        ));
    }
    Ok(host.to_ascii_lowercase())
}

fn upstream_id(json: &Value) -> Result<ResourceId, Invalid> {
    let text = match json {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.as_u64().is_some_and(|number| number > 0) => number.to_string(),
        _ => {
            return Err(Invalid::new("upstream_id", "is a string or a whole number from 1 on"));
        }
    };
    ResourceId::parse(&text).map_err(|error| Invalid::new("upstream_id", error.problem))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    uri: Option<String>,
    uris: Option<Vec<String>>,
    host: Option<String>,
    methods: Option<Vec<HttpMethod>>,
    plugins: Option<Map<String, Value>>,
    upstream: Option<Value>,
    upstream_id: Option<Value>,
    timeout: Option<Timeout>,
    status: Option<u8>,
    #[serde(rename = "id")]
    _id: Option<Value>,
    #[serde(rename = "name")]
    _name: Option<String>,
    #[serde(rename = "desc")]
    _desc: Option<String>,
    #[serde(rename = "labels")]
    _labels: Option<Map<String, Value>>,
    #[serde(rename = "create_time")]
    _create_time: Option<u64>,
    #[serde(rename = "update_time")]
    _update_time: Option<u64>,
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
