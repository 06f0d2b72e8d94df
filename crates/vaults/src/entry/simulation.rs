//! Thousands of histories of one entry, each against a plain model: the whole history, read again from its beginning
//! whenever something is asked. A history that fails says its seed.

use fastrand::Rng;

use super::*;

const HISTORIES: u64 = 6_000;
const STEPS: usize = 60;
const KINDS: [MissKind; 6] = [
    MissKind::NotFound,
    MissKind::NotFound,
    MissKind::Denied,
    MissKind::Throttled,
    MissKind::Unavailable,
    MissKind::Garbage,
];

/// One thing that happened, when, and on which terms.
#[derive(Clone, Debug)]
struct Fact {
    at: Timestamp,
    terms: Terms,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Value(u32),
    Miss(MissKind),
    HeldBack(MissKind),
    Released,
    Reconfigured,
    /// The entry was looked at, which is when it sees that a value is too old.
    Looked,
}

/// What is so after a history.
#[derive(Clone, Debug, Default)]
struct Truth {
    value: Option<(u32, Timestamp)>,
    from_another_vault: bool,
    /// Failures in a row.
    failures: u32,
    last_failure: Option<Timestamp>,
    /// What is missing, by the kind of its reason.
    missing: Option<MissKind>,
    gone: bool,
    /// Between these two, it begins to be asked for when somebody needs it.
    needed_from: Option<(Timestamp, Timestamp)>,
    /// The same, without anybody needing it.
    due_from: Option<(Timestamp, Timestamp)>,
    silent: bool,
}

/// `1, 2, 4 … 60` seconds, and a tenth less but a second.
fn retry(failures: u32) -> (Duration, Duration) {
    let seconds = [1, 2, 4, 8, 16, 32, 60][(failures.clamp(1, 7) - 1) as usize];
    let most = Duration::from_secs(seconds);
    (most.mul_f64(0.9).max(Duration::from_secs(1)), most)
}

fn said_by_the_vault(kind: MissKind) -> bool {
    matches!(kind, MissKind::NotFound | MissKind::Denied)
}

impl Truth {
    fn of(history: &[Fact]) -> Self {
        let mut truth = Self::default();
        history.iter().for_each(|fact| truth.take(fact));
        truth
    }

    fn take(&mut self, fact: &Fact) {
        let (now, terms) = (fact.at, fact.terms);
        if let Some((_, since)) = self.value
            && !terms.ttl.is_zero()
            && now >= since + terms.ttl + terms.resurrect_ttl
        {
            let last = self.last_failure.unwrap_or(since);
            let from = last + terms.neg_ttl.max(Duration::from_secs(1));
            self.value = None;
            (self.gone, self.missing, self.failures) = (true, Some(MissKind::Expired), 0);
            self.needed_from = Some((from, from));
            let (least, most) = self.due_from.unwrap_or((now, now));
            self.due_from = Some((least.max(from), most.max(from)));
        }
        match &fact.what {
            What::Looked => {}
            What::Released => self.silent = false,
            What::Value(value) => {
                let refresh = |part: f64| now + terms.ttl.mul_f64(part).max(Duration::from_secs(1));
                let due = (!terms.ttl.is_zero()).then(|| (refresh(0.9), refresh(1.0)));
                let value = Some((*value, now));
                *self = Self { value, due_from: due, needed_from: due, ..Self::default() };
            }
            What::Miss(kind) => self.miss(*kind, now, terms),
            What::HeldBack(kind) => {
                self.silent = true;
                if self.value.is_none() && self.missing.is_none() {
                    self.missing = Some(*kind);
                    self.needed_from = Some((now, now));
                    self.due_from = Some((now, now));
                }
                if self.value.is_some() && self.last_failure.is_none() {
                    self.last_failure = self.value.map(|(_, since)| since);
                }
                if self.due_from.is_none() {
                    self.due_from = Some((now, now));
                    self.needed_from = self.due_from;
                }
            }
            What::Reconfigured => {
                self.silent = false;
                self.failures = 0;
                if self.value.is_some() || self.missing.is_some() {
                    self.needed_from = Some((now, now));
                    self.due_from = Some((now, now));
                }
                self.from_another_vault = self.value.is_some();
            }
        }
    }

