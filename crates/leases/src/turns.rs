//! Revoking on time where nothing runs between two events, as in a Lambda function.
//!
//! The store is the truth: what is overdue there is seen to at each event. What is near is announced: the gateway has
//! itself called at the second in which something falls due, and, since a message may be lost, at the next three quarters
//! of a minute after it. A lease that falls due within a quarter of an hour is announced when it is issued; a tick of the
//! schedule, once a minute, announces each second of the next 120 s in which something falls due, and each quarter of a
//! minute of the next 300 s, so that one that is lost or late is made up for by those before it. A message only says "look
//! now": it may come twice, late, out of order or not at all.
//!
//! Each event of the Lambda host (its `Errands`) comes down to [`Turns`], and these to the engine and the rotator:
//!
//! ```text
//!   schedule: tick ────► tick ─────┬─► Engine::turn      what is due is claimed and revoked
//!                                  ├─► Rotator::turn     what is due is rotated
//!                                  ├─► announce          messages for what is near
//!                                  └─► forget_some       what is long over
//!   queue: message ────► message ────► Engine::turn      the same, at an announced moment
//!   request ─┬ before ─► begin                           until when its producers are waited for
//!            └ after ──► settle ───┬─► finish, quiet     nobody is called any more
//!                                  └─► announce          what it has made due soon
//! ```

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{join, join_all, join3};
use gateward_clock::{Clock, Timestamp};

use crate::{CallEnd, Engine, Rotator, TurnError};

/// Has this gateway called later: a queue that keeps messages back for a while.
#[async_trait]
pub trait Announcer: Send + Sync {
    /// Asks for [`Turns::message`] with `due`, after `delay`, which is at most a quarter of an hour. Says what went wrong.
    async fn announce(&self, due: Timestamp, delay: Duration) -> Result<(), String>;
}

/// Revokes and rotates, turn by turn.
pub struct Turns {
    engine: Arc<Engine>,
    rotator: Option<Arc<Rotator>>,
    announcer: Option<Arc<dyn Announcer>>,
    call_end: Arc<CallEnd>,
    clock: Arc<dyn Clock>,
    /// What was announced for leases that were issued here, and has not come yet.
    announced: Mutex<BTreeSet<Timestamp>>,
}

impl Turns {
    /// The turns of `engine`, whose settings say that it remembers what is due, and of `rotator`; the calls of both end at
    /// `call_end`. Without an `announcer` revocations are up to a minute late, and by as much as the tick is.
    pub fn new(
        engine: Arc<Engine>,
        rotator: Option<Arc<Rotator>>,
        announcer: Option<Arc<dyn Announcer>>,
        call_end: Arc<CallEnd>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { engine, rotator, announcer, call_end, clock, announced: Mutex::default() }
    }

    /// The schedule has ticked: sees to what is due, and announces what is near. Ends at `until`.
    pub async fn tick(&self, until: Timestamp) -> Result<(), TurnError> {
        self.begin_turn(until);
        // Side by side: neither a rotation nor a queue that hangs, nor the leases of an item that was deleted, must take the
        // time of what is due, nor the other way round.
        let announcing = async {
            let now = self.clock.now();
            let looked = tokio::select! {
                biased;
                looked = self.engine.due_between(now, now + ROUNDS_AHEAD) => looked,
                () = self.clock.sleep_until(until - FOR_ANNOUNCING) => {
                    return tracing::error!("due index not read in the time of a tick");
                }
            };
            match looked {
                Ok(moments) => drop(self.announce(calls(&moments, now, now + LOOK_AHEAD), until).await),
                Err(error) => tracing::error!(%error, "due index not read"),
            }
        };
        let rotating = async {
            if let Some(rotator) = &self.rotator {
                rotator.turn(until - FOR_ANNOUNCING).await;
            }
        };
        let revoking = async {
            let now = self.clock.now();
            // It may take several ticks, and leaves time for what it has made due.
            let half = now + until.saturating_since(now) / 2;
            match join(self.turn(until), self.engine.finish_deletions(half)).await {
                (Ok(()), true) => self.turn(until).await,
                (done, _) => done,
            }
        };
        let ((), (), done) = join3(announcing, rotating, revoking).await;
        self.engine.forget_some(until - FOR_ANNOUNCING).await;
        done
    }

    /// A message has come, for a moment that was announced: sees to what is due. Ends at `until`.
    pub async fn message(&self, due: Timestamp, until: Timestamp) -> Result<(), TurnError> {
        self.begin_turn(until);
        // Whoever keeps messages back counts whole seconds by a clock of its own.
        if due.saturating_since(self.clock.now()) <= EARLY {
            self.clock.sleep_until(due.min(until)).await;
        }
        self.turn(until).await
    }

