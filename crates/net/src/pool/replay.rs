//! What it takes to send a request a second time.
//!
//! hyper gives a request back of which nothing was written. One that was written, and then the connection ended without
//! a word, is sent again from a copy: its head from the [`Tape`] of the connection, and its body, if that is at hand.

use std::rc::Rc;

use bytes::Bytes;
use http::Request;

use super::tape::Tape;
use crate::{Body, FetchError};

/// What remains of a request that may be sent a second time, whether or not the peer got it the first time.
#[derive(Debug)]
pub(super) struct Replay {
    tape: Rc<Tape>,
    body: Option<Bytes>,
}

impl Replay {
    /// Takes the heads of requests from `tape`.
    pub(super) fn new(tape: Rc<Tape>) -> Self {
        Self { tape, body: None }
    }

    /// `request` is about to be written. It is kept if doing it twice is doing it once and its body is at hand.
    pub(super) fn keep(&mut self, request: &Request<Body>) {
        if !request.method().is_idempotent() {
            return;
        }
        self.body = request.body().bytes();
        if self.body.is_some() {
            self.tape.start();
        }
    }

    /// It was answered.
    pub(super) fn forget(&mut self) {
        self.body = None;
        self.tape.forget();
    }

    fn request(&mut self) -> Option<Request<Body>> {
        let body = self.body.take()?;
        Some(self.tape.request()?.map(|()| Body::full(body)))
    }
}

/// A request that got no answer.
pub(super) struct Unanswered {
    pub(super) error: FetchError,
    /// The request to send once more, if the connection died of itself and it is safe to do so.
    pub(super) again: Option<Request<Body>>,
}

impl Unanswered {
    /// hyper gave `error`, and the request if not a byte of it was written.
    pub(super) fn of(error: FetchError, unsent: Option<Request<Body>>, replay: &mut Replay) -> Self {
        let again = match &error {
            _ if unsent.is_some() => unsent,
            FetchError::Closed(_) => replay.request(),
            // A late answer or a broken one is an answer: whoever gave it is alive and may be at work.
            _ => None,
        };
        Self { error, again }
    }

    /// Whatever it was, it must not be sent again.
    pub(super) fn for_good(error: FetchError) -> Self {
        Self { error, again: None }
    }
}
