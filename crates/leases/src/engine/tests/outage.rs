//! The store or a producer fails, and comes back; a task of the engine panics. Whoever asks is told, nothing is done that
//! could not be written down, and nothing of what was written down is lost.

use std::sync::Arc;
use std::time::Duration;

use gateward_clock::Clock as _;

use super::SETTLE;
use super::sentences::{alive_and_calls, issue, issued, leases, pass};
use super::turns::Function;
use super::world::{OTHER, PLAIN, REMEMBERING, TTL, World, holder, name};
use crate::engine::{IssueError, Query, RenewError, RevokeError, Wish};
use crate::producer::RevokeFailure;

#[test]
fn a_store_that_fails_is_told_to_whoever_asks_and_what_is_due_waits_for_it() {
    let world = World::calm(50);
    let life = world.start();
    let lease = issued(&life);
    life.run(SETTLE);
    world.store.state().down = true;
    let refused = issue(&life, PLAIN, Wish::default()).unwrap_err();
    assert!(matches!(refused, IssueError::Catalog(_) | IssueError::Ledger(_)), "{refused:?}");
    let engine = &life.engine;
    let renewed = life.runtime.block_on(engine.renew(PLAIN, lease, None)).unwrap_err();
    assert!(matches!(renewed, RenewError::Catalog(_) | RenewError::Ledger(_)), "{renewed:?}");
    let revoked = life.runtime.block_on(engine.revoke(PLAIN, lease)).unwrap_err();
    assert!(matches!(revoked, RevokeError::Ledger(_)), "{revoked:?}");
    assert!(life.runtime.block_on(engine.report(Query::default())).is_err());
    for error in [refused.to_string(), renewed.to_string(), revoked.to_string()] {
        assert!(error.contains("the disk is on fire"), "{error}");
    }
    pass(&world, &life, TTL);
    pass(&world, &life, Duration::from_secs(60));
    assert_eq!(alive_and_calls(&world), (1, 0), "a revocation that cannot be claimed is not begun");
    world.store.state().down = false;
    pass(&world, &life, Duration::from_secs(31));
    assert_eq!((alive_and_calls(&world).0, leases(&life, PLAIN)), (0, vec![]));
}

#[test]
fn a_store_that_fails_while_a_credential_is_made_keeps_nobody_waiting_and_nothing_of_it() {
    let world = World::calm(51);
    let life = world.start();
    world.outside().brings_down = Some(Arc::clone(&world.store));
    let engine = Arc::clone(&life.engine);
    let issuing = life
        .runtime
        .spawn(async move { engine.issue(&name(PLAIN), holder(1), Wish::default()).await.map(|_| ()) });
    life.run(SETTLE);
    assert!(issuing.is_finished(), "the caller hears of it at once");
    let refused = life.runtime.block_on(issuing).unwrap().unwrap_err();
    assert!(matches!(refused, IssueError::Ledger(_)), "{refused:?}");
    assert_eq!(world.outside().alive.len(), 1, "nobody has it, and it works");
    pass(&world, &life, Duration::from_secs(5));
    world.store.state().down = false;
    pass(&world, &life, Duration::from_secs(31));
    pass(&world, &life, Duration::from_secs(2));
    assert_eq!((alive_and_calls(&world).0, leases(&life, PLAIN)), (0, vec![]), "gone long before its time");
}

#[test]
fn after_a_panic_anywhere_in_a_revocation_the_engine_goes_on() {
    for calls in 0..200 {
        let world = World::calm(52);
        let life = world.start();
        issued(&life);
        life.run(SETTLE);
        pass(&world, &life, TTL - Duration::from_millis(1));
        world.store.state().panics_after = Some(calls);
        pass(&world, &life, Duration::from_millis(2));
        let has_panicked = world.store.state().panics_after.take().is_none();
        for _ in 0..40 {
            pass(&world, &life, Duration::from_secs(1));
        }
        assert_eq!((alive_and_calls(&world).0, leases(&life, PLAIN)), (0, vec![]), "after {calls} calls");
        if !has_panicked {
            assert!(calls > 5, "a revocation takes more than {calls} calls");
            return;
        }
    }
    panic!("a revocation makes no more than two hundred calls");
}

