//! What people see of leases, and what they decide: parked ones, quarantine, holds and reports.

use std::ops::Bound;
use std::time::Duration;

use gateward_clock::Clock;
use gateward_store::{Change, Key, Precondition, Store, Write};
use tokio::runtime::Builder;

use super::SETTLE;
use super::sentences::{attention, issued, leases, pass, verdict};
use super::world::{PLAIN, TTL, World};
use crate::due::LeaseKey;
use crate::engine::{Asked, Attention, Query};
use crate::lease::LeaseId;
use crate::producer::RevokeFailure;

#[test]
fn one_id_that_the_producer_chokes_on_parks_no_other() {
    let world = World::calm(17);
    let life = world.start();
    for _ in 0..3 {
        issued(&life);
    }
    world.outside().down = Some(RevokeFailure::Refused);
    pass(&world, &life, TTL);
    assert_eq!(attention(&life, Attention::Parked).0, 0, "together they were only refused");
    for _ in 0..30 {
        pass(&world, &life, Duration::from_secs(5));
    }
    assert_eq!(attention(&life, Attention::Parked).0, 3, "each was refused alone");
    let lease = leases(&life, PLAIN)[0].id;
    assert_eq!(life.runtime.block_on(life.engine.item_of(lease)).unwrap(), Some(PLAIN));
    assert_eq!(life.runtime.block_on(life.engine.item_of(LeaseId::random())).unwrap(), None);
    life.runtime.block_on(life.engine.abandon(PLAIN, lease, verdict())).unwrap();
    world.outside().down = None;
    for _ in 0..4 {
        pass(&world, &life, Duration::from_secs(3600));
    }
    assert_eq!(
        (leases(&life, PLAIN).len(), world.outside().alive.len()),
        (0, 1),
        "what was abandoned is let be"
    );
}

#[test]
fn a_record_that_cannot_be_read_is_told_and_stops_nothing() {
    let world = World::calm(18);
    let life = world.start();
    let broken = LeaseKey { item_id: PLAIN, lease_id: issued(&life) };
    issued(&life);
    drop(life);
    let key = crate::ledger::record_key(broken);
    let write = Write { key, precondition: Precondition::Any, change: Change::Put("{".into()) };
    let runtime = Builder::new_current_thread().build().unwrap();
    world.store.quietly(|store| runtime.block_on(store.commit(vec![write])).unwrap());
    let life = world.start();
    pass(&world, &life, TTL);
    assert_eq!(world.outside().alive.len(), 1, "the other one was revoked");
    assert_eq!(attention(&life, Attention::Quarantined), (1, 0, vec![broken.sort()]));
}

#[test]
fn after_a_jump_of_the_clock_nothing_is_revoked_until_somebody_lets_go() {
    let world = World::calm(19);
    let life = world.start();
    issued(&life);
    life.run(SETTLE);
    world.clock.set(world.clock.now() + Duration::from_secs(7200));
    life.run(SETTLE);
    assert_eq!(world.outside().alive.len(), 1);
    assert!(life.engine.held().is_some_and(|held| held.reason.contains("7200 s")));
    drop(life);
    let life = world.start();
    pass(&world, &life, Duration::from_secs(5));
    assert!(life.engine.held().is_some(), "a restart does not let go");
    assert_eq!(world.outside().alive.len(), 1);
    assert!(life.runtime.block_on(life.engine.let_go(verdict())).unwrap());
    pass(&world, &life, Duration::from_secs(2));
    assert_eq!(world.outside().alive.len(), 0);
}

#[test]
fn a_clock_that_comes_back_ends_its_hold_and_one_that_was_corrected_makes_none() {
    let world = World::calm(20);
    let life = world.start();
    issued(&life);
    life.run(SETTLE);
    world.clock.set(world.clock.now() + Duration::from_secs(20));
    life.run(SETTLE);
    assert_eq!(life.engine.held(), None, "clocks are put right all the time");
    world.clock.set(world.clock.now() + Duration::from_secs(7200));
    life.run(SETTLE);
    assert!(life.engine.held().is_some());
    world.clock.set(world.clock.now() - Duration::from_secs(7200));
    pass(&world, &life, Duration::from_secs(2));
    pass(&world, &life, Duration::from_secs(2));
    assert_eq!(life.engine.held(), None);
    pass(&world, &life, TTL);
    assert_eq!(world.outside().alive.len(), 0);
}

