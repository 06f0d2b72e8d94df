//! The connections to one peer that wait for work.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::time::Instant;

use super::connection::Connection;
use super::home::is_too_old;
use super::tally::{Seat, Tally};
use crate::Keepalive;

/// The connections to one peer that wait for work: the youngest at the back, where they are put and taken.
#[derive(Debug)]
pub(super) struct Idle {
    keepalive: Keepalive,
    /// Where they are counted together with those of other threads, if the limit is one for all.
    tally: Option<Arc<Tally>>,
    connections: RefCell<VecDeque<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    connection: Box<Connection>,
    _seat: Option<Seat>,
}

impl Idle {
    pub(super) fn new(keepalive: Keepalive, tally: Option<Arc<Tally>>) -> Self {
        Self { keepalive, tally, connections: RefCell::default() }
    }

    /// The connection that was put last, if one still stands.
    pub(super) fn take(&self, now: Instant) -> Option<Box<Connection>> {
        let mut connections = self.connections.borrow_mut();
        while let Some(Waiting { mut connection, .. }) = connections.pop_back() {
            if is_too_old(connection.idle_since, now, self.keepalive.idle_timeout) {
                // The rest is older still.
                connections.clear();
                return None;
            }
            if connection.is_ready() {
                return Some(connection);
            }
        }
        None
    }

    pub(super) fn put(&self, connection: Box<Connection>) {
        let mut connections = self.connections.borrow_mut();
        connections.push_back(Waiting { connection, _seat: self.tally.as_ref().map(Tally::seat) });
        let count = self.tally.as_ref().map_or(connections.len(), |tally| tally.count());
        if count > self.keepalive.size {
            connections.pop_front();
        }
    }

    /// Closes what is too old, and forgets what the peer has closed.
    pub(super) fn expire(&self, now: Instant) {
        self.connections.borrow_mut().retain_mut(|Waiting { connection, .. }| {
            connection.is_ready() && !is_too_old(connection.idle_since, now, self.keepalive.idle_timeout)
        });
    }

    /// Closes connections to addresses that are not to be kept.
    pub(super) fn retain(&self, keep: impl Fn(IpAddr) -> bool) {
        self.connections.borrow_mut().retain(|waiting| keep(waiting.connection.remote()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.connections.borrow().is_empty()
    }
}
