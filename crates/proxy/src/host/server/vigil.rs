//! Watches that a client does not keep a connection without using it.
//!
//! A head must be complete soon after its first byte; between two requests a client may take longer. hyper knows one
//! timeout for both, and pays for it with a timer for each request. Here a connection has one timer, and a request only
//! writes down what is waited for now.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant as StdInstant};

use hyper::rt::{Sleep, Timer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

/// How long a client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the head of a request, from its first byte; the first one from the beginning of the connection.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: Duration::from_secs(10), idle: Duration::from_secs(75) }
    }
}

/// What a connection waits for. Used by one thread; hyper asks that a timer could be sent.
#[derive(Debug)]
pub(super) struct Vigil {
    begun: Instant,
    limits: Limits,
    /// Milliseconds from the beginning until when we wait; 0 when it is not the client that is waited for.
    until: AtomicU64,
    /// Whether nothing has come yet of what is waited for.
    idle: AtomicBool,
}

impl Vigil {
    /// Begins with the wait for the first head.
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        let vigil =
            Self { begun: Instant::now(), limits, until: AtomicU64::new(0), idle: AtomicBool::new(false) };
        vigil.wait(limits.head);
        Arc::new(vigil)
    }

    /// A request is under way.
    pub(super) fn rest(&self) {
        self.until.store(0, Ordering::Relaxed);
        self.idle.store(false, Ordering::Relaxed);
    }

    /// Completes when the client has taken too long.
    pub(super) async fn broken(&self) {
        loop {
            let look_again = Instant::now() + self.limits.head;
            let until = match self.until.load(Ordering::Relaxed) {
                0 => None,
                until => Some(self.begun + Duration::from_millis(until)),
            };
            if until.is_some_and(|until| until <= Instant::now()) {
                return;
            }
            // A head that begins after this look is complete before the next one, or due by then.
            sleep_until(until.map_or(look_again, |until| until.min(look_again))).await;
        }
    }

    /// The last request has its answer, and the next may come.
    fn expect_next(&self) {
        // The first head is already waited for, and not for as long.
        if self.until.load(Ordering::Relaxed) == 0 {
            self.idle.store(true, Ordering::Relaxed);
            self.wait(self.limits.idle);
        }
    }

    /// Something came.
    fn hear(&self) {
        if self.idle.load(Ordering::Relaxed) {
            self.idle.store(false, Ordering::Relaxed);
            self.wait(self.limits.head);
        }
    }

    fn wait(&self, span: Duration) {
        let until = (Instant::now() + span).saturating_duration_since(self.begun).as_millis();
        self.until.store(u64::try_from(until).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
    }
}

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

/// A socket that tells the vigil when something comes.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) stream: TcpStream,
    pub(super) vigil: Arc<Vigil>,
}

impl AsyncRead for Heard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.vigil.hear();
        }
        read
    }
}

impl AsyncWrite for Heard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head: Duration::from_secs(10), idle: Duration::from_secs(75) };

    /// After how many seconds the vigil breaks.
    async fn breaks_after(vigil: &Vigil) -> u64 {
        vigil.broken().await;
        vigil.begun.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_has_the_shorter_time_from_the_beginning() {
        let vigil = Vigil::new(LIMITS);
        vigil.expect_next();
        vigil.hear();
        assert_eq!(breaks_after(&vigil).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_there_is_more_time_until_the_next_one_begins() {
        let vigil = Vigil::new(LIMITS);
        vigil.rest();
        vigil.expect_next();
        assert_eq!(breaks_after(&vigil).await, 75);
        let vigil = Vigil::new(LIMITS);
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
        let vigil = Vigil::new(LIMITS);
        vigil.rest();
        vigil.hear();
        let waited = tokio::time::timeout(Duration::from_secs(3600), vigil.broken()).await;
        assert!(waited.is_err());
    }
}
