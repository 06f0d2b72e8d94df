//! The nodes of an upstream, in the two forms in which people write them.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::UpstreamScheme;
use crate::Invalid;

/// One place that requests may go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// A name or an address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its share of the requests; 0 means none.
    pub weight: u32,
    /// Nodes of a lower priority are asked only when all of a higher one have failed or are down.
    pub priority: i32,
}

/// Reads nodes, written as `{"host:port": weight}` or as a list of objects.
pub(super) fn parse(json: &Value, scheme: UpstreamScheme) -> Result<Vec<Node>, Invalid> {
    let read: Vec<Node> = match json {
        Value::Object(weights) => weights
            .iter()
            .map(|(address, weight)| keyed(address, weight, scheme))
            .collect::<Result<_, _>>()?,
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(at, node)| listed(node, scheme).map_err(|error| error.within(&format!("[{at}]"))))
            .collect::<Result<_, _>>()?,
        _ => {
            let forms = r#"are {"host:port": weight} or a list of {"host", "port", "weight", "priority"}"#;
            return Err(Invalid::new("", forms));
        }
    };
    Ok(each_once(read))
}

/// One that stands twice is one node with the weight that was written last, as in APISIX.
fn each_once(read: Vec<Node>) -> Vec<Node> {
    let mut places = std::collections::HashMap::with_capacity(read.len());
    let mut nodes: Vec<Node> = Vec::with_capacity(read.len());
    for node in read {
        let identity = (node.host.to_ascii_lowercase(), node.port, node.priority);
        match places.entry(identity) {
            std::collections::hash_map::Entry::Occupied(place) => {
                let first: &mut Node = &mut nodes[*place.get()];
                first.weight = node.weight;
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(nodes.len());
                nodes.push(node);
            }
        }
    }
    nodes
}

fn keyed(address: &str, weight: &Value, scheme: UpstreamScheme) -> Result<Node, Invalid> {
    let wrong = || Invalid::new(address, "write a node as \"host:port\": weight");
    let weight = weight.as_u64().and_then(|weight| u32::try_from(weight).ok());
    let weight = weight.ok_or_else(|| Invalid::new(address, "a weight is a whole number from 0 on"))?;
    let (host, port) = match address.rsplit_once(':') {
        // A colon within brackets, or one of several, belongs to an IPv6 address.
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().map_err(|_| wrong())?)
        }
        _ => (address, scheme.default_port()),
    };
    node(host, port, weight, 0).ok_or_else(wrong)
}

fn listed(json: &Value, scheme: UpstreamScheme) -> Result<Node, Invalid> {
    let fields: Listed = crate::parse(json)?;
    let port = fields.port.unwrap_or(scheme.default_port());
    node(&fields.host, port, fields.weight, fields.priority)
        .ok_or_else(|| Invalid::new("host", "is a name or an address, and the port is from 1 to 65535"))
}

fn node(host: &str, port: u16, weight: u32, priority: i32) -> Option<Node> {
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    let is_host = !host.is_empty() && host.bytes().all(allowed);
    (is_host && port != 0).then(|| Node { host: host.to_owned(), port, weight, priority })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    host: String,
    port: Option<u16>,
    weight: u32,
    #[serde(default)]
    priority: i32,
    // What service discovery notes about a node. Nothing here reads it.
    #[serde(rename = "metadata")]
    _metadata: Option<Map<String, Value>>,
}
