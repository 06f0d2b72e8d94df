//! One producer's lane: which of its leases wait, how many calls are under way, and whether it may be called at all.
//!
//! A core without I/O. Each producer has a lane of its own, so that one that hangs holds up nobody else's leases:
//!
//! - a lane holds a bounded number of leases; of the others it knows that there are more, in the due index;
//! - calls begin one at a time and double with each answer, so that a start after a long stop is no storm;
//! - after three failures in a row the circuit is open: one probe after 12 s, then 24 s, 48 s, and once a minute;
//! - a call that fails makes the next one smaller, down to one id, so that one id that the producer chokes on does not
//!   take the others with it; each answer doubles it.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use gateward_clock::Timestamp;

use crate::due::LeaseKey;

/// What is to be done for one producer.
#[derive(Debug)]
pub(super) struct Lane {
    waiting: VecDeque<LeaseKey>,
    /// How many of them, from the front, somebody waits for.
    urged: usize,
    /// Those that wait and those that are being worked on.
    known: HashSet<LeaseKey>,
    /// There may be more in the due index.
    more: bool,
    under_way: usize,
    at_once: usize,
    batch: usize,
    failures: u32,
    openings: u32,
    open_until: Option<Timestamp>,
}

/// What came of a lane's work; of several, the greatest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// There was nothing to call it for.
    NotCalled,
    /// The producer has answered.
    Answered,
    /// It was called, and has not.
    Failed,
}

/// What became of an offered lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// It waits for its turn.
    Taken,
    /// It is waiting already, or worked on.
    Known,
    /// No room; the lane knows that there is more.
    Full,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            urged: 0,
            known: HashSet::new(),
            more: false,
            under_way: 0,
            at_once: 1,
            batch: BATCH,
            failures: 0,
            openings: 0,
            open_until: None,
        }
    }
}

impl Lane {
    /// Takes a lease in, if there is room.
    pub(super) fn offer(&mut self, lease: LeaseKey) -> Offer {
        if self.known.contains(&lease) {
            return Offer::Known;
        }
        if self.waiting.len() >= self.room() {
            self.more = true;
            return Offer::Full;
        }
        self.waiting.push_back(lease);
        self.known.insert(lease);
        Offer::Taken
    }

    /// Takes leases in, before all others and whether there is room or not: somebody waits for them.
    pub(super) fn urge(&mut self, leases: &[LeaseKey]) {
        let wished: HashSet<LeaseKey> = leases.iter().copied().collect();
        let urged_before =
            self.waiting.iter().take(self.urged).filter(|lease| !wished.contains(lease)).count();
        let (waited, others): (Vec<_>, Vec<_>) =
            self.waiting.drain(..).partition(|lease| wished.contains(lease));
        let mut waited: HashSet<LeaseKey> = waited.into_iter().collect();
        let is_to_wait = |lease: &&LeaseKey| self.known.insert(**lease) || waited.remove(*lease);
        self.waiting = leases.iter().filter(is_to_wait).copied().collect();
        self.urged = self.waiting.len() + urged_before;
        self.waiting.extend(others);
    }

    /// How many of those that wait somebody waits for.
    pub(super) fn urged(&self) -> usize {
        self.urged
    }

    /// The next leases to be worked on, at most `most`; none if nothing may begin now. Each is to be [`Lane::ended`].
    pub(super) fn next(&mut self, now: Timestamp, most: usize) -> Option<Vec<LeaseKey>> {
        let may_begin = match self.open_until {
            Some(until) => until <= now && self.under_way == 0,
            None => self.under_way < self.at_once,
        };
        if !may_begin || self.waiting.is_empty() {
            return None;
        }
        self.under_way += 1;
        let count = self.waiting.len().min(self.batch.min(most).max(1));
        self.urged = self.urged.saturating_sub(count);
        Some(self.waiting.drain(..count).collect())
    }

