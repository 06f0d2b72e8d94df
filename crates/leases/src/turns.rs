//! Revoking on time where nothing runs between two events, as in a Lambda function.
//!
//! Three layers, each of which finds what the one above it has lost. The store is the truth: what is overdue there is
//! seen to at each tick of a schedule, once a minute. A tick also looks 120 s ahead, and has itself called for each second
//! in which something falls due; a lease that is issued and falls due within a quarter of an hour is announced at once.
//! A call only says "look now": it may come twice, late, out of order or not at all.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use gateward_clock::{Clock, Timestamp};

use crate::{Engine, Rotator, TurnError};

/// Has this gateway called later: a queue that keeps messages back for a while.
#[async_trait]
pub trait Announcer: Send + Sync {
    /// Asks for [`Turns::call`] with `due`, after `delay`, which is at most a quarter of an hour. Says what went wrong.
    async fn announce(&self, due: Timestamp, delay: Duration) -> Result<(), String>;
}

/// Revokes and rotates, turn by turn.
pub struct Turns {
    /// What revokes. Its settings say that it remembers what is due.
    pub engine: Arc<Engine>,
    /// What rotates.
    pub rotator: Option<Arc<Rotator>>,
    /// What has it called later. Without it revocations are up to a minute late.
    pub announcer: Option<Arc<dyn Announcer>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Turns {
    /// The schedule has ticked: sees to what is due, and announces what is near. Ends at `until`.
    pub async fn tick(&self, until: Timestamp) -> Result<(), TurnError> {
        let now = self.clock.now();
        // What is near is announced first: it must not wait for what is overdue.
        match self.engine.due_between(now, now + LOOK_AHEAD).await {
            Ok(moments) => self.announce(moments).await,
            Err(error) => tracing::error!(%error, "due index not read"),
        }
        if let Some(rotator) = &self.rotator {
            rotator.turn(until).await;
        }
        self.engine.turn(until).await
    }

    /// An announced moment has come: sees to what is due. Ends at `until`.
    pub async fn call(&self, due: Timestamp, until: Timestamp) -> Result<(), TurnError> {
        // Whoever keeps messages back counts whole seconds by a clock of its own.
        if due.saturating_since(self.clock.now()) <= EARLY {
            self.clock.sleep_until(due.min(until)).await;
        }
        self.engine.turn(until).await
    }

    /// A request was answered: waits for the producers that are still called for it, at most until `until`, and announces
    /// what it has made due soon.
    pub async fn settle(&self, until: Timestamp) {
        let finished = async {
            self.engine.finish().await;
            if let Some(rotator) = &self.rotator {
                rotator.finish().await;
            }
        };
        tokio::select! {
            biased;
            () = finished => {}
            () = self.clock.sleep_until(until) => tracing::warn!("a producer is still called at the end of an event"),
        }
        let soon = self.clock.now() + LONGEST_DELAY;
        let noted = self.engine.take_noted().into_iter();
        self.announce(noted.filter(|due| *due <= soon).collect()).await;
    }

    /// What cannot be announced, the next tick finds.
    async fn announce(&self, moments: BTreeSet<Timestamp>) {
        let Some(announcer) = &self.announcer else { return };
        let now = self.clock.now();
        let announced = moments.into_iter().map(|due| async move {
            if let Err(error) = announcer.announce(due, due.saturating_since(now)).await {
                tracing::warn!(error, "a revocation is not announced; the schedule finds it");
            }
        });
        join_all(announced).await;
    }
}

/// How far a tick looks ahead: two ticks, so that one that is lost or late loses nothing.
const LOOK_AHEAD: Duration = Duration::from_secs(120);

/// How far ahead an announcement can be made: the longest that SQS keeps a message back.
const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);

/// How much too early a call may come and still be waited for.
const EARLY: Duration = Duration::from_secs(2);
