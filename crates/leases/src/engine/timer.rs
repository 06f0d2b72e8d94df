//! The one timer: sleeps until the first lease is due, and sees to what is.

use std::sync::{Arc, Weak};
use std::time::Duration;

use gateward_clock::Timestamp;

use super::revoke::BATCH;
use super::{Engine, lock};
use crate::due::{self, LeaseKey};
use crate::lease::LeaseState;
use crate::ledger::LedgerError;

/// Runs until the engine is dropped.
pub(super) async fn run(engine: Weak<Engine>) {
    let mut fill_at = Timestamp::default();
    let mut restarted = true;
    loop {
        let Some(engine) = engine.upgrade() else { return };
        let now = engine.clock.now();
        if now >= fill_at {
            let ahead = if restarted { FIRST_LOOK } else { due::HORIZON };
            match engine.fill_horizon(ahead).await {
                Ok(found) => {
                    fill_at = now + REFILL;
                    if std::mem::take(&mut restarted) {
                        engine.void_old_claims(&found).await;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "due index not read");
                    fill_at = now + SOON;
                }
            }
        }
        let due = lock(&engine.horizon).take_due(engine.clock.now(), AT_ONCE);
        if !due.is_empty() {
            engine.attend(due).await;
            continue;
        }
        let next = lock(&engine.horizon).first().map_or(fill_at, |first| first.min(fill_at));
        let clock = Arc::clone(&engine.clock);
        tokio::select! {
            () = clock.sleep_until(next) => {}
            () = engine.sooner.notified() => {}
        }
    }
}

impl Engine {
    /// Reads the near future of the due index into memory, and says what it found.
    async fn fill_horizon(&self, ahead: Duration) -> Result<Vec<(Timestamp, LeaseKey)>, LedgerError> {
        let now = self.clock.now();
        let reaches = now + ahead;
        // Before the look, so that what is written during it is noted by its writer.
        lock(&self.horizon).extend(reaches, Vec::new());
        let found = self.ledger.due_before(reaches, now).await?;
        lock(&self.horizon).extend(reaches, found.clone());
        Ok(found)
    }

    /// Claims of an earlier process with this engine's name are void: their leases are seen to at once, and not only
    /// when the claims end.
    async fn void_old_claims(&self, found: &[(Timestamp, LeaseKey)]) {
        for (_, key) in found {
            if let Ok(Some(recorded)) = self.ledger.get(key).await
                && let LeaseState::Revoking { claim: Some(claim), .. } = &recorded.lease.state
                && claim.owner == self.owner
                && !self.at_work.has(key)
            {
                self.note_at(self.clock.now(), key.clone());
            }
        }
    }

    /// Does for each lease what its state asks for.
    async fn attend(self: &Arc<Self>, due: Vec<LeaseKey>) {
        let mut to_revoke: Vec<(u64, Vec<LeaseKey>)> = Vec::new();
        for key in due {
            let recorded = match self.ledger.get(&key).await {
                Ok(Some(recorded)) => recorded,
                // Revoked or withdrawn since: the entry was stale.
                Ok(None) => continue,
                Err(LedgerError::Unreadable(lease)) => {
                    tracing::error!(lease, "lease in quarantine");
                    continue;
                }
                Err(error) => {
                    tracing::error!(lease = %key.lease_id, %error, "due lease not read");
                    self.note_at(self.clock.now() + SOON, key);
                    continue;
                }
            };
            match recorded.lease.state {
                LeaseState::Intent { deadline } if deadline <= self.clock.now() => {
                    self.give_up_waiting(&recorded).await;
                }
                LeaseState::Active { .. } | LeaseState::Revoking { .. } => {
                    match to_revoke.iter_mut().find(|(item, keys)| *item == key.item_id && keys.len() < BATCH)
                    {
                        Some((_, keys)) => keys.push(key),
                        None => to_revoke.push((key.item_id, vec![key])),
                    }
                }
                LeaseState::Intent { .. } | LeaseState::Revoked { .. } | LeaseState::Unknown { .. } => {}
            }
        }
        for (item_id, keys) in to_revoke {
            self.start_call(item_id, keys);
        }
    }

    /// Revokes in a task of its own. A producer that is asked often enough already is asked later, for more at once: one
    /// that hangs holds up nobody else's leases.
    fn start_call(self: &Arc<Self>, item_id: u64, keys: Vec<LeaseKey>) {
        let Some(call) = Call::start(self, item_id) else {
            let later = self.clock.now() + BUSY;
            for key in keys {
                self.note_at(later, key);
            }
            return;
        };
        self.runtime.spawn(async move { call.engine.revoke_batch(item_id, keys).await });
    }

    /// INTENT's deadline has passed: the answer is lost, by a crash most likely.
    async fn give_up_waiting(&self, recorded: &crate::ledger::Recorded) {
        let reason = "the gateway stopped, or lost the store, while the producer was called";
        let Ok(unknown) = recorded.lease.lose(reason, self.clock.now()) else {
            return;
        };
        match self.replace(recorded, unknown).await {
            Ok(_) => {
                tracing::error!(lease = %recorded.lease.id, item = %recorded.lease.item_name, "lease unknown");
            }
            Err(LedgerError::Changed) => {}
            Err(error) => {
                tracing::error!(lease = %recorded.lease.id, %error, "lost lease not recorded yet");
                self.note_at(self.clock.now() + SOON, LeaseKey::of(&recorded.lease));
            }
        }
    }
}

/// A call of the timer to a producer, counted until this is dropped.
struct Call {
    engine: Arc<Engine>,
    item_id: u64,
}

impl Call {
    /// One call more, if the producer can take it.
    fn start(engine: &Arc<Engine>, item_id: u64) -> Option<Self> {
        let mut calls = lock(&engine.calls);
        let under_way = calls.entry(item_id).or_insert(0);
        if *under_way >= CALLS_AT_ONCE {
            return None;
        }
        *under_way += 1;
        Some(Self { engine: Arc::clone(engine), item_id })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut calls = lock(&self.engine.calls);
        if let Some(under_way) = calls.get_mut(&self.item_id) {
            *under_way -= 1;
            if *under_way == 0 {
                calls.remove(&self.item_id);
            }
        }
    }
}

/// How many calls to one producer may be under way.
const CALLS_AT_ONCE: usize = 8;

/// When a producer with so many calls is looked at again.
const BUSY: Duration = Duration::from_millis(250);

/// How far the first look reaches: beyond the end of every claim that an earlier process may have left.
const FIRST_LOOK: Duration = Duration::from_secs(1000);

/// How often the due index is read again, for what other nodes have written and not done.
const REFILL: Duration = Duration::from_secs(30);

/// When something is tried again that should not have failed.
const SOON: Duration = Duration::from_secs(1);

/// How many due leases are looked at before the timer looks at the time again.
const AT_ONCE: usize = 1000;
