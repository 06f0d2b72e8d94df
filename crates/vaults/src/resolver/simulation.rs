//! Hundreds of histories of a whole resolver: vaults that are slow and fail, secrets that change and vanish, bindings
//! that come and go, vaults that are edited and removed, on a clock that jumps. What must hold then does not look into
//! the resolver: it follows from what the vault has answered. A history that fails says its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use fastrand::Rng;
use gateward_clock::ManualClock;

use super::tests::{World, reference, world};
use super::*;
use crate::backend::Backend;
use crate::reference::Overrides;
use crate::rules::Rules;

const HISTORIES: u64 = 150;
const STEPS: usize = 80;
const NAMES: u32 = 6;

/// What the service behind the vault has, and what it has answered.
#[derive(Default)]
struct Service {
    has: BTreeMap<String, u64>,
    /// What it answers in place of that, and for which secrets (all, where none is named).
    fault: Option<(MissKind, Option<String>)>,
    /// When, by which door, for which secret, what.
    answered: Vec<(Timestamp, u32, String, Result<u64, MissKind>)>,
    rng: Rng,
}

/// The vault as it was opened once.
struct Door {
    number: u32,
    service: Arc<Mutex<Service>>,
    clock: ManualClock,
    flying: Mutex<BTreeSet<String>>,
}

#[async_trait]
impl Backend for Door {
    async fn fetch(&self, wanted: Wanted<'_>) -> Result<SecretValue, Miss> {
        let name = wanted.name.to_owned();
        {
            let mut flying = self.flying.lock().unwrap();
            assert!(flying.insert(name.clone()), "{name} is asked for twice at once");
            assert!(flying.len() <= lane::WIDEST);
        }
        let wait = self.service.lock().unwrap().rng.u64(0..4);
        self.clock.sleep(Duration::from_secs(wait)).await;
        self.flying.lock().unwrap().remove(&name);
        let mut service = self.service.lock().unwrap();
        let fault = service.fault.clone().filter(|(_, only)| only.as_ref().is_none_or(|only| *only == name));
        let answer = match fault {
            Some((kind, _)) => Err(kind),
            None => service.has.get(&name).copied().ok_or(MissKind::NotFound),
        };
        service.answered.push((self.clock.now(), self.number, name, answer));
        answer
            .map(|value| SecretValue::from(value.to_string().as_str()))
            .map_err(|kind| Miss::new(kind, "no"))
    }
}

/// Somebody who is bound, and what they were told last.
struct Somebody {
    names: Vec<String>,
    told: Arc<Mutex<Vec<Option<Vec<u64>>>>>,
    _binding: Binding,
}

