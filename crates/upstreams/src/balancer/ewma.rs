//! The faster one of two nodes that are drawn (`ewma`).
//!
//! Two and not all: if everybody went to the fastest, it would not be that for long. Weights count only in that a node
//! without one is never drawn.

use super::{Pick, Weighted};
use crate::hashing::mix;

/// Nodes to draw from.
pub(super) struct Ewma {
    nodes: Box<[u32]>,
}

impl Ewma {
    pub(super) fn new(nodes: &[Weighted<'_>]) -> Self {
        Self { nodes: nodes.iter().map(|weighted| weighted.place).collect() }
    }

    pub(super) fn pick<M: Fn(u32) -> bool>(&self, pick: &Pick<'_, M>) -> Option<u32> {
        if pick.all_may {
            return faster(pick, self.nodes.len(), |nth| self.nodes.get(nth).copied());
        }
        let allowed = || self.nodes.iter().copied().filter(|node| (pick.may)(*node));
        faster(pick, allowed().count(), |nth| allowed().nth(nth))
    }
}

/// The faster of two different ones among `count`.
fn faster<M>(pick: &Pick<'_, M>, count: usize, nth: impl Fn(usize) -> Option<u32>) -> Option<u32> {
    if count < 2 {
        return nth(0);
    }
    let drawn = mix(pick.position as u64);
    // Two numbers of 32 bits each, scaled to what is wanted.
    let scaled = |number: u64, below: usize| (((number & u64::from(u32::MAX)) * below as u64) >> 32) as usize;
    let first = scaled(drawn, count);
    let second = scaled(drawn >> 32, count - 1);
    let second = if second >= first { second + 1 } else { second };
    let (first, second) = (nth(first)?, nth(second)?);
    let score = |node| pick.state(node).latency.score(pick.now);
    Some(if score(first) > score(second) { second } else { first })
}
