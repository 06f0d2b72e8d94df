//! The recent past of a store, for those who follow its changes.
//!
//! A bounded ring of keys in memory: it does not outlive the process, and a follower that fell behind it is told to
//! read everything again. That is why a follower can be as slow as it likes and costs the writers nothing.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::{Changes, Key, Revision, StoreError};

/// What was written lately, and who waits for more.
pub(crate) struct History {
    /// How many written keys it holds at most.
    capacity: usize,
    recent: Mutex<Recent>,
    newest: watch::Sender<Newest>,
}

#[derive(Clone, Copy)]
struct Newest {
    revision: Revision,
    closed: bool,
}

struct Recent {
    /// Everything that was written after this is in `written`.
    known_after: Revision,
    written: VecDeque<(Revision, Key)>,
}

impl History {
    /// A history that knows of nothing up to `revision`, and of everything after it.
    pub(crate) fn starting_at(revision: Revision) -> Self {
        let history = Self::remembering(CAPACITY);
        history.start_over(revision);
        history
    }

    /// A history that begins with an empty store, and remembers `capacity` keys.
    pub(crate) fn remembering(capacity: usize) -> Self {
        let revision = Revision(0);
        Self {
            capacity,
            recent: Mutex::new(Recent { known_after: revision, written: VecDeque::new() }),
            newest: watch::Sender::new(Newest { revision, closed: false }),
        }
    }

    /// The newest revision that readers can see.
    pub(crate) fn newest(&self) -> Revision {
        self.newest.borrow().revision
    }

    /// Takes in what commits up to `newest` have written, and wakes those who wait for it. To be called when readers
    /// see what was written, and before those who wrote it are told.
    pub(crate) fn record(&self, newest: Revision, written: impl IntoIterator<Item = (Revision, Key)>) {
        let mut recent = self.recent();
        recent.written.extend(written);
        recent.forget_beyond(self.capacity);
        drop(recent);
        self.newest.send_modify(|current| current.revision = newest);
    }

    /// Knows of nothing up to `revision` any more, which is the newest, though it may be older than what was known.
    pub(crate) fn start_over(&self, revision: Revision) {
        *self.recent() = Recent { known_after: revision, written: VecDeque::new() };
        self.newest.send_modify(|current| current.revision = revision);
    }

    /// What was written after `since`; waits until something was.
    pub(crate) async fn changes(&self, since: Revision) -> Result<Changes, StoreError> {
        let mut newest = self.newest.subscribe();
        let news = newest.wait_for(|newest| newest.closed || newest.revision != since).await;
        let Newest { revision, closed } = news.map_err(|_| StoreError::Closed).map(|newest| *newest)?;
        if closed {
            return Err(StoreError::Closed);
        }
        let recent = self.recent();
        if since < recent.known_after || since > revision {
            return Ok(Changes::Forgotten { revision });
        }
        Ok(Changes::Keys { revision, keys: recent.keys_between(since, revision) })
    }

    /// Sends those who wait away; the store is closed.
    pub(crate) fn close(&self) {
        self.newest.send_modify(|newest| newest.closed = true);
    }

    /// Nothing that holds this lock can panic half way, so a poisoned lock guards a whole value.
    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    /// Lets go of the oldest commits, each whole, until at most `capacity` keys are left.
    fn forget_beyond(&mut self, capacity: usize) {
        while self.written.len() > capacity {
            let Some((oldest, _)) = self.written.pop_front() else {
                return;
            };
            self.known_after = oldest;
            while self.written.front().is_some_and(|(revision, _)| *revision == oldest) {
                self.written.pop_front();
            }
        }
    }

    /// The keys written after `since` and up to `until`, each where it was written last.
    fn keys_between(&self, since: Revision, until: Revision) -> Vec<Key> {
        let start = self.written.partition_point(|(revision, _)| *revision <= since);
        let end = self.written.partition_point(|(revision, _)| *revision <= until);
        let mut seen = HashSet::new();
        let mut keys: Vec<Key> = Vec::new();
        for (_, key) in self.written.range(start..end).rev() {
            if seen.insert(key) {
                keys.push(key.clone());
            }
        }
        keys.reverse();
        keys
    }
}

/// How many written keys are remembered: some hundred kilobytes, and seconds of a busy store.
pub(crate) const CAPACITY: usize = 4096;