struct History {
    rng: Rng,
    world: World,
    service: Arc<Mutex<Service>>,
    rules: Rules,
    edits: u32,
    is_there: bool,
    bound: Vec<Somebody>,
    newest: u64,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let world = world(&[]);
        let service = Service { rng: Rng::with_seed(seed ^ 0x5eed), ..Service::default() };
        let rules = any_rules(&mut rng);
        let service = Arc::new(Mutex::new(service));
        let mut history =
            Self { rng, world, service, rules, edits: 0, is_there: true, bound: Vec::new(), newest: 0 };
        history.edit();
        history
    }

    async fn run(mut self) {
        for _ in 0..STEPS {
            self.step();
            self.settle().await;
            self.check();
            self.check_that_all_is_seen_to();
        }
        if self.rng.bool() {
            self.heals_but_for_one().await;
        }
        self.heals().await;
    }

    fn step(&mut self) {
        let name = format!("s{}", self.rng.u32(0..NAMES));
        match self.rng.u32(0..100) {
            0..30 => {
                let far = if self.rng.bool() { 3 } else { 90 };
                self.world.clock.advance(Duration::from_secs(self.rng.u64(0..far)));
            }
            30..45 => {
                self.newest += 1;
                self.service.lock().unwrap().has.insert(name, self.newest);
            }
            45..50 => drop(self.service.lock().unwrap().has.remove(&name)),
            50..58 => {
                let kinds = [MissKind::Unavailable, MissKind::Throttled, MissKind::Denied, MissKind::Garbage];
                let kind = kinds[self.rng.usize(0..kinds.len())];
                let only = self.rng.bool().then_some(name);
                self.service.lock().unwrap().fault = Some((kind, only));
            }
            58..66 => self.service.lock().unwrap().fault = None,
            66..80 => self.bind(),
            80..86 if !self.bound.is_empty() => {
                let one = self.rng.usize(0..self.bound.len());
                drop(self.bound.swap_remove(one));
            }
            86..91 => self.world.resolver.refused(&[self.reference(&name)]),
            91..95 => {
                let (resolver, reference) = (Arc::clone(&self.world.resolver), self.reference(&name));
                Handle::current().spawn(async move { resolver.resolve(&reference).await.is_ok() });
            }
            95..98 => self.edit(),
            98..100 => self.remove(),
            _ => {}
        }
    }

    fn reference(&self, name: &str) -> Reference {
        reference(&format!("{{vault://double/{name}}}"))
    }

    fn bind(&mut self) {
        let names: Vec<_> = (0..self.rng.u32(1..4)).map(|_| format!("s{}", self.rng.u32(0..NAMES))).collect();
        let references = names.iter().map(|name| self.reference(name)).collect();
        let told: Arc<Mutex<Vec<_>>> = Arc::default();
        let hears = Arc::clone(&told);
        let changed = move |values: Option<&[SecretValue]>| {
            let numbers = |values: &[SecretValue]| -> Vec<u64> {
                values.iter().map(|value| value.expose().parse().expect("a number")).collect()
            };
            hears.lock().unwrap().push(values.map(numbers));
        };
        let binding = self.world.resolver.bind(references, Box::new(changed));
        self.bound.push(Somebody { names, told, _binding: binding });
    }

    fn edit(&mut self) {
        let rules = any_rules(&mut self.rng);
        self.edit_to(rules);
    }

    fn edit_to(&mut self, rules: Rules) {
        self.edits += 1;
        self.is_there = true;
        self.rules = rules;
        let door = Door {
            number: self.edits,
            service: Arc::clone(&self.service),
            clock: self.world.clock.clone(),
            flying: Mutex::default(),
        };
        self.world.set_backend(&format!("edit {}", self.edits), Arc::new(door), self.rules.clone());
    }

    fn remove(&mut self) {
        self.is_there = false;
        self.world.resolver.set_vaults(Vec::new());
    }

    async fn settle(&self) {
        for _ in 0..25 {
            tokio::task::yield_now().await;
        }
    }

    /// Nothing that somebody wants is forgotten.
    fn check_that_all_is_seen_to(&self) {
        let unattended = self.world.resolver.lock().unattended(self.world.clock.now());
        assert!(unattended.is_empty(), "{unattended:#?}");
    }

    /// What everybody was told is what they may and must have been told.
    fn check(&self) {
        let now = self.world.clock.now();
        let service = self.service.lock().unwrap();
        for somebody in &self.bound {
            let told = somebody.told.lock().unwrap();
            for values in told.windows(2) {
                if let [Some(before), Some(after)] = values {
                    let older = before.iter().zip(after).any(|(before, after)| before > after);
                    assert!(!older, "an older value came back: {before:?}, {after:?}");
                }
            }
            let Some(last) = told.last() else { continue };
            match last {
                Some(values) => {
                    assert!(self.is_there, "a vault that is gone still gives");
                    for (name, value) in somebody.names.iter().zip(values) {
                        let good = service.answered.iter().rev();
                        let good = good.filter(|(_, _, one, answer)| one == name && *answer == Ok(*value));
                        let given = good.map(|(at, ..)| *at).next().expect("no value is made up");
                        let times = self.rules.times;
                        let (Some(ttl), Some(more)) = (times.ttl, times.resurrect_ttl) else { continue };
                        assert!(ttl.is_zero() || now < given + ttl + more, "served too old");
                    }
                }
                None => assert!(
                    !self.is_there || !somebody.names.iter().all(|name| self.must_have(&service, name, now)),
                    "a good value was taken away from {:?}",
                    somebody.names
                ),
            }
        }
    }

    /// Whether the last thing that was heard of a secret, by the vault as it is now, is a value that is good.
    fn must_have(&self, service: &Service, name: &str, now: Timestamp) -> bool {
        let last = service.answered.iter().rev().find(|(_, _, one, _)| one == name);
        let Some((at, door, _, Ok(_))) = last else { return false };
        let ttl = self.rules.times.ttl.unwrap_or_default();
        *door == self.edits && (ttl.is_zero() || now < *at + ttl)
    }

    /// When only one secret cannot be had, nobody else hears of that for long, however it began.
    async fn heals_but_for_one(&mut self) {
        let bad = format!("s{}", self.rng.u32(0..NAMES));
        self.service.lock().unwrap().fault = Some((MissKind::Unavailable, Some(bad.clone())));
        for name in 0..NAMES {
            self.newest += 1;
            self.service.lock().unwrap().has.insert(format!("s{name}"), self.newest);
        }
        for _ in 0..90 {
            self.world.clock.advance(Duration::from_secs(3));
            self.settle().await;
            self.check_that_all_is_seen_to();
        }
        let others = self.bound.iter().filter(|somebody| self.is_there && !somebody.names.contains(&bad));
        for somebody in others {
            let told = somebody.told.lock().unwrap();
            let service = self.service.lock().unwrap();
            let newest: Vec<u64> = somebody.names.iter().map(|name| service.has[name]).collect();
            // Where a value is good for its ttl alone, there may be none for as long as a call takes.
            let was_told = told.iter().flatten().any(|values| *values == newest);
            let is_kept =
                self.rules.times.ttl == Some(Duration::ZERO) && matches!(told.last(), Some(Some(_)));
            assert!(was_told || is_kept, "{:?} stayed as they were", somebody.names);
        }
    }

    /// When everything is in order again, everybody soon has what the vault has.
    async fn heals(&mut self) {
        self.service.lock().unwrap().fault = None;
        for name in 0..NAMES {
            self.newest += 1;
            self.service.lock().unwrap().has.insert(format!("s{name}"), self.newest);
        }
        self.edit_to(Rules { times: times(60, 0, 300), ..Rules::default() });
        for _ in 0..200 {
            self.world.clock.advance(Duration::from_secs(1));
            self.settle().await;
            self.check_that_all_is_seen_to();
        }
        let has = self.service.lock().unwrap().has.clone();
        for somebody in &self.bound {
            let expected: Vec<u64> = somebody.names.iter().map(|name| has[name]).collect();
            assert_eq!(somebody.told.lock().unwrap().last(), Some(&Some(expected)), "{:?}", somebody.names);
        }
        // And whoever is gone has nothing asked for.
        self.bound.clear();
        self.settle().await;
        let before = self.service.lock().unwrap().answered.len();
        for _ in 0..10 {
            self.world.clock.advance(Duration::from_secs(60));
            self.settle().await;
        }
        let after = self.service.lock().unwrap().answered.len();
        assert!(after <= before + NAMES as usize, "{} calls for nobody", after - before);
    }
}

fn times(ttl: u64, neg_ttl: u64, resurrect_ttl: u64) -> Overrides {
    let [ttl, neg_ttl, resurrect_ttl] =
        [ttl, neg_ttl, resurrect_ttl].map(|seconds| Some(Duration::from_secs(seconds)));
    Overrides { ttl, neg_ttl, resurrect_ttl }
}

fn any_rules(rng: &mut Rng) -> Rules {
    let times = times(rng.u64(0..3) * 40, rng.u64(0..3) * 20, [0, 30, 1_000][rng.usize(0..3)]);
    Rules { times, fails_when_deleted: rng.bool(), ..Rules::default() }
}

#[test]
fn in_every_history_everybody_is_told_what_the_vault_has_answered_and_nothing_else() {
    for seed in 0..HISTORIES {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            // The resolver's own chance, too, is the seed's.
            fastrand::seed(seed);
            runtime.block_on(async { History::new(seed).run().await });
        };
        if std::panic::catch_unwind(run).is_err() {
            panic!("the history of seed {seed} fails");
        }
    }
}
