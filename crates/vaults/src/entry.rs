//! What is known of one secret, and when to ask again: a state, an event, the time; no I/O.
//!
//! A secret that was never asked for is *unasked*. An answer makes it *held*: good for `ttl`, asked for again a little
//! before that ends, and used on for `resurrect_ttl` while no new answer can be had. A vault that says "no" where
//! nothing is held makes it *missing*, which is believed for `neg_ttl`; one that is out of order makes it missing
//! too, but nobody believes that. Whatever failed is tried again, ever slower, up to once a minute.

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
}

impl Default for Terms {
    fn default() -> Self {
        Self { ttl: Duration::ZERO, neg_ttl: Duration::ZERO, resurrect_ttl: Duration::from_secs(100_000_000) }
    }
}

/// What is known of one secret.
pub(crate) struct Entry<V> {
    terms: Terms,
    state: State<V>,
    /// The call that is under way, if one is.
    flight: Option<Ticket>,
    flights: u64,
}

enum State<V> {
    Unasked,
    Held(Held<V>),
    Missing(Missing),
}

struct Held<V> {
    value: V,
    since: Timestamp,
    /// When to ask again; never where the ttl is zero.
    ask_at: Option<Timestamp>,
    /// How often asking has failed since.
    failures: u32,
    last_miss: Option<Miss>,
    /// The vault is another one now: if it has no such secret, this value is not its own.
    from_another_vault: bool,
}

struct Missing {
    miss: Miss,
    /// Until then, who needs the value does not make us ask.
    believed_until: Timestamp,
    ask_at: Timestamp,
    failures: u32,
}

/// Names one call to the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

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
    /// Somebody saw a sign that the value is not what the vault has now.
    Doubted,
    /// The vault's settings have changed.
    Reconfigured(Terms),
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

impl<V> Entry<V> {
    pub(crate) fn new(terms: Terms) -> Self {
        Self { terms, state: State::Unasked, flight: None, flights: 0 }
    }

    /// Takes `event` in. Where the vault must be asked now, gives the ticket for that call.
    pub(crate) fn on(&mut self, event: Event<V>, now: Timestamp) -> Option<Ticket> {
        match event {
            Event::Needed => {
                self.expire(now);
                self.ask_if(self.is_wanting(now))
            }
            Event::Due => {
                self.expire(now);
                self.ask_if(self.ask_at().is_some_and(|at| at <= now))
            }
            Event::Answered { ticket, answer, jitter } => {
                if self.flight == Some(ticket) {
                    self.flight = None;
                    self.take_in(answer, now, jitter.clamp(0.0, 1.0));
                }
                None
            }
            Event::Doubted => {
                self.expire(now);
                self.ask_if(!matches!(self.state, State::Unasked))
            }
            Event::Reconfigured(terms) => {
                self.reconfigure(terms, now);
                None
            }
        }
    }

