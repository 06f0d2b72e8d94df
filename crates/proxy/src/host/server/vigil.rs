//! Watches that a client does not keep a connection without using it.
//!
//! A head must be complete soon after its first byte; between two requests a client may take longer. hyper knows one
//! timeout for both, and pays for it with a timer for each request. Here a connection has one timer, and a request only
//! writes down what is waited for now.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant as StdInstant};

use hyper::rt::{Sleep, Timer};
use tokio::time::{Instant, sleep_until};

use super::Limits;

/// What a connection waits for. Used by one thread; hyper asks that a timer and a stream could be sent.
#[derive(Debug)]
pub(super) struct Vigil {
    begun: Instant,
    head: Duration,
    idle_time: Duration,
    body_idle: Duration,
    /// Milliseconds from the beginning until when we wait; 0 when it is not the client that is waited for.
    until: AtomicU64,
    /// Whether nothing has come yet of what is waited for.
    idle: AtomicBool,
    /// Whether something was written that may not have left yet.
    unflushed: AtomicBool,
    /// Whether the client takes nothing of what we write.
    stalled: AtomicBool,
    /// The streams under way, for a connection that has such.
    streams: AtomicUsize,
    http2: AtomicBool,
}

/// What there is to do about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alarm {
    /// The client has taken too long.
    Late,
    /// Nothing has happened for a while, and more time may pass.
    Quiet,
}

impl Vigil {
    /// Begins with the wait for the first head.
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        let vigil = Self {
            begun: Instant::now(),
            head: limits.head,
            idle_time: limits.idle,
            body_idle: limits.body_idle,
            until: AtomicU64::new(0),
            idle: AtomicBool::new(false),
            unflushed: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            streams: AtomicUsize::new(0),
            http2: AtomicBool::new(false),
        };
        vigil.wait(limits.head);
        Arc::new(vigil)
    }

    /// A request is under way.
    pub(super) fn rest(&self) {
        self.until.store(0, Ordering::Relaxed);
        self.stalled.store(false, Ordering::Relaxed);
        self.idle.store(false, Ordering::Relaxed);
    }

    /// From now on requests are streams, and bytes that come need not be one's beginning.
    pub(super) fn watch_streams(&self) {
        self.http2.store(true, Ordering::Relaxed);
    }

    /// A stream has begun.
    pub(super) fn begin_stream(&self) {
        self.streams.fetch_add(1, Ordering::Relaxed);
        self.rest();
    }

    /// A stream has ended.
    pub(super) fn end_stream(&self) {
        if self.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.expect_next();
        }
    }

    /// Something is being written, and the client took some of it or did not.
    pub(super) fn write(&self, taken: bool) {
        self.unflushed.store(true, Ordering::Relaxed);
        if taken {
            if self.stalled.load(Ordering::Relaxed) {
                self.stalled.store(false, Ordering::Relaxed);
                self.until.store(0, Ordering::Relaxed);
            }
        } else if self.until.load(Ordering::Relaxed) == 0 {
            self.stalled.store(true, Ordering::Relaxed);
            self.wait(self.body_idle);
        }
    }

    /// All that was written has left.
    pub(super) fn flush(&self) {
        self.unflushed.store(false, Ordering::Relaxed);
    }

    /// Whether there is nothing under way in either direction.
    pub(super) fn is_quiet(&self) -> bool {
        self.idle.load(Ordering::Relaxed) && !self.unflushed.load(Ordering::Relaxed)
    }

    /// Gives the client `span` from now.
    pub(super) fn wait(&self, span: Duration) {
        let until = (Instant::now() + span).saturating_duration_since(self.begun).as_millis();
        self.until.store(u64::try_from(until).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
    }

    /// Completes when the client has taken too long; where `quiet_too`, also when nothing has happened for a while.
    pub(super) async fn alarm(&self, quiet_too: bool) -> Alarm {
        loop {
            let now = Instant::now();
            let mut look_again = now + self.head.min(self.idle_time);
            let until = match self.until.load(Ordering::Relaxed) {
                0 => None,
                until => Some(self.begun + Duration::from_millis(until)),
            };
            if let Some(until) = until {
                if until <= now {
                    return Alarm::Late;
                }
                look_again = look_again.min(until);
                if quiet_too && self.is_quiet() {
                    let quiet_at = until - self.idle_time.saturating_sub(QUIET);
                    if quiet_at <= now {
                        return Alarm::Quiet;
                    }
                    look_again = look_again.min(quiet_at);
                }
            }
            // A head that begins after this look is complete before the next one, or due by then.
            sleep_until(look_again).await;
        }
    }

    /// The last request has its answer, and the next may come.
    fn expect_next(&self) {
        // The first head is already waited for, and not for as long.
        if self.until.load(Ordering::Relaxed) == 0 || self.stalled.load(Ordering::Relaxed) {
            self.stalled.store(false, Ordering::Relaxed);
            self.idle.store(true, Ordering::Relaxed);
            self.wait(self.idle_time);
        }
    }

    /// Something came.
    pub(super) fn hear(&self) {
        if self.idle.load(Ordering::Relaxed) && !self.http2.load(Ordering::Relaxed) {
            self.idle.store(false, Ordering::Relaxed);
            self.wait(self.head);
        }
    }
}

