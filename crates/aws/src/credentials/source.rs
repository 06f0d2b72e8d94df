//! What a place is where credentials come from.

use std::time::Duration;

use async_trait::async_trait;
use gateward_clock::Timestamp;

use super::Credentials;

/// A place where credentials come from. Asked on the control runtime, by one caller at a time.
#[async_trait]
pub(super) trait Source: Send + Sync {
    /// What messages call it.
    fn name(&self) -> &str;

    /// The credentials that it has now.
    async fn load(&self, now: Timestamp) -> Result<Loaded, Missing>;
}

/// Credentials, and for how long they are good.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) credentials: Credentials,
    /// When AWS takes them no more.
    pub(super) expires: Option<Timestamp>,
    /// After what time the source may have others, though these are still good.
    pub(super) look_again: Option<Duration>,
}

/// Why a source has no credentials; said without any part of a secret.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Nobody has set it up, so the next one is asked.
    NotSet(String),
    /// It is set up and has failed. The next one would act in another name than the one that was meant.
    Failed(String),
}

impl Missing {
    pub(super) fn not_set(why: impl Into<String>) -> Self {
        Self::NotSet(why.into())
    }

    pub(super) fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into())
    }
}

impl Loaded {
    /// Credentials that stay.
    pub(super) fn for_good(credentials: Credentials) -> Self {
        Self { credentials, expires: None, look_again: None }
    }
}
