//! One name: its addresses, for how long they hold, and who is asking for them.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::resolver::{Resolver, Unresolved};

/// One name, for all threads that call it.
#[derive(Debug)]
pub(crate) struct Name {
    host: Box<str>,
    resolver: Arc<Resolver>,
    /// Written by whoever asks, for as long as it takes to put an answer there.
    known: RwLock<Known>,
    /// When [`Known::due`] is, in milliseconds from `begun` on; for those who look with every request.
    due: AtomicU64,
    begun: Instant,
    /// Grows whenever the addresses become others.
    version: AtomicU64,
    /// Whose turn it is.
    turn: AtomicUsize,
    /// Whether somebody asks.
    asking: AtomicBool,
    /// Rung when he has been answered.
    asked: Notify,
}

/// The last answer.
#[derive(Debug)]
struct Known {
    /// In order of their numbers. None as long as there was no answer, or when the answer was that there are none.
    addresses: Vec<IpAddr>,
    /// Until when they hold.
    until: Instant,
    /// When to ask again.
    due: Instant,
    /// Why there was no answer the last time.
    failure: Option<Box<str>>,
}

impl Name {
    pub(super) fn new(host: &str, resolver: Arc<Resolver>) -> Self {
        let begun = Instant::now();
        Self {
            host: host.into(),
            resolver,
            known: RwLock::new(Known { addresses: Vec::new(), until: begun, due: begun, failure: None }),
            due: AtomicU64::new(0),
            begun,
            version: AtomicU64::new(0),
            turn: AtomicUsize::new(0),
            asking: AtomicBool::new(false),
            asked: Notify::new(),
        }
    }

    /// Its addresses, the one whose turn it is first. Waits for an answer if there is none that holds, and takes an old
    /// one (see [`STALE`]) if the new one is long in coming.
    pub(super) async fn addresses(self: &Arc<Self>) -> io::Result<Vec<IpAddr>> {
        loop {
            let asked = self.asked.notified();
            let old = {
                let (known, now) = (self.known(), Instant::now());
                if now < known.due {
                    return known.usable(now).map(|addresses| self.in_turn(addresses));
                }
                known.usable(now).ok().map(<[IpAddr]>::to_vec)
            };
            self.ask();
            match old {
                None => asked.await,
                Some(old) => {
                    if timeout(PATIENCE, asked).await.is_err() {
                        return Ok(self.in_turn(&old));
                    }
                }
            }
        }
    }

    /// Has the name asked for if that is due; nobody waits for it.
    pub(crate) fn look_after(self: &Arc<Self>, now: Instant) {
        if self.since_begun(now) >= self.due.load(Ordering::Relaxed) {
            self.ask();
        }
    }

    /// Grows whenever the addresses become others.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Whether the name has `address`, according to the last answer.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.known().addresses.contains(&address.to_canonical())
    }

    pub(super) fn was_asked_lately(&self) -> bool {
        Instant::now() < self.known().until + STALE
    }

    fn ask(self: &Arc<Self>) {
        if self.asking.swap(true, Ordering::AcqRel) {
            return;
        }
        let asking = Asking(Arc::clone(self));
        tokio::runtime::Handle::current().spawn(async move {
            let name = &asking.0;
            let answer = name.resolver.ask(&name.host).await;
            name.learn(answer);
        });
    }

    fn learn(&self, answer: Result<(Vec<IpAddr>, Duration), Unresolved>) {
        let now = Instant::now();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut known.addresses);
        match answer {
            Ok((mut addresses, ttl)) => {
                addresses.sort_unstable();
                addresses.dedup();
                let until = now + ttl.clamp(SHORTEST, LONGEST);
                *known = Known { addresses, until, due: until, failure: None };
            }
            Err(Unresolved { exists, reason }) => {
                tracing::warn!(name = &*self.host, reason, "a name could not be resolved");
                if exists {
                    known.addresses.clone_from(&before);
                }
                known.failure = Some(reason.into());
                known.due = now + AGAIN;
            }
        }
        if known.addresses != before {
            self.version.fetch_add(1, Ordering::AcqRel);
        }
        self.due.store(self.since_begun(known.due), Ordering::Relaxed);
    }

    fn in_turn(&self, addresses: &[IpAddr]) -> Vec<IpAddr> {
        let mut addresses = addresses.to_vec();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % addresses.len().max(1);
        addresses.rotate_left(turn);
        addresses
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn since_begun(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.begun).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Known {
    /// The addresses, if there are any that hold or have not held for [`STALE`] only.
    fn usable(&self, now: Instant) -> io::Result<&[IpAddr]> {
        if !self.addresses.is_empty() && now < self.until + STALE {
            return Ok(&self.addresses);
        }
        Err(io::Error::other(self.failure.as_deref().unwrap_or("the name has no address")))
    }
}

/// Somebody asks, until this is dropped; also when his thread ends before the answer.
struct Asking(Arc<Name>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.asking.store(false, Ordering::Release);
        self.0.asked.notify_waiters();
    }
}

/// For how long an answer is used beyond its TTL as long as nobody gives a new one. That a name does not exist, or has
/// no address any more, is an answer.
const STALE: Duration = Duration::from_secs(600);

/// How long a new connection waits for a new answer if there is an old one.
const PATIENCE: Duration = Duration::from_millis(500);

/// When to ask again if nobody answered.
const AGAIN: Duration = Duration::from_secs(2);

/// A TTL of 0 is for one use, and one second is as good.
const SHORTEST: Duration = Duration::from_secs(1);

/// A name is asked for at least this often, also one that stands in `/etc/hosts` and so has no TTL.
const LONGEST: Duration = Duration::from_secs(300);
