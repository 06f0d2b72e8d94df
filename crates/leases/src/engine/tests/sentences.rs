//! What the engine promises, one sentence a test.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use gateward_clock::Clock;
use gateward_model::DynamicSecret;
use gateward_store::Store;
use serde_json::Map;
use tokio::runtime::Builder;

use super::SETTLE;
use super::outside::yield_many;
use super::world::{Life, OTHER, PLAIN, REMEMBERING, TTL, World, holder, name, secret};
use crate::due::LeaseKey;
use crate::engine::{Attention, IssueError, Issued, Query, RenewError, RevokeError, Settlement, Wish};
use crate::lease::{Holder, Lease, LeaseId, LeaseState, Verdict};
use crate::ledger::{Caps, Hold, LedgerError, OfItem};
use crate::producer::RevokeFailure;

pub(super) fn issue(life: &Life, item: u64, wish: Wish) -> Result<Issued, IssueError> {
    life.runtime.block_on(life.engine.issue(&name(item), holder(1), wish))
}

pub(super) fn issued(life: &Life) -> LeaseId {
    issue(life, PLAIN, Wish::default()).unwrap().lease_id
}

pub(super) fn leases(life: &Life, item: u64) -> Vec<Lease> {
    life.runtime.block_on(life.engine.leases(item)).unwrap()
}

pub(super) fn attention(life: &Life, kind: Attention) -> (u64, usize, Vec<String>) {
    let report = life.runtime.block_on(life.engine.report(Query::default())).unwrap();
    let list = report.attention.into_iter().find(|list| list.kind == kind).unwrap();
    (list.count, list.leases.len(), list.unreadable)
}

pub(super) fn verdict() -> Verdict {
    Verdict { by: "p-operator".to_owned(), reason: "looked at it".to_owned() }
}

/// How many credentials work, and how many calls to revoke there were.
pub(super) fn alive_and_calls(world: &World) -> (usize, u64) {
    let outside = world.outside();
    assert_eq!(outside.wrong, Vec::<String>::new());
    (outside.alive.len(), outside.calls)
}

pub(super) fn pass(world: &World, life: &Life, span: Duration) {
    world.clock.advance(span);
    life.run(SETTLE);
}

#[test]
fn a_revocation_starts_within_a_second_of_expiry() {
    let world = World::calm(1);
    let life = world.start();
    issued(&life);
    life.run(SETTLE);
    pass(&world, &life, TTL - Duration::from_millis(1));
    assert_eq!(world.outside().alive.len(), 1, "not before its time");
    pass(&world, &life, Duration::from_millis(2));
    assert_eq!(world.outside().alive.len(), 0, "and then at once");
}

#[test]
fn what_was_made_and_cannot_be_handed_out_is_revoked_at_once() {
    let world = World::calm(4);
    world.outside().unusable = true;
    let life = world.start();
    assert!(matches!(issue(&life, PLAIN, Wish::default()), Err(IssueError::Producer(_))));
    life.run(SETTLE);
    assert_eq!(alive_and_calls(&world), (0, 1));
    assert_eq!(leases(&life, PLAIN), []);
}

#[test]
fn a_producer_is_waited_for_no_longer_than_the_event_allows_and_its_lease_is_unknown() {
    for (seed, event_ends) in [(51, None), (52, Some(Duration::from_secs(3)))] {
        let world = World::calm(seed);
        world.keep(DynamicSecret { timeout_sec: 60, ..secret(OTHER) });
        world.outside().is_silent = true;
        let life = world.asleep();
        if let Some(end) = event_ends {
            world.call_end.set(world.clock.now() + end);
        }
        let waits = event_ends.unwrap_or(Duration::from_secs(65));
        let time = async {
            yield_many(SETTLE).await;
            world.clock.advance(waits - Duration::from_millis(1));
            yield_many(SETTLE).await;
            let before = life.engine.leases(OTHER).await.unwrap().remove(0).state;
            assert!(matches!(before, LeaseState::Intent { .. }), "{waits:?}: {before:?}");
            world.clock.advance(Duration::from_millis(1));
            yield_many(SETTLE).await;
            panic!("the producer is still waited for after {waits:?}");
        };
        let name = name(OTHER);
        let issuing = life.engine.issue(&name, holder(1), Wish::default());
        let issued = life.runtime.block_on(async {
            tokio::select! { issued = issuing => issued, () = time => unreachable!("it ends in a panic") }
        });
        let Err(IssueError::Timeout(told)) = issued else { panic!("{issued:?}") };
        assert!(told.contains(": lease l-") && told.ends_with("is UNKNOWN"), "{told}");
        let after = leases(&life, OTHER).remove(0).state;
        assert!(matches!(after, LeaseState::Unknown { .. }), "{waits:?}: {after:?}");
    }
}

