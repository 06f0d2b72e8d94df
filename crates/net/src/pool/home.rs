//! What a data thread keeps of its connections to one peer.

use std::time::Duration;

use tokio::time::Instant;

use super::PoolSettings;
use super::idle::Idle;
use super::multiplexed::Multiplexed;
use crate::{Keepalive, Peer};

/// The connections to one peer, where they come home to.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) keepalive: Keepalive,
    /// Those that speak HTTP/1.1 and have nothing to do.
    pub(super) idle: Idle,
    /// Those that speak HTTP/2.
    pub(super) multiplexed: Multiplexed,
}

impl Home {
    pub(super) fn new(peer: &Peer, settings: PoolSettings) -> Self {
        let keepalive = peer.keepalive().unwrap_or(Keepalive {
            size: settings.idle_per_peer,
            idle_timeout: settings.idle_timeout,
            requests: 0,
        });
        Self { keepalive, idle: Idle::new(keepalive), multiplexed: Multiplexed::new(keepalive) }
    }

    /// Closes what is too old, and forgets what the peer has closed.
    pub(super) fn expire(&self, now: Instant) {
        self.idle.expire(now);
        self.multiplexed.expire(now);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.idle.is_empty() && self.multiplexed.is_empty()
    }
}

/// Whether something that has been idle from `since` on is too old `now`.
pub(super) fn is_too_old(since: Instant, now: Instant, idle_timeout: Duration) -> bool {
    !idle_timeout.is_zero() && now.saturating_duration_since(since) >= idle_timeout
}
