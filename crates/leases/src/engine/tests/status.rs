//! What others hear of leases and producers.

use std::time::Duration;

use super::SETTLE;
use super::world::{Life, PLAIN, TTL, World, holder, name};
use crate::engine::{Issued, Settlement, Wish};
use crate::lease::Verdict;
use crate::producer::RevokeFailure;
use crate::status::{LeaseStatus, ProducerStatus, StatusChange};

fn issued(life: &Life) -> Issued {
    life.runtime.block_on(life.engine.issue(&name(PLAIN), holder(1), Wish::default())).unwrap()
}

fn pass(world: &World, life: &Life, span: Duration) {
    world.clock.advance(span);
    life.run(SETTLE);
}

/// What was told since the last time, in words; the item must be ours in each.
fn told(world: &World) -> Vec<String> {
    let words = |change: StatusChange| match change {
        StatusChange::Lease { item, status, access_id, expires_at, .. } => {
            assert_eq!((item.id, item.name), (PLAIN, Some(name(PLAIN))));
            assert_eq!(access_id, holder(1).access_id);
            assert_eq!(expires_at.is_some(), matches!(status, LeaseStatus::Issued | LeaseStatus::Renewed));
            format!("{status:?}")
        }
        StatusChange::Producer { item, status } => {
            assert_eq!((item.id, item.name), (PLAIN, Some(name(PLAIN))));
            format!("{status:?}")
        }
        StatusChange::Rotation { .. } => unreachable!("the engine rotates nothing"),
    };
    world.heard.taken().into_iter().map(words).collect()
}

#[test]
fn a_lease_is_told_of_when_it_is_issued_renewed_and_revoked() {
    let world = World::calm(31);
    let life = world.start();
    let lease = issued(&life);
    assert_eq!(told(&world), ["Issued"]);
    life.runtime.block_on(life.engine.renew(PLAIN, lease.lease_id, Some(TTL / 2))).unwrap();
    assert_eq!(told(&world), ["Renewed"]);
    pass(&world, &life, TTL);
    assert_eq!(told(&world), ["Revoked"]);
    pass(&world, &life, TTL);
    assert_eq!(told(&world), Vec::<String>::new(), "each change is told once");
}

#[test]
fn a_producer_that_is_down_and_what_it_leaves_behind_are_told_of_once() {
    let world = World::calm(32);
    let life = world.start();
    let lease = issued(&life).lease_id;
    issued(&life);
    told(&world);
    world.outside().down = Some(RevokeFailure::Transient);
    let mut heard = Vec::new();
    for _ in 0..200 {
        pass(&world, &life, Duration::from_secs(60));
        heard.extend(told(&world));
    }
    heard.sort();
    assert_eq!(
        heard,
        [format!("{:?}", ProducerStatus::CircuitOpen), "Parked".to_owned(), "Parked".to_owned()]
    );
    let verdict = Verdict { by: "p-operator".to_owned(), reason: "canary".to_owned() };
    life.runtime.block_on(life.engine.abandon(PLAIN, lease, verdict)).unwrap();
    assert_eq!(told(&world), ["Abandoned"]);
    world.outside().down = None;
    pass(&world, &life, Duration::from_secs(7200));
    let mut heard = told(&world);
    heard.sort();
    assert_eq!(heard, [format!("{:?}", ProducerStatus::CircuitClosed), "Revoked".to_owned()]);
}

#[test]
fn a_lease_whose_answer_is_lost_is_told_of_as_unknown_and_then_as_settled() {
    let world = World::calm(33);
    let life = world.start();
    world.outside().loses = true;
    let issue = || life.runtime.block_on(life.engine.issue(&name(PLAIN), holder(1), Wish::default()));
    assert!(issue().is_err());
    assert_eq!(told(&world), ["Unknown"]);
    world.outside().refuses = true;
    assert!(issue().is_err());
    assert_eq!(told(&world), ["NotIssued"]);
    let lease = life.runtime.block_on(life.engine.leases(PLAIN)).unwrap().remove(0).id;
    let verdict = Verdict { by: "p-operator".to_owned(), reason: "canary".to_owned() };
    let settled = life.engine.settle(PLAIN, lease, Settlement::Nothing, verdict);
    life.runtime.block_on(settled).unwrap();
    assert_eq!(told(&world), ["Settled"]);
}
