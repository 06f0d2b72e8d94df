//! A clock that is set forward at every moment at which that can matter: after each single look at it.
//!
//! The engine learns the time by looking and in no other way. So a jump after each of its looks, one look later in every
//! life, is every place that a jump can have: between the guard and the claim, between two looks of the guard, in the
//! middle of a start, and while an operator lets go.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateward_clock::{Clock, ManualClock, Timestamp};

use super::SETTLE;
use super::sentences::{alive_and_calls, issue, pass, verdict};
use super::world::{Life, PLAIN, TTL, World};
use crate::engine::Wish;

/// Jumps when it has been looked at so often.
#[derive(Clone)]
struct Jumpy {
    clock: ManualClock,
    looks_left: Arc<AtomicUsize>,
}

impl Jumpy {
    fn of(world: &World) -> Self {
        Self { clock: world.clock.clone(), looks_left: Arc::default() }
    }

    fn jump_after(&self, looks: usize) {
        self.looks_left.store(looks, Ordering::Relaxed);
    }

    fn has_jumped(&self) -> bool {
        self.looks_left.load(Ordering::Relaxed) == 0
    }

    fn looked(&self) {
        let left =
            self.looks_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left == Ok(1) {
            self.clock.set(self.clock.now() + DAY);
        }
    }
}

impl Clock for Jumpy {
    fn now(&self) -> Timestamp {
        let shown = self.clock.now();
        self.looked();
        shown
    }

    fn uptime(&self) -> Duration {
        let shown = self.clock.uptime();
        self.looked();
        shown
    }

    fn sleep_until(&self, deadline: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.clock.sleep_until(deadline)
    }

    fn pass(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.clock.pass(span)
    }
}

/// Issues a credential, and gives the producer's name for it.
fn credential(life: &Life) -> String {
    issue(life, PLAIN, Wish::default()).unwrap().response["user"].as_str().unwrap().to_owned()
}

fn works(world: &World, credential: &str) -> bool {
    world.outside().alive.contains_key(credential)
}

/// The clock has jumped: that is noticed, and `young` is not taken for what it looks like.
fn it_is_noticed_and_takes_nothing(world: &World, life: &Life, young: &str, looks: usize) {
    for _ in 0..3 {
        assert!(works(world, young), "revoked early, by a jump after look {looks}");
        pass(world, life, Duration::from_secs(1));
    }
    assert!(works(world, young), "revoked early, by a jump after look {looks}");
    assert!(life.engine.held().is_some(), "a jump after look {looks} was not noticed");
}

/// The clock is back, and `young` goes in its time.
fn it_is_as_before(world: &World, life: &Life, young: &str, looks: usize) {
    for _ in 0..3 {
        pass(world, life, Duration::from_secs(1));
    }
    assert_eq!(life.engine.held(), None, "the clock is back after a jump after look {looks}");
    assert!(works(world, young), "it is not over yet");
    pass(world, life, TTL);
    assert!(!works(world, young), "its time was over after a jump after look {looks}");
}

/// Lives `life` with a jump one look later each time, until none comes any more; as many lives as that takes.
fn at_every_look(live: impl Fn(usize) -> bool) -> usize {
    (1..1000).find(|looks| !live(*looks)).expect("what looks at the clock comes to an end")
}

#[test]
fn a_jump_between_any_two_looks_at_the_clock_revokes_nothing_early() {
    let lives = at_every_look(|looks| {
        let world = World::calm(40);
        let clock = Jumpy::of(&world);
        let life = world.start_by("a", Arc::new(clock.clone()));
        let old = credential(&life);
        pass(&world, &life, TTL - Duration::from_secs(10));
        let young = credential(&life);
        pass(&world, &life, Duration::from_millis(9_999));
        assert!(works(&world, &old));
        clock.jump_after(looks);
        pass(&world, &life, Duration::from_millis(2));
        if !clock.has_jumped() {
            assert!(!works(&world, &old), "it was its time");
            return false;
        }
        it_is_noticed_and_takes_nothing(&world, &life, &young, looks);
        world.clock.set(world.clock.now() - DAY);
        it_is_as_before(&world, &life, &young, looks);
        // A call that the jump has interrupted has failed for a day by the clock of then, and is tried again by that.
        pass(&world, &life, DAY);
        pass(&world, &life, Duration::from_secs(2 * 3600));
        pass(&world, &life, Duration::from_secs(60));
        assert_eq!(alive_and_calls(&world).0, 0);
        true
    });
    assert!(lives > 10, "a revocation takes more than {lives} looks");
}

#[test]
fn a_jump_at_any_look_of_a_start_is_noticed() {
    let lives = at_every_look(|looks| {
        let world = World::calm(41);
        let life = world.start();
        let young = credential(&life);
        pass(&world, &life, Duration::from_secs(6));
        drop(life);
        let clock = Jumpy::of(&world);
        clock.jump_after(looks);
        let life = world.start_by("a", Arc::new(clock.clone()));
        life.run(SETTLE);
        if !clock.has_jumped() {
            return false;
        }
        it_is_noticed_and_takes_nothing(&world, &life, &young, looks);
        true
    });
    assert!(lives > 4, "a start takes more than {lives} looks");
}

#[test]
fn a_jump_while_somebody_lets_go_is_not_let_go_with() {
    let lives = at_every_look(|looks| {
        let world = World::calm(42);
        let clock = Jumpy::of(&world);
        let life = world.start_by("a", Arc::new(clock.clone()));
        pass(&world, &life, Duration::from_secs(6));
        // A first jump, by which nothing looks expired.
        world.clock.set(world.clock.now() + DAY);
        pass(&world, &life, Duration::from_secs(1));
        assert!(life.engine.held().is_some());
        let young = credential(&life);
        clock.jump_after(looks);
        let engine = Arc::clone(&life.engine);
        let letting_go = life.runtime.spawn(async move { engine.let_go(verdict()).await });
        life.run(SETTLE);
        assert!(life.runtime.block_on(letting_go).unwrap().unwrap());
        if !clock.has_jumped() {
            assert_eq!(life.engine.held(), None);
            return false;
        }
        it_is_noticed_and_takes_nothing(&world, &life, &young, looks);
        world.clock.set(world.clock.now() - DAY);
        assert!(life.runtime.block_on(life.engine.let_go(verdict())).unwrap());
        it_is_as_before(&world, &life, &young, looks);
        true
    });
    assert!(lives > 2, "letting go takes more than {lives} looks");
}

const DAY: Duration = Duration::from_secs(24 * 3600);