#[test]
fn without_time_for_a_producer_nothing_is_begun() {
    let world = World::calm(53);
    let life = world.asleep();
    world.call_end.set(world.clock.now() + Duration::from_millis(400));
    assert!(matches!(issue(&life, PLAIN, Wish::default()), Err(IssueError::Timeout(_))));
    assert_eq!((leases(&life, PLAIN), world.outside().count), (Vec::new(), 0));
    world.call_end.set(world.clock.now() + Duration::from_secs(1));
    issued(&life);
}

#[test]
fn a_credential_of_several_leases_goes_with_the_last_of_them() {
    let world = World::calm(7);
    world.outside().names = Some(1);
    let life = world.start();
    for _ in 0..2 {
        issued(&life);
        pass(&world, &life, TTL / 2);
    }
    // The first has expired; the second has half its life before it.
    assert_eq!(leases(&life, PLAIN).len(), 1);
    assert_eq!(world.outside().alive.len(), 1, "the second lease still needs it");
    pass(&world, &life, TTL / 2);
    assert_eq!(world.outside().alive.len(), 0);
    assert_eq!(leases(&life, PLAIN), []);
}

#[test]
fn of_two_that_let_go_of_one_credential_at_once_one_has_to_call() {
    let world = World::calm(8);
    world.outside().names = Some(1);
    let life = world.start();
    issued(&life);
    issued(&life);
    pass(&world, &life, TTL);
    assert_eq!(alive_and_calls(&world), (0, 1));
    assert_eq!(leases(&life, PLAIN), []);
}

#[test]
fn nobody_is_given_a_credential_that_is_being_revoked() {
    let world = World::calm(9);
    world.outside().names = Some(1);
    let life = world.start();
    issued(&life);
    world.outside().down = Some(RevokeFailure::Transient);
    pass(&world, &life, TTL);
    let refused = issue(&life, PLAIN, Wish::default());
    assert!(matches!(refused, Err(IssueError::Ledger(LedgerError::Going))), "{refused:?}");
    world.outside().down = None;
    for _ in 0..40 {
        pass(&world, &life, Duration::from_secs(10));
    }
    assert_eq!(world.outside().alive.len(), 0);
    assert_eq!(leases(&life, PLAIN), []);
    issued(&life);
    assert_eq!(world.outside().wrong, Vec::<String>::new());
}

#[test]
fn a_claim_from_before_a_restart_holds_nobody_off() {
    let world = World::calm(5);
    let life = world.start();
    issued(&life);
    world.outside().hangs = true;
    pass(&world, &life, TTL);
    drop(life);
    world.outside().hangs = false;
    let life = world.start();
    life.run(SETTLE);
    assert_eq!(world.outside().alive.len(), 0);
}

#[test]
fn a_claim_of_another_engine_holds_until_it_ends() {
    let world = World::calm(5);
    let life = world.start_as("a");
    issued(&life);
    world.outside().hangs = true;
    pass(&world, &life, TTL);
    drop(life);
    world.outside().hangs = false;
    let life = world.start_as("b");
    life.run(SETTLE);
    assert_eq!(world.outside().alive.len(), 1, "the other may still be at it");
    pass(&world, &life, Duration::from_secs(40));
    assert_eq!(world.outside().alive.len(), 0);
}

#[test]
fn two_engines_on_one_store_revoke_each_lease_and_neither_stands_in_the_others_way() {
    let world = World::calm(6);
    let (a, b) = (world.start_as("a"), world.start_as("b"));
    for _ in 0..150 {
        issued(&a);
        issued(&b);
    }
    for _ in 0..20 {
        world.clock.advance(TTL / 10);
        for _ in 0..40 {
            a.run(5);
            b.run(5);
        }
    }
    assert_eq!(alive_and_calls(&world).0, 0);
    assert_eq!(leases(&a, PLAIN), []);
}

