//! One request's time with one node.

use std::sync::Arc;
use std::time::Duration;

use gateward_clock::Clock;
use http::StatusCode;

use crate::Failed;
use crate::health::{Outcome, Rules};
use crate::node::NodeState;

/// One request's time with one node: it begins when the node is picked, and ends when this is dropped, which should be
/// when the answer's body has ended.
#[derive(Debug)]
#[must_use = "a turn that is dropped at once counts no call"]
pub struct Turn {
    node: usize,
    watched: Option<Arc<Watched>>,
}

/// A node of which something must be known.
pub(crate) struct Watched {
    pub(crate) state: Arc<NodeState>,
    /// Whether calls under way are counted (`least_conn`).
    pub(crate) counts_calls: bool,
    /// The time that latencies are noted by (`ewma`).
    pub(crate) clock: Option<Arc<dyn Clock>>,
    /// What answers tell about the node's health.
    pub(crate) passive: Option<Arc<Rules>>,
}

impl Turn {
    pub(crate) fn new(node: usize, watched: Option<&Arc<Watched>>) -> Self {
        if let Some(watched) = watched
            && watched.counts_calls
        {
            watched.state.calls.begin();
        }
        Self { node, watched: watched.cloned() }
    }

    /// The node, by its place in the upstream.
    pub fn node(&self) -> usize {
        self.node
    }

    /// Whether it must last until the answer has ended: somebody counts the calls that are under way.
    pub fn counts_until_dropped(&self) -> bool {
        self.watched.as_ref().is_some_and(|watched| watched.counts_calls)
    }

    /// The head of an answer came, `latency` after the request was begun.
    pub fn answered(&self, status: StatusCode, latency: Duration) {
        self.note(Outcome::Answered(status.as_u16()), latency);
    }

    /// No answer came.
    pub fn failed(&self, failed: Failed) {
        let outcome = match failed {
            Failed::Connection => Outcome::Broken,
            Failed::Timeout => Outcome::TimedOut,
        };
        self.note(outcome, FAILURE_LATENCY);
    }

    fn note(&self, outcome: Outcome, latency: Duration) {
        let Some(watched) = &self.watched else { return };
        if let Some(clock) = &watched.clock {
            watched.state.latency.note(latency, clock.now());
        }
        if let Some(rules) = &watched.passive {
            watched.state.report(outcome, rules);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(watched) = &self.watched
            && watched.counts_calls
        {
            watched.state.calls.end();
        }
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.state.fmt(formatter)
    }
}

/// What a failure counts as, where the faster node is looked for. A node that refuses connections does so in no time,
/// and would draw all requests if that were its latency.
const FAILURE_LATENCY: Duration = Duration::from_secs(5);
