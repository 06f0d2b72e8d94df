//! The revocations that this engine is at, so that no two of its tasks are at the same one.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::lock;
use crate::due::LeaseKey;

/// The leases that some task of this engine is revoking.
#[derive(Debug, Default)]
pub(super) struct AtWork {
    leases: Mutex<HashSet<LeaseKey>>,
    ended: Notify,
}

/// Leases that are one task's to revoke, until this is dropped.
pub(super) struct Taken {
    all: Arc<AtWork>,
    pub(super) keys: Vec<LeaseKey>,
}

impl AtWork {
    /// Takes those of `keys` that nobody is at; the others come back.
    pub(super) fn take(self: &Arc<Self>, keys: Vec<LeaseKey>) -> (Taken, Vec<LeaseKey>) {
        let mut leases = lock(&self.leases);
        let (keys, others) = keys.into_iter().partition(|key| leases.insert(key.clone()));
        (Taken { all: Arc::clone(self), keys }, others)
    }

    /// Whether some task is at `key`.
    pub(super) fn has(&self, key: &LeaseKey) -> bool {
        lock(&self.leases).contains(key)
    }

    /// Completes when no task is at any of `keys`.
    pub(super) async fn ended(&self, keys: &[LeaseKey]) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Before the look, or an end between the look and the wait would be missed.
            ended.as_mut().enable();
            if !keys.iter().any(|key| self.has(key)) {
                return;
            }
            ended.await;
        }
    }
}

/// Also when the task panics: what it was at is seen to again.
impl Drop for Taken {
    fn drop(&mut self) {
        let mut leases = lock(&self.all.leases);
        for key in &self.keys {
            leases.remove(key);
        }
        drop(leases);
        self.all.ended.notify_waiters();
    }
}