#[test]
fn small_steps_of_the_clock_are_added_up_for_an_hour() {
    for (between, holds) in [(Duration::from_secs(2), true), (Duration::from_secs(3601), false)] {
        let world = World::calm(30);
        let life = world.start();
        pass(&world, &life, Duration::from_secs(2));
        for _ in 0..4 {
            world.clock.set(world.clock.now() + Duration::from_secs(25));
            pass(&world, &life, Duration::from_secs(1));
            pass(&world, &life, between);
        }
        assert_eq!(life.engine.held().is_some(), holds, "{between:?}");
    }
}

#[test]
fn after_a_restored_backup_nothing_is_revoked_until_a_set_time_has_passed() {
    let world = World::calm(21);
    let life = world.start();
    let lease = issued(&life);
    pass(&world, &life, Duration::from_secs(6));
    let backup = world.store.copy();
    pass(&world, &life, TTL / 2);
    life.runtime.block_on(life.engine.renew(PLAIN, lease, None)).unwrap();
    pass(&world, &life, Duration::from_secs(6));
    drop(life);
    world.store.restore(&backup);
    let life = world.start();
    pass(&world, &life, TTL / 2);
    assert_eq!(world.outside().alive.len(), 1, "the backup does not know of the renewal");
    assert!(life.engine.held().is_some_and(|held| held.reason.contains("earlier state")));
    pass(&world, &life, Duration::from_secs(100_001));
    pass(&world, &life, Duration::from_secs(2));
    assert_eq!(world.outside().alive.len(), 0);
}

#[test]
fn a_backup_from_before_the_store_had_a_name_is_noticed_too() {
    let world = World::calm(26);
    let life = world.asleep();
    issued(&life);
    let backup = world.store.copy();
    drop(life);
    let life = world.start();
    life.run(SETTLE);
    pass(&world, &life, Duration::from_secs(6));
    drop(life);
    world.store.restore(&backup);
    let life = world.start();
    pass(&world, &life, TTL);
    assert!(life.engine.held().is_some_and(|held| held.reason.contains("another store")));
    assert_eq!(world.outside().alive.len(), 1);
}

#[test]
fn a_clock_that_jumps_again_while_nobody_looks_ends_no_hold() {
    let world = World::calm(27);
    let life = world.start();
    issued(&life);
    pass(&world, &life, Duration::from_secs(6));
    world.clock.set(world.clock.now() + Duration::from_secs(7200));
    pass(&world, &life, Duration::from_secs(6));
    assert!(life.engine.held().is_some());
    drop(life);
    world.clock.set(world.clock.now() + Duration::from_secs(200_000));
    let life = world.start();
    pass(&world, &life, Duration::from_secs(6));
    assert!(life.engine.held().is_some(), "by the clock it is over, and the clock is wrong");
    assert_eq!(world.outside().alive.len(), 1);
}

#[test]
fn a_second_jump_gives_a_hold_its_whole_time_anew() {
    let world = World::calm(28);
    let life = world.start();
    issued(&life);
    pass(&world, &life, Duration::from_secs(6));
    for _ in 0..2 {
        world.clock.set(world.clock.now() + Duration::from_secs(7200));
        pass(&world, &life, Duration::from_secs(6));
        pass(&world, &life, Duration::from_secs(60_000));
    }
    assert_eq!(world.outside().alive.len(), 1, "a hold is 100 000 s here");
    pass(&world, &life, Duration::from_secs(50_000));
    pass(&world, &life, Duration::from_secs(2));
    assert_eq!(world.outside().alive.len(), 0);
}

