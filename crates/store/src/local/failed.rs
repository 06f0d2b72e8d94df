//! What has gone wrong with a store for good: known to each of its threads, and told to whoever asks.

use std::sync::OnceLock;

/// Why nothing can be written any more, once that is so.
#[derive(Default)]
pub(super) struct Failed(OnceLock<String>);

impl Failed {
    /// Nothing can be written any more. What went wrong first is what is told.
    pub(super) fn say(&self, why: String) {
        // A second failure follows from the first.
        let _ = self.0.set(why);
    }

    /// Why not, if so.
    pub(super) fn why(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}
