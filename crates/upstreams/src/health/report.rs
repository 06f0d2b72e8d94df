//! What is known of nodes' health, as APISIX's control API shows it (`GET /v1/healthcheck`).

use serde::Serialize;

use super::{Counters, Health};

/// The health of an upstream's nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UpstreamHealth {
    /// The resource that the upstream stands in: `/apisix/upstreams/1`.
    pub name: String,
    /// What checks are made with: `http`, `https` or `tcp`.
    pub r#type: &'static str,
    /// Its nodes, in their order.
    pub nodes: Vec<NodeHealth>,
}

/// The health of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeHealth {
    /// Its address, or its name.
    pub ip: String,
    /// The port that is checked.
    pub port: u16,
    /// The Host that checks name.
    pub hostname: String,
    /// Whether it is up.
    pub status: Health,
    /// What has been counted.
    pub counter: Counters,
}
