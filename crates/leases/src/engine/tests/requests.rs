//! Requests to gateways in which nothing runs between two events: each does what it is about, and leaves nothing under way.

use std::time::Duration;

use futures_util::future::join;
use gateward_clock::{Clock, Timestamp};

use super::SETTLE;
use super::outside::yield_many;
use super::sentences::{alive_and_calls, leases};
use super::turns::Function;
use super::world::{OTHER, holder, name};
use crate::engine::Wish;
use crate::lease::LeaseId;

/// A function with so many leases that are all due, and the id of one of them.
fn due(seed: u64, count: usize) -> (Function, LeaseId) {
    let function = Function::new(seed, 0);
    let start = function.world.clock.now();
    function.at(start);
    let engine = &function.life.engine;
    for _ in 0..count {
        function.life.runtime.block_on(engine.issue(&name(OTHER), holder(1), Wish::default())).unwrap();
    }
    function.at(start + Duration::from_secs(3600));
    let last = leases(&function.life, OTHER).pop().unwrap().id;
    (function, last)
}

/// A message that is cut after so many turns of the runtime.
fn cut(function: &Function, turns: usize) {
    let now = function.world.clock.now();
    let called = async {
        tokio::select! {
            biased;
            _ = function.turns.message(now, function.until()) => unreachable!("it is not over yet"),
            () = yield_many(turns) => {}
        }
    };
    function.life.runtime.block_on(called);
}

fn is_called(function: &Function) -> bool {
    function.life.engine.is_at_work()
}

#[test]
fn a_request_that_revokes_one_lease_begins_no_other_that_waits() {
    let (function, _) = due(71, 600);
    // Its turn has time for three of six calls.
    function.world.outside().call_takes = 4 * SECOND;
    let now = function.world.clock.now();
    function.life.runtime.block_on(function.turns.message(now, now + 10 * SECOND)).unwrap();
    let (alive, calls) = alive_and_calls(&function.world);
    assert!(alive > 100, "{alive}");
    let waiting = leases(&function.life, OTHER).pop().unwrap().id;
    function.at(function.world.clock.now() + 300 * SECOND);
    let revoked = async {
        function.turns.begin(function.until());
        function.life.engine.revoke(OTHER, waiting).await.unwrap();
        function.turns.settle(function.until()).await;
        yield_many(SETTLE).await;
    };
    function.life.runtime.block_on(revoked);
    assert_eq!(alive_and_calls(&function.world), (alive - 1, calls + 1));
    assert!(!is_called(&function));
    // The others are a tick's.
    function.world.outside().call_takes = Duration::ZERO;
    function.tick();
    assert_eq!(function.alive(), 0);
}

#[test]
fn what_an_event_that_was_cut_has_under_way_is_waited_for_and_nothing_begins_after_it() {
    let (function, _) = due(72, 300);
    let turns = (1..).find(|turns| {
        cut(&function, *turns);
        is_called(&function)
    });
    assert!(turns.is_some() && function.alive() == 300);
    let request = async {
        function.turns.begin(function.until());
        function.turns.settle(function.until()).await;
        assert!(!is_called(&function), "it was waited for");
        yield_many(SETTLE).await;
    };
    function.life.runtime.block_on(request);
    assert_eq!(alive_and_calls(&function.world), (200, 1), "no other has begun");
}

#[test]
fn a_revocation_that_nobody_waits_for_any_more_is_over_before_the_event_is() {
    let (function, lease) = due(73, 1);
    function.world.outside().hangs = true;
    let start: Timestamp = function.world.clock.now();
    let request = async {
        function.turns.begin(start + 60 * SECOND);
        tokio::select! {
            biased;
            _ = function.life.engine.revoke(OTHER, lease) => unreachable!("the producer hangs"),
            () = yield_many(SETTLE) => {}
        }
        assert!(is_called(&function));
        function.turns.settle(start + 60 * SECOND).await;
        assert!(!is_called(&function));
    };
    let time = async {
        yield_many(2 * SETTLE).await;
        function.at(start + 25 * SECOND);
    };
    function.life.runtime.block_on(join(request, time));
    let left = leases(&function.life, OTHER).pop().unwrap();
    assert!(left.claim_held().is_none(), "what came of it is written down: {:?}", left.state);
}

#[test]
fn what_nobody_waits_for_any_more_and_has_not_begun_is_left_to_the_schedule() {
    let (function, _) = due(74, 300);
    let request = async {
        function.turns.begin(function.until());
        tokio::select! {
            biased;
            _ = function.life.engine.revoke_all(OTHER) => unreachable!("it is not over yet"),
            () = async { while !is_called(&function) { yield_many(1).await } } => {}
        }
        function.turns.settle(function.until()).await;
        yield_many(SETTLE).await;
    };
    function.life.runtime.block_on(request);
    assert_eq!(alive_and_calls(&function.world), (200, 1));
    assert!(!is_called(&function));
    function.tick();
    assert_eq!(function.alive(), 0);
}

const SECOND: Duration = Duration::from_secs(1);
