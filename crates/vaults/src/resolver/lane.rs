//! The calls to one vault: how many at once, and how few while it is out of order; no I/O.
//!
//! At most [`WIDEST`] calls are under way; the others wait for their turn. When calls for three secrets in a row were
//! throttled or not served, with no answer between them, it is the vault that is out of order and not a secret: what
//! waits is *held back*, in line, and one call at a time is made, ever later up to a minute: for whoever is first in line.
//! Secrets whose calls have failed in this outage stand behind those that nobody has tried, so that one that fails by
//! itself keeps no others back. The first answer opens the lane again: one call at once, then one more for each answer.
//!
//! A vault that says for how long it wants to be left alone is left alone for so long, by whichever call it said so.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

use gateward_clock::Timestamp;

use crate::entry::{Ticket, backoff};
use crate::unresolved::{Miss, MissKind};

/// The calls to one vault. `K` names a secret.
pub(super) struct Lane<K> {
    /// How many calls are under way.
    flying: usize,
    /// How many may be.
    width: usize,
    waiting: VecDeque<(K, Ticket)>,
    /// The secrets for which calls have failed since the last answer, as far as they are needed to tell.
    failed: Vec<K>,
    outage: Option<Outage<K>>,
    held: Line<K>,
    gate: Gate,
}

/// The secrets that are held back.
struct Line<K> {
    untried: VecDeque<K>,
    /// Those whose calls have failed in this outage.
    tried: VecDeque<K>,
}

/// Whether the vault can be called at all.
enum Gate {
    Open,
    /// Not yet: everything waits.
    Closed,
    /// No: this is why.
    Shut(Miss),
}

struct Outage<K> {
    miss: Miss,
    failures: u32,
    /// The secrets whose calls have failed in it.
    failed: HashSet<K>,
    /// The one call that is under way to see whether the vault is back.
    probe: Option<Ticket>,
    probe_at: Timestamp,
    /// Until when the vault wants to be left alone, where it has said so.
    rests_until: Option<Timestamp>,
}

/// What becomes of a call that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is made now.
    Call,
    /// It is made when its turn comes.
    Wait,
    /// It is not made.
    HeldBack(Miss),
}

/// What an answer has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn<K> {
    /// Nothing new.
    Nothing,
    /// The vault is out of order from now on. These calls, which were waiting, are not made.
    OutOfOrder(Vec<(K, Ticket)>, Miss),
    /// The vault is in order again. These secrets were held back.
    InOrder(Vec<K>),
}

impl<K: Clone + Eq + Hash> Lane<K> {
    /// The lane to a vault that can be called.
    pub(super) fn new() -> Self {
        Self {
            flying: 0,
            width: WIDEST,
            waiting: VecDeque::new(),
            failed: Vec::new(),
            outage: None,
            held: Line { untried: VecDeque::new(), tried: VecDeque::new() },
            gate: Gate::Open,
        }
    }

    /// The lane to a vault that cannot be called yet.
    pub(super) fn closed() -> Self {
        Self { gate: Gate::Closed, ..Self::new() }
    }

    /// The lane to a vault that cannot be called, because of `miss`.
    pub(super) fn shut(miss: Miss) -> Self {
        Self { gate: Gate::Shut(miss), ..Self::new() }
    }

    /// Lets calls be made. [`Lane::next`] gives those that have waited.
    pub(super) fn open(&mut self) {
        self.gate = Gate::Open;
    }

    /// What becomes of the call `ticket` for `key`.
    pub(super) fn admit(&mut self, key: &K, ticket: Ticket, now: Timestamp) -> Admission {
        if let Gate::Shut(miss) = &self.gate {
            return Admission::HeldBack(miss.clone());
        }
        if let Some(outage) = &mut self.outage {
            let is_its_turn = self.held.first().is_none_or(|first| first == key);
            if outage.probe.is_some() || now < outage.probe_at || !is_its_turn {
                return Admission::HeldBack(outage.miss.clone());
            }
            outage.probe = Some(ticket);
            self.held.pass(key);
            self.flying += 1;
            return Admission::Call;
        }
        if !self.is_free() || !self.waiting.is_empty() {
            self.waiting.push_back((key.clone(), ticket));
            return Admission::Wait;
        }
        self.flying += 1;
        Admission::Call
    }