/// For how long nothing happens until a connection counts as quiet.
const QUIET: Duration = Duration::from_secs(1);

/// The timer that hyper's HTTP/1.1 has. It asks for a sleep when it begins to wait for a head, which is all that we
/// want to hear of it; the sleep itself never ends.
#[derive(Clone, Debug)]
pub(super) struct HeadTimer(pub(super) Arc<Vigil>);

impl Timer for HeadTimer {
    fn sleep(&self, _span: Duration) -> Pin<Box<dyn Sleep>> {
        self.0.expect_next();
        Box::pin(Endless)
    }

    fn sleep_until(&self, _deadline: StdInstant) -> Pin<Box<dyn Sleep>> {
        self.0.expect_next();
        Box::pin(Endless)
    }

    fn now(&self) -> StdInstant {
        // Only deadlines are reckoned from it, and we do not look at those.
        self.0.begun.into_std()
    }
}

struct Endless;

impl Future for Endless {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Sleep for Endless {}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> Arc<Vigil> {
        Vigil::new(&Limits::default())
    }

    /// After how many seconds the vigil breaks.
    async fn breaks_after(vigil: &Vigil) -> u64 {
        assert_eq!(vigil.alarm(false).await, Alarm::Late);
        vigil.begun.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_has_the_shorter_time_from_the_beginning() {
        let vigil = begun();
        vigil.expect_next();
        vigil.hear();
        assert_eq!(breaks_after(&vigil).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_there_is_more_time_until_the_next_one_begins() {
        let vigil = begun();
        vigil.rest();
        vigil.expect_next();
        assert_eq!(breaks_after(&vigil).await, 75);
        let vigil = begun();
        vigil.rest();
        vigil.expect_next();
        let begin = async {
            tokio::time::sleep(Duration::from_secs(33)).await;
            vigil.hear();
            tokio::time::sleep(Duration::from_secs(3)).await;
            vigil.hear();
        };
        let (after, ()) = tokio::join!(breaks_after(&vigil), begin);
        assert_eq!(after, 43);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_may_take_as_long_as_it_takes() {
        let vigil = begun();
        vigil.rest();
        vigil.hear();
        let waited = tokio::time::timeout(Duration::from_secs(3600), vigil.alarm(false)).await;
        assert!(waited.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn streams_are_waited_for_until_the_last_has_ended_and_frames_prolong_nothing() {
        let vigil = begun();
        vigil.watch_streams();
        vigil.begin_stream();
        vigil.begin_stream();
        vigil.end_stream();
        let waited = tokio::time::timeout(Duration::from_secs(3600), vigil.alarm(false)).await;
        assert!(waited.is_err());
        vigil.end_stream();
        vigil.hear();
        assert_eq!(breaks_after(&vigil).await, 3600 + 75);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_quiet_once_its_answer_has_left() {
        let vigil = begun();
        vigil.rest();
        vigil.write(true);
        vigil.expect_next();
        assert!(!vigil.is_quiet());
        vigil.flush();
        assert_eq!(vigil.alarm(true).await, Alarm::Quiet);
        assert_eq!(vigil.begun.elapsed().as_secs(), 1);
        assert_eq!(breaks_after(&vigil).await, 75);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_of_its_answer_is_late() {
        let vigil = begun();
        vigil.rest();
        vigil.write(false);
        tokio::time::sleep(Duration::from_secs(50)).await;
        vigil.write(true);
        vigil.write(false);
        assert_eq!(breaks_after(&vigil).await, 110);
    }
}
