//! The one timer: sleeps until the first lease is due, and offers what is to the lanes.

use std::sync::{Arc, Weak};
use std::time::Duration;

use gateward_clock::Timestamp;
use tokio::task::JoinHandle;

use super::{Engine, SOON, lock};
use crate::due::{self, LeaseKey};
use crate::ledger::LedgerError;

/// When the timer does what besides looking at what is due.
#[derive(Default)]
struct Rounds {
    begun: bool,
    look_at: Timestamp,
    finish_at: Timestamp,
    extend_at: Timestamp,
    tend_at: Timestamp,
    compact_at: Timestamp,
    /// What finishes deletions that were interrupted.
    finishing: Option<JoinHandle<()>>,
}

/// Runs until the engine is dropped.
pub(super) async fn run(engine: Weak<Engine>) {
    let mut rounds = Rounds::default();
    loop {
        let Some(engine) = engine.upgrade() else { return };
        let next = rounds.go(&engine).await;
        let clock = Arc::clone(&engine.clock);
        tokio::select! {
            biased;
            () = engine.sooner.notified() => {}
            () = clock.sleep_until(next) => {}
            // The clock may be set back meanwhile.
            () = clock.pass(SOON) => {}
        }
    }
}

impl Rounds {
    /// Does what is to be done now; returns when there is something again.
    async fn go(&mut self, engine: &Arc<Engine>) -> Timestamp {
        if !self.begun {
            match engine.begin_again().await {
                Ok(()) => self.begun = true,
                Err(error) => {
                    tracing::error!(error = &*error, "the leases are not read yet; nothing is revoked");
                    return engine.clock.now() + SOON;
                }
            }
        }
        // Before anything is taken to be due: the clock may just have jumped.
        let was_held = engine.guard.held().is_some();
        let holds = engine.guard.holds();
        let now = engine.clock.now();
        self.are_near(now);
        if holds || was_held || now >= self.tend_at {
            self.tend_at = now + TEND;
            if let Err(error) = engine.guard.tend(engine.ledger.commits()).await {
                tracing::error!(error = &error as &dyn std::error::Error, "the guard of the leases fails");
                self.tend_at = now + SOON;
            }
        }
        if holds {
            // Seen again at once when somebody lets go, or elsewhere did.
            if let Err(error) = engine.guard.reload().await {
                tracing::error!(error = &error as &dyn std::error::Error, "the hold cannot be read");
            }
            self.look_at = now;
            return now + SOON;
        }
        self.read(engine, now).await;
        let due = lock(&engine.horizon).take_due(engine.clock.now(), AT_ONCE);
        engine.offer(&due);
        engine.wake_lanes();
        if due.len() == AT_ONCE {
            tokio::task::yield_now().await;
            return now;
        }
        let first = lock(&engine.horizon).first();
        let times =
            [first, engine.lanes_wake_at(), Some(self.look_at), Some(self.extend_at), Some(self.tend_at)];
        times.into_iter().flatten().min().unwrap_or(now + LOOK)
    }

    /// Nothing is farther away than its period, also if the clock was set back.
    fn are_near(&mut self, now: Timestamp) {
        self.look_at = self.look_at.min(now + LOOK);
        self.finish_at = self.finish_at.min(now + LOOK);
        self.extend_at = self.extend_at.min(now + EXTEND);
        self.tend_at = self.tend_at.min(now + TEND);
        self.compact_at = self.compact_at.min(now + COMPACT);
    }