    /// Puts `key`, which was held back, in line.
    pub(super) fn hold(&mut self, key: K) {
        let has_failed = self.outage.as_ref().is_some_and(|outage| outage.failed.contains(&key));
        if has_failed { &mut self.held.tried } else { &mut self.held.untried }.push_back(key);
    }

    /// A call that has waited and may be made now. Whoever does not make it says so with [`Lane::not_made`].
    pub(super) fn next(&mut self) -> Option<(K, Ticket)> {
        if self.outage.is_some() || !self.is_free() {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.flying += 1;
        Some(next)
    }

    fn is_free(&self) -> bool {
        matches!(self.gate, Gate::Open) && self.flying < self.width
    }

    /// Takes back a call that [`Lane::next`] gave.
    pub(super) fn not_made(&mut self) {
        self.flying = self.flying.saturating_sub(1);
    }

    /// A call has ended; `failure` says why it brought no value.
    pub(super) fn ended(
        &mut self,
        key: &K,
        ticket: Ticket,
        failure: Option<&Miss>,
        now: Timestamp,
        jitter: f64,
    ) -> Turn<K> {
        self.flying = self.flying.saturating_sub(1);
        let was_probe = self
            .outage
            .as_mut()
            .is_some_and(|outage| outage.probe.take_if(|probe| *probe == ticket).is_some());
        let Some(miss) = failure.filter(|miss| !miss.is_the_vaults_word()) else {
            self.failed.clear();
            self.width = (self.width + 1).min(WIDEST);
            // What was on its way when the vault asked for a rest does not end that.
            return match self.outage.take_if(|outage| outage.rests_until.is_none_or(|until| until <= now)) {
                Some(_) => Turn::InOrder(self.held.disperse()),
                None => Turn::Nothing,
            };
        };
        let rests_until = miss.rest.map(|span| now + span);
        if let Some(outage) = &mut self.outage {
            outage.failed.insert(key.clone());
            if was_probe {
                outage.failures = outage.failures.saturating_add(1);
                outage.probe_at = now + backoff(outage.failures, jitter);
                outage.miss = held_back(miss);
            }
            outage.rests_until = outage.rests_until.max(rests_until);
            outage.probe_at = outage.rests_until.map_or(outage.probe_at, |until| until.max(outage.probe_at));
            return Turn::Nothing;
        }
        // What nobody understands may be the secret's own fault.
        if miss.kind == MissKind::Garbage {
            return Turn::Nothing;
        }
        if !self.failed.contains(key) {
            self.failed.push(key.clone());
        }
        if self.failed.len() < IN_A_ROW && rests_until.is_none() {
            return Turn::Nothing;
        }
        self.width = 1;
        let probe_at = now + backoff(1, jitter);
        self.outage = Some(Outage {
            miss: held_back(miss),
            failures: 1,
            failed: std::mem::take(&mut self.failed).into_iter().collect(),
            probe: None,
            probe_at: rests_until.map_or(probe_at, |until| until.max(probe_at)),
            rests_until,
        });
        Turn::OutOfOrder(std::mem::take(&mut self.waiting).into(), held_back(miss))
    }

    /// When a call should be made to see whether the vault is back, if there is one to make.
    pub(super) fn probe_at(&self) -> Option<Timestamp> {
        let outage = self.outage.as_ref().filter(|outage| outage.probe.is_none())?;
        self.held.first().map(|_| outage.probe_at)
    }

    /// The secret that is first in line for that call, and that alone is let through by [`Lane::admit`].
    pub(super) fn first(&self) -> Option<&K> {
        self.held.first()
    }

    /// Takes `key` out of the line, if it is the first.
    pub(super) fn pass(&mut self, key: &K) {
        self.held.pass(key);
    }

    /// Forgets secrets that are no longer there.
    pub(super) fn forget(&mut self, is_there: impl Fn(&K) -> bool) {
        self.held.untried.retain(&is_there);
        self.held.tried.retain(&is_there);
        if let Some(outage) = &mut self.outage {
            outage.failed.retain(&is_there);
        }
    }

    /// Why the vault is out of order, or cannot be called at all, if that is so.
    pub(super) fn problem(&self) -> Option<&str> {
        if let Gate::Shut(miss) = &self.gate {
            return Some(&miss.problem);
        }
        self.outage.as_ref().map(|outage| outage.miss.problem.as_str())
    }
}

#[cfg(test)]
impl<K: PartialEq> Lane<K> {
    /// How often `key` stands in line.
    pub(super) fn places_in_line(&self, key: &K) -> usize {
        self.held.untried.iter().chain(&self.held.tried).filter(|held| *held == key).count()
    }

