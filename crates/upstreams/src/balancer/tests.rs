use std::collections::{HashMap, HashSet};
use std::time::Duration;

use gateward_model::apisix::HashOn;
use proptest::prelude::*;

use super::*;
use crate::hashing::hash;
use crate::testing::states;

fn nodes(weights: &[u32]) -> Vec<Node> {
    let node = |(at, weight): (usize, &u32)| Node {
        host: format!("node-{at}"),
        port: 80,
        weight: *weight,
        priority: 0,
    };
    weights.iter().enumerate().map(node).collect()
}

fn chash() -> Balancing {
    Balancing::ConsistentHash(HashOn::Consumer)
}

fn all_kinds() -> [Balancing; 4] {
    [Balancing::RoundRobin, chash(), Balancing::LeastConnections, Balancing::Ewma]
}

/// A balancer and what it is about.
struct Subject {
    balancer: Balancer,
    states: Vec<Arc<NodeState>>,
    position: std::cell::Cell<usize>,
}

impl Subject {
    fn new(balancing: &Balancing, nodes: &[Node]) -> Self {
        Self {
            balancer: Balancer::new(balancing, nodes),
            states: states(nodes.len(), &Arc::default()),
            position: std::cell::Cell::default(),
        }
    }

    fn pick_of(&self, key: u64, barred: &[u32]) -> Option<u32> {
        let position = self.position.replace(self.position.get() + 1);
        self.balancer.pick(&Pick {
            position,
            key,
            may: |node| !barred.contains(&node),
            all_may: barred.is_empty(),
            states: &self.states,
            now: Timestamp::from_secs(1000),
        })
    }

    fn picks(&self, count: usize) -> Vec<u32> {
        (0..count).filter_map(|_| self.pick_of(0, &[])).collect()
    }
}

fn rounds(weights: &[u32], count: usize) -> Vec<u32> {
    Subject::new(&Balancing::RoundRobin, &nodes(weights)).picks(count)
}

#[test]
fn turns_are_spread_evenly() {
    assert_eq!(rounds(&[5, 1, 1], 7), [0, 0, 1, 0, 2, 0, 0]);
    assert_eq!(rounds(&[1, 1, 1], 4), [0, 1, 2, 0]);
    assert_eq!(rounds(&[200, 100], 6), [0, 1, 0, 0, 1, 0]);
}

#[test]
fn a_node_without_weight_is_never_picked() {
    for kind in all_kinds() {
        let subject = Subject::new(&kind, &nodes(&[0, 1, 0, 2, 0]));
        for key in 0..200 {
            assert!(matches!(subject.pick_of(hash(&[key]), &[]), Some(1 | 3)), "{kind:?}");
        }
        assert!(Subject::new(&kind, &nodes(&[0, 0])).picks(3).is_empty());
        assert!(Subject::new(&kind, &[]).picks(3).is_empty());
        assert!(Subject::new(&kind, &[]).balancer.is_empty());
    }
}

#[test]
fn enormous_weights_make_no_enormous_round_and_forget_no_node() {
    let weights = [u32::MAX, 1, u32::MAX - 1];
    let picked: HashSet<u32> = rounds(&weights, 16_384 + 3).into_iter().collect();
    assert_eq!(picked.len(), 3);
    let ring = Subject::new(&chash(), &nodes(&weights));
    let picked: HashSet<_> = (0..1_000_u32).map(|key| ring.pick_of(hash(&key.to_le_bytes()), &[])).collect();
    assert!(picked.contains(&Some(0)) && picked.contains(&Some(2)));
    assert_eq!(ring.pick_of(7, &[0, 2]), Some(1));
}

#[test]
fn the_share_of_a_node_that_may_not_be_picked_goes_to_all_others_by_weight() {
    let subject = Subject::new(&Balancing::RoundRobin, &nodes(&[1, 1, 1, 2]));
    let mut counts = [0_u32; 4];
    for _ in 0..50_000 {
        counts[subject.pick_of(0, &[0]).unwrap() as usize] += 1;
    }
    assert_eq!(counts[0], 0);
    for (count, share) in [(counts[1], 0.25), (counts[2], 0.25), (counts[3], 0.5)] {
        let seen = f64::from(count) / 50_000.0;
        assert!((seen - share).abs() < 0.01, "{counts:?}");
    }
}

#[test]
fn a_lower_tier_is_asked_only_when_the_higher_ones_have_nobody_left() {
    for kind in all_kinds() {
        let mut list = nodes(&[1, 1, 1, 1, 1]);
        for (node, priority) in list.iter_mut().zip([-1, 5, 0, 5, 0]) {
            node.priority = priority;
        }
        let subject = Subject::new(&kind, &list);
        let (mut barred, mut order) = (Vec::new(), Vec::new());
        while let Some(node) = subject.pick_of(42, &barred) {
            barred.push(node);
            order.push(list[node as usize].priority);
        }
        assert_eq!(order, [5, 5, 0, 0, -1], "{kind:?}");
    }
}

