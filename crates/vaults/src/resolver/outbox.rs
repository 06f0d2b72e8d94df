//! What a resolver is to do when it has let go of its lock: calls, news, lines in the log.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::place::Place;
use super::slot::Key;
use crate::entry::Ticket;
use crate::unresolved::Miss;
use crate::vault::Backing;

/// What is to be done.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) calls: Vec<Call>,
    /// The bindings that may have to hear of something.
    pub(super) told: BTreeSet<u64>,
    pub(super) reports: Vec<Report>,
    /// Vaults that are no more; what they are bound to is let go of when they are dropped.
    pub(super) dropped: Vec<Place>,
}

impl Outbox {
    pub(super) fn tell(&mut self, bindings: &[(u64, bool)]) {
        self.told.extend(bindings.iter().map(|(id, _)| *id));
    }
}

/// A call that is to be made.
pub(super) struct Call {
    pub(super) key: Arc<Key>,
    pub(super) ticket: Ticket,
    /// When the vault was opened that is called.
    pub(super) epoch: u64,
    pub(super) backing: Backing,
}

/// A line for the log.
pub(super) enum Report {
    Value(Arc<Key>),
    NoValue(Arc<Key>, Miss),
    WentStale(Arc<Key>, Miss),
    CameBack(Arc<Key>),
    OutOfOrder(Arc<str>, Miss),
    InOrder(Arc<str>),
}

impl Report {
    pub(super) fn of(key: &Arc<Key>, failure: Option<Miss>, was_stale: bool, is_stale: bool) -> Self {
        let key = Arc::clone(key);
        match failure {
            Some(miss) if is_stale && !was_stale => Self::WentStale(key, miss),
            Some(miss) => Self::NoValue(key, miss),
            None if was_stale => Self::CameBack(key),
            None => Self::Value(key),
        }
    }

    /// Writes it: one line when a value goes stale, one when it comes back, and the same for a vault. A miss is for
    /// those who tell of references.
    pub(super) fn write(&self) {
        match self {
            Self::Value(key) => {
                let (vault, secret) = (&key.vault, &key.secret);
                tracing::debug!(%vault, %secret, "a vault gave a value");
            }
            Self::NoValue(key, miss) => {
                let (vault, secret, class, problem) =
                    (&key.vault, &key.secret, miss.kind.word(), &miss.problem);
                tracing::debug!(%vault, %secret, class, %problem, "a vault gave no value");
            }
            Self::WentStale(key, miss) => {
                let (vault, secret, class, problem) =
                    (&key.vault, &key.secret, miss.kind.word(), &miss.problem);
                tracing::warn!(%vault, %secret, class, %problem, "a secret could not be refreshed; its last value serves on");
            }
            Self::CameBack(key) => {
                let (vault, secret) = (&key.vault, &key.secret);
                tracing::info!(%vault, %secret, "a secret could be refreshed again");
            }
            Self::OutOfOrder(vault, miss) => {
                let (class, problem) = (miss.kind.word(), &miss.problem);
                tracing::warn!(%vault, class, %problem, "a vault does not answer; it is asked by one call at a time until it does");
            }
            Self::InOrder(vault) => tracing::info!(%vault, "a vault answers again"),
        }
    }
}