    /// Work on `leases` has ended.
    pub(super) fn ended(
        &mut self,
        leases: &[LeaseKey],
        outcome: Outcome,
        now: Timestamp,
        rng: &mut fastrand::Rng,
    ) {
        self.under_way = self.under_way.saturating_sub(1);
        for lease in leases {
            self.known.remove(lease);
        }
        match outcome {
            Outcome::NotCalled => {}
            Outcome::Answered => {
                self.failures = 0;
                self.openings = 0;
                self.open_until = None;
                self.at_once = (self.at_once * 2).min(CALLS_AT_ONCE);
                self.batch = (self.batch * 2).min(BATCH);
            }
            Outcome::Failed => {
                self.failures = self.failures.saturating_add(1);
                self.at_once = 1;
                self.batch = (self.batch / 4).max(1);
                // Those that failed with the first are not counted as probes of their own.
                if self.failures >= TRIP && self.open_until.is_none_or(|until| until <= now) {
                    let wait = FIRST_PROBE.saturating_mul(1 << self.openings.min(8)).min(LAST_PROBE);
                    self.openings = self.openings.saturating_add(1);
                    self.open_until = Some(now + wait.mul_f64(1.0 + rng.f64() / 4.0));
                }
            }
        }
    }

    /// Until when the producer is not called, if it is not.
    pub(super) fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.open_until.filter(|until| *until > now)
    }

    /// Whether its producer failed so often that it is only probed.
    pub(super) fn is_open(&self) -> bool {
        self.openings > 0
    }

    /// Whether `lease` waits here or is worked on.
    pub(super) fn knows(&self, lease: &LeaseKey) -> bool {
        self.known.contains(lease)
    }

    /// When it must be looked at again, though nobody offers anything.
    pub(super) fn wakes_at(&self) -> Option<Timestamp> {
        self.open_until.filter(|_| self.under_way == 0 && (self.more || !self.waiting.is_empty()))
    }

    /// Whether the due index is to be looked through for more; it is then believed that this is done.
    pub(super) fn takes_more(&mut self, now: Timestamp) -> bool {
        let has_room = self.waiting.len() <= self.room() / 4;
        let wants = self.more && has_room && self.open_until.is_none_or(|until| until <= now);
        self.more &= !wants;
        wants
    }

    /// Whether its producer is being called.
    pub(super) fn is_at_work(&self) -> bool {
        self.under_way > 0
    }

    /// How many may wait: a producer that is not called needs no more than its next call takes.
    fn room(&self) -> usize {
        if self.open_until.is_some() { BATCH } else { ROOM }
    }

    /// Whether nothing is to be remembered of it.
    pub(super) fn is_idle(&self) -> bool {
        self.known.is_empty() && !self.more && self.under_way == 0 && self.failures == 0
    }
}

/// The most ids in one call to a producer.
pub(super) const BATCH: usize = 100;

/// How many leases wait in memory.
const ROOM: usize = 20_000;

/// How many calls to one producer may be under way.
const CALLS_AT_ONCE: usize = 8;

/// So many failures in a row open the circuit.
const TRIP: u32 = 3;