    /// Whether the line moves, or is none.
    pub(super) fn moves(&self) -> bool {
        self.held.first().is_none() || self.outage.is_some() || matches!(self.gate, Gate::Shut(_))
    }

    /// Whether the call `ticket` for `key` waits, or could be one that is under way.
    pub(super) fn has(&self, key: &K, ticket: impl Fn(Ticket) -> bool) -> bool {
        self.flying > 0 || self.waiting.iter().any(|(waits, one)| waits == key && ticket(*one))
    }
}

impl<K: PartialEq> Line<K> {
    fn first(&self) -> Option<&K> {
        self.untried.front().or(self.tried.front())
    }

    fn pass(&mut self, key: &K) {
        if self.first() == Some(key) {
            let line = if self.untried.is_empty() { &mut self.tried } else { &mut self.untried };
            line.pop_front();
        }
    }

    /// All of it; nobody is in line then.
    fn disperse(&mut self) -> Vec<K> {
        let mut all = Vec::from(std::mem::take(&mut self.untried));
        all.extend(std::mem::take(&mut self.tried));
        all
    }
}

/// The miss of a call that is not made because others ended in `miss`.
fn held_back(miss: &Miss) -> Miss {
    Miss::new(
        miss.kind,
        format!("the vault is out of order, and asked by one call at a time: {}", miss.problem),
    )
}

/// How many calls to one vault are under way at most.
pub(super) const WIDEST: usize = 64;
/// For how many secrets calls must fail in a row until it is the vault that is out of order.
const IN_A_ROW: usize = 3;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::entry::{Entry, Event, Terms};

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn ticket() -> Ticket {
        Entry::<()>::new().on(Event::Needed, &Terms::default(), NOW).unwrap()
    }

    fn down() -> Miss {
        Miss::new(MissKind::Unavailable, "refused")
    }

    fn fail(lane: &mut Lane<u32>, key: u32, now: Timestamp) -> Turn<u32> {
        lane.ended(&key, ticket(), Some(&down()), now, 0.0)
    }

    #[test]
    fn so_many_calls_fly_at_once_and_the_others_wait_for_their_turn() {
        let mut lane = Lane::new();
        for key in 0..100 {
            let expected = if key < 64 { Admission::Call } else { Admission::Wait };
            assert_eq!(lane.admit(&key, ticket(), NOW), expected);
        }
        assert_eq!(lane.next(), None);
        assert_eq!(lane.ended(&0, ticket(), None, NOW, 0.0), Turn::Nothing);
        assert_eq!(lane.next(), Some((64, ticket())));
        assert_eq!(lane.next(), None);
    }

    #[test]
    fn one_secret_that_fails_again_and_again_is_no_outage_and_three_in_a_row_are() {
        let mut lane = Lane::new();
        for _ in 0..10 {
            assert_eq!(fail(&mut lane, 1, NOW), Turn::Nothing);
        }
        assert_eq!(fail(&mut lane, 2, NOW), Turn::Nothing);
        lane.ended(&3, ticket(), Some(&Miss::new(MissKind::NotFound, "none")), NOW, 0.0);
        assert_eq!(fail(&mut lane, 4, NOW), Turn::Nothing);
        assert_eq!(fail(&mut lane, 5, NOW), Turn::Nothing);
        assert!(matches!(fail(&mut lane, 6, NOW), Turn::OutOfOrder(waiting, _) if waiting.is_empty()));
    }

