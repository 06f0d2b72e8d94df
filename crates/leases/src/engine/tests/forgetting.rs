//! Leases that are over are forgotten, whenever the schedule ticks and however many they are.

use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join;
use gateward_clock::{Clock, Timestamp};
use gateward_store::{Call, Entry, Store, Watched};

use super::SETTLE;
use super::outside::yield_many;
use super::turns::Function;
use super::world::{OTHER, TTL};
use crate::ledger::{Caps, Ledger};
use crate::turns::Turns;

/// A function with so many leases that were over more than a week ago, late in an hour.
fn over(seed: u64, count: usize) -> Function {
    let function = Function::new(seed, 0);
    let start = function.world.clock.now();
    function.at(start);
    (0..count).for_each(|_| function.issue(TTL));
    function.at(start + TTL);
    function.tick();
    assert_eq!((function.alive(), listed(&function, "~over").is_empty()), (0, false));
    function.at(at_minute(start + 8 * DAY, 47));
    function
}

/// A minute of the hour that `time` is in.
fn at_minute(time: Timestamp, minute: u64) -> Timestamp {
    Timestamp::from_secs(time.secs() / 3600 * 3600 + minute * 60)
}

fn listed(function: &Function, partition: &str) -> Vec<Entry> {
    let all = (Bound::Unbounded, Bound::Unbounded);
    let store = Arc::new(function.world.store.copy());
    function.life.runtime.block_on(store.list(partition, all, usize::MAX)).unwrap()
}

/// What is left of leases that are over.
fn left(function: &Function) -> usize {
    let parts = listed(function, "~over");
    let tombstones: usize =
        parts.iter().map(|part| listed(function, &format!("~over/{}", part.key.sort)).len()).sum();
    assert_eq!(tombstones, listed(function, &format!("~held/{OTHER}")).len());
    tombstones
}

/// Whether a tick was over before its time was.
fn ticks_in_time(function: &Function, turns: &Turns) -> bool {
    let until = function.until();
    let tick = async {
        turns.tick(until).await.unwrap();
        function.world.clock.now() < until - Duration::from_secs(1)
    };
    let time = async {
        yield_many(SETTLE).await;
        function.at(until);
    };
    function.life.runtime.block_on(join(tick, time)).0
}

/// Those of another function.
fn of_another(function: &Function) -> Turns {
    let engine = function.world.beside(&function.life, "another function");
    let (call_end, clock) = (Arc::clone(&function.world.call_end), Arc::new(function.world.clock.clone()));
    Turns::new(engine, None, None, call_end, clock)
}

#[test]
fn the_first_tick_of_an_hour_forgets_whenever_it_comes_and_no_other_looks_again() {
    let function = over(91, 5);
    let now = function.world.clock.now();
    assert!(ticks_in_time(&function, &function.turns));
    assert_eq!(left(&function), 0);
    // Whoever looked once more would wait for ever.
    function.world.store.state().hangs = Some("~over".to_owned());
    assert!(ticks_in_time(&function, &function.turns), "it knows");
    assert!(ticks_in_time(&function, &of_another(&function)), "it is told by the store");
    function.at(at_minute(now + Duration::from_secs(3600), 3));
    assert!(!ticks_in_time(&function, &of_another(&function)));
}

#[test]
fn what_a_tick_has_no_time_for_the_next_one_goes_on_with_and_nobody_meanwhile() {
    let function = over(92, 40);
    let now = function.world.clock.now();
    let parts = listed(&function, "~over");
    let middle = format!("~over/{}", parts[parts.len() / 2].key.sort);
    function.world.store.state().hangs = Some(middle);
    let (until, other) = (function.until(), of_another(&function));
    let tick = async {
        function.turns.tick(until).await.unwrap();
        assert_eq!(function.world.clock.now(), until, "it takes the time that it has");
    };
    let meanwhile = async {
        yield_many(SETTLE).await;
        other.tick(until).await.unwrap();
        assert_eq!(function.world.clock.now(), now, "one is enough");
        function.at(until);
    };
    function.life.runtime.block_on(join(tick, meanwhile));
    assert!((1..40).contains(&left(&function)));
    function.world.store.state().hangs = None;
    function.at(at_minute(now, 48));
    assert!(ticks_in_time(&function, &other));
    assert_eq!(left(&function), 0);
}

#[test]
fn the_credentials_of_eight_leases_are_forgotten_side_by_side() {
    let function = over(93, 300);
    let calls = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&calls);
    let store = Arc::clone(&function.world.store) as Arc<dyn Store>;
    let store = Watched::new(store, move |call| {
        heard.lock().unwrap().push(call);
        Ok(())
    });
    let ledger = Ledger::new(store, Caps::default(), None);
    let forgotten = function.life.runtime.block_on(ledger.compact(function.world.clock.now())).unwrap();
    assert_eq!((forgotten, left(&function)), (300, 0));
    let calls = calls.lock().unwrap();
    let together = calls.chunk_by(|one, next| one == next).filter(|run| run[0] == Call::Get).map(<[_]>::len);
    assert_eq!(together.max(), Some(8));
}

const DAY: Duration = Duration::from_secs(24 * 3600);
