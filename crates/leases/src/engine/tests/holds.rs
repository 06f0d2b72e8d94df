//! Whose a hold is, what it outlives, and what becomes of it when its witness fails.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gateward_clock::{Clock, ManualClock};
use gateward_store::MemoryStore;

use super::SETTLE;
use super::sentences::{issued, pass, verdict};
use super::world::{TTL, World};

/// A world with a lease, whose clock has jumped by two hours.
fn jumped(seed: u64) -> (World, super::world::Life) {
    let world = World::calm(seed);
    let life = world.start();
    issued(&life);
    pass(&world, &life, Duration::from_secs(6));
    world.clock.set(world.clock.now() + Duration::from_secs(7200));
    pass(&world, &life, Duration::from_secs(6));
    assert!(life.engine.held().is_some());
    (world, life)
}

#[test]
fn a_hold_is_every_engines_and_so_is_letting_go() {
    let world = World::calm(60);
    // By its clock nothing has happened.
    let clock = ManualClock::at(world.clock.now());
    let other = world.start_by("b", Arc::new(clock.clone()));
    let wait = |span: Duration| {
        clock.advance(span);
        other.run(SETTLE);
    };
    let life = world.start();
    issued(&life);
    pass(&world, &life, Duration::from_secs(6));
    wait(Duration::from_secs(6));
    world.clock.set(world.clock.now() + Duration::from_secs(7200));
    pass(&world, &life, Duration::from_secs(6));
    assert!(life.engine.held().is_some() && other.engine.held().is_none());
    wait(Duration::from_secs(31));
    assert_eq!(other.engine.held(), life.engine.held());
    wait(TTL);
    assert_eq!(world.outside().alive.len(), 1, "the other one holds, too");
    assert!(life.runtime.block_on(life.engine.let_go(verdict())).unwrap());
    assert!(!life.runtime.block_on(life.engine.let_go(verdict())).unwrap(), "nothing is held any more");
    wait(Duration::from_secs(2));
    wait(Duration::from_secs(2));
    assert_eq!((other.engine.held(), world.outside().alive.len()), (None, 0));
}

#[test]
fn a_hold_outlives_its_process_though_the_witness_is_lost() {
    let (world, life) = jumped(61);
    let held = life.engine.held();
    drop(life);
    *world.witness.seen.lock().unwrap() = None;
    let life = world.start();
    pass(&world, &life, TTL);
    assert_eq!((life.engine.held(), world.outside().alive.len()), (held, 1));
}

#[test]
fn while_the_witness_cannot_be_read_nothing_is_revoked_by_time() {
    let world = World::calm(62);
    let life = world.start();
    issued(&life);
    pass(&world, &life, Duration::from_secs(6));
    drop(life);
    world.witness.broken.store(true, Ordering::Relaxed);
    let life = world.start();
    pass(&world, &life, TTL);
    assert_eq!(world.outside().alive.len(), 1, "the store may be an earlier one");
    world.witness.broken.store(false, Ordering::Relaxed);
    pass(&world, &life, Duration::from_secs(2));
    assert_eq!((life.engine.held(), world.outside().alive.len()), (None, 0));
}

#[test]
fn what_cannot_be_told_to_the_witness_is_not_let_go() {
    let (world, life) = jumped(63);
    world.witness.broken.store(true, Ordering::Relaxed);
    let refused = life.runtime.block_on(life.engine.let_go(verdict())).unwrap_err();
    assert!(refused.to_string().contains("witness"), "{refused}");
    pass(&world, &life, Duration::from_secs(6));
    assert_eq!((life.engine.held().is_some(), world.outside().alive.len()), (true, 1));
    world.witness.broken.store(false, Ordering::Relaxed);
    assert!(life.runtime.block_on(life.engine.let_go(verdict())).unwrap());
    pass(&world, &life, Duration::from_secs(2));
    assert_eq!(world.outside().alive.len(), 0);
}

#[test]
fn a_store_that_is_new_holds_nothing_though_there_was_another_before() {
    let world = World::calm(64);
    let life = world.start();
    issued(&life);
    pass(&world, &life, Duration::from_secs(6));
    drop(life);
    world.store.restore(&MemoryStore::new());
    let life = world.start();
    pass(&world, &life, Duration::from_secs(6));
    assert_eq!(life.engine.held(), None);
    let seen = world.witness.seen.lock().unwrap().clone();
    assert!(
        seen.is_some_and(|seen| seen.now + Duration::from_secs(10) > world.clock.now()),
        "it watches this one now"
    );
}