    #[test]
    fn a_vault_out_of_order_is_asked_by_one_call_at_a_time_ever_later_until_it_answers() {
        let mut lane = Lane::new();
        (1..=3).for_each(|key| drop(fail(&mut lane, key, NOW)));
        for key in 1..=1000 {
            assert!(matches!(lane.admit(&key, ticket(), NOW), Admission::HeldBack(_)));
            lane.hold(key);
        }
        let (mut now, mut waits, mut asked) = (NOW, Vec::new(), HashSet::new());
        for _ in 0..9 {
            let at = lane.probe_at().unwrap();
            waits.push(at.saturating_since(now).as_secs());
            now = at;
            let key = *lane.first().unwrap();
            assert!(asked.insert(key), "each time another one");
            assert!(matches!(lane.admit(&2_000, ticket(), now), Admission::HeldBack(_)), "in line");
            assert_eq!(lane.admit(&key, ticket(), now), Admission::Call);
            assert!(matches!(lane.admit(&7, ticket(), now), Admission::HeldBack(_)), "one at a time");
            assert_eq!(lane.probe_at(), None);
            fail(&mut lane, key, now);
            lane.hold(key);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        now = now + Duration::from_secs(60);
        let key = *lane.first().unwrap();
        lane.admit(&key, ticket(), now);
        let Turn::InOrder(released) = lane.ended(&key, ticket(), None, now, 0.0) else {
            panic!("still out of order")
        };
        assert_eq!((released.len(), lane.problem()), (999, None));
        // It is not thrown at all at once, either.
        let made = released.iter().filter(|key| lane.admit(key, ticket(), now) == Admission::Call).count();
        assert_eq!(made, 2);
        lane.ended(&1, ticket(), None, now, 0.0);
        assert!(lane.next().is_some() && lane.next().is_some() && lane.next().is_none());
    }

    #[test]
    fn who_has_failed_stands_behind_whoever_has_not_been_tried() {
        let mut lane = Lane::new();
        (1..=3).for_each(|key| drop(fail(&mut lane, key, NOW)));
        let mut now = NOW;
        let mut turn = |lane: &mut Lane<u32>| {
            now = lane.probe_at().unwrap();
            let first = *lane.first().unwrap();
            assert_eq!(lane.admit(&first, ticket(), now), Admission::Call);
            fail(lane, first, now);
            lane.hold(first);
            first
        };
        [1, 2, 3, 4].into_iter().for_each(|key| lane.hold(key));
        assert_eq!([turn(&mut lane), turn(&mut lane)], [4, 1]);
        lane.hold(5);
        assert_eq!([turn(&mut lane), turn(&mut lane), turn(&mut lane)], [5, 2, 3]);
        // Who is wanted no more lets the next one come.
        lane.pass(&2);
        assert_eq!(lane.first(), Some(&4));
        lane.pass(&4);
        assert_eq!(lane.first(), Some(&1));
    }

    #[test]
    fn where_nobody_is_in_line_whoever_comes_is_let_through() {
        let mut lane = Lane::new();
        (1..=3).for_each(|key| drop(fail(&mut lane, key, NOW)));
        assert_eq!(lane.probe_at(), None);
        assert!(matches!(lane.admit(&9, ticket(), NOW), Admission::HeldBack(_)), "too early");
        assert_eq!(lane.admit(&9, ticket(), NOW + Duration::from_secs(1)), Admission::Call);
    }

    #[test]
    fn a_vault_that_wants_to_be_left_alone_is_whatever_comes_in_meanwhile() {
        let mut lane = Lane::new();
        (1..=3).for_each(|key| drop(lane.admit(&key, ticket(), NOW)));
        let rests = Miss { rest: Some(Duration::from_secs(30)), ..Miss::new(MissKind::Throttled, "429") };
        assert!(matches!(lane.ended(&1, ticket(), Some(&rests), NOW, 0.0), Turn::OutOfOrder(..)));
        lane.hold(1);
        assert_eq!(lane.ended(&2, ticket(), None, NOW, 0.0), Turn::Nothing, "it was on its way");
        assert_eq!(fail(&mut lane, 3, NOW), Turn::Nothing);
        assert_eq!(lane.probe_at(), Some(NOW + Duration::from_secs(30)));
        let before = NOW + Duration::from_millis(29_999);
        assert!(matches!(lane.admit(&1, ticket(), before), Admission::HeldBack(_)));
        let now = NOW + Duration::from_secs(30);
        assert_eq!(lane.admit(&1, ticket(), now), Admission::Call);
        assert_eq!(lane.ended(&1, ticket(), None, now, 0.0), Turn::InOrder(vec![]));
    }

    #[test]
    fn what_nobody_understands_may_be_the_secrets_own_fault() {
        let mut lane = Lane::new();
        for key in 0..10 {
            let garbage = Miss::new(MissKind::Garbage, "binary");
            assert_eq!(lane.ended(&key, ticket(), Some(&garbage), NOW, 0.0), Turn::Nothing);
        }
    }
}