    /// What is known now.
    pub(crate) fn read(&self, now: Timestamp) -> Reading<'_, V> {
        match &self.state {
            State::Held(held) if self.gone_at(held).is_none_or(|gone| now < gone) => {
                Reading::Value(&held.value)
            }
            State::Missing(missing) if self.flight.is_none() || now < missing.believed_until => {
                Reading::Missing(&missing.miss)
            }
            State::Unasked | State::Held(_) | State::Missing(_) => Reading::Unknown,
        }
    }

    /// The last reason why the vault gave nothing.
    pub(crate) fn last_miss(&self) -> Option<&Miss> {
        match &self.state {
            State::Unasked => None,
            State::Held(held) => held.last_miss.as_ref(),
            State::Missing(missing) => Some(&missing.miss),
        }
    }

    /// Since when a value is held.
    pub(crate) fn held_since(&self) -> Option<Timestamp> {
        match &self.state {
            State::Held(held) => Some(held.since),
            State::Unasked | State::Missing(_) => None,
        }
    }

    /// Whether the vault is being asked.
    pub(crate) fn is_being_asked(&self) -> bool {
        self.flight.is_some()
    }

    /// Whether a value is held that could not be refreshed when it was last tried.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(&self.state, State::Held(held) if held.failures > 0)
    }

    /// When there is something to do without anybody asking.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        let gone_at = match &self.state {
            State::Held(held) => self.gone_at(held),
            State::Unasked | State::Missing(_) => None,
        };
        let ask_at = self.ask_at().filter(|_| self.flight.is_none());
        match (ask_at, gone_at) {
            (Some(ask), Some(gone)) => Some(ask.min(gone)),
            (ask, gone) => ask.or(gone),
        }
    }

    fn ask_if(&mut self, wanted: bool) -> Option<Ticket> {
        if !wanted || self.flight.is_some() {
            return None;
        }
        self.flights += 1;
        self.flight = Some(Ticket(self.flights));
        self.flight
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

    /// When a held value may no longer be used.
    fn gone_at(&self, held: &Held<V>) -> Option<Timestamp> {
        (!self.terms.ttl.is_zero()).then(|| held.since + self.terms.ttl + self.terms.resurrect_ttl)
    }

    /// Lets go of a value that is too old.
    fn expire(&mut self, now: Timestamp) {
        let State::Held(held) = &self.state else { return };
        if self.gone_at(held).is_none_or(|gone| now < gone) {
            return;
        }
        let why = held.last_miss.as_ref().map_or(String::new(), |miss| format!(": {}", miss.problem));
        let problem = format!("its value is too old, and no new one could be had{why}");
        let miss = Miss::new(MissKind::Expired, problem);
        let ask_at = held.ask_at.unwrap_or(now);
        self.state = State::Missing(Missing { miss, believed_until: now, ask_at, failures: held.failures });
    }

    fn take_in(&mut self, answer: Result<V, Miss>, now: Timestamp, jitter: f64) {
        self.expire(now);
        let miss = match answer {
            Ok(value) => {
                let ttl = self.terms.ttl;
                let refresh = ttl.mul_f64(1.0 - AHEAD * jitter).max(FIRST_RETRY);
                let ask_at = (!ttl.is_zero()).then(|| now + refresh);
                self.state = State::Held(Held {
                    value,
                    since: now,
                    ask_at,
                    failures: 0,
                    last_miss: None,
                    from_another_vault: false,
                });
                return;
            }
            Err(miss) => miss,
        };
        if let State::Held(held) = &mut self.state
            && !(held.from_another_vault && miss.kind == MissKind::NotFound)
        {
            held.failures = held.failures.saturating_add(1);
            held.ask_at = Some(now + backoff(held.failures, jitter));
            held.last_miss = Some(miss);
            return;
        }
        let before = match std::mem::replace(&mut self.state, State::Unasked) {
            State::Missing(missing) => Some(missing),
            State::Unasked | State::Held(_) => None,
        };
        let failures = before.as_ref().map_or(1, |before| before.failures.saturating_add(1));
        let believed = match miss.kind {
            MissKind::NotFound => self.terms.neg_ttl,
            _ => Duration::ZERO,
        };
        let ask_at = now + backoff(failures, jitter).max(believed);
        self.state = State::Missing(match before {
            // A vault that is out of order takes back nothing that it said before.
            Some(said) if said.miss.is_the_vaults_word() && !miss.is_the_vaults_word() => {
                Missing { ask_at, failures, ..said }
            }
            _ => Missing { miss, believed_until: now + believed, ask_at, failures },
        });
    }

    /// A value stays until the vault, as it is now, has said what it has. A call to the vault as it was counts for
    /// nothing.
    fn reconfigure(&mut self, terms: Terms, now: Timestamp) {
        self.terms = terms;
        self.flight = None;
        match &mut self.state {
            State::Unasked => {}
            State::Missing(missing) => {
                missing.believed_until = now;
                missing.failures = 0;
                missing.ask_at = now;
            }
            State::Held(held) => {
                held.from_another_vault = true;
                held.failures = 0;
                held.ask_at = Some(now);
            }
        }
    }
}

/// How long to wait after the nth failure in a row: 1 s, 2 s, 4 s … 60 s, a little less at random.
fn backoff(failures: u32, jitter: f64) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LAST_RETRY).mul_f64(1.0 - AHEAD * jitter)
}

/// How much of a span its random part is.
const AHEAD: f64 = 0.1;
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
