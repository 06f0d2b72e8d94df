//! Takes the nodes of an upstream in turn, each as often as its weight says, and evenly spread.
//!
//! The order of turns (smooth weighted round robin, as nginx has it: with weights 5, 1, 1 it is a a b a c a a) is worked
//! out when the configuration is compiled. What a request does is to move one position forward. The position is
//! shared by all threads and outlives the snapshot, so that a change elsewhere does not begin the round anew.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The turns of one upstream's nodes.
pub(crate) struct Balancer {
    turns: Box<[u32]>,
    position: Arc<AtomicUsize>,
}

impl Balancer {
    /// Nodes with these weights; one with weight 0 has no turn.
    pub(crate) fn new(weights: &[u32], position: Arc<AtomicUsize>) -> Self {
        Self { turns: turns(weights), position }
    }

    /// The node whose turn it is; none if no node has any.
    pub(crate) fn pick(&self) -> Option<usize> {
        self.another(&[])
    }

    /// The next node that is not among `tried`, if there is one.
    pub(crate) fn another(&self, tried: &[usize]) -> Option<usize> {
        if self.turns.is_empty() {
            return None;
        }
        let start = self.position.fetch_add(1, Ordering::Relaxed) % self.turns.len();
        let (before, after) = self.turns.split_at(start);
        after.iter().chain(before).map(|node| *node as usize).find(|node| !tried.contains(node))
    }
}

/// The positions of all upstreams, by what identifies each. They outlive the snapshots.
#[derive(Default)]
pub(crate) struct Positions {
    by_upstream: HashMap<String, Arc<AtomicUsize>>,
}

impl Positions {
    /// The position of `upstream`.
    pub(crate) fn of(&mut self, upstream: &str) -> Arc<AtomicUsize> {
        match self.by_upstream.get(upstream) {
            Some(position) => Arc::clone(position),
            None => Arc::clone(self.by_upstream.entry(upstream.to_owned()).or_default()),
        }
    }

    /// Forgets those that no balancer has any more.
    pub(crate) fn sweep(&mut self) {
        self.by_upstream.retain(|_, position| Arc::strong_count(position) > 1);
    }
}

/// The order of turns. At each turn every node gains its weight, the richest has the turn and pays what all gained.
fn turns(weights: &[u32]) -> Box<[u32]> {
    let nodes = reduced(weights);
    let total: i64 = nodes.iter().map(|(_, weight)| weight).sum();
    let mut wealth = vec![0; nodes.len()];
    let mut turns = Vec::new();
    for _ in 0..total {
        let mut richest = 0;
        for (place, (_, weight)) in nodes.iter().enumerate() {
            wealth[place] += weight;
            if wealth[place] > wealth[richest] {
                richest = place;
            }
        }
        wealth[richest] -= total;
        turns.push(nodes[richest].0);
    }
    turns.into_boxed_slice()
}

/// The nodes that have a weight, with their weights in lowest terms. Where a round would have more than
/// [`LONGEST_ROUND`] turns the weights are rounded, but never to 0.
fn reduced(weights: &[u32]) -> Vec<(u32, i64)> {
    let divisor = weights.iter().fold(0, |divisor, weight| greatest_common_divisor(divisor, *weight)).max(1);
    let total: i64 = weights.iter().map(|weight| i64::from(weight / divisor)).sum();
    let scale = |weight: i64| match total {
        0..=LONGEST_ROUND => weight,
        _ => (weight * LONGEST_ROUND / total).max(1),
    };
    let nodes = (0..).zip(weights).filter(|(_, weight)| **weight > 0);
    nodes.map(|(node, weight)| (node, scale(i64::from(weight / divisor)))).collect()
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

const LONGEST_ROUND: i64 = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(weights: &[u32], count: usize) -> Vec<usize> {
        let balancer = Balancer::new(weights, Arc::default());
        (0..count).filter_map(|_| balancer.pick()).collect()
    }

    #[test]
    fn turns_are_spread_evenly() {
        assert_eq!(picks(&[5, 1, 1], 7), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(picks(&[1, 1, 1], 4), [0, 1, 2, 0]);
        assert_eq!(picks(&[200, 100], 6), [0, 1, 0, 0, 1, 0]);
    }

    #[test]
    fn a_node_without_weight_has_no_turn() {
        assert_eq!(picks(&[0, 1, 0, 2, 0], 6), [3, 1, 3, 3, 1, 3]);
        assert!(picks(&[0, 0], 3).is_empty());
        assert!(picks(&[], 3).is_empty());
    }

    #[test]
    fn a_round_gives_each_node_its_share() {
        for weights in [vec![3, 7, 11], vec![1, 100], vec![2, 0, 4, 9]] {
            let round = picks(&weights, weights.iter().sum::<u32>() as usize);
            for (node, weight) in weights.iter().enumerate() {
                assert_eq!(round.iter().filter(|picked| **picked == node).count(), *weight as usize);
            }
        }
    }

    #[test]
    fn enormous_weights_make_no_enormous_round_and_forget_no_node() {
        let balancer = Balancer::new(&[u32::MAX, 1, u32::MAX - 1], Arc::default());
        assert!(balancer.turns.len() <= 16_384 + 3);
        assert!((0..3).all(|node| balancer.turns.contains(&node)));
    }

    #[test]
    fn another_node_is_one_that_was_not_tried() {
        let balancer = Balancer::new(&[9, 1, 0], Arc::default());
        assert_eq!(balancer.another(&[0]), Some(1));
        assert_eq!(balancer.another(&[0, 1]), None);
    }

    #[test]
    fn the_round_goes_on_when_the_snapshot_is_replaced() {
        let mut positions = Positions::default();
        let before = Balancer::new(&[1, 1], positions.of("u"));
        assert_eq!(before.pick(), Some(0));
        positions.sweep();
        let after = Balancer::new(&[1, 1], positions.of("u"));
        assert_eq!(after.pick(), Some(1));
        drop((before, after));
        positions.sweep();
        assert!(positions.by_upstream.is_empty());
    }
}
