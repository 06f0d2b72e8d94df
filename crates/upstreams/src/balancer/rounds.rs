//! Nodes in turn, each as often as its weight says, and evenly spread (`roundrobin`).
//!
//! The order of turns (smooth weighted round robin, as nginx has it: with weights 5, 1, 1 it is a a b a c a a) is worked
//! out when the configuration is compiled. What a request does is to move one position forward. The position is shared by
//! all threads and outlives the snapshot, so that a change elsewhere does not begin the round anew.

use super::{Pick, Weighted, limited, reduced};
use crate::hashing::mix;

/// The turns of nodes.
pub(super) struct Rounds {
    turns: Box<[u32]>,
    nodes: Box<[u32]>,
}

impl Rounds {
    pub(super) fn new(nodes: &[Weighted<'_>]) -> Self {
        let places: Box<[u32]> = nodes.iter().map(|weighted| weighted.place).collect();
        Self { turns: turns(&places, &limited(&reduced(nodes), LONGEST_ROUND)), nodes: places }
    }

    pub(super) fn pick<M: Fn(u32) -> bool>(&self, pick: &Pick<'_, M>) -> Option<u32> {
        let node = self.turns[pick.position % self.turns.len()];
        if (pick.may)(node) {
            return Some(node);
        }
        self.another(pick)
    }

    /// A node in place of one that may not be picked. Always to take the next in the order would give all of the missing
    /// one's share to its neighbour; a draw gives everybody a part of it, by weight.
    #[cold]
    fn another<M: Fn(u32) -> bool>(&self, pick: &Pick<'_, M>) -> Option<u32> {
        let mut drawn = pick.position as u64;
        for _ in 0..DRAWS {
            drawn = mix(drawn);
            let node = self.turns[(drawn % self.turns.len() as u64) as usize];
            if (pick.may)(node) {
                return Some(node);
            }
        }
        let start = (drawn % self.nodes.len() as u64) as usize;
        let (before, after) = self.nodes.split_at(start);
        after.iter().chain(before).copied().find(|node| (pick.may)(*node))
    }
}

/// The order of turns. At each turn every node gains its weight, the richest has the turn and pays what all gained.
fn turns(places: &[u32], weights: &[u64]) -> Box<[u32]> {
    let weights: Vec<i64> = weights.iter().map(|weight| i64::try_from(*weight).unwrap_or(i64::MAX)).collect();
    let total: i64 = weights.iter().sum();
    let mut wealth = vec![0; weights.len()];
    let mut turns = Vec::new();
    for _ in 0..total {
        let mut richest = 0;
        for (node, weight) in weights.iter().enumerate() {
            wealth[node] += weight;
            if wealth[node] > wealth[richest] {
                richest = node;
            }
        }
        wealth[richest] -= total;
        turns.push(places[richest]);
    }
    turns.into_boxed_slice()
}

/// How many turns a round has at most; but every node has one.
const LONGEST_ROUND: u64 = 16_384;

/// How often a node is drawn before all are gone through. Draws miss that often only where most of the weight is down.
const DRAWS: usize = 16;
