//! Revocation turn by turn, for a gateway in which nothing runs between two events.
//!
//! Such a gateway starts no timer. It is told when to look: by a schedule, and by messages that it sends to itself for
//! moments that are near. What a turn has not finished in its time is claimed until its claim ends, and then anybody's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gateward_clock::Timestamp;

use super::{Engine, lock};
use crate::due::Slot;
use crate::ledger::LedgerError;

/// Why a turn ended before its work was done. The next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The leases, or what guards them, could not be read.
    #[error("the leases are not read: {0}")]
    Unread(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Time was up first.
    #[error("the turn's time was over before all that is due was seen to")]
    Late,
}

impl Engine {
    /// Sees to everything that is due, and returns when that is done, or at `until`.
    pub async fn turn(self: &Arc<Self>, until: Timestamp) -> Result<(), TurnError> {
        let clock = Arc::clone(&self.clock);
        tokio::select! {
            biased;
            done = self.turn_once() => done,
            () = clock.sleep_until(until) => Err(TurnError::Late),
        }
    }

    async fn turn_once(self: &Arc<Self>) -> Result<(), TurnError> {
        // Anew each time: a process that was frozen cannot tell a clock that was set from time that has passed.
        self.guard.begin().await.map_err(|error| TurnError::Unread(error.into()))?;
        if self.guard.holds() {
            return Ok(());
        }
        let now = self.clock.now();
        lock(&self.horizon).reach(now);
        loop {
            let unread = |error: LedgerError| TurnError::Unread(error.into());
            self.offer_overdue(now).await.map_err(unread)?;
            self.wake_lanes();
            self.quiet().await;
            if !self.is_to_look_again() {
                break;
            }
        }
        Ok(())
    }

    /// Once an hour, forgets leases that are over. With what is not forgotten at `until` the next turn goes on.
    pub async fn forget_some(&self, until: Timestamp) {
        let now = self.clock.now();
        tokio::select! {
            biased;
            forgotten = self.ledger.compact_hourly(now, now - self.retention, until) => match forgotten {
                Ok(None | Some(0)) => {}
                Ok(Some(forgotten)) => tracing::info!(forgotten, "leases that were over are forgotten"),
                Err(error) => tracing::warn!(%error, "leases that were over are not forgotten yet"),
            },
            () = self.clock.sleep_until(until) => {}
        }
    }

    /// The moments after `from` and up to `to`, in whole seconds, at which something falls due.
    pub async fn due_between(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeSet<Timestamp>, LedgerError> {
        let mut moments = BTreeSet::new();
        self.ledger
            .look_through(from, to + Duration::from_millis(1), None, |due, _| {
                let moment = whole_second(due);
                moments.insert(moment);
                // The other shards of a busy minute say nothing new.
                let last = Slot::end_of_minute(due).min(whole_second(to)).secs();
                (moment.secs() + 1..=last).any(|second| !moments.contains(&Timestamp::from_secs(second)))
            })
            .await?;
        Ok(moments)
    }

    /// The moments, in whole seconds, that this engine has written down as due since it was last asked, and that still are.
    /// It remembers them only if its settings say so.
    pub fn take_noted(&self) -> BTreeSet<Timestamp> {
        let noted = self.noted.as_ref().map(|noted| std::mem::take(&mut *lock(noted))).unwrap_or_default();
        noted.into_iter().map(|(due, _)| whole_second(due)).collect()
    }

    /// Completes when no producer is being called to revoke.
    pub(crate) async fn quiet(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Before the look, so that an end between look and wait is heard of.
            ended.as_mut().enable();
            if !self.is_at_work() {
                return;
            }
            ended.await;
        }
    }
}

/// The end of the second that `due` is in: what is looked for then is due.
fn whole_second(due: Timestamp) -> Timestamp {
    Timestamp::from_secs(due.millis().div_ceil(1000))
}
