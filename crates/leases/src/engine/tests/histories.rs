//! Histories of operations, faults, crashes, clocks and time, checked against what must never happen.
//!
//! Each history is a seed. `GATEWARD_LEASE_HISTORIES` says how many are lived, `GATEWARD_LEASE_SEED` with which one it
//! begins; the tests of every day live some hundreds, `make lease-histories` a hundred thousand.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateward_clock::Clock;
use gateward_store::{MemoryStore, Store};

use super::SETTLE;
use super::outside::{InHand, Outside};
use super::world::{Life, PLAIN, REMEMBERING, TTL, World, holder, name};
use crate::due;
use crate::engine::{Query, Settlement, Wish};
use crate::lease::{Lease, LeaseId, LeaseState, Verdict};
use crate::ledger::Caps;

/// One history, while it goes on.
struct History {
    world: World,
    rng: fastrand::Rng,
    lives: Vec<Life>,
    /// A state of the store, and how much had been made when it was taken.
    backup: Option<(MemoryStore, u64, u64)>,
    seed: u64,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(!seed);
        let mut caps = Caps::default();
        let mut of_item = None;
        if rng.u8(0..3) == 0 {
            caps = Caps { gateway: Some(rng.u64(3..8)), identity: Some(rng.u64(2..5)), item: None };
            of_item = Some(rng.u64(2..5));
        }
        let world = World::with(seed, caps, of_item);
        if rng.u8(0..3) == 0 {
            world.outside().names = Some(rng.u64(1..4));
        }
        let engines = if rng.bool() { 2 } else { 1 };
        let lives = OWNERS[..engines].iter().map(|owner| world.start_as(owner)).collect();
        Self { world, rng, lives, backup: None, seed }
    }

    fn run(&self, turns: usize) {
        for _ in 0..turns.div_ceil(7) {
            for life in &self.lives {
                life.run(7);
            }
        }
    }

    fn life(&mut self) -> &Life {
        let chosen = self.rng.usize(0..self.lives.len());
        &self.lives[chosen]
    }

    fn step(&mut self) {
        match self.rng.u8(0..100) {
            0..=33 => self.issue(),
            34..=40 => self.renew(),
            41..=46 => self.revoke(),
            47 => {
                let item = self.item();
                {
                    let mut outside = self.world.outside();
                    if outside.names.is_some() {
                        return;
                    }
                    outside.asked_up_to = u64::MAX;
                }
                let life = self.life();
                let engine = Arc::clone(&life.engine);
                life.runtime.spawn(async move { engine.revoke_all(item).await });
                // Until it has read which there are; what begins afterwards stays.
                self.run(21);
                let mut outside = self.world.outside();
                outside.in_hand.clear();
                outside.asked_up_to = outside.count;
            }
            48..=52 => self.crash(),
            53..=54 => self.operate(),
            55 => self.jump(),
            56 => self.restore(),
            57 => {
                let down = self.rng.bool().then_some(crate::producer::RevokeFailure::Transient);
                self.world.outside().down = down;
            }
            58..=59 => {
                let long = Duration::from_secs(self.rng.u64(60..5000));
                self.pass(long);
            }
            _ => {
                let short = Duration::from_millis(self.rng.u64(0..15_000));
                self.pass(short);
            }
        }
        let turns = self.rng.usize(0..50);
        self.run(turns);
    }

    fn item(&mut self) -> u64 {
        if self.rng.u8(0..3) == 0 { REMEMBERING } else { PLAIN }
    }

    fn pass(&self, span: Duration) {
        self.world.clock.advance(span);
    }

    fn issue(&mut self) {
        let (item, number) = (self.item(), self.rng.u8(0..3));
        let ttl = self.rng.bool().then(|| Duration::from_secs(self.rng.u64(1..90)));
        let idempotency_key = (self.rng.u8(0..4) == 0).then(|| self.rng.u8(0..2).to_string());
        let wish =
            Wish { ttl: ttl.filter(|_| idempotency_key.is_none()), idempotency_key, ..Wish::default() };
        let outside = Arc::clone(&self.world.producers.outside);
        let clock = self.world.clock.clone();
        let life = self.life();
        let engine = Arc::clone(&life.engine);
        life.runtime.spawn(async move {
            let keyed = wish.idempotency_key.is_some();
            let Ok(issued) = engine.issue(&name(item), holder(number), wish).await else { return };
            let credential = issued.response["user"].as_str().unwrap().to_owned();
            let now = clock.now();
            let mut outside = outside.lock().unwrap();
            if issued.expires_at > now + TTL {
                outside.wrong.push(format!("{} lives longer than the item allows", issued.lease_id));
            }
            // One that was given before may have been renewed, or given back, by who has it.
            let until = issued.expires_at;
            if outside.was_asked_for(&issued.lease_id, &credential) {
                return;
            }
            if !outside.alive.contains_key(&credential) && now < until && !keyed && !outside.protected {
                outside.wrong.push(format!("{credential} was dead when it was handed out"));
            }
            if !keyed || outside.alive.contains_key(&credential) {
                outside.in_hand.insert(issued.lease_id, InHand { credential, until });
            }
        });
    }

    /// Some lease that somebody has, and its item.
    fn in_hand(&mut self) -> Option<(LeaseId, u64)> {
        let outside = self.world.outside();
        let count = outside.in_hand.len();
        let chosen = if count == 0 { None } else { outside.in_hand.iter().nth(self.rng.usize(0..count)) };
        let (lease, hand) = chosen?;
        let item = if hand.credential.starts_with("user-8") { REMEMBERING } else { PLAIN };
        Some((*lease, item))
    }

    fn renew(&mut self) {
        let Some((lease, item)) = self.in_hand() else { return };
        let outside = Arc::clone(&self.world.producers.outside);
        let clock = self.world.clock.clone();
        let life = self.life();
        let engine = Arc::clone(&life.engine);
        life.runtime.spawn(async move {
            let renewed = engine.renew(item, lease, None).await;
            let mut outside = outside.lock().unwrap();
            let outside: &mut Outside = &mut outside;
            if let Ok(until) = renewed
                && let Some(hand) = outside.in_hand.get_mut(&lease)
            {
                hand.until = hand.until.max(until);
                if !outside.alive.contains_key(&hand.credential) && clock.now() < until && !outside.protected
                {
                    outside.wrong.push(format!("{lease} was renewed, and was dead by then"));
                }
            }
        });
    }

    fn revoke(&mut self) {
        let Some((lease, item)) = self.in_hand() else { return };
        // Whoever shares the credential keeps theirs.
        self.world.outside().in_hand.remove(&lease);
        self.world.outside().asked.insert(lease);
        let life = self.life();
        let engine = Arc::clone(&life.engine);
        life.runtime.spawn(async move { engine.revoke(item, lease).await });
    }

    fn crash(&mut self) {
        let owner = self.lives.remove(self.rng.usize(0..self.lives.len())).owner;
        if self.rng.bool() {
            let down = Duration::from_secs(self.rng.u64(0..100));
            self.pass(down);
        }
        self.lives.push(self.world.start_as(owner));
    }

    /// An operator settles what is UNKNOWN, with the truth, and abandons what is parked.
    fn operate(&mut self) {
        let Some(leases) = self.leases() else { return };
        let now = self.world.clock.now();
        for lease in leases {
            let life = self.life();
            let engine = Arc::clone(&life.engine);
            let verdict = Verdict { by: "p-operator".to_owned(), reason: "looked".to_owned() };
            match lease.state {
                LeaseState::Unknown { since, .. }
                    if now.saturating_since(since) > Duration::from_secs(60) =>
                {
                    let made = self.world.outside().made.get(&lease.id).cloned();
                    let settlement = made.map_or(Settlement::Nothing, Settlement::Credential);
                    let life = self.life();
                    life.runtime.spawn(async move {
                        engine.settle(lease.item_id, lease.id, settlement, verdict).await
                    });
                }
                LeaseState::Parked(_) => {
                    // What came of it is not told if the store fails after it was done.
                    self.world.outside().beyond.extend(lease.producer_id().map(str::to_owned));
                    let life = self.life();
                    life.runtime.spawn(async move { engine.abandon(lease.item_id, lease.id, verdict).await });
                }
                _ => {}
            }
        }
    }

    /// The leases that are not over, if they can be read.
    fn leases(&mut self) -> Option<Vec<Lease>> {
        let mut leases = Vec::new();
        for item in [PLAIN, REMEMBERING] {
            let life = self.life();
            leases.extend(life.runtime.block_on(life.engine.leases(item)).ok()?);
        }
        Some(leases)
    }

    /// The clock is set forward by a day. It comes back, or an operator lets go.
    fn jump(&mut self) {
        self.run(SETTLE);
        // An engine that has not begun yet knows of a jump by the witness, if that was told anything.
        let told = self.world.witness.seen.lock().unwrap().is_some();
        if !told || self.lives.iter().any(|life| life.engine.held().is_some()) {
            return;
        }
        {
            let now = self.world.clock.now();
            let mut outside = self.world.outside();
            outside.in_hand.retain(|_, hand| hand.until > now);
            outside.protected = true;
        }
        let before = self.world.clock.now();
        let by = Duration::from_secs(24 * 3600);
        self.world.clock.set(before + by);
        if self.rng.u8(0..4) == 0 {
            self.crash();
        }
        self.run(SETTLE);
        self.pass(Duration::from_secs(7));
        self.run(SETTLE);
        if self.rng.bool() {
            self.world.clock.set(self.world.clock.now() - by);
            self.world.outside().protected = false;
            self.run(SETTLE);
            self.pass(Duration::from_secs(40));
            self.run(SETTLE);
            // A hold that was found at a start, or taken over, is let go by hand.
        }
        self.let_go();
    }

    fn restore(&mut self) {
        if self.world.outside().protected {
            return;
        }
        let made = self.world.outside().count;
        let witnessed = self.world.witness.seen.lock().unwrap().as_ref().map(|seen| seen.ticks);
        let Some((copy, then, ticks)) = self.backup.take() else {
            let copy = self.world.store.copy();
            let ticks = gateward_store::Key { partition: "~leases".to_owned(), sort: "ticks".to_owned() };
            let ticks = self.lives[0].runtime.block_on(copy.get(&ticks)).unwrap();
            let ticks = ticks.and_then(|entry| gateward_store::counter(&entry.value)).unwrap_or_default();
            self.backup = Some((copy, made, ticks));
            return;
        };
        // What no witness has seen, nobody notices.
        if witnessed.is_none_or(|witnessed| witnessed <= ticks) || self.world.outside().names.is_some() {
            return;
        }
        self.run(SETTLE);
        let owners: Vec<_> = self.lives.drain(..).map(|life| life.owner).collect();
        self.world.store.restore(&copy);
        {
            let mut outside = self.world.outside();
            outside.protected = true;
            let newer: Vec<String> = outside
                .alive
                .keys()
                .filter(|id| id.rsplit('-').next().unwrap().parse::<u64>().unwrap() > then)
                .cloned()
                .collect();
            for id in newer {
                outside.in_hand.retain(|_, hand| hand.credential != id);
                outside.beyond.insert(id);
            }
        }
        self.lives.extend(owners.into_iter().map(|owner| self.world.start_as(owner)));
        self.run(SETTLE);
        self.pass(Duration::from_secs(7));
        self.run(SETTLE);
        self.let_go();
    }

    fn let_go(&mut self) {
        for _ in 0..200 {
            if self.lives.iter().all(|life| life.engine.held().is_none()) {
                break;
            }
            {
                let mut outside = self.world.outside();
                outside.protected = false;
                let now = self.world.clock.now();
                // What looks expired now is what the operator has let go.
                outside.in_hand.retain(|_, hand| hand.until > now + Duration::from_secs(60));
                outside.in_hand.clear();
            }
            let verdict = Verdict { by: "p-operator".to_owned(), reason: "checked".to_owned() };
            for life in &self.lives {
                // It fails when the store does.
                let _ = life.runtime.block_on(life.engine.let_go(verdict.clone()));
            }
            self.run(20);
            self.pass(Duration::from_secs(1));
        }
        assert!(
            self.lives.iter().all(|life| life.engine.held().is_none()),
            "seed {}: nobody can let go",
            self.seed
        );
        self.world.outside().protected = false;
    }

    /// From here on nothing fails any more, and all the time in the world passes.
    fn end(mut self) {
        self.world.calm_down();
        self.world.outside().down = None;
        let owners: Vec<_> = self.lives.drain(..).map(|life| life.owner).collect();
        self.lives.extend(owners.into_iter().map(|owner| self.world.start_as(owner)));
        self.run(SETTLE);
        for round in 0..80 {
            let span = if round < 40 { 20 } else { 3600 };
            self.pass(Duration::from_secs(span));
            self.run(SETTLE / 3);
            if round % 4 == 3 && self.leases().is_some_and(|leases| leases.iter().all(is_for_people)) {
                break;
            }
        }
        self.run(SETTLE);
        self.check();
    }

    fn check(&mut self) {
        let seed = self.seed;
        let leases = self.leases().unwrap();
        {
            let outside = self.world.outside();
            assert_eq!(outside.wrong, Vec::<String>::new(), "seed {seed}");
            for (credential, alive) in &outside.alive {
                if outside.beyond.contains(credential) {
                    continue;
                }
                let known = leases.iter().find(|lease| alive.made_for.contains(&lease.id));
                let state = known.map(|lease| &lease.state);
                assert!(
                    matches!(state, Some(LeaseState::Unknown { .. })),
                    "seed {seed}: {credential} works and its lease is {state:?}"
                );
            }
        }
        for lease in &leases {
            assert!(is_for_people(lease), "seed {seed}: {lease:?} is left over");
        }
        let life = &self.lives[0];
        let report = life.runtime.block_on(life.engine.report(Query::default())).unwrap();
        assert_eq!(report.live, leases.len() as u64, "seed {seed}: the counters have drifted");
        let listed: BTreeMap<_, _> =
            report.attention.iter().map(|list| (list.kind as u8, list.count)).collect();
        let unknown = leases.len() as u64;
        assert_eq!(listed.values().sum::<u64>(), unknown, "seed {seed}: {:?}", report.attention);
        assert_eq!(report.due, 0, "seed {seed}");
        self.nothing_is_left_beside(&leases);
    }

    /// Every entry that follows from a lease is there, and no other.
    fn nothing_is_left_beside(&self, leases: &[Lease]) {
        let seed = self.seed;
        let all = || (Bound::Unbounded, Bound::Unbounded);
        let store = self.world.store.copy();
        let list =
            |partition: &str| self.lives[0].runtime.block_on(store.list(partition, all(), 10_000)).unwrap();
        let mut entries = 0;
        for slot in list(due::DIRECTORY) {
            let slot = due::Slot::from_directory(&slot.key.sort).unwrap();
            entries += list(&slot.partition()).len();
        }
        let due = leases.iter().filter(|lease| lease.due().is_some()).count();
        assert_eq!(entries, due, "seed {seed}: the due index has drifted");
        for partition in ["~claims/a", "~claims/b", "~answer/7", "~answer/8", "~order/7"] {
            assert_eq!(list(partition), [], "seed {seed}: {partition}");
        }
        assert_eq!(list("~order/8").len(), due, "seed {seed}: orders");
    }
}

