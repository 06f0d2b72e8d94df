//! Whom a body that is being sent waits for.
//!
//! A streamed request can stand still for two reasons that look alike from where the answer is awaited: the client
//! sends nothing, or the peer takes nothing. The body knows which, because it is asked for the next piece only when
//! the last one has been taken.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

use crate::{FetchError, Timeouts};

/// Who must do something for a sent body to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The client, who has not sent the next piece.
    Client,
    /// The peer, who has not taken the last piece.
    Peer,
    /// The peer, who has all of it, and may answer.
    Answer,
    /// It has broken off.
    Nobody,
}

/// How far a body has been sent: whose turn it is, and since when.
#[derive(Debug)]
pub(crate) struct Progress {
    turn: Cell<Turn>,
    since: Cell<Instant>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { turn: Cell::new(Turn::Peer), since: Cell::new(Instant::now()) }
    }
}

impl Progress {
    pub(crate) fn turn_to(&self, turn: Turn) {
        // A piece that was taken is progress, though it stays the peer's turn; a client that is asked again for a
        // piece that it still has not sent has made none.
        if self.turn.replace(turn) != turn || turn == Turn::Peer {
            self.since.set(Instant::now());
        }
    }

    /// Whether the body broke off, rather than the connection that it was sent by.
    pub(crate) fn is_broken(&self) -> bool {
        self.turn.get() == Turn::Nobody
    }

    /// When to look again, or why to wait no longer.
    pub(crate) fn deadline(&self, now: Instant, timeouts: &Timeouts) -> Result<Instant, FetchError> {
        let (patience, error): (Duration, _) = match self.turn.get() {
            Turn::Client => (timeouts.send, FetchError::RequestBodyTimeout),
            Turn::Peer => (timeouts.send, FetchError::SendTimeout),
            Turn::Answer | Turn::Nobody => (timeouts.read, FetchError::ReadTimeout),
        };
        let deadline = crate::pool::after(self.since.get(), patience);
        if deadline <= now { Err(error) } else { Ok(deadline) }
    }
}
