//! An upstream: the nodes that a request may go to, and how one of them is chosen and spoken to.
//!
//! Strings in here may hold references (`tls.client_key` above all). They are kept as they were given: whoever
//! compiles an upstream puts the values in their places and reads it once more.

mod balancing;
mod checks;
mod nodes;
mod schema;
mod tls;

pub use balancing::{Balancing, HashOn};
pub use checks::{
    ActiveCheck, ActiveHealthy, ActiveUnhealthy, CheckType, Checks, PassiveCheck, PassiveHealthy,
    PassiveUnhealthy,
};
pub use nodes::Node;
pub use tls::{ClientCertificate, UpstreamTls};

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{Description, HttpMethod, Timeout};
use crate::Invalid;

/// How bytes go over a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// As they are.
    #[default]
    Http,
    /// Over TLS.
    Https,
}

/// How an upstream's nodes are spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UpstreamScheme {
    /// Plain HTTP/1.1.
    #[default]
    Http,
    /// HTTP/1.1 over TLS.
    Https,
    /// Plain HTTP/2.
    Grpc,
    /// HTTP/2 over TLS.
    Grpcs,
}

impl UpstreamScheme {
    /// How the bytes go.
    pub fn transport(self) -> Scheme {
        match self {
            Self::Http | Self::Grpc => Scheme::Http,
            Self::Https | Self::Grpcs => Scheme::Https,
        }
    }

    /// Whether HTTP/2 is spoken.
    pub fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc | Self::Grpcs)
    }

    /// The port of a node that names none.
    pub fn default_port(self) -> u16 {
        match self.transport() {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    /// As it stands in a resource.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Grpc => "grpc",
            Self::Grpcs => "grpcs",
        }
    }

    fn parse(text: Option<&str>) -> Result<Self, Invalid> {
        match text {
            None | Some("http") => Ok(Self::Http),
            Some("https") => Ok(Self::Https),
            Some("grpc") => Ok(Self::Grpc),
            Some("grpcs") => Ok(Self::Grpcs),
            Some("tcp" | "tls" | "udp" | "kafka") => Err(Invalid::new(
                "scheme",
                "tcp, tls, udp and kafka are not proxied here; the schemes are http, https, grpc and grpcs",
            )),
            Some(_) => Err(Invalid::new("scheme", "is one of http, https, grpc and grpcs")),
        }
    }
}

/// The host that a node hears of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PassHost {
    /// The one that the client named.
    #[default]
    Pass,
    /// The node's own.
    Node,
    /// This one.
    Rewrite(String),
}

impl PassHost {
    /// Whether what nodes hear of is a reference, and so not known yet.
    pub fn holds_reference(&self) -> bool {
        matches!(self, Self::Rewrite(host) if holds_reference(host))
    }
}

/// How many connections are kept to each node, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeepalivePool {
    /// Idle connections.
    pub size: u32,
    /// How long one may be idle; none means as long as the node keeps it.
    pub idle_timeout: Option<Duration>,
    /// After how many requests one is closed.
    pub requests: u32,
}

impl Default for KeepalivePool {
    fn default() -> Self {
        Self { size: 320, idle_timeout: Some(Duration::from_secs(60)), requests: 1000 }
    }
}

/// An upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    /// What it says about itself.
    pub description: Description,
    /// Where requests may go. There may be none yet; requests are answered with 503 then.
    pub nodes: Vec<Node>,
    /// How a node is chosen.
    pub balancing: Balancing,
    /// How nodes are spoken to.
    pub scheme: UpstreamScheme,
    /// How long each phase may take.
    pub timeout: Option<Timeout>,
    /// How many other nodes are tried when one fails; all of them if it is not said.
    pub retries: Option<u32>,
    /// After how long no other node is tried any more.
    pub retry_timeout: Option<Duration>,
    /// The host that a node hears of.
    pub pass_host: PassHost,
    /// What is kept of connections.
    pub keepalive_pool: Option<KeepalivePool>,
    /// Whom we trust, and who we are.
    pub tls: UpstreamTls,
    /// How nodes that are down are found out.
    pub checks: Option<Checks>,
}