#[test]
fn deleting_a_secret_keeps_its_producer_until_the_last_lease_is_gone() {
    let world = World::calm(2);
    let life = world.start();
    issued(&life);
    let catalog = Arc::clone(&life.engine.catalog);
    life.runtime.block_on(catalog.delete(&name(PLAIN))).unwrap();
    assert!(life.runtime.block_on(catalog.get(&name(PLAIN))).is_err());
    assert!(matches!(issue(&life, PLAIN, Wish::default()), Err(IssueError::Catalog(_))), "also from memory");
    assert!(life.runtime.block_on(catalog.producer(PLAIN)).unwrap().is_some());
    life.runtime.block_on(life.engine.revoke_all(PLAIN)).unwrap();
    assert_eq!(world.outside().alive.len(), 0);
    assert!(life.runtime.block_on(catalog.producer(PLAIN)).unwrap().is_none());
}

#[test]
fn who_asks_for_a_revocation_hears_of_it_when_it_is_done_though_the_timer_was_faster() {
    for seed in 0..20 {
        let world = World::calm(seed);
        let life = world.start();
        issued(&life);
        // The lease is due, and the timer is calling the producer already.
        world.clock.advance(TTL);
        life.run(1);
        let outcome = life.runtime.block_on(life.engine.revoke_all(PLAIN));
        assert!(outcome.is_ok(), "{outcome:?}");
        assert_eq!(world.outside().alive.len(), 0);
    }
}

#[test]
fn who_asks_for_a_revocation_of_a_producer_that_is_down_is_told_so_and_it_is_done_later() {
    let world = World::calm(3);
    let life = world.start();
    let lease = issued(&life);
    world.outside().down = Some(RevokeFailure::Transient);
    let outcome = life.runtime.block_on(life.engine.revoke(PLAIN, lease));
    assert!(matches!(outcome, Err(RevokeError::Producer(_))), "{outcome:?}");
    world.outside().down = None;
    pass(&world, &life, Duration::from_secs(5));
    assert_eq!(world.outside().alive.len(), 0);
    let gone = life.runtime.block_on(life.engine.revoke(PLAIN, lease));
    assert!(matches!(gone, Err(RevokeError::Missing(_))));
}

#[test]
fn a_renewal_moves_the_end_and_one_that_comes_too_late_is_refused() {
    let world = World::calm(10);
    let life = world.start();
    let lease = issued(&life);
    pass(&world, &life, TTL / 2);
    let until = life.runtime.block_on(life.engine.renew(PLAIN, lease, None)).unwrap();
    assert_eq!(until, world.clock.now() + TTL);
    pass(&world, &life, TTL - Duration::from_millis(1));
    assert_eq!(world.outside().alive.len(), 1);
    world.clock.advance(Duration::from_millis(1));
    let late = life.runtime.block_on(life.engine.renew(PLAIN, lease, None));
    assert!(matches!(late, Err(RenewError::Over(_) | RenewError::Missing(_))), "{late:?}");
    life.run(SETTLE);
    assert_eq!(world.outside().alive.len(), 0);
}

#[test]
fn a_wish_for_more_time_than_the_item_allows_gets_the_items() {
    let world = World::calm(10);
    let life = world.start();
    for (wished, given) in [(TTL * 9, TTL), (TTL / 4, TTL / 4)] {
        let wish = Wish { ttl: Some(wished), ..Wish::default() };
        assert_eq!(issue(&life, PLAIN, wish).unwrap().expires_at, world.clock.now() + given);
    }
}