    /// A request is about to be answered, which must be done at `until`. Of what is due it begins only what it is about.
    pub fn begin(&self, until: Timestamp) {
        self.engine.see_only_to_wishes(true);
        self.call_end.set((until - FOR_WRITING_DOWN).min(self.clock.now() + LONGEST_CALL));
    }

    /// A request was answered: waits for the producers that are still called, at most until `until`, and announces what it
    /// has made due soon. Nobody is called from now on.
    pub async fn settle(&self, until: Timestamp) {
        self.call_end.set(self.clock.now());
        let finished = async {
            self.engine.quiet().await;
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
        // A queue that is out of reach is nothing to wait for: the schedule finds what it is not told.
        self.announce_noted(until.min(self.clock.now() + FOR_ANNOUNCING)).await;
    }

    fn begin_turn(&self, until: Timestamp) {
        self.engine.see_only_to_wishes(false);
        self.call_end.set(until - FOR_WRITING_DOWN);
    }

    async fn turn(&self, until: Timestamp) -> Result<(), TurnError> {
        let done = self.engine.turn(until - FOR_ANNOUNCING).await;
        // What could not be done is tried again when it is time for that, and not only at the next tick.
        self.announce_noted(until).await;
        done
    }

    /// Announces what was written down as due since the last time, but for what was asked for before: in a busy gateway many
    /// leases share a second, and more a round. Only ticks ask again, in case that a message was lost.
    async fn announce_noted(&self, until: Timestamp) {
        let now = self.clock.now();
        let wanted = calls(&self.engine.take_noted(), now, now + LONGEST_DELAY);
        let fresh = {
            let mut announced = lock(&self.announced);
            *announced = announced.split_off(&now);
            wanted.difference(&announced).copied().collect()
        };
        let taken = self.announce(fresh, until).await;
        lock(&self.announced).extend(taken);
    }

    /// Asks to be called at each of `calls`; gives back those that were taken by `until`. What was not, the next tick finds.
    async fn announce(&self, calls: BTreeSet<Timestamp>, until: Timestamp) -> Vec<Timestamp> {
        let Some(announcer) = &self.announcer else { return Vec::new() };
        let now = self.clock.now();
        let announced = calls.into_iter().map(|due| async move {
            let taken = tokio::select! {
                biased;
                taken = announcer.announce(due, due.saturating_since(now)) => taken,
                () = self.clock.sleep_until(until) => Err("the queue did not answer in time".to_owned()),
            };
            match taken {
                Ok(()) => Some(due),
                Err(error) => {
                    tracing::warn!(error, "a revocation is not announced; the schedule finds it");
                    None
                }
            }
        });
        join_all(announced).await.into_iter().flatten().collect()
    }
}

/// When to be called for `moments`: for each one up to `exact` in its very second, and for all that are near in the rounds
/// after them, too.
fn calls(moments: &BTreeSet<Timestamp>, now: Timestamp, exact: Timestamp) -> BTreeSet<Timestamp> {
    let rounds = moments.range(..=now + ROUNDS_AHEAD).flat_map(|moment| rounds_after(*moment));
    moments.range(..=exact).copied().chain(rounds).collect()
}

/// The rounds that find what was not seen to at `moment`. They are the same for all that falls due shortly before.
fn rounds_after(moment: Timestamp) -> impl Iterator<Item = Timestamp> {
    let first = moment.secs() / ROUND.as_secs() + 1;
    (first..first + ROUNDS).map(|number| Timestamp::from_secs(number * ROUND.as_secs()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far a tick looks ahead by the second: two ticks, so that one that is lost or late loses nothing.
const LOOK_AHEAD: Duration = Duration::from_secs(120);

/// How far ahead there are rounds: five ticks.
const ROUNDS_AHEAD: Duration = Duration::from_secs(300);

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(15);

/// How many rounds look for what fell due before them: the last one is less than a minute late, even if it comes 10 s late.
const ROUNDS: u64 = 3;

/// How far ahead an announcement can be made: the longest that SQS keeps a message back.
const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);

/// How much too early a message may come and still be waited for.
const EARLY: Duration = Duration::from_secs(2);

/// What is left of an event's time for announcements when its work is over.
const FOR_ANNOUNCING: Duration = Duration::from_secs(1);

/// The longest that a producer is waited for by whoever waits for an answer: API Gateway waits for 29 s.
const LONGEST_CALL: Duration = Duration::from_secs(25);

/// What is left of an event's time for it to be written down that a producer did not answer.
const FOR_WRITING_DOWN: Duration = Duration::from_secs(2);
