//! Histories of functions under a schedule and a queue that lose, delay, double and reorder: no credential lives longer
//! than it may, none goes before its time, none goes twice, and usually they go within seconds.
//!
//! Each history is a seed: how many leases there are, when they are issued and for how long, and what becomes of each tick and
//! each message. Events that fall together are done at the same time, by two functions that know nothing of each other.
//! `GATEWARD_TURN_LEASES` says over how many leases; `make revocation-histories` takes a million.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use gateward_clock::{Clock, Timestamp};
use gateward_model::{DynamicSecret, GoDuration};

use super::turns::Queue;
use super::world::{Life, OTHER, World, holder, name, secret};
use crate::engine::{Engine, Wish};
use crate::turns::{Announcer, Turns};

/// What may go wrong, each so often in a thousand.
#[derive(Clone, Copy)]
struct Faults {
    /// Messages that are not taken, that are lost, that are doubled, and that are late by up to ten seconds.
    messages: u16,
    /// Ticks that are lost.
    lost_ticks: u16,
    has_queue: bool,
}

/// One history, while it goes on.
struct History {
    world: World,
    life: Life,
    queue: Arc<Queue>,
    functions: Vec<(Arc<Engine>, Turns)>,
    rng: fastrand::Rng,
    now: Timestamp,
    end: Timestamp,
    issues: BTreeSet<(Timestamp, usize)>,
    /// When the schedule ticks; a time that is there twice ticks twice.
    ticks: BTreeMap<Timestamp, usize>,
    /// What has to go, by its time.
    due: BTreeMap<Timestamp, usize>,
    alive: usize,
    lateness: Vec<Duration>,
}

/// What may come next.
enum Event {
    Issue,
    Ticks(usize),
    Calls(Vec<Timestamp>),
}

impl History {
    fn new(seed: u64, leases: usize, faults: Faults) -> Self {
        let world = World::calm(seed);
        let longest = GoDuration::minutes(u32::try_from(LONGEST.as_secs() / 60).unwrap());
        world.keep(DynamicSecret { user_ttl: longest, ..secret(OTHER) });
        let life = world.asleep();
        let queue = Arc::new(Queue {
            rng: Mutex::new(fastrand::Rng::with_seed(seed)),
            faults: faults.messages.into(),
            ..Queue::default()
        });
        let other = world.beside(&life, "another function");
        let functions = [Arc::clone(&life.engine), other].map(|engine| {
            let announcer = faults.has_queue.then(|| Arc::clone(&queue) as Arc<dyn Announcer>);
            (
                Arc::clone(&engine),
                Turns::new(
                    engine,
                    None,
                    announcer,
                    Arc::clone(&world.call_end),
                    Arc::new(world.clock.clone()),
                ),
            )
        });
        let mut rng = fastrand::Rng::with_seed(seed ^ 77);
        let now = world.clock.now();
        let mut ticks = BTreeMap::new();
        // The last ones are only what every minute brings: whatever was lost goes with them.
        for minute in 0..=(SPAN + LONGEST).as_secs() / 60 + 3 {
            let at = now + Duration::from_secs(minute * 60);
            let is_lost = rng.u16(0..1000) < faults.lost_ticks;
            let times = if is_lost { 0 } else { 1 + usize::from(rng.u8(0..20) == 0) };
            for _ in 0..times {
                *ticks.entry(at + Duration::from_millis(rng.u64(0..millis(LATE_TICK)))).or_default() += 1;
            }
        }
        let issues =
            (0..leases).map(|number| (now + Duration::from_millis(rng.u64(0..millis(SPAN))), number));
        Self {
            issues: issues.collect(),
            end: now + SPAN + LONGEST + Duration::from_secs(240),
            world,
            life,
            queue,
            functions: functions.into(),
            rng,
            now,
            ticks,
            due: BTreeMap::new(),
            alive: 0,
            lateness: Vec::with_capacity(leases),
        }
    }

    /// Lives it to its end, and gives back how late each revocation was.
    fn live(mut self, seed: u64) -> Vec<Duration> {
        while let Some(event) = self.next() {
            match event {
                Event::Issue => self.issue(),
                Event::Ticks(times) => self.at_once(vec![None; times], seed),
                Event::Calls(moments) => self.at_once(moments.into_iter().map(Some).collect(), seed),
            }
        }
        assert!(self.due.is_empty() && self.alive == 0, "seed {seed}: {} live on", self.alive);
        self.lateness
    }

    fn next(&mut self) -> Option<Event> {
        let issue = self.issues.first().map(|(at, _)| *at);
        let tick = self.ticks.first_key_value().map(|(at, _)| *at);
        let call = self.queue.calls.lock().unwrap().first_key_value().map(|(at, _)| *at);
        let at = [issue, tick, call].into_iter().flatten().min().filter(|at| *at <= self.end)?;
        self.now = self.now.max(at);
        self.world.clock.set(self.now);
        *self.queue.now.lock().unwrap() = self.now;
        Some(if issue == Some(at) {
            self.issues.pop_first();
            Event::Issue
        } else if tick == Some(at) {
            Event::Ticks(self.ticks.pop_first()?.1)
        } else {
            Event::Calls(self.queue.calls.lock().unwrap().pop_first()?.1)
        })
    }

