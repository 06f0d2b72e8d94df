//! The node with the fewest calls under way for its weight (`least_conn`).
//!
//! Calls are counted for the whole process. Among equals the search begins at a node further each time, or an idle
//! upstream would always ask its first node.

use super::{Pick, Weighted};

/// Nodes and their weights.
pub(super) struct LeastConnections {
    nodes: Box<[(u32, u32)]>,
}

impl LeastConnections {
    pub(super) fn new(nodes: &[Weighted<'_>]) -> Self {
        Self { nodes: nodes.iter().map(|weighted| (weighted.place, weighted.node.weight)).collect() }
    }

    pub(super) fn pick<M: Fn(u32) -> bool>(&self, pick: &Pick<'_, M>) -> Option<u32> {
        let (before, after) = self.nodes.split_at(pick.position % self.nodes.len());
        let mut least: Option<(u32, u64, u64)> = None;
        for (node, weight) in after.iter().chain(before) {
            if !(pick.may)(*node) {
                continue;
            }
            let calls = u64::from(pick.state(*node).calls.count()) + 1;
            let weight = u64::from(*weight);
            // calls / weight, compared without dividing; both fit 32 bits.
            if least.is_none_or(|(_, least_calls, its_weight)| calls * its_weight < least_calls * weight) {
                least = Some((*node, calls, weight));
            }
        }
        least.map(|(node, ..)| node)
    }
}
