//! What is known of one secret, and when to ask again: a state, an event, the time; no I/O.
//!
//! A secret that was never asked for is *unasked*. An answer makes it *held*: good for `ttl`, asked for again a little
//! before that ends, and used on for `resurrect_ttl` while no new answer can be had (it is *stale* then). A vault that
//! says "no" where nothing is held makes it *missing*, which is believed for `neg_ttl`; one that is out of order makes
//! it missing too, but nobody believes that. A value that is too old, or that the vault has no longer where that is to
//! count at once, is *gone*: missing, and asked for no more often than `neg_ttl` says. Whatever failed is tried again,
//! ever slower, up to once a minute.

use std::time::Duration;

use gateward_clock::Timestamp;

use crate::unresolved::{Miss, MissKind};

/// How long answers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// How long a value is good. Zero: for ever, and never asked for again.
    pub(crate) ttl: Duration,
    /// How long a miss is believed. Zero: until somebody asks.
    pub(crate) neg_ttl: Duration,
    /// How long a value is used after its ttl while no new one can be had.
    pub(crate) resurrect_ttl: Duration,
    /// What a value is worth whose secret the vault has no longer.
    pub(crate) on_deleted: OnDeleted,
}

/// What a value is worth whose secret the vault has no longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnDeleted {
    /// As much as when the vault cannot be reached.
    #[default]
    Keep,
    /// Nothing.
    Fail,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            ttl: Duration::ZERO,
            neg_ttl: Duration::ZERO,
            resurrect_ttl: Duration::from_secs(100_000_000),
            on_deleted: OnDeleted::Keep,
        }
    }
}

/// What is known of one secret. Its terms are its vault's and its reference's, who hand them in.
pub(crate) struct Entry<V> {
    state: State<V>,
    /// The call that is under way, if one is.
    flight: Option<Flight>,
    flights: u32,
    /// The vault is out of order and was not asked. It is in line, and asked for when it is released.
    held_back: bool,
}

enum State<V> {
    Unasked,
    Held(Held<V>),
    Missing(Box<Missing>),
}

struct Held<V> {
    value: V,
    since: Timestamp,
    /// When to ask again; never where the ttl is zero.
    ask_at: Option<Timestamp>,
    /// Why the value could not be refreshed when that was last tried.
    trouble: Option<Box<Trouble>>,
    /// The vault is another one now: if it has no such secret, this value is not its own.
    from_another_vault: bool,
}

struct Trouble {
    miss: Miss,
    since: Timestamp,
    /// When the vault was last asked.
    asked: Timestamp,
    failures: u32,
}

struct Missing {
    miss: Miss,
    since: Timestamp,
    /// There was a value once.
    gone: bool,
    /// Until then, who needs the value does not make us ask.
    believed_until: Timestamp,
    ask_at: Timestamp,
    failures: u32,
}

#[derive(Clone, Copy)]
struct Flight {
    ticket: Ticket,
    /// What it brings may be older than what somebody saw since it began.
    doubted: bool,
}

/// Names one call to the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u32);

/// What happens to an entry.
pub(crate) enum Event<V> {
    /// Somebody wants the value.
    Needed,
    /// The time has come that [`Entry::wake_at`] gave.
    Due,
    /// The vault has answered.
    Answered {
        /// The call that this answers.
        ticket: Ticket,
        /// The value, or why there is none.
        answer: Result<V, Miss>,
        /// Between 0 and 1, at random: spreads what would else come all at once.
        jitter: f64,
    },
    /// The vault was not asked, for it is out of order.
    HeldBack {
        /// The call that was not made.
        ticket: Ticket,
        /// Why.
        miss: Miss,
    },
    /// The vault may be asked again.
    Released,
    /// The vault may be asked again, and nobody wants the value now.
    LetGo,
    /// Somebody saw a sign that what is known is not what the vault has now.
    Doubted,
    /// The vault's settings have changed.
    Reconfigured,
}

