//! The HTTP/2 connections to one peer, and who may send on which.
//!
//! A connection carries as many exchanges at a time as the peer allows, and never more than [`STREAMS`]; when all are
//! full, one more is opened. The exchange that is new goes to the one with the fewest. So no exchange waits for another
//! to end, and no connection that is lost takes everybody with it.
//!
//! While one connection is being opened, the others wait for it: a burst of requests to a peer that nobody has called yet
//! opens one connection and not a hundred.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::home::is_too_old;
use super::session::Session;
use crate::{FetchError, Keepalive};

/// The HTTP/2 connections to one peer.
#[derive(Debug)]
pub(super) struct Multiplexed {
    keepalive: Keepalive,
    sessions: RefCell<Vec<Rc<Session>>>,
    /// Whether one is being opened.
    opening: Cell<bool>,
    /// Rung when it has been opened, or could not be.
    opened: Notify,
}

/// A connection to send one request on, for which a place is taken.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) session: Rc<Session>,
    /// Whether the connection had been open before: only then can it have died unnoticed.
    pub(super) kept: bool,
}

impl Multiplexed {
    pub(super) fn new(keepalive: Keepalive) -> Self {
        Self { keepalive, sessions: RefCell::default(), opening: Cell::new(false), opened: Notify::new() }
    }

    /// A place on a connection other than `spurned`, on one that `open` opens if there is no other.
    pub(super) async fn seat(
        &self,
        spurned: Option<&Rc<Session>>,
        open: impl AsyncFn() -> Result<Rc<Session>, FetchError>,
    ) -> Result<Seat, FetchError> {
        loop {
            if let Some(seat) = self.free_seat(spurned) {
                return Ok(seat);
            }
            if !self.opening.get() {
                break;
            }
            self.opened.notified().await;
        }
        let _at_its_end_others_go_on = Opening::begin(self);
        let session = open().await?;
        self.sessions.borrow_mut().push(Rc::clone(&session));
        session.sit();
        Ok(Seat { session, kept: false })
    }

    fn free_seat(&self, spurned: Option<&Rc<Session>>) -> Option<Seat> {
        let mut sessions = self.sessions.borrow_mut();
        sessions.retain(|session| !session.is_over(self.keepalive.requests));
        let free = sessions.iter().filter(|session| {
            session.has_room() && !spurned.is_some_and(|spurned| Rc::ptr_eq(session, spurned))
        });
        let session = Rc::clone(free.min_by_key(|session| session.streams())?);
        session.sit();
        Some(Seat { session, kept: true })
    }

    /// Lets go of what has had nothing to do for too long, and of what the peer has closed.
    pub(super) fn expire(&self, now: Instant) {
        self.sessions.borrow_mut().retain(|session| {
            !session.is_over(self.keepalive.requests)
                && !session
                    .idle_since()
                    .is_some_and(|since| is_too_old(since, now, self.keepalive.idle_timeout))
        });
    }

    /// Lets go of connections to addresses that are not to be kept; what is under way there may end.
    pub(super) fn retain(&self, keep: impl Fn(IpAddr) -> bool) {
        self.sessions.borrow_mut().retain(|session| keep(session.remote()));
    }

    /// How many exchanges are under way.
    #[cfg(test)]
    pub(super) fn streams(&self) -> usize {
        self.sessions.borrow().iter().map(|session| session.streams()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sessions.borrow().is_empty()
    }
}

/// A connection is being opened, until this is dropped.
struct Opening<'a>(&'a Multiplexed);

impl<'a> Opening<'a> {
    fn begin(of: &'a Multiplexed) -> Self {
        of.opening.set(true);
        Self(of)
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.0.opening.set(false);
        self.0.opened.notify_waiters();
    }
}

/// How many exchanges a connection carries at most, whatever the peer allows. What they have received and nobody has read
/// yet is kept by the connection, and what one packet loses holds all of them up.
pub(super) const STREAMS: usize = 128;
