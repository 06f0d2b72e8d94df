//! Drives the lease machine: issues credentials, and revokes each when it is due.
//!
//! Both are the engine's own tasks and not a request's: a caller who hangs up cancels nothing.

mod again;
mod ask;
mod attend;
mod guard;
mod issue;
mod lane;
mod operator;
mod reconcile;
mod renew;
mod report;
mod revoke;
mod timer;
mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use gateward_clock::{Clock, Timestamp};
use gateward_model::DynamicSecret;
use gateward_seal::SecretValue;
use gateward_store::{Store, Write};
use tokio::runtime::Handle;
use tokio::sync::{Notify, RwLock};

use guard::Guard;
pub use guard::Held;
use issue::LEAST;
pub use issue::{IssueError, Issued, Wish};
use lane::Lane;
pub use operator::{OperatorError, Settlement};
pub use reconcile::{Asked, Reconciled};
pub use renew::RenewError;
pub use report::{Attention, Listed, Query, Report, ReportError};
pub use revoke::RevokeError;
pub use turn::TurnError;

use crate::CallEnd;
use crate::due::{Horizon, LeaseKey};
use crate::items::Catalog;
use crate::lease::{Lease, LeaseId};
use crate::ledger::{Caps, Hold, Ledger, LedgerError, Recorded, Step};
use crate::producer::{Capabilities, NO_ANSWER, Producers};
use crate::status::StatusListener;
use crate::watchman::keep_running;
use crate::witness::Witness;

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
    /// What may be chosen.
    pub settings: EngineSettings,
}

/// What may be chosen.
#[derive(Clone)]
pub struct EngineSettings {
    /// How many leases may live.
    pub caps: Caps,
    /// How long it is told what became of a lease.
    pub retention: Duration,
    /// How long revocation waits after a restored store or a jump of the clock, if nobody lets go.
    pub hold_for: Duration,
    /// What notices a restored store.
    pub witness: Option<Arc<dyn Witness>>,
    /// Until when producers are waited for, whatever their secrets say.
    pub call_end: Arc<CallEnd>,
    /// Who hears of what becomes of leases and producers.
    pub listener: Option<Arc<dyn StatusListener>>,
    /// Whether the engine remembers for [`Engine::take_noted`] what it has written down as due.
    pub remembers_due: bool,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            caps: Caps::default(),
            retention: Duration::from_secs(7 * 24 * 3600),
            hold_for: Duration::from_secs(3600),
            witness: None,
            call_end: Arc::default(),
            listener: None,
            remembers_due: false,
        }
    }
}

/// Issues credentials and revokes them on time.
pub struct Engine {
    catalog: Arc<Catalog>,
    producers: Arc<dyn Producers>,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    owner: String,
    retention: Duration,
    call_end: Arc<CallEnd>,
    /// What was written down as due since somebody asked, if somebody does.
    noted: Option<Mutex<BTreeSet<(Timestamp, LeaseKey)>>>,
    ledger: Ledger,
    listener: Option<Arc<dyn StatusListener>>,
    guard: Guard,
    horizon: Mutex<Horizon>,
    /// Rung when there is something to do before the timer's next look.
    sooner: Notify,
    /// What is to be done for each producer, by dynamic secret.
    lanes: Mutex<BTreeMap<u64, Lane>>,
    /// Rung when some work in a lane has ended.
    ended: Notify,
    /// Some lane has room again for what it had none for.
    look_again: AtomicBool,
    /// Nothing is begun but what somebody waits for.
    only_wished: AtomicBool,
    /// Held for reading by each creation, so that a stop can wait for all of them.
    creating: Arc<RwLock<()>>,
}

impl Engine {
    /// An engine that issues; it revokes from [`Engine::start`] on.
    pub fn new(parts: EngineParts) -> Arc<Self> {
        let EngineSettings { caps, retention, hold_for, witness, call_end, listener, remembers_due } =
            parts.settings;
        Arc::new(Self {
            guard: Guard::new(Arc::clone(&parts.store), Arc::clone(&parts.clock), witness, hold_for),
            ledger: Ledger::new(parts.store, caps, listener.clone()),
            listener,
            catalog: parts.catalog,
            producers: parts.producers,
            clock: parts.clock,
            runtime: parts.runtime,
            owner: parts.owner,
            retention,
            call_end,
            noted: remembers_due.then(Mutex::default),
            horizon: Mutex::new(Horizon::of_at_most(IN_MEMORY)),
            sooner: Notify::new(),
            lanes: Mutex::default(),
            ended: Notify::new(),
            look_again: AtomicBool::new(false),
            only_wished: AtomicBool::new(false),
            creating: Arc::default(),
        })
    }

    /// Starts the timer that revokes what is due, and returns the task that is the timer.
    pub fn start(self: &Arc<Self>) -> tokio::task::JoinHandle<()> {
        let engine = Arc::downgrade(self);
        keep_running(&self.runtime, Arc::clone(&self.clock), "the timer of revocations", move || {
            timer::run(Weak::clone(&engine))
        })
    }

