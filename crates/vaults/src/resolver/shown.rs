//! What a resolver shows of itself: counts for each vault, the state of each reference; never a value.

use gateward_clock::Timestamp;

use crate::unresolved::{Miss, MissKind};

/// What one vault has given, and what is kept of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultCounts {
    /// The entity's prefix, or the backend's name.
    pub vault: String,
    /// The backend.
    pub kind: String,
    /// How often a value was there when it was wanted.
    pub hits: u64,
    /// How often the vault gave a value.
    pub refreshes: u64,
    /// How often it gave none, for each kind of reason; all kinds are there, in the order of [`MissKind::ALL`].
    pub errors: Vec<(MissKind, u64)>,
    /// How many secrets are kept.
    pub values: usize,
    /// How many of them could not be refreshed when that was last tried.
    pub stale: usize,
    /// Since when the oldest of them is kept.
    pub oldest: Option<Timestamp>,
    /// Why nothing can be had of it now: what is wrong with its settings, or that it is out of order.
    pub problem: Option<String>,
}

/// How it stands with one reference that something is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceState {
    /// The text of the reference.
    pub reference: String,
    /// Its vault.
    pub vault: String,
    /// How it stands.
    pub state: ValueState,
    /// Why it has no value, or why the value could not be refreshed.
    pub kind: Option<MissKind>,
    /// The same for people.
    pub problem: Option<String>,
    /// Since when it is so. None where nobody knows yet.
    pub since: Option<Timestamp>,
}

/// How it stands with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueState {
    /// The vault was not asked yet, or has not answered.
    Asking,
    /// There is a value, and it is good.
    Fresh,
    /// There is a value, and it could not be refreshed when that was last tried.
    Stale,
    /// There is none.
    Missing,
    /// There was one, which became too old.
    Gone,
}

impl ValueState {
    /// A stable word for APIs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Asking => "asking",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Missing => "missing",
            Self::Gone => "gone",
        }
    }
}

/// What is counted of one vault.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) hits: u64,
    refreshes: u64,
    errors: [u64; MissKind::ALL.len()],
}

impl Tally {
    /// Counts an answer.
    pub(super) fn count(&mut self, failure: Option<&Miss>) {
        match failure {
            None => self.refreshes += 1,
            Some(miss) => self.errors[miss.kind as usize] += 1,
        }
    }

    pub(super) fn counts(&self, vault: &str, kind: &str) -> VaultCounts {
        let errors = MissKind::ALL.iter().map(|kind| (*kind, self.errors[*kind as usize])).collect();
        VaultCounts {
            vault: vault.to_owned(),
            kind: kind.to_owned(),
            hits: self.hits,
            refreshes: self.refreshes,
            errors,
            values: 0,
            stale: 0,
            oldest: None,
            problem: None,
        }
    }
}
