//! A clock that stands still until a test moves it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::{Clock, Timestamp};

/// A clock that stands still until [`ManualClock::advance`] moves it, and then wakes whoever waits for that time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    shows: Arc<watch::Sender<Shows>>,
}

#[derive(Clone, Copy, Debug)]
struct Shows {
    now: Timestamp,
    uptime: Duration,
}

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self { shows: Arc::new(watch::Sender::new(Shows { now, uptime: Duration::ZERO })) }
    }

    /// Moves the clock forward by `span`.
    pub fn advance(&self, span: Duration) {
        self.shows.send_modify(|shows| {
            shows.now = shows.now + span;
            shows.uptime += span;
        });
    }

    /// Sets the clock, backwards if need be; no time passes by that.
    pub fn set(&self, now: Timestamp) {
        self.shows.send_modify(|shows| shows.now = now);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.shows.borrow().now
    }

    fn uptime(&self) -> Duration {
        self.shows.borrow().uptime
    }

    fn sleep_until(&self, deadline: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.wait_for(move |shows| shows.now >= deadline)
    }

    fn pass(&self, span: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let until = self.uptime() + span;
        self.wait_for(move |shows| shows.uptime >= until)
    }
}

impl ManualClock {
    fn wait_for(
        &self,
        enough: impl Fn(&Shows) -> bool + Send + Sync + 'static,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut shows = self.shows.subscribe();
        Box::pin(async move {
            if shows.wait_for(|shows| enough(shows)).await.is_err() {
                // The clock is gone, and with it any time that could come.
                std::future::pending::<()>().await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_sleeper_wakes_when_its_time_has_come_and_not_before() {
        let clock = ManualClock::at(Timestamp::from_secs(100));
        let mut sleep = clock.sleep(Duration::from_secs(10));
        clock.advance(Duration::from_secs(9));
        assert!(futures_now(&mut sleep).await.is_none());
        clock.advance(Duration::from_secs(1));
        sleep.await;
    }

    /// What `future` has to say now, without waiting.
    async fn futures_now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! { biased; output = future => Some(output), () = std::future::ready(()) => None }
    }
}