/// What an entry says to whoever reads it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reading<'a, V> {
    /// The vault was not asked, or is being asked.
    Unknown,
    /// The value.
    Value(&'a V),
    /// There is none.
    Missing(&'a Miss),
}

/// How it stands with an entry, whether or not a call is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing<'a> {
    Unasked,
    Fresh { since: Timestamp },
    Stale { since: Timestamp, miss: &'a Miss },
    Missing { since: Timestamp, miss: &'a Miss },
    Gone { since: Timestamp, miss: &'a Miss },
}

impl Standing<'_> {
    /// Since when it stands so.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Unasked => None,
            Self::Fresh { since }
            | Self::Stale { since, .. }
            | Self::Missing { since, .. }
            | Self::Gone { since, .. } => Some(*since),
        }
    }
}

impl<V> Entry<V> {
    pub(crate) fn new() -> Self {
        Self { state: State::Unasked, flight: None, flights: 0, held_back: false }
    }

    /// Takes `event` in. Where the vault must be asked now, gives the ticket for that call.
    pub(crate) fn on(&mut self, event: Event<V>, terms: &Terms, now: Timestamp) -> Option<Ticket> {
        self.expire(terms, now);
        match event {
            Event::Needed => self.ask_if(self.is_wanting(now)),
            Event::Due => self.ask_if(self.ask_at().is_some_and(|at| at <= now)),
            Event::Answered { ticket, answer, jitter } => {
                let flight = self.flight.take_if(|flight| flight.ticket == ticket)?;
                self.take_in(answer, terms, now, jitter.clamp(0.0, 1.0));
                self.ask_if(flight.doubted)
            }
            Event::HeldBack { ticket, miss } => {
                if self.flight.take_if(|flight| flight.ticket == ticket).is_some() {
                    self.hold_back(miss, now);
                }
                None
            }
            Event::Released => {
                let was_held_back = std::mem::take(&mut self.held_back);
                self.ask_if(was_held_back)
            }
            Event::LetGo => {
                self.held_back = false;
                None
            }
            Event::Doubted => {
                if let Some(flight) = &mut self.flight {
                    flight.doubted = true;
                }
                self.ask_if(!matches!(self.state, State::Unasked))
            }
            Event::Reconfigured => {
                self.reconfigure(now);
                None
            }
        }
    }

