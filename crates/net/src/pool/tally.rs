//! How many connections to a peer are idle in the whole process.
//!
//! Each data thread has connections of its own, and none looks into another's. Where a configuration says how many may be
//! idle all together, the threads share a number and nothing else.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::Peer;

/// The tallies of a process.
#[derive(Debug, Default)]
pub(crate) struct Tallies(Mutex<HashMap<Peer, Weak<Tally>>>);

/// How many connections to one peer are idle.
#[derive(Debug, Default)]
pub(crate) struct Tally(AtomicUsize);

/// One idle connection's place in a tally, which it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Seat(Arc<Tally>);

impl Tallies {
    /// The one tally of `peer`. Asked for when a thread first calls the peer, and not again.
    pub(crate) fn of(&self, peer: &Peer) -> Arc<Tally> {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tally) = tallies.get(peer).and_then(Weak::upgrade) {
            return tally;
        }
        tallies.retain(|_, tally| tally.strong_count() > 0);
        let tally = Arc::default();
        tallies.insert(peer.clone(), Arc::downgrade(&tally));
        tally
    }
}

impl Tally {
    pub(super) fn seat(self: &Arc<Self>) -> Seat {
        self.0.fetch_add(1, Ordering::Relaxed);
        Seat(Arc::clone(self))
    }

    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
