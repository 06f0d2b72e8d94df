//! What is under way: calls of vaults, and news on their way to whoever is bound to a value.
//!
//! Where a process can be frozen between two events, somebody has to know that nothing is.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How much is under way.
#[derive(Clone, Default)]
pub(super) struct UnderWay(Arc<Count>);

#[derive(Default)]
struct Count {
    now: AtomicUsize,
    none: Notify,
}

/// One that is under way, until it is dropped.
pub(super) struct One(UnderWay);

impl UnderWay {
    /// One more.
    pub(super) fn one(&self) -> One {
        self.begin();
        One(self.clone())
    }

    /// One more, of which [`UnderWay::end`] says the end.
    pub(super) fn begin(&self) {
        self.0.now.fetch_add(1, Ordering::AcqRel);
    }

    /// One less.
    pub(super) fn end(&self) {
        if self.0.now.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }

    /// Waits until there is none.
    pub(super) async fn ended(&self) {
        loop {
            let mut none = pin!(self.0.none.notified());
            // Whoever ends between the look and the wait is heard.
            none.as_mut().enable();
            if self.0.now.load(Ordering::Acquire) == 0 {
                return;
            }
            none.await;
        }
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.end();
    }
}
