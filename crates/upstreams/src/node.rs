//! What is known of one node, whatever the snapshot: calls under way, latency, health.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use gateward_clock::Timestamp;
use tokio::sync::Notify;

use crate::health::{AtomicHealth, Outcome, Rules};

/// What is known of one node.
#[derive(Debug)]
pub(crate) struct NodeState {
    /// Its upstream, for the log.
    pub(crate) upstream: Arc<str>,
    /// Its name or address, and port, for the log.
    pub(crate) address: Box<str>,
    pub(crate) calls: Calls,
    pub(crate) latency: Latency,
    pub(crate) health: AtomicHealth,
    /// Tells the upstream's active checks that the node went up or down.
    pub(crate) changed: Arc<Notify>,
}

impl NodeState {
    pub(crate) fn new(upstream: Arc<str>, address: &str, changed: Arc<Notify>) -> Self {
        Self {
            upstream,
            address: address.into(),
            calls: Calls::default(),
            latency: Latency::default(),
            health: AtomicHealth::default(),
            changed,
        }
    }

    /// Takes in what a request or a check met at the node.
    pub(crate) fn report(&self, outcome: Outcome, rules: &Rules) {
        let Some((before, after)) = rules.judge(outcome).and_then(|verdict| self.health.take(verdict)) else {
            return;
        };
        let (upstream, node, state) = (&*self.upstream, &*self.address, after.as_str());
        if before.is_up() == after.is_up() {
            tracing::debug!(upstream, node, state, "a node's health changed");
            return;
        }
        match after.is_up() {
            true => tracing::info!(upstream, node, state, "a node is up again"),
            false => tracing::warn!(upstream, node, state, "a node is down"),
        }
        self.changed.notify_one();
    }
}

/// How many calls are under way.
#[derive(Debug, Default)]
pub(crate) struct Calls(AtomicU32);

impl Calls {
    pub(crate) fn begin(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A mean of latencies in which what is long ago counts little: after [`DECAY`] a new one weighs as much as 63 % of all
/// that came before. Without news it sinks, so that a node that was slow once is tried again.
///
/// Both halves, the mean (an `f32`, seconds) and when it was noted (milliseconds, wrapping after 49 days), stand in one
/// word, and so always belong together. 0 means that nothing is known.
#[derive(Debug, Default)]
pub(crate) struct Latency(AtomicU64);

impl Latency {
    /// Takes in that an answer took `latency`.
    pub(crate) fn note(&self, latency: Duration, now: Timestamp) {
        let now = wrapped(now);
        let sample = latency.as_secs_f32();
        // A note that meets another thread's is made again; one that keeps meeting them may be lost, being one of many.
        let mut word = self.0.load(Ordering::Relaxed);
        for _ in 0..4 {
            let mean = match word {
                0 => sample,
                word => {
                    let old = old_share(word, now);
                    mean_of(word) * old + sample * (1.0 - old)
                }
            };
            let noted = (u64::from(mean.to_bits()) << 32 | u64::from(now)).max(1);
            match self.0.compare_exchange_weak(word, noted, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => word = other,
            }
        }
    }

    /// The mean as it counts now, in seconds.
    pub(crate) fn score(&self, now: Timestamp) -> f32 {
        match self.0.load(Ordering::Relaxed) {
            0 => 0.0,
            word => mean_of(word) * old_share(word, wrapped(now)),
        }
    }
}

fn wrapped(now: Timestamp) -> u32 {
    // The lower half is what is wanted.
    (now.millis() & u64::from(u32::MAX)) as u32
}

fn mean_of(word: u64) -> f32 {
    f32::from_bits((word >> 32) as u32)
}

/// How much of `word` is left at `now`.
fn old_share(word: u64, now: u32) -> f32 {
    let since = now.wrapping_sub((word & u64::from(u32::MAX)) as u32);
    // A clock that was set back makes the past look like the far future.
    let since = if since > u32::MAX / 2 { 0 } else { since };
    (-(since as f32) / DECAY.as_millis() as f32).exp()
}

const DECAY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_the_first_one_and_then_a_mean_that_follows() {
        let latency = Latency::default();
        let at = |secs: u64| Timestamp::from_secs(1_000 + secs);
        assert_eq!(latency.score(at(0)), 0.0);
        latency.note(Duration::from_secs(2), at(0));
        assert_eq!(latency.score(at(0)), 2.0);
        assert!((latency.score(at(10)) - 2.0 / std::f32::consts::E).abs() < 1e-4);
        latency.note(Duration::from_secs(4), at(10));
        let expected = 2.0 / std::f32::consts::E + 4.0 * (1.0 - 1.0 / std::f32::consts::E);
        assert!((latency.score(at(10)) - expected).abs() < 1e-4);
    }

    #[test]
    fn a_clock_that_is_set_back_or_wraps_makes_no_nonsense() {
        let latency = Latency::default();
        latency.note(Duration::from_secs(1), Timestamp::from_millis(u64::from(u32::MAX)));
        assert_eq!(latency.score(Timestamp::from_millis(u64::from(u32::MAX) - 5_000)), 1.0);
        let later = latency.score(Timestamp::from_millis(u64::from(u32::MAX) + 10_000));
        assert!((later - (-1.0_f32).exp()).abs() < 1e-3, "{later}");
    }
}
