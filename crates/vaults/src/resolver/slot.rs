//! What is kept of one secret, and by which key.

use std::sync::Arc;

use gateward_clock::Timestamp;
use gateward_seal::SecretValue;
use tokio::sync::Notify;

use crate::entry::Entry;
use crate::reference::{Overrides, Version};

/// One secret of one vault, on the same terms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) vault: Arc<str>,
    pub(super) secret: Box<str>,
    pub(super) version: Version,
    /// None where nothing is overridden, which is the rule.
    pub(super) overrides: Option<Box<Overrides>>,
}

/// What is kept of one secret.
pub(super) struct Slot {
    pub(super) entry: Entry<SecretValue>,
    /// Told whenever a call has ended; there if somebody waits.
    pub(super) ended: Option<Arc<Notify>>,
    /// Who hears of it, in order, and whether they want it still or have found their value elsewhere.
    pub(super) bindings: Vec<(u64, bool)>,
    /// When it was last of use.
    pub(super) used: Timestamp,
    /// When it is looked at next.
    pub(super) alarm_at: Option<Timestamp>,
    /// Tells it from every other that is or was.
    pub(super) serial: u64,
    /// Counts the different values that it had.
    pub(super) revision: u32,
    /// When it was last asked for because it was refused.
    pub(super) doubted: Option<Timestamp>,
}

impl Slot {
    /// Nothing is known yet.
    pub(super) fn new(serial: u64, now: Timestamp) -> Self {
        Self {
            entry: Entry::new(),
            ended: None,
            bindings: Vec::new(),
            used: now,
            alarm_at: None,
            serial,
            revision: 0,
            doubted: None,
        }
    }

    /// Whether anybody is served by keeping it fresh.
    pub(super) fn is_wanted(&self) -> bool {
        self.bindings.iter().any(|(_, wants)| *wants)
    }

    /// Takes note that `id` hears of it.
    pub(super) fn hang(&mut self, id: u64, wants: bool) {
        match self.bindings.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(at) => self.bindings[at].1 = wants,
            Err(at) => {
                if self.bindings.is_empty() {
                    self.bindings.reserve_exact(1);
                }
                self.bindings.insert(at, (id, wants));
            }
        }
    }

    pub(super) fn let_go(&mut self, id: u64) {
        if let Ok(at) = self.bindings.binary_search_by_key(&id, |(id, _)| *id) {
            self.bindings.remove(at);
        }
    }

    pub(super) fn call_has_ended(&mut self) {
        if let Some(ended) = self.ended.take() {
            ended.notify_waiters();
        }
    }
}