    fn miss(&mut self, kind: MissKind, now: Timestamp, terms: Terms) {
        self.silent = false;
        if self.value.is_some() {
            let deleted = kind == MissKind::NotFound;
            if deleted && self.from_another_vault {
                *self = Self::default();
            } else if deleted && terms.on_deleted == OnDeleted::Fail {
                *self = Self { gone: true, ..Self::default() };
            } else {
                self.failures += 1;
                self.last_failure = Some(now);
                let (least, most) = retry(self.failures);
                self.due_from = Some((now + least, now + most));
                self.needed_from = self.due_from;
                return;
            }
        }
        self.failures += 1;
        let (least, most) = retry(self.failures);
        let believed = match kind {
            MissKind::NotFound => terms.neg_ttl,
            _ => Duration::ZERO,
        };
        let (wait_least, wait_most) = (least.max(believed), most.max(believed));
        self.due_from = Some((now + wait_least, now + wait_most));
        let before = self.missing;
        let said_no = before.is_some_and(said_by_the_vault) && !said_by_the_vault(kind);
        let expired = before == Some(MissKind::Expired) && !said_by_the_vault(kind);
        if !said_no && !expired {
            self.missing = Some(kind);
        }
        if self.gone {
            self.due_from = Some((now + least.max(terms.neg_ttl), now + most.max(terms.neg_ttl)));
            self.needed_from = self.due_from;
        } else if !said_no {
            self.needed_from = Some((now + believed, now + believed));
        }
    }
}

/// One history, with what goes on in it.
struct History {
    rng: Rng,
    entry: Entry<u32>,
    terms: Terms,
    now: Timestamp,
    facts: Vec<Fact>,
    flight: Option<Ticket>,
    doubted: bool,
    made: u32,
}

impl History {
    fn run(seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let terms = any_terms(&mut rng);
        let now = Timestamp::from_secs(1_000_000);
        let (facts, entry) = (Vec::new(), Entry::new());
        let mut history = Self { rng, entry, terms, now, facts, flight: None, doubted: false, made: 0 };
        for _ in 0..STEPS {
            history.step();
            history.check();
        }
    }

    fn step(&mut self) {
        match self.rng.u32(0..100) {
            0..30 => {
                let far = if self.rng.bool() { 3_000 } else { 90_000 };
                self.now = self.now + Duration::from_millis(self.rng.u64(0..far));
            }
            30..50 => self.asks(Event::Needed),
            50..70 => self.asks(Event::Due),
            70..85 => self.answer(),
            85..89 => self.asks(Event::Doubted),
            89..93 => self.hold_back(),
            93..96 => self.asks(Event::Released),
            96..98 => self.asks(Event::LetGo),
            _ => self.reconfigure(),
        }
    }

    fn record(&mut self, what: What) {
        self.facts.push(Fact { at: self.now, terms: self.terms, what });
    }

    /// An event that may bring a call, and does so exactly when the model says.
    fn asks(&mut self, event: Event<u32>) {
        self.record(What::Looked);
        let truth = Truth::of(&self.facts);
        let unasked = truth.value.is_none() && truth.missing.is_none();
        let (may, must) = match &event {
            Event::Needed if unasked => (true, true),
            Event::Needed => self.reached(truth.needed_from),
            Event::Due => self.reached(truth.due_from),
            Event::Doubted => (!unasked, !unasked),
            Event::Released => (truth.silent, truth.silent),
            Event::LetGo => (false, false),
            Event::Answered { .. } | Event::HeldBack { .. } | Event::Reconfigured => unreachable!("not here"),
        };
        if matches!(event, Event::Doubted) {
            self.doubted |= self.flight.is_some();
        }
        let released = matches!(event, Event::Released | Event::LetGo);
        let ticket = self.entry.on(event, &self.terms, self.now);
        if self.flight.is_some() {
            assert_eq!(ticket, None, "asked twice at once");
        } else {
            assert!(ticket.is_none() || may, "asked too early");
            assert!(ticket.is_some() || !must, "not asked in time");
            self.flight = ticket;
        }
        if released {
            self.record(What::Released);
        }
    }

    fn reached(&self, span: Option<(Timestamp, Timestamp)>) -> (bool, bool) {
        span.map_or((false, false), |(least, most)| (least <= self.now, most <= self.now))
    }

