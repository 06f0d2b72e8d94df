//! Producers and queues that are slow, callers that do not wait, and events that end: nobody is blamed for another.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join;
use gateward_clock::{Clock, Timestamp};
use gateward_model::DynamicSecret;

use super::SETTLE;
use super::outside::yield_many;
use super::sentences::{alive_and_calls, leases, pass};
use super::turns::Function;
use super::world::{Life, OTHER, TTL, World, holder, name, secret};
use crate::engine::{IssueError, Wish};
use crate::lease::LeaseState;
use crate::producer::Capabilities;
use crate::status::StatusChange;
use crate::turns::{Announcer, Turns};

/// A secret whose producer revokes one credential a call, and a second each.
fn one_by_one(world: &World) {
    let capabilities = Capabilities { max_batch: Some(1), ..Capabilities::default() };
    world.keep(DynamicSecret { timeout_sec: 20, capabilities, ..secret(ONE_BY_ONE) });
}

fn issue(life: &Life, item: u64, count: usize) {
    for _ in 0..count {
        life.runtime.block_on(life.engine.issue(&name(item), holder(1), Wish::default())).unwrap();
    }
}

fn is_of_a_producer(change: &StatusChange) -> bool {
    matches!(change, StatusChange::Producer { .. })
}

#[test]
fn a_producer_that_takes_one_at_a_time_has_its_whole_time_for_each() {
    let world = World::calm(61);
    one_by_one(&world);
    let life = world.start();
    issue(&life, ONE_BY_ONE, 60);
    world.heard.taken();
    world.outside().call_takes = Duration::from_secs(1);
    pass(&world, &life, TTL);
    life.run(10 * SETTLE);
    assert_eq!(alive_and_calls(&world), (0, 60), "each was called for once");
    assert!(!world.heard.taken().iter().any(is_of_a_producer), "a producer that answers is in order");
}

#[test]
fn a_turn_that_has_no_time_left_begins_nothing_and_blames_no_producer() {
    let function = Function::new(62, 0);
    let start = function.world.clock.now();
    function.at(start);
    issue(&function.life, OTHER, 600);
    function.world.heard.taken();
    function.world.outside().call_takes = 4 * SECOND;
    let due = start + Duration::from_secs(3600);
    function.at(due);
    // Ten seconds, of which two are for writing down.
    let done = function.life.runtime.block_on(function.turns.message(due, due + 10 * SECOND));
    assert!(done.is_ok(), "{done:?}");
    let (alive, calls) = alive_and_calls(&function.world);
    assert!((200..=500).contains(&alive), "{alive} are alive after {calls} calls");
    assert!(!function.world.heard.taken().iter().any(is_of_a_producer), "it has not failed");
    function.world.outside().call_takes = Duration::ZERO;
    let again = function.world.clock.now() + SECOND;
    function.at(again);
    function.message(again);
    assert!(function.alive() <= 100, "the next event goes on, but with the call that was cut");
    function.at(again + 5 * SECOND);
    function.tick();
    assert_eq!(function.alive(), 0);
}

#[test]
fn what_comes_when_nobody_waits_any_more_is_to_be_revoked_before_the_event_ends() {
    let function = Function::new(63, 0);
    let wish = Wish::default();
    wish.given_up.store(true, Ordering::Release);
    let issued = function.life.runtime.block_on(async {
        function.turns.begin(function.until());
        let issued = function.life.engine.issue(&name(OTHER), holder(1), wish).await;
        function.turns.settle(function.until()).await;
        issued
    });
    assert!(matches!(issued, Err(IssueError::Timeout(_))), "{issued:?}");
    let state = leases(&function.life, OTHER).remove(0).state;
    assert!(matches!(state, LeaseState::Revoking(_)), "{state:?}");
    function.tick();
    assert_eq!(function.alive(), 0);
}

/// A queue that is out of reach.
struct Silent;

#[async_trait]
impl Announcer for Silent {
    async fn announce(&self, _: Timestamp, _: Duration) -> Result<(), String> {
        std::future::pending().await
    }
}

#[test]
fn a_queue_that_does_not_answer_holds_up_neither_callers_nor_revocations() {
    let mut function = Function::new(64, 0);
    let (call_end, clock) = (Arc::clone(&function.world.call_end), Arc::new(function.world.clock.clone()));
    let engine = Arc::clone(&function.life.engine);
    function.turns = Turns::new(engine, None, Some(Arc::new(Silent)), call_end, clock);
    let start = function.world.clock.now();
    let issue = async {
        function.turns.begin(start + 60 * SECOND);
        let wish = Wish { ttl: Some(TTL), ..Wish::default() };
        function.life.engine.issue(&name(OTHER), holder(1), wish).await.unwrap();
        function.turns.settle(start + 60 * SECOND).await;
    };
    let second = async {
        yield_many(SETTLE).await;
        function.at(start + SECOND);
    };
    function.life.runtime.block_on(join(issue, second));
    function.at(start + TTL);
    assert_eq!(function.alive_late_in_a_tick(), 0, "it was revoked while the queue was asked");
}

const ONE_BY_ONE: u64 = 12;
const SECOND: Duration = Duration::from_secs(1);
