//! The ways to choose a node, behind one face.
//!
//! Nodes are sorted into tiers by priority; a lower tier is asked only when the higher ones have nobody left. Within one,
//! the upstream's balancing decides. Nodes without weight are in no tier.

mod ewma;
mod least_connections;
mod ring;
mod rounds;

use std::sync::Arc;

use gateward_clock::Timestamp;
use gateward_model::apisix::{Balancing, Node};

use crate::node::NodeState;
use ewma::Ewma;
use least_connections::LeastConnections;
use ring::Ring;
use rounds::Rounds;

/// Whom a pick is for, and who may be picked.
pub(crate) struct Pick<'a, M> {
    /// How many picks came before it.
    pub(crate) position: usize,
    /// The hash of what the request is told apart by.
    pub(crate) key: u64,
    /// Whether this node may be picked.
    pub(crate) may: M,
    /// Whether [`Pick::may`] is true of every node.
    pub(crate) all_may: bool,
    /// What is known of the nodes.
    pub(crate) states: &'a [Arc<NodeState>],
    /// The time, where latencies matter.
    pub(crate) now: Timestamp,
}

impl<M> Pick<'_, M> {
    fn state(&self, node: u32) -> &NodeState {
        &self.states[node as usize]
    }
}

/// An upstream's nodes, sorted and prepared for picking.
pub(crate) struct Balancer {
    tiers: Box<[Tier]>,
}

enum Tier {
    Rounds(Rounds),
    Ring(Ring),
    LeastConnections(LeastConnections),
    Ewma(Ewma),
}

impl Balancer {
    /// A balancer of `nodes`, which go by their places.
    pub(crate) fn new(balancing: &Balancing, nodes: &[Node]) -> Self {
        let mut weighted: Vec<Weighted<'_>> = (0..)
            .zip(nodes)
            .filter(|(_, node)| node.weight > 0)
            .map(|(place, node)| Weighted { place, node })
            .collect();
        weighted.sort_by_key(|weighted| std::cmp::Reverse(weighted.node.priority));
        let tiers = weighted.chunk_by(|one, other| one.node.priority == other.node.priority);
        Self {
            tiers: tiers
                .map(|tier| match balancing {
                    Balancing::RoundRobin => Tier::Rounds(Rounds::new(tier)),
                    Balancing::ConsistentHash(_) => Tier::Ring(Ring::new(tier)),
                    Balancing::LeastConnections => Tier::LeastConnections(LeastConnections::new(tier)),
                    Balancing::Ewma => Tier::Ewma(Ewma::new(tier)),
                })
                .collect(),
        }
    }

    /// Whether there is no node that could be picked.
    pub(crate) fn is_empty(&self) -> bool {
        self.tiers.is_empty()
    }

    /// The node to ask, by its place.
    pub(crate) fn pick<M: Fn(u32) -> bool>(&self, pick: &Pick<'_, M>) -> Option<u32> {
        self.tiers.iter().find_map(|tier| match tier {
            Tier::Rounds(rounds) => rounds.pick(pick),
            Tier::Ring(ring) => ring.pick(pick),
            Tier::LeastConnections(nodes) => nodes.pick(pick),
            Tier::Ewma(nodes) => nodes.pick(pick),
        })
    }
}

/// A node that has a weight.
#[derive(Clone, Copy)]
pub(crate) struct Weighted<'a> {
    /// Its place in the upstream.
    pub(crate) place: u32,
    pub(crate) node: &'a Node,
}

/// The weights of `nodes` in lowest terms.
fn reduced(nodes: &[Weighted<'_>]) -> Vec<u32> {
    let divisor =
        nodes.iter().fold(0, |divisor, weighted| greatest_common_divisor(divisor, weighted.node.weight));
    nodes.iter().map(|weighted| weighted.node.weight / divisor.max(1)).collect()
}

/// `weights`, made smaller so that they are at most `most` together, as far as nobody's becomes 0.
fn limited(weights: &[u32], most: u64) -> Vec<u64> {
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let scale = |weight: u64| if total <= most { weight } else { (weight * most / total).max(1) };
    weights.iter().map(|weight| scale(u64::from(*weight))).collect()
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests;