impl Upstream {
    /// Where secrets stand in an upstream, as JSON pointers in which `*` is any element. A health check may have to show
    /// who it is.
    pub const SECRETS: [&'static str; 2] = ["/tls/client_key", "/checks/active/req_headers/*"];

    /// Reads an upstream, as the Admin API takes it.
    pub fn parse(json: &Value) -> Result<Self, Invalid> {
        refuse_discovery(json)?;
        let (description, fields): (_, Fields) = Description::and(json)?;
        let scheme = UpstreamScheme::parse(fields.scheme.as_deref())?;
        let nodes =
            fields.nodes.ok_or_else(|| Invalid::new("nodes", "is required; it may be an empty list"))?;
        Ok(Self {
            description,
            nodes: nodes::parse(&nodes, scheme).map_err(|error| error.within("nodes"))?,
            balancing: Balancing::parse(fields.r#type.as_deref(), fields.hash_on.as_deref(), fields.key)?,
            scheme,
            timeout: fields.timeout,
            retries: fields.retries,
            retry_timeout: span("retry_timeout", fields.retry_timeout)?,
            pass_host: pass_host(fields.pass_host.as_deref(), fields.upstream_host)?,
            keepalive_pool: fields.keepalive_pool.as_ref().map(keepalive_pool).transpose()?,
            tls: fields.tls.map(UpstreamTls::check).transpose()?.unwrap_or_default(),
            checks: fields.checks.map(Checks::check).transpose()?,
        })
    }
}

/// Service discovery is named before anything else, since a resource that relies on it has no nodes.
fn refuse_discovery(json: &Value) -> Result<(), Invalid> {
    let given = ["service_name", "discovery_type", "discovery_args"];
    match given.into_iter().find(|field| json.get(field).is_some()) {
        None => Ok(()),
        Some(field) => Err(Invalid::new(
            field,
            "there is no service discovery here; name the nodes, or a host name with several addresses as one node",
        )),
    }
}

fn pass_host(mode: Option<&str>, host: Option<String>) -> Result<PassHost, Invalid> {
    if host.as_deref().is_some_and(|host| !is_host(host)) {
        return Err(Invalid::new("upstream_host", "is a name or an address, with a port if need be"));
    }
    match (mode, host) {
        (None | Some("pass"), _) => Ok(PassHost::Pass),
        (Some("node"), _) => Ok(PassHost::Node),
        (Some("rewrite"), Some(host)) => Ok(PassHost::Rewrite(host)),
        (Some("rewrite"), None) => {
            Err(Invalid::new("upstream_host", "is required where pass_host is rewrite"))
        }
        (Some(_), _) => Err(Invalid::new("pass_host", "is one of pass, node and rewrite")),
    }
}

/// Whether `text` can be a host, or hold a reference to one.
fn is_host(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    !text.is_empty() && (text.bytes().all(allowed) || holds_reference(text))
}

/// Whether `text` holds a reference, so that what it is can only be told when its value stands there.
fn holds_reference(text: &str) -> bool {
    text.contains("{vault://")
}

fn keepalive_pool(fields: &KeepaliveFields) -> Result<KeepalivePool, Invalid> {
    let usual = KeepalivePool::default();
    let positive = |field: &str, given: Option<u32>, usual: u32| match given {
        Some(0) => Err(Invalid::new(field, "is 1 or more").within("keepalive_pool")),
        given => Ok(given.unwrap_or(usual)),
    };
    let idle_timeout = match fields.idle_timeout {
        None => usual.idle_timeout,
        given => span("idle_timeout", given).map_err(|error| error.within("keepalive_pool"))?,
    };
    Ok(KeepalivePool {
        size: positive("size", fields.size, usual.size)?,
        idle_timeout,
        requests: positive("requests", fields.requests, usual.requests)?,
    })
}

/// A span in seconds; 0 means that there is none.
fn span(field: &str, seconds: Option<f64>) -> Result<Option<Duration>, Invalid> {
    let Some(seconds) = seconds else { return Ok(None) };
    match Duration::try_from_secs_f64(seconds) {
        Ok(span) if span <= LONGEST_SPAN => Ok((!span.is_zero()).then_some(span)),
        _ => Err(Invalid::new(field, "is seconds, from 0 to 86400")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    nodes: Option<Value>,
    r#type: Option<String>,
    hash_on: Option<String>,
    key: Option<String>,
    scheme: Option<String>,
    timeout: Option<Timeout>,
    retries: Option<u32>,
    retry_timeout: Option<f64>,
    pass_host: Option<String>,
    upstream_host: Option<String>,
    keepalive_pool: Option<KeepaliveFields>,
    tls: Option<tls::Fields>,
    checks: Option<checks::Fields>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeepaliveFields {
    size: Option<u32>,
    idle_timeout: Option<f64>,
    requests: Option<u32>,
}

const LONGEST_SPAN: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests;