#[test]
fn the_node_with_the_fewest_calls_for_its_weight_is_picked() {
    let subject = Subject::new(&Balancing::LeastConnections, &nodes(&[1, 2, 1]));
    let mut counts = [0_u32; 3];
    for _ in 0..40 {
        let node = subject.pick_of(0, &[]).unwrap() as usize;
        subject.states[node].calls.begin();
        counts[node] += 1;
    }
    assert_eq!(counts, [10, 20, 10]);
    for _ in 0..10 {
        subject.states[2].calls.end();
    }
    assert_eq!(subject.pick_of(0, &[]), Some(2));
    assert_eq!(subject.pick_of(0, &[2]), Some(1));
}

#[test]
fn an_idle_upstream_does_not_always_ask_its_first_node() {
    assert_eq!(Subject::new(&Balancing::LeastConnections, &nodes(&[1, 1, 1])).picks(4), [0, 1, 2, 0]);
}

#[test]
fn of_two_that_are_drawn_the_faster_one_is_picked() {
    let subject = Subject::new(&Balancing::Ewma, &nodes(&[1, 1, 1]));
    for (state, millis) in subject.states.iter().zip([30, 20, 10]) {
        state.latency.note(Duration::from_millis(millis), Timestamp::from_secs(1000));
    }
    let mut counts = [0_u32; 3];
    for node in subject.picks(30_000) {
        counts[node as usize] += 1;
    }
    // The slowest loses every draw; the fastest wins two of the three possible ones.
    assert_eq!(counts[0], 0);
    assert!((f64::from(counts[2]) / 30_000.0 - 2.0 / 3.0).abs() < 0.02, "{counts:?}");
    assert_eq!(subject.pick_of(0, &[1, 2]), Some(0));
}

#[test]
fn keys_are_spread_by_weight() {
    let subject = Subject::new(&chash(), &nodes(&[1, 2, 1]));
    let mut counts = [0_u32; 3];
    for key in 0..40_000_u32 {
        counts[subject.pick_of(hash(&key.to_le_bytes()), &[]).unwrap() as usize] += 1;
    }
    for (count, share) in counts.iter().zip([0.25, 0.5, 0.25]) {
        assert!((f64::from(*count) / 40_000.0 - share).abs() < 0.05, "{counts:?}");
    }
}

fn owners(list: &[Node]) -> HashMap<u32, String> {
    let subject = Subject::new(&chash(), list);
    let owner = |key: u32| subject.pick_of(hash(&key.to_le_bytes()), &[]).unwrap();
    (0..2_000).map(|key| (key, list[owner(key) as usize].host.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_round_gives_each_node_exactly_its_share(weights in prop::collection::vec(0_u32..40, 1..12)) {
        let total: u32 = weights.iter().sum();
        let round = rounds(&weights, total as usize);
        for (node, weight) in (0_u32..).zip(&weights) {
            prop_assert_eq!(round.iter().filter(|picked| **picked == node).count(), *weight as usize);
        }
    }

    #[test]
    fn no_node_is_ever_far_from_its_share(weights in prop::collection::vec(1_u32..20, 2..8)) {
        let total: u32 = weights.iter().sum();
        let mut counts = vec![0_u32; weights.len()];
        for (turn, node) in (1_u32..).zip(rounds(&weights, total as usize)) {
            counts[node as usize] += 1;
            for (count, weight) in counts.iter().zip(&weights) {
                let due = f64::from(turn) * f64::from(*weight) / f64::from(total);
                prop_assert!((f64::from(*count) - due).abs() < weights.len() as f64);
            }
        }
    }

    #[test]
    fn every_node_is_picked_once_and_none_twice(
        weights in prop::collection::vec(0_u32..5, 1..30),
        key in any::<u64>(),
        position in any::<u32>(),
        kind in 0_usize..4,
    ) {
        let subject = Subject::new(&all_kinds()[kind], &nodes(&weights));
        subject.position.set(position as usize);
        let mut barred = Vec::new();
        while let Some(node) = subject.pick_of(key, &barred) {
            prop_assert!(!barred.contains(&node));
            barred.push(node);
        }
        prop_assert_eq!(barred.len(), weights.iter().filter(|weight| **weight > 0).count());
    }

    #[test]
    fn a_node_that_goes_moves_no_key_but_its_own(count in 2_usize..10, gone in 0_usize..10) {
        let before = nodes(&vec![1; count]);
        let mut after = before.clone();
        let gone = after.remove(gone % count).host;
        let (before, after) = (owners(&before), owners(&after));
        for (key, owner) in &before {
            if *owner != gone {
                prop_assert_eq!(&after[key], owner);
            }
        }
    }

    #[test]
    fn a_node_that_may_not_be_picked_moves_keys_where_they_would_go_without_it(count in 2_u32..8, key in any::<u64>()) {
        let list = nodes(&vec![1; count as usize]);
        let subject = Subject::new(&chash(), &list);
        let first = subject.pick_of(key, &[]).unwrap();
        let next = subject.pick_of(key, &[first]).unwrap();
        let mut without = list.clone();
        without.remove(first as usize);
        let owner = Subject::new(&chash(), &without).pick_of(key, &[]).unwrap();
        prop_assert_eq!(&without[owner as usize].host, &list[next as usize].host);
    }
}