    fn answer(&mut self) {
        let Some(ticket) = self.flight.take() else { return };
        let jitter = self.rng.f64();
        let answer = if self.rng.bool() {
            self.made += 1;
            self.record(What::Value(self.made));
            Ok(self.made)
        } else {
            let kind = KINDS[self.rng.usize(0..KINDS.len())];
            self.record(What::Miss(kind));
            Err(Miss::new(kind, "no"))
        };
        let again = self.entry.on(Event::Answered { ticket, answer, jitter }, &self.terms, self.now);
        assert_eq!(again.is_some(), std::mem::take(&mut self.doubted), "a doubt is asked about once");
        self.flight = again;
    }

    fn hold_back(&mut self) {
        let Some(ticket) = self.flight.take() else { return };
        self.doubted = false;
        self.record(What::HeldBack(MissKind::Throttled));
        let miss = Miss::new(MissKind::Throttled, "out of order");
        assert_eq!(self.entry.on(Event::HeldBack { ticket, miss }, &self.terms, self.now), None);
    }

    fn reconfigure(&mut self) {
        self.terms = any_terms(&mut self.rng);
        self.record(What::Reconfigured);
        let old = self.flight.take();
        self.doubted = false;
        assert_eq!(self.entry.on(Event::Reconfigured, &self.terms, self.now), None);
        if let Some(ticket) = old {
            // The vault as it was answers all the same.
            let late = Event::Answered { ticket, answer: Ok(u32::MAX), jitter: 0.0 };
            assert_eq!(self.entry.on(late, &self.terms, self.now), None);
        }
    }

    /// What is read is what the model says.
    fn check(&self) {
        let truth = Truth::of(&self.facts);
        let too_old = truth.value.is_some_and(|(_, since)| {
            !self.terms.ttl.is_zero() && self.now >= since + self.terms.ttl + self.terms.resurrect_ttl
        });
        assert_eq!(self.entry.is_being_asked(), self.flight.is_some());
        assert_eq!(self.entry.is_held_back(), truth.silent);
        match self.entry.read(&self.terms, self.now) {
            Reading::Value(value) => {
                assert!(!too_old, "served too old");
                assert_eq!(truth.value.map(|(value, _)| value), Some(*value));
            }
            Reading::Missing(miss) => {
                assert_eq!((truth.value, truth.missing), (None, Some(miss.kind)));
            }
            Reading::Unknown if truth.value.is_some() => assert!(too_old, "a good value is not served"),
            Reading::Unknown => {
                assert!(truth.missing.is_none() || self.flight.is_some(), "a miss is not told");
            }
        }
        let gone = matches!(self.entry.standing(), Standing::Gone { .. });
        assert_eq!(gone, truth.gone && truth.missing.is_some());
        let fresh = matches!(self.entry.standing(), Standing::Fresh { .. });
        assert_eq!(fresh, truth.value.is_some() && truth.last_failure.is_none());
        // Whatever failed is tried again without anybody asking, unless the vault is out of order.
        if truth.missing.is_some() && self.flight.is_none() && !self.entry.is_held_back() {
            let (least, most) = truth.due_from.expect("what is missing is asked for again");
            let wake = self.entry.wake_at(&self.terms).expect("there is an alarm");
            assert!(least <= wake && wake <= most, "wakes at {wake}, not between {least} and {most}");
        }
    }
}

fn any_terms(rng: &mut Rng) -> Terms {
    let mut span = |choices: [u64; 4]| Duration::from_secs(choices[rng.usize(0..4)]);
    Terms {
        ttl: span([0, 1, 60, 100]),
        neg_ttl: span([0, 0, 5, 200]),
        resurrect_ttl: span([0, 30, 300, 100_000_000]),
        on_deleted: if rng.bool() { OnDeleted::Keep } else { OnDeleted::Fail },
    }
}

#[test]
fn in_every_history_an_entry_does_what_the_plain_model_says() {
    for seed in 0..HISTORIES {
        if std::panic::catch_unwind(|| History::run(seed)).is_err() {
            panic!("the history of seed {seed} fails: History::run({seed}) shows it again");
        }
    }
}
