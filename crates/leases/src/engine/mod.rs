//! Drives the lease machine: issues credentials, and revokes each when it is due.
//!
//! Both are the engine's own tasks and not a request's: a caller who hangs up cancels nothing.

mod issue;
mod revoke;
mod timer;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateward_clock::{Clock, Timestamp};
use gateward_store::Store;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};

pub use issue::{IssueError, Issued};
pub use revoke::RevokeError;

use crate::due::{Horizon, LeaseKey};
use crate::items::Catalog;
use crate::lease::{Lease, LeaseId};
use crate::ledger::{Ledger, LedgerError, Recorded};
use crate::producer::Producers;

/// What the engine is made of.
pub struct EngineParts {
    /// Where leases are kept.
    pub store: Arc<dyn Store>,
    /// The dynamic secrets.
    pub catalog: Arc<Catalog>,
    /// What makes their credentials.
    pub producers: Arc<dyn Producers>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where the engine's tasks run.
    pub runtime: Handle,
    /// The engine's name in claims. A name that an earlier process had means that its claims are void: so a store
    /// that only one process can open has a constant owner, and any other store one for each process.
    pub owner: String,
}

/// Issues credentials and revokes them on time.
pub struct Engine {
    catalog: Arc<Catalog>,
    producers: Arc<dyn Producers>,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    owner: String,
    ledger: Ledger,
    horizon: Mutex<Horizon>,
    /// Rung when something nearer than the timer's next look was noted.
    sooner: Notify,
    /// Revocations that this engine is at.
    at_work: Mutex<HashSet<LeaseId>>,
    /// How many calls to producers may be under way at once.
    calls: Arc<Semaphore>,
}

impl Engine {
    /// An engine that issues; it revokes from [`Engine::start`] on.
    pub fn new(parts: EngineParts) -> Arc<Self> {
        Arc::new(Self {
            ledger: Ledger::new(parts.store),
            catalog: parts.catalog,
            producers: parts.producers,
            clock: parts.clock,
            runtime: parts.runtime,
            owner: parts.owner,
            horizon: Mutex::default(),
            sooner: Notify::new(),
            at_work: Mutex::default(),
            calls: Arc::new(Semaphore::new(CALLS_AT_ONCE)),
        })
    }

    /// Starts the timer that revokes what is due, and returns the task that is the timer.
    pub fn start(self: &Arc<Self>) -> tokio::task::JoinHandle<()> {
        self.runtime.spawn(timer::run(Arc::downgrade(self)))
    }

    /// Every lease of the dynamic secret `item_id` that is not revoked.
    pub async fn leases(&self, item_id: u64) -> Result<Vec<Lease>, LedgerError> {
        Ok(self.ledger.of_item(item_id).await?.into_iter().map(|recorded| recorded.lease).collect())
    }

    /// Replaces a record and notes when it is due next.
    async fn replace(&self, before: &Recorded, lease: Lease) -> Result<Recorded, LedgerError> {
        let recorded = self.ledger.replace(before, lease).await?;
        self.note(&recorded.lease);
        Ok(recorded)
    }

    fn note(&self, lease: &Lease) {
        if let Some(due) = lease.due() {
            self.note_at(due, LeaseKey::of(lease));
        }
    }

    fn note_at(&self, due: Timestamp, lease: LeaseKey) {
        let mut horizon = lock(&self.horizon);
        let first = horizon.first();
        horizon.note(due, lease);
        if horizon.first() != first {
            self.sooner.notify_one();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while the lock was held left nothing half done: each holder makes one change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// More would only queue in the producers.
const CALLS_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests;
