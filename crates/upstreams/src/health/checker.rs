//! Asks an upstream's nodes, each in its own rhythm, for as long as a snapshot wants it.
//!
//! A node is asked again one interval after it was asked last; which interval depends on whether it is up, so a node that
//! goes down on the word of requests is soon asked whether it is back. Intervals are stretched or shortened by a tenth at
//! random, and the first question comes at a random moment of the first interval: many gateways with many upstreams
//! must not ask in step.

use std::future::Future;
use std::sync::Arc;

use fastrand::Rng;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::{Outcome, Plan, UpstreamHealth};

/// Checks that run, until this is dropped.
pub(crate) struct Running {
    plan: Arc<Plan>,
    task: AbortHandle,
}

impl Running {
    /// Begins to ask as `plan` says, with `ask` and on `runtime`. A node that went up or down on the word of requests is
    /// told by `changed`.
    pub(crate) fn start<A, F>(plan: &Arc<Plan>, runtime: &Handle, changed: &Arc<Notify>, ask: A) -> Self
    where
        A: Fn(usize) -> F + Send + 'static,
        F: Future<Output = Outcome> + Send + 'static,
    {
        let rhythm = Rhythm::new(Arc::clone(plan), Rng::new());
        let task = runtime.spawn(rhythm.keep(Arc::clone(changed), ask)).abort_handle();
        Self { plan: Arc::clone(plan), task }
    }

    /// Whether this asks what `plan` would have asked.
    pub(crate) fn has(&self, plan: &Plan) -> bool {
        *self.plan == *plan
    }

    /// Asks no more.
    pub(crate) fn stop(&self) {
        self.task.abort();
    }

    /// What is known of the nodes.
    pub(crate) fn report(&self) -> UpstreamHealth {
        self.plan.report()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// When to ask which node.
pub(crate) struct Rhythm {
    plan: Arc<Plan>,
    rng: Rng,
    beats: Vec<Beat>,
}

/// Of one node.
struct Beat {
    /// When it was asked last.
    since: Instant,
    /// How much longer or shorter than it should be the time until the next question is.
    stretch: f64,
    asking: bool,
}

impl Rhythm {
    pub(crate) fn new(plan: Arc<Plan>, mut rng: Rng) -> Self {
        let since = Instant::now();
        let beats =
            plan.targets().iter().map(|_| Beat { since, stretch: rng.f64(), asking: false }).collect();
        Self { plan, rng, beats }
    }

    /// Asks for ever.
    pub(crate) async fn keep<A, F>(mut self, changed: Arc<Notify>, ask: A)
    where
        A: Fn(usize) -> F,
        F: Future<Output = Outcome>,
    {
        let mut asked = FuturesUnordered::new();
        loop {
            while asked.len() < self.plan.concurrency()
                && let Some(node) = self.next_due()
            {
                let answer = ask(node);
                asked.push(async move { (node, answer.await) });
            }
            let more = asked.len() < self.plan.concurrency();
            let next = self.earliest().filter(|_| more);
            let wait = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some((node, outcome)) = asked.next(), if !asked.is_empty() => {
                    self.beats[node].asking = false;
                    self.plan.note(node, outcome);
                }
                () = wait => {}
                () = changed.notified() => {}
            }
        }
    }

    /// A node that is to be asked now, if there is one; it counts as being asked from here on. The one that has waited
    /// longest comes first, or a few slow ones could keep all others waiting.
    fn next_due(&mut self) -> Option<usize> {
        let now = Instant::now();
        let (due, node) = self.waiting().min()?;
        if due > now {
            return None;
        }
        self.beats[node] = Beat { since: now, stretch: 0.9 + 0.2 * self.rng.f64(), asking: true };
        Some(node)
    }

    /// When a node is to be asked next.
    fn earliest(&self) -> Option<Instant> {
        self.waiting().min().map(|(due, _)| due)
    }

    /// When to ask which node, of those that are not being asked.
    fn waiting(&self) -> impl Iterator<Item = (Instant, usize)> {
        let waiting = self.beats.iter().enumerate().filter(|(_, beat)| !beat.asking);
        waiting.map(|(node, beat)| (beat.since + self.plan.interval(node).mul_f64(beat.stretch), node))
    }
}

#[cfg(test)]
mod tests;