    /// A request that gets a credential.
    fn issue(&mut self) {
        let span = self.rng.choice(SPANS).unwrap();
        let ttl = Duration::from_millis(self.rng.u64(millis(span.start)..millis(span.end)));
        let wish = Wish { ttl: Some(ttl), ..Wish::default() };
        let (engine, turns) = self.rng.choice(&self.functions).unwrap();
        self.life.runtime.block_on(async {
            turns.begin(self.now + EVENT);
            engine.issue(&name(OTHER), holder(1), wish).await.unwrap();
            turns.settle(self.now + EVENT).await;
        });
        *self.due.entry(self.now + ttl).or_default() += 1;
        self.alive += 1;
    }

    /// Ticks (`None`) and messages, each by one of the functions, all at the same time.
    fn at_once(&mut self, events: Vec<Option<Timestamp>>, seed: u64) {
        let until = self.now + EVENT;
        let first = self.rng.usize(..);
        let done = events.into_iter().enumerate().map(|(number, event)| {
            let (_, function) = &self.functions[(first % 2 + number) % self.functions.len()];
            async move {
                match event {
                    Some(due) => function.message(due, until).await,
                    None => function.tick(until).await,
                }
            }
        });
        let done = self.life.runtime.block_on(join_all(done));
        assert!(done.iter().all(Result::is_ok), "seed {seed}");
        let (alive, wrong) = {
            let outside = self.world.outside();
            (outside.alive.len(), outside.wrong.clone())
        };
        assert_eq!(wrong, Vec::<String>::new(), "seed {seed}");
        let overdue: usize = self.due.range(..=self.now).map(|(_, count)| count).sum();
        assert_eq!(self.alive - alive, overdue, "seed {seed}: all that is due goes, and nothing else");
        self.alive = alive;
        for (due, count) in self.due.range(..=self.now) {
            self.lateness.extend(std::iter::repeat_n(self.now.saturating_since(*due), *count));
        }
        self.due = self.due.split_off(&(self.now + Duration::from_millis(1)));
    }
}

#[test]
fn whatever_schedule_and_queue_do_revocations_are_a_minute_late_at_most_and_usually_seconds() {
    let faults = Faults { messages: 50, lost_ticks: 50, has_queue: true };
    let mut all = lived("whatever happens", faults, number_of_leases());
    let worst = tell("whatever happens", &mut all);
    let soon = all.partition_point(|late| *late <= USUAL);
    assert!(soon * 100 >= all.len() * 95, "only {soon} of {} within {USUAL:?}", all.len());
    assert!(worst <= MINUTE, "{worst:?}");
}

#[test]
fn without_a_queue_revocations_are_a_minute_late_at_most_and_as_much_as_the_tick_is() {
    let faults = Faults { messages: 0, lost_ticks: 0, has_queue: false };
    let mut all = lived("without a queue", faults, number_of_leases() / 4);
    let worst = tell("without a queue", &mut all);
    assert!(worst <= MINUTE + LATE_TICK, "{worst:?}");
}

/// How late each of so many revocations was.
fn lived(what: &str, faults: Faults, leases: usize) -> Vec<Duration> {
    let mut of_size: BTreeMap<usize, Vec<Duration>> = BTreeMap::new();
    let mut lived = 0;
    for seed in 0.. {
        let size = SIZES[usize::try_from(seed).unwrap() % SIZES.len()];
        of_size.entry(size).or_default().extend(History::new(seed, size, faults).live(seed));
        lived += size;
        if lived >= leases {
            break;
        }
    }
    for (size, lateness) in &mut of_size {
        tell(&format!("{what}, {size} in half an hour"), lateness);
    }
    let all: Vec<Duration> = of_size.into_values().flatten().collect();
    assert_eq!(all.len(), lived);
    all
}

/// Shows how late revocations were, and gives back the worst.
#[expect(clippy::disallowed_macros, reason = "figures for the documentation")]
fn tell(what: &str, lateness: &mut [Duration]) -> Duration {
    lateness.sort();
    let at = |per_mille: usize| lateness[(lateness.len() - 1) * per_mille / 1000].as_secs_f64();
    let share = |most: Duration| {
        lateness.partition_point(|late| *late <= most) as f64 / lateness.len() as f64 * 100.0
    };
    println!(
        "{what}: {} leases; {:.2} % at most 5 s late, {:.4} % at most 60 s; p50 {:.1} s, p95 {:.1} s, p99.9 {:.1} s, worst {:.1} s",
        lateness.len(),
        share(USUAL),
        share(MINUTE),
        at(500),
        at(950),
        at(999),
        at(1000),
    );
    *lateness.last().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "how long the test may take is for who runs it to say")]
fn number_of_leases() -> usize {
    std::env::var("GATEWARD_TURN_LEASES").map_or(600, |text| text.parse().expect("a number"))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap()
}

/// How many leases a history has. The fewer, the fewer events there are that find what others have lost.
const SIZES: [usize; 4] = [10, 100, 500, 1500];

/// For how long leases are issued: for less than the schedule is sure to see twice, for what a message can be kept back,
/// and for longer. Half of them are short.
const SPANS: &[std::ops::Range<Duration>] = &[
    Duration::from_secs(5)..Duration::from_secs(60),
    Duration::from_secs(60)..Duration::from_secs(150),
    Duration::from_secs(150)..Duration::from_secs(900),
    Duration::from_secs(900)..LONGEST,
];

const LONGEST: Duration = Duration::from_secs(1200);

/// In which leases are issued.
const SPAN: Duration = Duration::from_secs(1800);

/// By how much a tick may be late.
const LATE_TICK: Duration = Duration::from_secs(20);

/// The time that an event has.
const EVENT: Duration = Duration::from_secs(25);

const USUAL: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);
