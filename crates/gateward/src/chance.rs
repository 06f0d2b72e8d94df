//! What ids, tokens of calls and pauses are drawn from, where nothing hangs on their being secret.
//!
//! Left to itself, a thread's generator begins with the time since the machine started: two functions that were restored
//! from one image could draw the same ids. What the system gives is different everywhere.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// Has this thread's generator begin with what the system gives.
pub fn seed_this_thread() {
    // The standard library asks the system for the keys of its hash tables.
    fastrand::seed(RandomState::new().build_hasher().finish());
}