#[test]
fn an_idempotency_key_gives_the_same_lease_as_long_as_it_lives() {
    let world = World::calm(11);
    let life = world.start();
    let wish = || Wish { idempotency_key: Some("deploy-7".to_owned()), ..Wish::default() };
    let first = issue(&life, PLAIN, wish()).unwrap();
    let again = issue(&life, PLAIN, wish()).unwrap();
    assert_eq!((again.lease_id, &again.response), (first.lease_id, &first.response));
    assert_eq!(world.outside().count, 1);
    let other = Wish { ttl: Some(TTL / 2), ..wish() };
    assert!(matches!(issue(&life, PLAIN, other), Err(IssueError::Again(_))), "other arguments");
    let stranger = life.runtime.block_on(life.engine.issue(&name(PLAIN), holder(2), wish())).unwrap();
    let mut known = vec![first.lease_id, stranger.lease_id];
    assert_ne!(stranger.lease_id, first.lease_id, "a key is its caller's own");
    for claims in [[("user", "ann")], [("user", "bob")]] {
        let of_one = || {
            let told = claims.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]));
            let caller = Holder { sub_claims: told.collect(), ..holder(1) };
            life.runtime.block_on(life.engine.issue(&name(PLAIN), caller, wish())).unwrap().lease_id
        };
        let (theirs, again) = (of_one(), of_one());
        assert!(
            theirs == again && !known.contains(&theirs),
            "{claims:?}: an access id may be several callers'"
        );
        known.push(theirs);
    }
    life.runtime.block_on(life.engine.revoke(PLAIN, first.lease_id)).unwrap();
    assert_ne!(issue(&life, PLAIN, wish()).unwrap().lease_id, first.lease_id);
}

#[test]
fn the_answer_that_an_idempotency_key_keeps_is_sealed_and_goes_with_the_lease() {
    let world = World::calm(12);
    let life = world.start();
    let wish = Wish { idempotency_key: Some("deploy-7".to_owned()), ..Wish::default() };
    let issued = issue(&life, PLAIN, wish).unwrap();
    let store = world.store.copy();
    let all = || (Bound::Unbounded, Bound::Unbounded);
    let kept = life.runtime.block_on(store.list("~answer/7", all(), 9)).unwrap();
    assert_eq!(kept.len(), 1);
    let name = issued.response["user"].as_str().unwrap();
    assert!(!String::from_utf8_lossy(&kept[0].value).contains(name));
    life.runtime.block_on(life.engine.revoke(PLAIN, issued.lease_id)).unwrap();
    assert_eq!(life.runtime.block_on(world.store.copy().list("~answer/7", all(), 9)).unwrap(), []);
}

