//! Time, as a thing that is handed in.
//!
//! Nothing in Gateward asks the operating system for the time but [`SystemClock`]. What expires, retries or is
//! signed takes a [`Clock`], so that a test can hold time still, or turn it by hand with [`ManualClock`].

mod manual;
mod timestamp;

pub use manual::ManualClock;
pub use timestamp::Timestamp;

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the wall-clock time and waits for it.
///
/// Wall-clock and not monotonic: what Gateward promises about time (a credential's expiry, a signature's date)
/// outlives the process, and a Lambda function is frozen between two events.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// How long this machine has run, its sleep included. Nobody can set it, which is how a wall clock that was set is told
    /// from time that has passed.
    fn uptime(&self) -> Duration;

    /// Completes when [`Clock::now`] has reached `deadline`, at once if it already has.
    fn sleep_until(&self, deadline: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Completes when `span` has passed, whatever the wall clock is set to meanwhile.
    fn pass(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Completes after `span`.
    fn sleep(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.sleep_until(self.now() + span)
    }
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system for the time")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }

    fn uptime(&self) -> Duration {
        // The kernel's own page where there is one: valgrind, under which instructions are counted, cannot follow the other way.
        let told = std::fs::read_to_string("/proc/uptime").ok();
        let seconds = told.as_deref().and_then(|told| told.split(' ').next()?.parse().ok());
        seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or_else(|| {
            let uptime = rustix::time::clock_gettime(UPTIME);
            Duration::try_from(uptime).unwrap_or_default()
        })
    }

    fn pass(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(span))
    }

    fn sleep_until(&self, deadline: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let clock = *self;
        Box::pin(async move {
            // The wall clock may be set while we wait, so no single wait is longer than a minute.
            loop {
                let left = deadline.saturating_since(clock.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(Duration::from_secs(60))).await;
            }
        })
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const UPTIME: rustix::time::ClockId = rustix::time::ClockId::Boottime;
/// Elsewhere it is the monotonic clock that goes on while the machine sleeps, or the nearest to it.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const UPTIME: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