const FIRST_PROBE: Duration = Duration::from_secs(12);
const LAST_PROBE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::LeaseId;

    fn lease(number: usize) -> LeaseKey {
        LeaseKey { item_id: 7, lease_id: LeaseId::parse(&format!("l-{number:032x}")).unwrap() }
    }

    fn full() -> Lane {
        let mut lane = Lane::default();
        for number in 0..ROOM * 2 {
            lane.offer(lease(number));
        }
        lane
    }

    #[test]
    fn calls_double_with_each_answer_up_to_eight() {
        let (mut lane, now, mut rng) = (full(), Timestamp::from_secs(9), fastrand::Rng::with_seed(1));
        for expected in [1, 2, 4, 8, 8] {
            let batches: Vec<_> = std::iter::from_fn(|| lane.next(now, BATCH)).collect();
            assert_eq!(batches.len(), expected);
            for number in 0..ROOM * 2 {
                lane.offer(lease(number));
            }
            lane.ended(&batches[0], Outcome::Answered, now, &mut rng);
            for batch in &batches[1..] {
                lane.ended(batch, Outcome::NotCalled, now, &mut rng);
            }
        }
    }

    #[test]
    fn an_outage_costs_a_producer_at_most_ten_calls_a_minute_and_small_ones() {
        for seed in 0..40 {
            let (mut lane, mut rng) = (full(), fastrand::Rng::with_seed(seed));
            lane.at_once = CALLS_AT_ONCE;
            let start = Timestamp::from_secs(1000);
            let mut calls = Vec::new();
            for millis in (0..600_000).step_by(100) {
                let now = start + Duration::from_millis(millis);
                // All that may begin begin together, and fail together.
                let begun: Vec<_> = std::iter::from_fn(|| lane.next(now, BATCH)).collect();
                for batch in begun {
                    calls.push((millis, batch.len()));
                    lane.ended(&batch, Outcome::Failed, now, &mut rng);
                    for lease in batch {
                        lane.offer(lease);
                    }
                }
            }
            for minute in 0..10 {
                let within = minute * 60_000..(minute + 1) * 60_000;
                let count = calls.iter().filter(|(at, _)| within.contains(at)).count();
                assert!(count <= 10, "seed {seed}: {count} calls in minute {minute}");
            }
            assert_eq!(calls.last().map(|(_, size)| *size), Some(1));
        }
    }

    #[test]
    fn a_probe_that_is_answered_closes_the_circuit() {
        let (mut lane, now, mut rng) = (full(), Timestamp::from_secs(9), fastrand::Rng::with_seed(1));
        for _ in 0..TRIP {
            let batch = lane.next(now, BATCH).unwrap();
            lane.ended(&batch, Outcome::Failed, now, &mut rng);
        }
        assert_eq!(lane.next(now, BATCH), None);
        let probe_at = lane.wakes_at().unwrap();
        let probe = lane.next(probe_at, BATCH).unwrap();
        assert_eq!((probe.len(), lane.next(probe_at, BATCH)), (1, None), "one probe at a time");
        lane.ended(&probe, Outcome::Answered, probe_at, &mut rng);
        assert_eq!((lane.open_until(probe_at), lane.next(probe_at, BATCH).unwrap().len()), (None, 2));
    }

    #[test]
    fn a_lane_that_is_full_knows_that_there_is_more() {
        let mut lane = full();
        assert!(!lane.takes_more(Timestamp::default()), "there is no room yet");
        while lane.waiting.len() > ROOM / 4 {
            lane.waiting.pop_front();
        }
        assert!(lane.takes_more(Timestamp::default()) && !lane.takes_more(Timestamp::default()));
    }

    #[test]
    fn a_lane_of_a_producer_that_fails_has_nothing_looked_for_that_it_could_not_take() {
        let (mut lane, now, mut rng) = (full(), Timestamp::from_secs(9), fastrand::Rng::with_seed(1));
        lane.waiting.truncate(ROOM / 8);
        for _ in 0..TRIP {
            let batch = lane.next(now, BATCH).unwrap();
            lane.ended(&batch, Outcome::Failed, now, &mut rng);
        }
        let probe_at = lane.wakes_at().unwrap();
        assert_eq!(lane.offer(lease(ROOM * 3)), Offer::Full);
        assert!(!lane.takes_more(probe_at), "before the probe");
        assert!(lane.next(probe_at, BATCH).is_some());
        assert!(!lane.takes_more(probe_at), "while it is under way");
    }

    #[test]
    fn a_lease_waits_once() {
        let mut lane = Lane::default();
        assert_eq!(lane.offer(lease(1)), Offer::Taken);
        assert_eq!(lane.offer(lease(1)), Offer::Known);
        lane.urge(&[lease(2)]);
        assert_eq!(lane.next(Timestamp::default(), BATCH), Some(vec![lease(2), lease(1)]));
        assert_eq!(lane.offer(lease(1)), Offer::Known, "it is being worked on");
        assert!(lane.knows(&lease(1)) && !lane.is_idle());
    }

    #[test]
    fn what_somebody_waits_for_comes_first_also_if_it_waited_before() {
        let (mut lane, now) = (Lane::default(), Timestamp::default());
        for number in 0..5 {
            lane.offer(lease(number));
        }
        lane.urge(&[lease(3)]);
        lane.urge(&[lease(9), lease(4), lease(4)]);
        assert_eq!(lane.urged(), 3);
        assert_eq!(lane.next(now, 2), Some(vec![lease(9), lease(4)]));
        lane.urge(&[lease(9)]);
        assert_eq!(lane.urged(), 1, "what is worked on does not wait");
        lane.at_once = 3;
        assert_eq!(lane.next(now, 1), Some(vec![lease(3)]));
        assert_eq!((lane.urged(), lane.next(now, BATCH)), (0, Some(vec![lease(0), lease(1), lease(2)])));
    }
}