#[test]
fn no_cap_is_passed_however_many_ask_at_once() {
    for caps in [
        (Caps { gateway: Some(5), ..Caps::default() }, None),
        (Caps { identity: Some(5), ..Caps::default() }, None),
        (Caps { item: Some(5), ..Caps::default() }, None),
        (Caps { item: Some(2), ..Caps::default() }, Some(5)),
        (Caps::default(), Some(5)),
    ] {
        let world = World::with(13, caps.0, caps.1);
        world.calm_down();
        let life = world.start();
        let tasks: Vec<_> = (0..40)
            .map(|_| {
                let engine = Arc::clone(&life.engine);
                life.runtime.spawn(async move { engine.issue(&name(PLAIN), holder(1), Map::new()).await })
            })
            .collect();
        let mut given = 0;
        for task in tasks {
            match life.runtime.block_on(task).unwrap() {
                Ok(_) => given += 1,
                Err(IssueError::Full(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!((given, world.outside().alive.len()), (5, 5), "{caps:?}");
        pass(&world, &life, TTL);
        issued(&life);
    }
}

#[test]
fn a_lost_answer_is_asked_for_again_only_where_the_producer_remembers() {
    let world = World::calm(14);
    for item in [PLAIN, REMEMBERING] {
        let life = world.start();
        let engine = Arc::clone(&life.engine);
        let runtime = &life.runtime;
        let _gone = runtime.spawn(async move { engine.issue(&name(item), holder(1), Map::new()).await });
        // As soon as it is made, the process dies.
        while world.outside().made.len() < usize::try_from(item - PLAIN + 1).unwrap() {
            life.run(1);
        }
    }
    let life = world.start();
    pass(&world, &life, Duration::from_secs(20));
    pass(&world, &life, Duration::from_secs(20));
    let alive: BTreeSet<u64> = world.outside().alive.values().map(|alive| alive.item).collect();
    assert_eq!(alive, BTreeSet::from([PLAIN]));
    let unknown = leases(&life, PLAIN);
    assert!(matches!(unknown[0].state, LeaseState::Unknown { asking: None, .. }));
    assert_eq!(leases(&life, REMEMBERING), []);

    let reason = Verdict { reason: " ".to_owned(), ..verdict() };
    let settle = |settlement, verdict| {
        life.runtime.block_on(life.engine.settle(PLAIN, unknown[0].id, settlement, verdict))
    };
    assert!(settle(Settlement::Nothing, reason).is_err(), "a decision wants a reason");
    let made = world.outside().made[&unknown[0].id].clone();
    settle(Settlement::Credential(made), verdict()).unwrap();
    life.run(SETTLE);
    assert_eq!(world.outside().alive.len(), 0);
}

#[test]
fn tombstones_are_forgotten_after_their_time_and_leave_nothing() {
    let world = World::calm(24);
    let life = world.start();
    issued(&life);
    pass(&world, &life, TTL);
    let everything = || {
        let copy = world.store.copy();
        let all = (Bound::Unbounded, Bound::Unbounded);
        let count =
            |partition: &str| life.runtime.block_on(copy.list(partition, all.clone(), 99)).unwrap().len();
        (count("~over"), count("~held/7"))
    };
    assert_eq!(everything(), (1, 1));
    pass(&world, &life, Duration::from_secs(6 * 24 * 3600));
    assert_eq!(everything(), (1, 1));
    pass(&world, &life, Duration::from_secs(3 * 24 * 3600));
    assert_eq!(everything(), (0, 0));
}

#[test]
fn no_lease_begins_after_its_secret_was_deleted() {
    let world = World::calm(6);
    let life = world.start();
    let catalog = Arc::clone(&life.engine.catalog);
    let open = life.runtime.block_on(catalog.open_lately(&name(PLAIN))).unwrap();
    life.runtime.block_on(catalog.delete(&name(PLAIN))).unwrap();
    let now = world.clock.now();
    let lease = Lease::intent((PLAIN, &name(PLAIN)), holder(1), TTL, now, now + TTL);
    let also = std::slice::from_ref(&open.stands);
    let begun = life.runtime.block_on(life.engine.ledger.open(lease, also, OfItem::default()));
    assert!(matches!(begun, Err(LedgerError::Changed { .. })));
}

#[test]
fn an_entry_that_comes_late_to_a_slot_that_was_given_up_is_found() {
    let world = World::calm(25);
    let life = world.start();
    let recorded = LeaseKey { item_id: PLAIN, lease_id: issued(&life) };
    let before = life.runtime.block_on(life.engine.ledger.get(recorded)).unwrap().unwrap();
    // Another node was held up for minutes between reading the time and writing.
    let late = before.lease.revoke(world.clock.now()).unwrap();
    world.clock.advance(Duration::from_secs(600));
    let other = world.start_as("b");
    drop(life);
    other.run(SETTLE);
    let gone = other.runtime.block_on(other.engine.ledger.get(recorded)).unwrap();
    assert!(gone.is_none(), "it was due long ago");
    let life = world.start();
    let lease = LeaseKey { item_id: PLAIN, lease_id: issued(&life) };
    let before = life.runtime.block_on(life.engine.ledger.get(lease)).unwrap().unwrap();
    let late = Lease { id: lease.lease_id, state: late.state, ..before.lease.clone() };
    life.runtime.block_on(life.engine.ledger.replace(&before, late, Hold::Keep, &[])).unwrap();
    drop(life);
    let life = world.start();
    life.run(SETTLE);
    assert!(leases(&life, PLAIN).is_empty(), "what is due in a slot of long ago is looked for");
}

#[test]
fn nothing_that_is_stored_shows_the_payload() {
    let world = World::calm(3);
    let runtime = Builder::new_current_thread().build().unwrap();
    let everything = (Bound::Unbounded, Bound::Unbounded);
    let records = runtime.block_on(world.store.list("producers", everything, 10)).unwrap();
    assert_eq!(records.len(), 2);
    for record in records {
        assert!(!String::from_utf8_lossy(&record.value).contains("canary"));
    }
}