    /// What is known now.
    pub(crate) fn read(&self, terms: &Terms, now: Timestamp) -> Reading<'_, V> {
        match &self.state {
            State::Held(held) if gone_at(held, terms).is_none_or(|gone| now < gone) => {
                Reading::Value(&held.value)
            }
            // What is gone is gone, whether or not it is being asked for.
            State::Missing(missing)
                if missing.gone || self.flight.is_none() || now < missing.believed_until =>
            {
                Reading::Missing(&missing.miss)
            }
            State::Unasked | State::Held(_) | State::Missing(_) => Reading::Unknown,
        }
    }

    /// The value that is held, however old.
    pub(crate) fn held(&self) -> Option<&V> {
        match &self.state {
            State::Held(held) => Some(&held.value),
            State::Unasked | State::Missing(_) => None,
        }
    }

    /// Since when a value is held.
    pub(crate) fn held_since(&self) -> Option<Timestamp> {
        match &self.state {
            State::Held(held) => Some(held.since),
            State::Unasked | State::Missing(_) => None,
        }
    }

    /// How it stands, whether or not a call is under way.
    pub(crate) fn standing(&self) -> Standing<'_> {
        match &self.state {
            State::Unasked => Standing::Unasked,
            State::Held(Held { trouble: None, since, .. }) => Standing::Fresh { since: *since },
            State::Held(Held { trouble: Some(trouble), .. }) => {
                Standing::Stale { since: trouble.since, miss: &trouble.miss }
            }
            State::Missing(missing) if missing.gone => {
                Standing::Gone { since: missing.since, miss: &missing.miss }
            }
            State::Missing(missing) => Standing::Missing { since: missing.since, miss: &missing.miss },
        }
    }

    /// Whether a value is held that could not be refreshed when that was last tried.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self.standing(), Standing::Stale { .. })
    }

    /// Whether the vault is being asked.
    pub(crate) fn is_being_asked(&self) -> bool {
        self.flight.is_some()
    }

    /// Whether the call that `ticket` names is the one that is under way.
    pub(crate) fn waits_for(&self, ticket: Ticket) -> bool {
        self.flight.is_some_and(|flight| flight.ticket == ticket)
    }

    /// Whether the vault was not asked, and has not been asked since.
    pub(crate) fn is_held_back(&self) -> bool {
        self.held_back
    }

    /// When there is something to do without anybody asking.
    pub(crate) fn wake_at(&self, terms: &Terms) -> Option<Timestamp> {
        let gone_at = match &self.state {
            State::Held(held) => gone_at(held, terms),
            State::Unasked | State::Missing(_) => None,
        };
        let ask_at = self.ask_at().filter(|_| self.flight.is_none() && !self.held_back);
        match (ask_at, gone_at) {
            (Some(ask), Some(gone)) => Some(ask.min(gone)),
            (ask, gone) => ask.or(gone),
        }
    }

    fn ask_if(&mut self, wanted: bool) -> Option<Ticket> {
        if !wanted || self.flight.is_some() {
            return None;
        }
        self.flights = self.flights.wrapping_add(1);
        let ticket = Ticket(self.flights);
        self.flight = Some(Flight { ticket, doubted: false });
        Some(ticket)
    }

    /// Whether who needs the value now makes us ask.
    fn is_wanting(&self, now: Timestamp) -> bool {
        match &self.state {
            State::Unasked => true,
            State::Held(held) => held.ask_at.is_some_and(|at| at <= now),
            State::Missing(missing) => missing.believed_until <= now,
        }
    }

    fn ask_at(&self) -> Option<Timestamp> {
        match &self.state {
            State::Unasked => None,
            State::Held(held) => held.ask_at,
            State::Missing(missing) => Some(missing.ask_at),
        }
    }

    /// Lets go of a value that is too old.
    fn expire(&mut self, terms: &Terms, now: Timestamp) {
        let State::Held(held) = &self.state else { return };
        if gone_at(held, terms).is_none_or(|gone| now < gone) {
            return;
        }
        let trouble = held.trouble.as_deref();
        let miss = too_old(trouble.map(|trouble| trouble.miss.problem.as_str()));
        let asked = trouble.map_or(held.since, |trouble| trouble.asked);
        let believed_until = asked + terms.neg_ttl.max(FIRST_RETRY);
        let ask_at = held.ask_at.unwrap_or(now).max(believed_until);
        let missing = Missing { miss, since: now, gone: true, believed_until, ask_at, failures: 0 };
        self.state = State::Missing(Box::new(missing));
    }

    fn take_in(&mut self, answer: Result<V, Miss>, terms: &Terms, now: Timestamp, jitter: f64) {
        self.held_back = false;
        match answer {
            Ok(value) => {
                let refresh = terms.ttl.mul_f64(1.0 - AHEAD * jitter).max(FIRST_RETRY);
                let ask_at = (!terms.ttl.is_zero()).then(|| now + refresh);
                let held = Held { value, since: now, ask_at, trouble: None, from_another_vault: false };
                self.state = State::Held(held);
            }
            Err(miss) => self.take_miss(miss, terms, now, jitter),
        }
    }

    fn take_miss(&mut self, miss: Miss, terms: &Terms, now: Timestamp, jitter: f64) {
        let deleted = miss.kind == MissKind::NotFound;
        let before = match std::mem::replace(&mut self.state, State::Unasked) {
            State::Held(mut held) => {
                let taken_away = deleted && terms.on_deleted == OnDeleted::Fail;
                let is_not_its_own = deleted && held.from_another_vault;
                if !taken_away && !is_not_its_own {
                    let earlier = held.trouble.take();
                    let failures = earlier.as_ref().map_or(0, |trouble| trouble.failures).saturating_add(1);
                    let since = earlier.map_or(now, |trouble| trouble.since);
                    held.ask_at = Some(now + backoff(failures, jitter));
                    held.trouble = Some(Box::new(Trouble { miss, since, asked: now, failures }));
                    self.state = State::Held(held);
                    return;
                }
                Before { gone: taken_away && !held.from_another_vault, ..Before::default() }
            }
            State::Missing(missing) => Before {
                gone: missing.gone,
                failures: missing.failures,
                since: Some(missing.since),
                said: Some((missing.miss, missing.believed_until)),
            },
            State::Unasked => Before::default(),
        };
        let failures = before.failures.saturating_add(1);
        let retry = backoff(failures, jitter);
        let believed = match miss.kind {
            _ if before.gone => terms.neg_ttl.max(retry),
            MissKind::NotFound => terms.neg_ttl,
            _ => Duration::ZERO,
        };
        let ask_at = now + retry.max(believed);
        let (miss, believed_until) = match before.said {
            // A vault that is out of order takes back nothing that it said before.
            Some((said, until)) if said.is_the_vaults_word() && !miss.is_the_vaults_word() => {
                (said, if before.gone { now + believed } else { until })
            }
            Some((said, _)) if said.kind == MissKind::Expired && !miss.is_the_vaults_word() => {
                (too_old(Some(&miss.problem)), now + believed)
            }
            _ => (miss, now + believed),
        };
        let since = before.since.unwrap_or(now);
        let missing = Missing { miss, since, gone: before.gone, believed_until, ask_at, failures };
        self.state = State::Missing(Box::new(missing));
    }

    /// The vault was not asked. What is known stays; where nothing was, that is missing.
    fn hold_back(&mut self, miss: Miss, now: Timestamp) {
        self.held_back = true;
        match &mut self.state {
            State::Unasked => {
                let missing =
                    Missing { miss, since: now, gone: false, believed_until: now, ask_at: now, failures: 0 };
                self.state = State::Missing(Box::new(missing));
            }
            State::Held(held) => {
                // What was to be asked still is, also where no ttl asks for it.
                held.ask_at.get_or_insert(now);
                let asked = held.since;
                let trouble = || Box::new(Trouble { miss, since: now, asked, failures: 0 });
                held.trouble.get_or_insert_with(trouble);
            }
            State::Missing(_) => {}
        }
    }

    /// A value stays until the vault, as it is now, has said what it has. A call to the vault as it was counts for
    /// nothing.
    fn reconfigure(&mut self, now: Timestamp) {
        self.flight = None;
        self.held_back = false;
        match &mut self.state {
            State::Unasked => {}
            State::Missing(missing) => {
                missing.believed_until = now;
                missing.failures = 0;
                missing.ask_at = now;
            }
            State::Held(held) => {
                held.from_another_vault = true;
                if let Some(trouble) = &mut held.trouble {
                    trouble.failures = 0;
                }
                held.ask_at = Some(now);
            }
        }
    }
}

/// What was known before a miss.
#[derive(Default)]
struct Before {
    gone: bool,
    failures: u32,
    since: Option<Timestamp>,
    said: Option<(Miss, Timestamp)>,
}

/// When a held value may no longer be used.
fn gone_at<V>(held: &Held<V>, terms: &Terms) -> Option<Timestamp> {
    (!terms.ttl.is_zero()).then(|| held.since + terms.ttl + terms.resurrect_ttl)
}

fn too_old(why: Option<&str>) -> Miss {
    let why = why.map_or(String::new(), |why| format!(": {why}"));
    Miss::new(MissKind::Expired, format!("its value is too old, and no new one could be had{why}"))
}

/// How long to wait after the nth failure in a row: 1 s, 2 s, 4 s … 60 s, a little less at random, but a second.
pub(crate) fn backoff(failures: u32, jitter: f64) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LAST_RETRY).mul_f64(1.0 - AHEAD * jitter).max(FIRST_RETRY)
}

/// How much of a span its random part is.
const AHEAD: f64 = 0.1;
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