#[test]
fn an_outage_of_a_producer_costs_it_few_calls_and_delays_nobody_else() {
    let world = World::calm(15);
    let life = world.start();
    for _ in 0..2500 {
        issued(&life);
    }
    world.outside().down = Some(RevokeFailure::Transient);
    pass(&world, &life, TTL);
    for minute in 0..10 {
        let before = world.outside().calls;
        for _ in 0..60 {
            world.clock.advance(Duration::from_secs(1));
            life.run(8);
        }
        let calls = world.outside().calls - before;
        assert!(calls <= 10, "{calls} calls in minute {minute}");
    }
    assert_eq!(world.outside().alive.len(), 2500);
    world.outside().down = None;
    for _ in 0..60 {
        pass(&world, &life, Duration::from_secs(10));
    }
    assert_eq!(world.outside().alive.len(), 0);
}

#[test]
fn a_producer_that_hangs_delays_nobody_else() {
    let world = World::calm(16);
    let life = world.start();
    issued(&life);
    world.outside().hangs = true;
    pass(&world, &life, TTL);
    world.outside().hangs = false;
    issue(&life, REMEMBERING, Wish::default()).unwrap();
    let lease = leases(&life, REMEMBERING)[0].id;
    life.runtime.block_on(life.engine.revoke(REMEMBERING, lease)).unwrap();
    assert_eq!(world.outside().alive.len(), 1, "the one that hangs");
}

#[test]
fn an_intent_that_was_written_though_the_store_did_not_say_so_is_taken_back() {
    let world = World::calm(57);
    let life = world.start();
    life.run(SETTLE);
    world.store.state().lost_answers = 1;
    assert!(matches!(issue(&life, PLAIN, Wish::default()), Err(IssueError::Ledger(_))));
    life.run(SETTLE);
    assert_eq!((leases(&life, PLAIN), world.outside().count), (Vec::new(), 0), "nobody was called");
    for _ in 0..3 {
        pass(&world, &life, Duration::from_secs(60));
    }
    assert_eq!(leases(&life, PLAIN), [], "and nothing is UNKNOWN");
}

#[test]
fn leases_of_a_deleted_secret_go_with_it_also_if_the_gateway_stopped_in_between() {
    let world = World::calm(58);
    let life = world.start();
    for _ in 0..3 {
        issued(&life);
    }
    // All that a deletion does in its first commit, after which the process is killed.
    life.runtime.block_on(world.catalog().delete(&name(PLAIN))).unwrap();
    drop(life);
    assert_eq!(alive_and_calls(&world).0, 3);
    let life = world.start();
    life.run(SETTLE);
    assert_eq!(alive_and_calls(&world).0, 0, "long before their time");
    assert!(life.runtime.block_on(world.catalog().going()).unwrap().is_empty());
    assert!(life.runtime.block_on(world.catalog().forget(PLAIN)).is_ok());
}

#[test]
fn leases_of_a_secret_that_is_deleted_in_a_function_go_at_the_next_tick_if_not_at_once() {
    let function = Function::new(59, 0);
    function.at(function.world.clock.now());
    for _ in 0..3 {
        function.issue(3 * TTL);
    }
    let runtime = &function.life.runtime;
    runtime.block_on(function.world.catalog().delete(&name(OTHER))).unwrap();
    function.tick();
    assert_eq!(function.alive(), 0);
    assert!(runtime.block_on(function.world.catalog().going()).unwrap().is_empty());
}

#[test]
fn a_deletion_that_cannot_be_finished_keeps_no_other_back() {
    let function = Function::new(60, 0);
    function.at(function.world.clock.now());
    let runtime = &function.life.runtime;
    // What is written once, so that the answer that is lost is the deletion's.
    function.tick();
    for item in [PLAIN, OTHER] {
        issue(&function.life, item, Wish::default()).unwrap();
        runtime.block_on(function.world.catalog().delete(&name(item))).unwrap();
    }
    let going = || runtime.block_on(function.world.catalog().going()).unwrap();
    assert_eq!(going(), [PLAIN, OTHER]);
    function.world.store.state().lost_answers = 1;
    function.tick();
    assert_eq!((function.alive(), going()), (0, Vec::new()));
}