    /// Completes when no producer is being asked for a credential any more. A stop waits for it: the name of what is
    /// being made comes with the answer.
    pub async fn finish(&self) {
        let _nobody_creates = self.creating.write().await;
    }

    /// Whether from now on nothing is revoked but what somebody waits for, until this says otherwise: whoever asks for one
    /// revocation is not to wait for those of others.
    pub(crate) fn see_only_to_wishes(&self, only: bool) {
        self.only_wished.store(only, Ordering::Release);
    }

    /// Whether there is no time left to call anybody.
    fn is_out_of_time(&self) -> bool {
        self.call_end.get() < self.clock.now() + LEAST
    }

    /// Has the producer of `secret` tried out, and says what it can do. What it makes is unmade, so neither call may take
    /// more than half of the time that is left.
    pub async fn dry_run(
        &self,
        secret: &DynamicSecret,
        payload: SecretValue,
    ) -> Result<Capabilities, String> {
        let left = self.call_end.get().saturating_since(self.clock.now()).saturating_sub(LEAST);
        if left < 2 * SOON {
            return Err("there is no time left to ask the producer; try again".to_owned());
        }
        let timeout_sec = secret.timeout_sec.min(left.as_secs() / 2);
        let producer = self.producers.of(&DynamicSecret { timeout_sec, ..secret.clone() }, payload);
        tokio::select! {
            biased;
            outcome = producer.dry_run() => outcome,
            () = self.clock.sleep_until(self.call_end.get()) => Err(NO_ANSWER.to_owned()),
        }
    }

    /// One lease of the dynamic secret `item_id`, if it is not revoked.
    pub async fn lease(&self, item_id: u64, lease_id: LeaseId) -> Result<Option<Lease>, LedgerError> {
        let recorded = self.ledger.get(LeaseKey { item_id, lease_id }).await?;
        Ok(recorded.map(|recorded| recorded.lease))
    }

    /// Every lease of the dynamic secret `item_id` that is not over.
    pub async fn leases(&self, item_id: u64) -> Result<Vec<Lease>, LedgerError> {
        Ok(self.ledger.of_item(item_id).await?.into_iter().map(|recorded| recorded.lease).collect())
    }

    /// Why revocation waits, if it does.
    pub fn held(&self) -> Option<Held> {
        self.guard.held()
    }

    /// Replaces a record and notes when it is due next.
    async fn replace(&self, before: &Recorded, lease: Lease, hold: Hold) -> Result<Recorded, LedgerError> {
        self.replace_with(before, lease, hold, &[]).await
    }

    /// The same, with `also` in the commit.
    async fn replace_with(
        &self,
        before: &Recorded,
        lease: Lease,
        hold: Hold,
        also: &[Write],
    ) -> Result<Recorded, LedgerError> {
        let recorded = self.ledger.replace(before, lease, hold, also).await?;
        self.note_change(&before.lease, &recorded.lease);
        Ok(recorded)
    }

    /// The same of several leases, with what came of each.
    async fn replace_together(&self, steps: &[Step<'_>]) -> Vec<Result<Recorded, LedgerError>> {
        let done = self.ledger.replace_together(steps).await;
        for (step, recorded) in steps.iter().zip(&done) {
            if let Ok(recorded) = recorded {
                self.note_change(&step.before.lease, &recorded.lease);
            }
        }
        done
    }

    fn note_change(&self, before: &Lease, after: &Lease) {
        if before.due() != after.due() {
            if let Some(due) = before.due() {
                self.forget(due, LeaseKey::of(before));
            }
            self.note(after);
        }
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
            let lease = LeaseKey::of(lease);
            if let Some(noted) = &self.noted {
                lock(noted).insert((due, lease));
            }
            self.note_at(due, lease);
        }
    }

    /// A lease that was noted is not due then any more.
    fn forget(&self, due: Timestamp, lease: LeaseKey) {
        if let Some(noted) = &self.noted {
            lock(noted).remove(&(due, lease));
        }
        lock(&self.horizon).forget(due, lease);
    }

    fn note_at(&self, due: Timestamp, lease: LeaseKey) {
        let mut horizon = lock(&self.horizon);
        let first = horizon.first();
        horizon.note(due, lease);
        if horizon.first() != first {
            self.sooner.notify_one();
        }
    }

    /// Sees to a lease once more in a moment: something failed that should not have.
    fn note_soon(&self, lease: LeaseKey) {
        self.note_at(self.clock.now() + SOON, lease);
    }

    /// Whether somebody wants the due index looked through; it is then believed that this is done.
    fn is_to_look_again(&self) -> bool {
        self.look_again.swap(false, Ordering::AcqRel)
    }

    /// Has the due index looked through now.
    fn look_again(&self) {
        self.look_again.store(true, Ordering::Release);
        self.sooner.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while the lock was held left nothing half done: each holder makes one change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many leases of the near future memory holds, 32 bytes each; of the others it knows from when on to look.
const IN_MEMORY: usize = 200_000;

/// When something is tried again that should not have failed.
const SOON: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