#[test]
fn a_hold_that_cannot_be_read_holds() {
    let world = World::calm(29);
    let life = world.start();
    issued(&life);
    pass(&world, &life, Duration::from_secs(6));
    let key = Key { partition: "~leases".to_owned(), sort: "hold".to_owned() };
    let write = Write { key, precondition: Precondition::Any, change: Change::Put("{".into()) };
    world.store.quietly(|store| life.runtime.block_on(store.commit(vec![write])).unwrap());
    drop(life);
    let life = world.start();
    pass(&world, &life, TTL);
    assert!(life.engine.held().is_some_and(|held| held.reason.contains("cannot be read")));
    assert_eq!(world.outside().alive.len(), 1);
    assert!(life.runtime.block_on(life.engine.let_go(verdict())).unwrap());
    pass(&world, &life, Duration::from_secs(2));
    assert_eq!(world.outside().alive.len(), 0);
}

#[test]
fn a_credential_whose_own_record_cannot_be_read_is_told_and_stops_nothing() {
    let world = World::calm(30);
    let life = world.start();
    issued(&life);
    let everything = (Bound::Unbounded, Bound::Unbounded);
    let held = life.runtime.block_on(world.store.copy().list("~held/7", everything, 1)).unwrap().remove(0);
    let name = format!("credential/7/{}", held.key.sort);
    let write = Write { key: held.key, precondition: Precondition::Any, change: Change::Put("?".into()) };
    world.store.quietly(|store| life.runtime.block_on(store.commit(vec![write])).unwrap());
    issued(&life);
    pass(&world, &life, TTL);
    assert_eq!(world.outside().alive.len(), 1, "the other one was revoked");
    assert_eq!(attention(&life, Attention::Quarantined), (1, 0, vec![name]));
    let calls = world.outside().calls;
    pass(&world, &life, Duration::from_secs(100));
    assert_eq!(world.outside().calls, calls, "nobody knows whether another lease holds it");
}

#[test]
fn being_down_for_long_is_no_reason_to_hold() {
    let world = World::calm(22);
    let life = world.start();
    issued(&life);
    pass(&world, &life, Duration::from_secs(6));
    drop(life);
    world.clock.advance(Duration::from_secs(50_000));
    let life = world.start();
    life.run(SETTLE);
    assert_eq!((life.engine.held(), world.outside().alive.len()), (None, 0));
}

#[test]
fn a_report_counts_and_tells_what_exists_that_no_lease_knows() {
    let world = World::calm(23);
    let life = world.start();
    for _ in 0..3 {
        issued(&life);
    }
    let stray = world.outside().alive.values().next().unwrap().clone();
    world.outside().alive.insert("stray".to_owned(), stray);
    let query = Query { producers: Asked::All, ..Query::default() };
    let report = life.runtime.block_on(life.engine.report(query)).unwrap();
    assert_eq!((report.live, report.active, report.due), (3, 3, 0));
    let [plain, remembering] = &report.reconciled[..] else { panic!("{:?}", report.reconciled) };
    assert_eq!((plain.item.as_str(), plain.listed), ("/item/7", 4));
    assert_eq!((&plain.unknown_to_us, &plain.error), (&vec!["stray".to_owned()], &None));
    assert!(remembering.can_list);
    // One producer for both: what the one holds there is no stray of the other's.
    world.outside().lists_all = true;
    for asked in [Asked::All, Asked::One(super::world::REMEMBERING)] {
        let query = Query { producers: asked, ..Query::default() };
        let report = life.runtime.block_on(life.engine.report(query)).unwrap();
        let remembering = report.reconciled.last().unwrap();
        assert_eq!((remembering.listed, &remembering.unknown_to_us), (4, &vec!["stray".to_owned()]));
    }

    world.outside().down = Some(RevokeFailure::Transient);
    pass(&world, &life, TTL);
    let report = life.runtime.block_on(life.engine.report(Query::default())).unwrap();
    assert_eq!(report.live, 3);
    assert_eq!(attention(&life, Attention::Failing).0, 3);
    let page = |after: Option<String>| {
        let after = after.map(|after| (Attention::Failing, after));
        let query = Query { after, limit: Some(2), ..Query::default() };
        life.runtime.block_on(life.engine.report(query)).unwrap().attention.remove(0)
    };
    let first = page(None);
    assert_eq!((first.count, first.leases.len()), (3, 2));
    let second = page(first.next);
    assert_eq!((second.count, second.leases.len(), second.next), (3, 1, None));
    assert!(serde_json::to_value(&report).is_ok_and(|json| json["attention"][0]["kind"] == "failing"));
}