/// Whether only people can do something about it.
fn is_for_people(lease: &Lease) -> bool {
    matches!(lease.state, LeaseState::Unknown { asking: None, .. })
}

fn history(seed: u64) {
    let mut history = History::new(seed);
    for _ in 0..70 {
        history.step();
    }
    history.end();
}

const OWNERS: [&str; 2] = ["a", "b"];

#[expect(clippy::disallowed_methods, reason = "how long a test goes on is said from outside")]
fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

#[expect(clippy::disallowed_macros, reason = "seeds are what a person runs a failed history again with")]
fn tell(words: &str) {
    println!("{words}");
}

#[test]
fn no_credential_is_lost_none_revoked_early_and_no_cap_passed_whatever_fails() {
    let count = number("GATEWARD_LEASE_HISTORIES", 300);
    let first = number("GATEWARD_LEASE_SEED", 0);
    let next = Mutex::new(first);
    tell(&format!("seeds {first} to {}", first + count - 1));
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            std::thread::Builder::new()
                .spawn_scoped(scope, || {
                    loop {
                        let seed = {
                            let mut next = next.lock().unwrap();
                            *next += 1;
                            *next - 1
                        };
                        if seed >= first + count {
                            return;
                        }
                        if count > 10_000 && (seed - first).is_multiple_of(10_000) {
                            tell(&format!("seed {seed}"));
                        }
                        history(seed);
                    }
                })
                .expect("a thread");
        }
    });
}
