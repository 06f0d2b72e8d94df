//! Drives the lease machine: issues credentials, and revokes each when it is due.
//!
//! Both are the engine's own tasks and not a request's: a caller who hangs up cancels nothing.

mod at_work;
mod issue;
mod revoke;
mod timer;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateward_clock::{Clock, Timestamp};
use gateward_store::{Store, Write};
use tokio::runtime::Handle;
use tokio::sync::{Notify, RwLock};

use at_work::AtWork;
pub use issue::{IssueError, Issued};
pub use revoke::RevokeError;

use crate::due::{Horizon, LeaseKey};
use crate::items::Catalog;
use crate::lease::Lease;
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
    at_work: Arc<AtWork>,
    /// How many revoke calls of the timer are under way, by dynamic secret.
    calls: Mutex<HashMap<u64, usize>>,
    /// Held for reading by each creation, so that a stop can wait for all of them.
    creating: Arc<RwLock<()>>,
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
            at_work: Arc::default(),
            calls: Mutex::default(),
            creating: Arc::default(),
        })
    }

    /// Starts the timer that revokes what is due, and returns the task that is the timer.
    pub fn start(self: &Arc<Self>) -> tokio::task::JoinHandle<()> {
        self.runtime.spawn(timer::run(Arc::downgrade(self)))
    }

    /// Completes when no producer is being asked for a credential any more. A stop waits for it: the name of what is
    /// being made comes with the answer.
    pub async fn finish(&self) {
        let _nobody_creates = self.creating.write().await;
    }

    /// Every lease of the dynamic secret `item_id` that is not revoked.
    pub async fn leases(&self, item_id: u64) -> Result<Vec<Lease>, LedgerError> {
        Ok(self.ledger.of_item(item_id).await?.into_iter().map(|recorded| recorded.lease).collect())
    }

    /// Replaces a record and notes when it is due next.
    async fn replace(&self, before: &Recorded, lease: Lease) -> Result<Recorded, LedgerError> {
        self.replace_if(before, lease, None).await
    }

    /// The same, if `condition` holds.
    async fn replace_if(
        &self,
        before: &Recorded,
        lease: Lease,
        condition: Option<Write>,
    ) -> Result<Recorded, LedgerError> {
        let recorded = self.ledger.replace(before, lease, condition).await?;
        self.note(&recorded.lease);
        Ok(recorded)
    }

    /// Lets go of the producer of a deleted secret that has no lease any more.
    async fn forget_producer(&self, item_id: u64) {
        if let Err(error) = self.catalog.forget(item_id).await {
            // Tried again with the next lease that goes; or it stays as one small, sealed record.
            tracing::warn!(item_id, %error, "producer not forgotten");
        }
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

#[cfg(test)]
mod tests;
