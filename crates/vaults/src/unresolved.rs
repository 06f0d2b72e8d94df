//! Why a reference has no value.

use std::time::Duration;

use thiserror::Error;

/// Why a reference has no value: what it is, and a sentence about it. Never holds a value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reference} has no value: {problem}")]
pub struct Unresolved {
    /// The text of the reference.
    pub reference: String,
    /// What kind of reason it is.
    pub kind: MissKind,
    /// The reason, for people.
    pub problem: String,
}

/// The kinds of reasons why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MissKind {
    /// The vault was asked and has no such secret, or the secret no such field.
    NotFound,
    /// The vault does not give it to us.
    Denied,
    /// The vault wants fewer calls.
    Throttled,
    /// The vault is out of order or cannot be reached.
    Unavailable,
    /// The vault said what nobody understands.
    Garbage,
    /// There is no such vault, or its settings are wrong.
    Misconfigured,
    /// A value was there, could not be refreshed, and is too old now.
    Expired,
}

impl MissKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::NotFound,
        Self::Denied,
        Self::Throttled,
        Self::Unavailable,
        Self::Garbage,
        Self::Misconfigured,
        Self::Expired,
    ];

    /// A stable word for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Denied => "denied",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Garbage => "garbage",
            Self::Misconfigured => "misconfigured",
            Self::Expired => "expired",
        }
    }
}

/// Why a vault gave no secret; whoever asked knows which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Miss {
    pub(crate) kind: MissKind,
    pub(crate) problem: String,
    /// How long the vault wants to be left alone, where it says so.
    pub(crate) rest: Option<Duration>,
}

impl Miss {
    pub(crate) fn new(kind: MissKind, problem: impl Into<String>) -> Self {
        Self { kind, problem: problem.into(), rest: None }
    }

    /// The miss that `error` is, with all that caused it.
    pub(crate) fn because(kind: MissKind, error: &dyn std::error::Error) -> Self {
        let mut problem = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            problem = format!("{problem}: {error}");
            cause = error.source();
        }
        Self { kind, problem, rest: None }
    }

    /// This miss, of a vault that wants to be left alone for `rest`: it is, though not for long.
    pub(crate) fn resting(self, rest: Option<Duration>) -> Self {
        Self { rest: rest.map(|span| span.min(LONGEST_REST)), ..self }
    }

    /// Whether the vault itself said no. It may still have `a/b/c` if it said so of `a/b`: there is none, or a policy
    /// that allows `a/b/c` only keeps it from telling.
    pub(crate) fn is_the_vaults_word(&self) -> bool {
        matches!(self.kind, MissKind::NotFound | MissKind::Denied)
    }
}

/// How long a vault is left alone at most because it says so.
const LONGEST_REST: Duration = Duration::from_secs(60);
