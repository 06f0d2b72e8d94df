//! Decides when credentials are asked for, and which ones serve.
//!
//! A core without I/O: it is told the time and what a source answered, and says whether to ask. One question at a
//! time. A set that ends is asked for anew a few minutes before, at a moment that differs between processes; what
//! serves until the answer comes, and while no answer comes, is the old set, until it has really ended. After a
//! failure the next question waits, longer each time.

use std::time::Duration;

use gateward_clock::Timestamp;

/// What one source gave, and when it is asked again.
#[derive(Debug)]
pub(super) struct Keeper<T> {
    held: Option<Held<T>>,
    asking: bool,
    failures: u32,
    wake_at: Timestamp,
    answered_at: Timestamp,
}

/// A set, and when it ends.
#[derive(Clone, Debug)]
struct Held<T> {
    set: T,
    expires: Timestamp,
}

/// A set as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Given<T> {
    pub(super) set: T,
    /// When it ends, if ever.
    pub(super) expires: Option<Timestamp>,
    /// After what time the source may have another.
    pub(super) look_again: Option<Duration>,
}

/// What those who use the sets need to know, until something happens.
#[derive(Clone, Debug)]
pub(super) struct View<T> {
    held: Option<Held<T>>,
    /// Whether an answer is on its way.
    pub(super) asking: bool,
    /// When the source is to be asked; [`NEVER`] while it is asked, or has no other set.
    pub(super) wake_at: Timestamp,
}

/// A moment that does not come.
pub(super) const NEVER: Timestamp = Timestamp::from_millis(u64::MAX);

impl<T: Clone> Keeper<T> {
    /// One that has never asked.
    pub(super) fn new() -> Self {
        let long_ago = Timestamp::from_millis(0);
        Self { held: None, asking: false, failures: 0, wake_at: long_ago, answered_at: long_ago }
    }

    /// Whether the source is to be asked now. Who is told so owes an answer.
    pub(super) fn asks(&mut self, now: Timestamp) -> bool {
        let asks = !self.asking && now >= self.wake_at;
        self.asking |= asks;
        asks
    }

    /// Takes an answer; `jitter` is a number from 0 to 1, another one each time.
    pub(super) fn answered(&mut self, answer: Option<Given<T>>, jitter: f64, now: Timestamp) {
        self.asking = false;
        self.answered_at = now;
        let Some(Given { set, expires, look_again }) = answer else {
            self.failures = self.failures.saturating_add(1);
            self.wake_at = now + pause(self.failures, jitter);
            return;
        };
        self.failures = 0;
        let refresh_at = expires.map(|expires| now + until_refresh(expires.saturating_since(now), jitter));
        let look_at = look_again.map(|span| now + span);
        self.wake_at = refresh_at.unwrap_or(NEVER).min(look_at.unwrap_or(NEVER));
        self.held = Some(Held { set, expires: expires.unwrap_or(NEVER) });
    }

    /// Has the source asked before its time, because AWS has refused the set; not more often than once a minute, as the set
    /// may be as good as any other and the refusal be about something else.
    pub(super) fn doubt(&mut self, now: Timestamp) {
        if now >= self.answered_at + DOUBT_AFTER {
            self.wake_at = self.wake_at.min(now);
        }
    }

    /// What stands now.
    pub(super) fn view(&self) -> View<T> {
        let wake_at = if self.asking { NEVER } else { self.wake_at };
        View { held: self.held.clone(), asking: self.asking, wake_at }
    }
}

impl<T> View<T> {
    /// The set, unless it has ended.
    pub(super) fn usable(&self, now: Timestamp) -> Option<&T> {
        self.held.as_ref().filter(|held| now < held.expires).map(|held| &held.set)
    }
}

/// How long a set that is good for `left` is left alone: until five minutes before its end, a short one for half its
/// time, and up to a fifth of what then remains longer, so that machines that started together do not ask together.
fn until_refresh(left: Duration, jitter: f64) -> Duration {
    let ahead = REFRESH_AHEAD.min(left / 2);
    (left - ahead + (ahead / 5).mul_f64(jitter.clamp(0.0, 1.0))).max(SHORTEST_PAUSE)
}

/// How long it is after the `failures`th failure in a row until the next question: twice as long each time, and
/// between half and all of that.
fn pause(failures: u32, jitter: f64) -> Duration {
    let doubled = SHORTEST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST_PAUSE).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

/// How long before its end a set is asked for anew. The machines' metadata service has the next set ready by then.
const REFRESH_AHEAD: Duration = Duration::from_secs(5 * 60);

/// For how long an answer of a source is not doubted.
const DOUBT_AFTER: Duration = Duration::from_secs(60);

const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
