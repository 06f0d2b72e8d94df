//! Whether a node is up, by what requests and checks meet there.
//!
//! A node is healthy, mostly healthy (some failures, not enough of them), unhealthy or mostly unhealthy (some
//! successes, not enough). Successes and each kind of failure are counted; a success clears the failures and a failure
//! the successes, and whichever reaches its limit decides. Active and passive checks feed the same counters, each with
//! its own limits. That is how lua-resty-healthcheck does it, so limits mean what they mean in APISIX.

mod checker;
mod plan;
mod probe;
mod report;

use std::sync::atomic::{AtomicU64, Ordering};

use gateward_model::apisix::{ActiveCheck, PassiveCheck};
use serde::Serialize;

pub(crate) use checker::Running;
pub(crate) use plan::{Plan, Target};
pub(crate) use probe::ask;
pub use report::{NodeHealth, UpstreamHealth};

/// What a request or a check met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A connection, which is all that was wanted.
    Connected,
    /// An answer with this status.
    Answered(u16),
    /// An answer that is not HTTP.
    Garbled,
    /// No connection, or one that broke.
    Broken,
    /// Nothing in time.
    TimedOut,
}

/// What outcomes mean, and how many of them it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    good: Statuses,
    bad: Statuses,
    successes: u8,
    http_failures: u8,
    tcp_failures: u8,
    timeouts: u8,
}

/// What an outcome means by the rules: which counter it moves, and how far that one has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    counter: Counter,
    limit: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counter {
    Success,
    HttpFailure,
    TcpFailure,
    Timeout,
}

impl Rules {
    pub(crate) fn active(check: &ActiveCheck) -> Self {
        let (good, bad) = (&check.healthy, &check.unhealthy);
        Self {
            good: Statuses::new(&good.http_statuses),
            bad: Statuses::new(&bad.http_statuses),
            successes: good.successes,
            http_failures: bad.http_failures,
            tcp_failures: bad.tcp_failures,
            timeouts: bad.timeouts,
        }
    }

    pub(crate) fn passive(check: &PassiveCheck) -> Self {
        let (good, bad) = (&check.healthy, &check.unhealthy);
        Self {
            good: Statuses::new(&good.http_statuses),
            bad: Statuses::new(&bad.http_statuses),
            successes: good.successes,
            http_failures: bad.http_failures,
            tcp_failures: bad.tcp_failures,
            timeouts: bad.timeouts,
        }
    }

    /// What `outcome` means; nothing if it is in no list, or its limit is 0.
    pub(crate) fn judge(&self, outcome: Outcome) -> Option<Verdict> {
        let (counter, limit) = match outcome {
            Outcome::Connected => (Counter::Success, self.successes),
            Outcome::Answered(status) if self.good.have(status) => (Counter::Success, self.successes),
            Outcome::Answered(status) if self.bad.have(status) => (Counter::HttpFailure, self.http_failures),
            Outcome::Answered(_) => return None,
            Outcome::Garbled => (Counter::HttpFailure, self.http_failures),
            Outcome::Broken => (Counter::TcpFailure, self.tcp_failures),
            Outcome::TimedOut => (Counter::Timeout, self.timeouts),
        };
        (limit > 0).then_some(Verdict { counter, limit })
    }
}

/// A set of statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Statuses([u64; 10]);

impl Statuses {
    fn new(statuses: &[u16]) -> Self {
        let mut bits = [0; 10];
        for status in statuses {
            if let Some(word) = bits.get_mut(usize::from(status / 64)) {
                *word |= 1 << (status % 64);
            }
        }
        Self(bits)
    }

    fn have(&self, status: u16) -> bool {
        self.0.get(usize::from(status / 64)).is_some_and(|word| word >> (status % 64) & 1 == 1)
    }
}

/// Whether a node is up, and how sure that is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Up.
    #[default]
    Healthy,
    /// Up, with failures of late.
    MostlyHealthy,
    /// Down, with successes of late.
    MostlyUnhealthy,
    /// Down.
    Unhealthy,
}

impl Health {
    /// Whether requests go there.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Healthy | Self::MostlyHealthy)
    }

    /// In APISIX's words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::MostlyHealthy => "mostly_healthy",
            Self::MostlyUnhealthy => "mostly_unhealthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What has been counted of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Successes in a row.
    pub success: u8,
    /// Bad answers since the last success.
    pub http_failure: u8,
    /// Broken connections since the last success.
    pub tcp_failure: u8,
    /// Timeouts since the last success.
    pub timeout_failure: u8,
}

/// A node's health and what it was concluded from. Begins as healthy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) health: Health,
    pub(crate) counters: Counters,
}

impl Record {
    /// What is known after one more verdict.
    fn after(mut self, verdict: Verdict) -> Self {
        let succeeded = verdict.counter == Counter::Success;
        let conclusion = if succeeded { Health::Healthy } else { Health::Unhealthy };
        if self.health == conclusion {
            return self;
        }
        let Counters { success, http_failure, tcp_failure, timeout_failure } = self.counters;
        self.counters = match succeeded {
            true => Counters { success, ..Counters::default() },
            false => Counters { success: 0, http_failure, tcp_failure, timeout_failure },
        };
        let counter = match verdict.counter {
            Counter::Success => &mut self.counters.success,
            Counter::HttpFailure => &mut self.counters.http_failure,
            Counter::TcpFailure => &mut self.counters.tcp_failure,
            Counter::Timeout => &mut self.counters.timeout_failure,
        };
        *counter = counter.saturating_add(1);
        self.health = match self.health {
            _ if *counter >= verdict.limit => conclusion,
            Health::Healthy => Health::MostlyHealthy,
            Health::Unhealthy => Health::MostlyUnhealthy,
            still => still,
        };
        self
    }

    fn to_word(self) -> u64 {
        let Counters { success, http_failure, tcp_failure, timeout_failure } = self.counters;
        let health = match self.health {
            Health::Healthy => 0,
            Health::MostlyHealthy => 1,
            Health::MostlyUnhealthy => 2,
            Health::Unhealthy => 3,
        };
        u64::from_le_bytes([health, success, http_failure, tcp_failure, timeout_failure, 0, 0, 0])
    }

    fn from_word(word: u64) -> Self {
        let [health, success, http_failure, tcp_failure, timeout_failure, ..] = word.to_le_bytes();
        let health = match health {
            0 => Health::Healthy,
            1 => Health::MostlyHealthy,
            2 => Health::MostlyUnhealthy,
            _ => Health::Unhealthy,
        };
        Self { health, counters: Counters { success, http_failure, tcp_failure, timeout_failure } }
    }
}

/// A [`Record`] in one word, which every thread may read and write.
#[derive(Debug, Default)]
pub(crate) struct AtomicHealth(AtomicU64);

impl AtomicHealth {
    /// Whether requests go there.
    pub(crate) fn is_up(&self) -> bool {
        self.record().health.is_up()
    }

    pub(crate) fn record(&self) -> Record {
        Record::from_word(self.0.load(Ordering::Relaxed))
    }

    /// Forgets everything: the node is healthy.
    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Takes in a verdict; returns the health before and after if it has changed.
    pub(crate) fn take(&self, verdict: Verdict) -> Option<(Health, Health)> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let before = Record::from_word(word);
            let after = before.after(verdict);
            // The usual case, a success at a healthy node, writes nothing that other threads would have to fetch.
            if after == before {
                return None;
            }
            match self.0.compare_exchange_weak(word, after.to_word(), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    return (before.health != after.health).then_some((before.health, after.health));
                }
                Err(other) => word = other,
            }
        }
    }
}

#[cfg(test)]
mod tests;
