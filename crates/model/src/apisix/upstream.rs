//! An upstream: the nodes that a request may go to.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Timeout;
use crate::Invalid;

/// How an upstream's nodes are spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Plain HTTP/1.1.
    #[default]
    Http,
    /// HTTP/1.1 over TLS.
    Https,
}

/// One place that requests may go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// A name or an address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its share of the requests; 0 means none.
    pub weight: u32,
}

/// An upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Where requests go, in turn (`roundrobin`).
    pub nodes: Vec<Node>,
    /// How they are spoken to.
    pub scheme: Scheme,
    /// How long each phase may take.
    pub timeout: Option<Timeout>,
}

impl Upstream {
    /// Reads an upstream, as the Admin API takes it.
    pub fn parse(json: &Value) -> Result<Self, Invalid> {
        let fields: Fields = crate::parse(json)?;
        if fields.r#type != "roundrobin" {
            return Err(Invalid::new("type", "the only type is roundrobin"));
        }
        let nodes = match fields.nodes {
            Nodes::Weights(weights) => weights
                .iter()
                .map(|(address, weight)| keyed_node(address, *weight, fields.scheme))
                .collect::<Result<_, _>>(),
            Nodes::List(list) => list.into_iter().map(|node| listed_node(&node, fields.scheme)).collect(),
        }
        .map_err(|error: Invalid| error.within("nodes"))?;
        Ok(Self { nodes, scheme: fields.scheme, timeout: fields.timeout })
    }
}

fn keyed_node(address: &str, weight: u32, scheme: Scheme) -> Result<Node, Invalid> {
    let wrong = || Invalid::new(address, "write a node as \"host:port\": weight");
    let (host, port) = match address.rsplit_once(':') {
        // A colon within brackets, or one of several, belongs to an IPv6 address.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().map_err(|_| wrong())?)
        }
        _ => (address, default_port(scheme)),
    };
    node(host, port, weight).ok_or_else(wrong)
}

fn listed_node(fields: &ListedNode, scheme: Scheme) -> Result<Node, Invalid> {
    let port = fields.port.unwrap_or(default_port(scheme));
    node(&fields.host, port, fields.weight)
        .ok_or_else(|| Invalid::new("host", "a node needs a host and a port"))
}

fn node(host: &str, port: u16, weight: u32) -> Option<Node> {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (!host.is_empty() && port != 0 && host.bytes().all(allowed)).then(|| Node {
        host: host.to_owned(),
        port,
        weight,
    })
}

fn default_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default = "roundrobin")]
    r#type: String,
    nodes: Nodes,
    #[serde(default)]
    scheme: Scheme,
    timeout: Option<Timeout>,
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
#[serde(untagged, expecting = "nodes are {\"host:port\": weight} or [{\"host\", \"port\", \"weight\"}]")]
enum Nodes {
    Weights(BTreeMap<String, u32>),
    List(Vec<ListedNode>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListedNode {
    host: String,
    port: Option<u16>,
    weight: u32,
}

fn roundrobin() -> String {
    "roundrobin".to_owned()
}
