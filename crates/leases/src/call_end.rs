//! Until when producers are waited for where one event is served after the other, and nothing runs in between.
//!
//! A call that is under way when such a gateway is stopped ends in nothing: whoever asked hears nothing, and what came of
//! it is written down nowhere. So each event says when its calls must be over, and they are: as lost, which is written down.

use std::sync::atomic::{AtomicU64, Ordering};

use gateward_clock::Timestamp;

/// The end of all calls that are made now. Never, until somebody says otherwise.
#[derive(Debug)]
pub struct CallEnd(AtomicU64);

impl CallEnd {
    /// From now on it is `end`.
    pub fn set(&self, end: Timestamp) {
        self.0.store(end.millis(), Ordering::Relaxed);
    }

    /// When it is.
    pub fn get(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

impl Default for CallEnd {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}
