//! The same node for the same key, as far as the nodes stay the same (`chash`).
//!
//! Every node owns points on a ring, 160 for each unit of weight, and a key belongs to the first point at or after its
//! hash. A node that goes leaves its keys to the owners of the points that follow, a node that comes takes some from
//! everybody, and all other keys stay where they are.

use super::{Pick, Weighted, limited, reduced};
use crate::hashing::hash;

/// A ring of points.
pub(super) struct Ring {
    /// In order.
    points: Box<[u64]>,
    /// Of each point.
    owners: Box<[u32]>,
    nodes: Box<[u32]>,
}

impl Ring {
    pub(super) fn new(nodes: &[Weighted<'_>]) -> Self {
        let weights = reduced(nodes);
        let wanted: Vec<u32> =
            weights.iter().map(|weight| weight.saturating_mul(POINTS_PER_WEIGHT)).collect();
        let mut points = Vec::new();
        for (Weighted { place, node }, count) in nodes.iter().zip(limited(&wanted, MOST_POINTS)) {
            let mut name = format!("{}\0{}\0", node.host.to_ascii_lowercase(), node.port).into_bytes();
            let length = name.len();
            for point in 0..count {
                name.truncate(length);
                name.extend_from_slice(&point.to_le_bytes());
                points.push((hash(&name), *place));
            }
        }
        points.sort_unstable();
        let (points, owners): (Vec<u64>, Vec<u32>) = points.into_iter().unzip();
        Self {
            points: points.into(),
            owners: owners.into(),
            nodes: nodes.iter().map(|weighted| weighted.place).collect(),
        }
    }

    pub(super) fn pick<M: Fn(u32) -> bool>(&self, pick: &Pick<'_, M>) -> Option<u32> {
        let first = self.points.partition_point(|point| *point < pick.key) % self.points.len();
        let owner = self.owners[first];
        if (pick.may)(owner) {
            return Some(owner);
        }
        // With nobody left there is no use in going all around.
        if !self.nodes.iter().any(|node| (pick.may)(*node)) {
            return None;
        }
        let (before, after) = self.owners.split_at(first);
        after.iter().chain(before).copied().find(|node| (pick.may)(*node))
    }
}

const POINTS_PER_WEIGHT: u32 = 160;

/// How many points a ring has at most, two megabytes of them; but every node has one.
const MOST_POINTS: u64 = 160 * 1024;