    /// Reads what it is time to read of the due index.
    async fn read(&mut self, engine: &Arc<Engine>, now: Timestamp) {
        if now >= self.finish_at {
            // At a time of its own: lanes that have worked off much ask for more looks, each of which puts the next one off.
            self.finish_at = now + LOOK;
            self.finish_deletions(engine);
        }
        if now >= self.look_at || engine.is_to_look_again() {
            self.look_at = now + LOOK;
            if let Err(error) = engine.offer_overdue(now).await {
                tracing::error!(%error, "due index not read");
                self.look_at = now + SOON;
            }
            // Another engine may have been made to hold, or let go.
            if let Err(error) = engine.guard.reload().await {
                tracing::error!(error = &error as &dyn std::error::Error, "the hold cannot be read");
            }
        }
        let near = lock(&engine.horizon).reaches() < now + due::HORIZON / 2;
        if now >= self.extend_at || (near && lock(&engine.horizon).is_roomy()) {
            self.extend_at = now + EXTEND;
            if let Err(error) = engine.extend_horizon(now).await {
                tracing::error!(%error, "due index not read");
                self.extend_at = now + SOON;
            }
        }
        if now >= self.compact_at {
            self.compact_at = now + COMPACT;
            let engine = Arc::clone(engine);
            engine.runtime.clone().spawn(async move {
                match engine.ledger.compact(now - engine.retention).await {
                    Ok(0) => {}
                    Ok(forgotten) => tracing::info!(forgotten, "leases that were over are forgotten"),
                    Err(error) => tracing::warn!(%error, "leases that were over are not forgotten yet"),
                }
            });
        }
    }

    /// In a task of its own: of an item with many leases that takes long, and what is due must not wait for it.
    fn finish_deletions(&mut self, engine: &Arc<Engine>) {
        if self.finishing.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let engine = Arc::clone(engine);
        self.finishing = Some(engine.runtime.clone().spawn(async move {
            if engine.finish_deletions(NEVER).await {
                engine.look_again();
            }
        }));
    }
}

impl Engine {
    /// What a start begins with: the guard looks at the store, and claims of an earlier process with this engine's name
    /// are void, so that their leases are seen to at once, and not only when the claims end.
    async fn begin_again(self: &Arc<Self>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.guard.begin().await?;
        let interrupted = self.ledger.claims_of(&self.owner).await?;
        let now = self.clock.now();
        lock(&self.horizon).reach(now);
        if !self.guard.holds() {
            self.offer(&interrupted);
        }
        Ok(())
    }

    /// Offers everything that is due, and of which memory may not know: from before a start, or what a lane had no room
    /// for, or another engine has left.
    pub(super) async fn offer_overdue(self: &Arc<Self>, now: Timestamp) -> Result<(), LedgerError> {
        let mut page: Vec<LeaseKey> = Vec::new();
        let mut items = std::collections::BTreeSet::new();
        let looked = self
            .ledger
            .look_through(Timestamp::default(), now + Duration::from_millis(1), Some(now), |_, lease| {
                page.push(lease);
                items.insert(lease.item_id);
                if page.len() >= AT_ONCE {
                    self.take_in(&page);
                    page.clear();
                }
                true
            })
            .await;
        self.take_in(&page);
        for item_id in items {
            self.begin_work(item_id);
        }
        looked
    }

    fn take_in(&self, due: &[LeaseKey]) {
        let mut lanes = lock(&self.lanes);
        for lease in due {
            lanes.entry(lease.item_id).or_default().offer(*lease);
        }
    }

    /// Reads the near future of the due index into memory, as far as there is room.
    async fn extend_horizon(&self, now: Timestamp) -> Result<(), LedgerError> {
        let from = {
            let mut horizon = lock(&self.horizon);
            let from = horizon.reaches();
            // Before the look, so that what is written during it is noted by its writer.
            horizon.reach(from.max(now + due::HORIZON));
            from
        };
        let looked = self
            .ledger
            .look_through(from, now + due::HORIZON, None, |due, lease| {
                let mut horizon = lock(&self.horizon);
                horizon.note(due, lease);
                due < horizon.reaches()
            })
            .await;
        if looked.is_err() {
            lock(&self.horizon).reach(from);
        }
        looked
    }
}

/// How many due leases are looked at before the timer looks at the time again.
const AT_ONCE: usize = 1000;

/// How often what is due is looked for in the store.
const LOOK: Duration = Duration::from_secs(30);

/// How often more of the future is read.
const EXTEND: Duration = Duration::from_secs(30);

/// How often the guard looks at the clocks, and the witness hears of the store.
const TEND: Duration = Duration::from_secs(5);

const NEVER: Timestamp = Timestamp::from_millis(u64::MAX);

/// How often leases that are over are forgotten.
const COMPACT: Duration = Duration::from_secs(3600);
