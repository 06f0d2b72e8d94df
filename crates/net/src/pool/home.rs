//! What a data thread keeps of its connections to one peer.

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::PoolSettings;
use super::idle::Idle;
use super::multiplexed::Multiplexed;
use super::tally::Tally;
use crate::dns::Name;
use crate::{Keepalive, Peer};

/// The connections to one peer, where they come home to.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) keepalive: Keepalive,
    /// Those that speak HTTP/1.1 and have nothing to do.
    pub(super) idle: Idle,
    /// Those that speak HTTP/2.
    pub(super) multiplexed: Multiplexed,
    /// Where the peer is, if that may change.
    place: Option<Place>,
}

/// Where a peer is that has a name.
#[derive(Debug)]
struct Place {
    name: Arc<Name>,
    /// The version of the name's addresses that the kept connections are known to agree with.
    version: Cell<u64>,
}

impl Home {
    pub(super) fn new(
        peer: &Peer,
        settings: PoolSettings,
        name: Option<Arc<Name>>,
        tally: Option<Arc<Tally>>,
    ) -> Self {
        let mut keepalive = peer.keepalive().unwrap_or(Keepalive {
            size: settings.idle_per_peer,
            idle_timeout: settings.idle_timeout,
            requests: REQUESTS,
        });
        if let Some(longest) = settings.longest_idle
            && (keepalive.idle_timeout.is_zero() || keepalive.idle_timeout > longest)
        {
            keepalive.idle_timeout = longest;
        }
        let place = name.map(|name| Place { version: Cell::new(name.version()), name });
        Self { keepalive, idle: Idle::new(keepalive, tally), multiplexed: Multiplexed::new(keepalive), place }
    }

    /// Sees to it that the peer's addresses are known, and forgets connections to those that it has no longer.
    pub(super) fn keep_up(&self, now: Instant) {
        let Some(Place { name, version }) = &self.place else { return };
        name.look_after(now);
        if version.replace(name.version()) != name.version() {
            self.idle.retain(|address| name.has(address));
            self.multiplexed.retain(|address| name.has(address));
        }
    }

    /// The number that grows when the peer's addresses change.
    pub(super) fn version(&self) -> u64 {
        self.place.as_ref().map_or(0, |place| place.name.version())
    }

    /// Whether the peer still has `address`, which it had in `version`.
    pub(super) fn still_has(&self, address: IpAddr, version: u64) -> bool {
        let has_it = |place: &Place| place.name.version() == version || place.name.has(address);
        self.place.as_ref().is_none_or(has_it)
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

/// After how many requests a connection is not used again, where nothing else is said; as nginx has it. So peers of one
/// name get their shares anew from time to time.
const REQUESTS: u64 = 1000;

/// Whether something that has been idle from `since` on is too old `now`.
pub(super) fn is_too_old(since: Instant, now: Instant, idle_timeout: Duration) -> bool {
    !idle_timeout.is_zero() && now.saturating_duration_since(since) >= idle_timeout
}
