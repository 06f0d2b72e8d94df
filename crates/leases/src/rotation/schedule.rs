//! Rotating by itself: what is due is begun, a few at once, by a timer or, where nothing runs between two events, in turns.
//!
//! Such a turn is over when nothing is rotated any more: a producer whose answer nobody takes has a payload that nobody
//! knows. So what has not begun when the time of its event is nearly over does not begin, and waits for the next turn.

use std::sync::{Arc, Weak};
use std::time::Duration;

use gateward_clock::Timestamp;
use tokio::task::JoinHandle;

use super::{EventTime, RotateFailure, Rotator, Subject, Wish, due, lock};
use crate::watchman::keep_running;

/// Somebody is at `subject`, until this is dropped: also by a panic.
struct AtWork {
    rotator: Arc<Rotator>,
    subject: Subject,
}

/// What was seen of the index.
pub(super) struct Look {
    /// When to look again.
    next: Timestamp,
    /// Something is due that some task is at already.
    was_at_work: bool,
}

impl Rotator {
    /// Starts the timer, and returns the task that is the timer.
    pub fn start(self: &Arc<Self>) -> JoinHandle<()> {
        let (rotator, clock) = (Arc::downgrade(self), Arc::clone(&self.parts.clock));
        keep_running(&self.parts.runtime, clock, "the timer of rotations", move || run(Weak::clone(&rotator)))
    }

    /// Sees to every rotation that is due, and returns when nothing is rotated any more, whoever has begun it, or at
    /// `until`: for a gateway in which nothing runs between two events, and which starts no timer.
    pub async fn turn(self: &Arc<Self>, until: Timestamp) {
        let clock = Arc::clone(&self.parts.clock);
        let done = async {
            loop {
                let look = self.attend().await;
                self.idle().await;
                // What waited since an earlier event has not begun in this one's time, and may now.
                if !look.was_at_work {
                    break;
                }
            }
            // What somebody has asked for, in an event that was cut.
            self.finish().await;
        };
        tokio::select! {
            biased;
            () = done => {}
            () = clock.sleep_until(until) => tracing::warn!("a rotation is not over at the end of its turn"),
        }
    }

    /// Begins what is due.
    pub(super) async fn attend(self: &Arc<Self>) -> Look {
        let now = self.parts.clock.now();
        let mut look = Look { next: now + REFILL, was_at_work: false };
        let entries = match due::first(&*self.parts.store, LOOK_AHEAD).await {
            Ok(entries) => entries,
            Err(error) => {
                tracing::error!(%error, "index of rotations not read");
                return Look { next: now + SOON, ..look };
            }
        };
        let end = self.parts.call_end.get();
        let time = EventTime { end, least: FAIR.min(end.saturating_since(now) / 2) };
        for (due, subject) in entries {
            if due > now {
                look.next = look.next.min(due);
                break;
            }
            if !lock(&self.at_work).insert(subject) {
                look.was_at_work = true;
                continue;
            }
            let work = AtWork { rotator: Arc::clone(self), subject };
            self.parts.runtime.spawn(async move { work.rotator.see_to(due, work.subject, time).await });
        }
        look
    }

    async fn see_to(self: &Arc<Self>, due: Timestamp, subject: Subject, time: EventTime) {
        let Ok(_seat) = self.seats.acquire().await else { return };
        // Before anything is read: of a thousand that wait for a seat, none is to be left when the event ends.
        if time.is_over(self.parts.clock.now()) {
            return;
        }
        match self.rotate_subject(subject, Wish::Due, time).await {
            Ok(()) | Err(RotateFailure::Busy(_)) => {}
            // What the producer did is told where it happened.
            Err(
                RotateFailure::Producer(_)
                | RotateFailure::Lost(_)
                | RotateFailure::Timeout(_)
                | RotateFailure::NoUrl(_),
            ) => {}
            Err(error) => tracing::error!(?subject, %error, "not rotated"),
        }
        let is_stale = match self.load(subject).await {
            Ok(Some(loaded)) => loaded.rotation().next_at != Some(due),
            Ok(None) => true,
            Err(_) => false,
        };
        if is_stale {
            due::forget(&*self.parts.store, due, subject).await;
        }
    }

    /// Completes when no task is at what is due.
    pub(super) async fn idle(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // Before the look, so that an end between look and wait is heard of.
            ended.as_mut().enable();
            if lock(&self.at_work).is_empty() {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        lock(&self.rotator.at_work).remove(&self.subject);
        self.rotator.ended.notify_waiters();
    }
}

/// The timer: runs until the rotator is dropped.
async fn run(rotator: Weak<Rotator>) {
    loop {
        let Some(rotator) = rotator.upgrade() else { return };
        let look = rotator.attend().await;
        let clock = Arc::clone(&rotator.parts.clock);
        tokio::select! {
            () = clock.sleep_until(look.next) => {}
            () = rotator.sooner.notified() => {}
        }
    }
}

/// A producer that is asked by itself has at least so much time, or half of an event that is shorter than twice that: one
/// that is cut in the middle has a new payload that nobody knows.
const FAIR: Duration = Duration::from_secs(10);

/// How many entries of the index are looked at together.
const LOOK_AHEAD: usize = 1000;

/// How often the index is looked at, for what other nodes have written.
pub(super) const REFILL: Duration = Duration::from_secs(30);

/// When the index is looked at again that could not be read.
const SOON: Duration = Duration::from_secs(1);
