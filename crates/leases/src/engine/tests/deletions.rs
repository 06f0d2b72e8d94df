//! Deletions that were interrupted: they are finished, and what is due does not wait for that.

use std::time::Duration;

use futures_util::future::join;
use gateward_clock::Clock;
use gateward_model::{DynamicSecret, GoDuration};

use super::SETTLE;
use super::outside::yield_many;
use super::turns::Function;
use super::world::{Life, OTHER, TTL, World, holder, name, secret};
use crate::engine::Wish;

/// A deletion that was interrupted right after its first commit.
fn interrupted(world: &World, life: &Life) {
    world.keep(DynamicSecret { user_ttl: GoDuration::minutes(60), ..secret(GOING) });
    life.runtime.block_on(life.engine.issue(&name(GOING), holder(1), Wish::default())).unwrap();
    life.runtime.block_on(world.catalog().delete(&name(GOING))).unwrap();
}

#[test]
fn what_is_due_is_announced_and_revoked_while_a_deletion_is_finished() {
    let function = Function::new(81, 0);
    let (world, start) = (&function.world, function.world.clock.now());
    function.at(start);
    interrupted(world, &function.life);
    function.issue(TTL);
    function.issue(2 * TTL);
    function.at(start + TTL);
    function.forget_calls();
    world.store.state().hangs = Some(format!("~lease/{GOING}"));
    let tick = async {
        yield_many(SETTLE).await;
        assert_eq!(function.alive(), 2, "the one that was due has gone");
        assert!(function.calls().contains(&(start + 2 * TTL)), "the other is announced");
        world.clock.advance(Duration::from_secs(60));
    };
    let (done, ()) = function.life.runtime.block_on(join(function.turns.tick(function.until()), tick));
    assert!(done.is_ok());
}

#[test]
fn what_goes_with_a_deleted_item_goes_in_the_tick_that_finishes_its_deletion() {
    let function = Function::new(82, 0);
    function.at(function.world.clock.now());
    interrupted(&function.world, &function.life);
    assert_eq!(function.alive(), 1);
    function.tick();
    assert_eq!(function.alive(), 0);
}

#[test]
fn on_a_server_too_nothing_that_is_due_waits_for_a_deletion() {
    let function = Function::new(83, 0);
    let world = &function.world;
    interrupted(world, &function.life);
    world.store.state().hangs = Some(format!("~lease/{GOING}"));
    let life = world.start_as("a server");
    let wish = Wish { ttl: Some(TTL), ..Wish::default() };
    life.runtime.block_on(life.engine.issue(&name(OTHER), holder(1), wish)).unwrap();
    for _ in 0..3 {
        world.clock.advance(TTL);
        life.run(SETTLE);
    }
    assert_eq!(function.alive(), 1);
}

/// What is deleted.
const GOING: u64 = 10;
