//! Whom a body that is being sent waits for.
//!
//! A streamed message can stand still for two reasons that look alike from outside: its source gives nothing, or its
//! reader takes nothing. The body knows which, because it is asked for the next piece only when the last one has been
//! taken.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

use crate::{FetchError, Timeouts};

/// Who must do something for a sent body to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Whoever it comes from, who has not given the next piece.
    Source,
    /// Whoever it goes to, who has not taken the last piece.
    Reader,
    /// The same, who has all of it, and may answer.
    Answer,
    /// It has broken off.
    Nobody,
}

/// How far a body has been sent: whose turn it is, and since when.
#[derive(Debug)]
pub struct Progress {
    turn: Cell<Turn>,
    since: Cell<Instant>,
    /// Whether anything was said since somebody looked.
    said: Cell<bool>,
}

impl Default for Progress {
    fn default() -> Self {
        Self { turn: Cell::new(Turn::Reader), since: Cell::new(Instant::now()), said: Cell::new(false) }
    }
}

impl Progress {
    pub(crate) fn turn_to(&self, turn: Turn) {
        self.said.set(true);
        // A piece that was taken is progress, though it stays the reader's turn; a source that is asked again for a
        // piece that it still has not given has made none.
        if self.turn.replace(turn) != turn || turn == Turn::Reader {
            self.since.set(Instant::now());
        }
    }

    /// Whose turn it has become, if that was said since the last look: not if the body was not asked for a piece.
    pub fn take_turn(&self) -> Option<Turn> {
        self.said.take().then(|| self.turn.get())
    }

    /// Whether the body broke off, rather than the connection that it was sent by.
    pub(crate) fn is_broken(&self) -> bool {
        self.turn.get() == Turn::Nobody
    }

    /// When to look again, or why to wait no longer.
    pub(crate) fn deadline(&self, now: Instant, timeouts: &Timeouts) -> Result<Instant, FetchError> {
        let (patience, error): (Duration, _) = match self.turn.get() {
            Turn::Source => (timeouts.send, FetchError::RequestBodyTimeout),
            Turn::Reader => (timeouts.send, FetchError::SendTimeout),
            Turn::Answer | Turn::Nobody => (timeouts.read, FetchError::ReadTimeout),
        };
        let deadline = crate::pool::after(self.since.get(), patience);
        if deadline <= now { Err(error) } else { Ok(deadline) }
    }
}
