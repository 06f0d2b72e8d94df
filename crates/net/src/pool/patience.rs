//! How long somebody is waited for: for the head of an answer, then for each piece of its body.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use http_body::Body as _;
use tokio::time::{Instant, Sleep};

use super::{Timeouts, after};
use crate::body::Progress;
use crate::{Body, FetchError};

/// One timer for all the waits of an exchange. It is set anew for each wait, which costs next to nothing as long as it is
/// set to something later; so it stays armed between waits, and an early ring means nothing.
#[derive(Debug)]
pub(super) struct Patience {
    timer: Pin<Box<Sleep>>,
    /// How long the answer under way may stay silent.
    silence: Duration,
    /// Whether the timer is set for the piece of the body that is awaited now.
    waiting: bool,
}

impl Patience {
    pub(super) fn new() -> Self {
        let timer = Box::pin(tokio::time::sleep_until(Instant::now()));
        Self { timer, silence: Duration::ZERO, waiting: false }
    }

    /// `request` is about to be sent, which `progress` will tell about if its body is a stream.
    pub(super) fn begin(
        &mut self,
        request: &Request<Body>,
        progress: Option<&Progress>,
        timeouts: &Timeouts,
        now: Instant,
    ) {
        let first_look = match progress {
            Some(_) => timeouts.send,
            None if is_long(request.body()) => timeouts.send.saturating_add(timeouts.read),
            None => timeouts.read,
        };
        self.timer.as_mut().reset(after(now, first_look));
    }

    /// Ready with what took too long, once something did.
    pub(super) fn poll_late(
        &mut self,
        progress: Option<&Progress>,
        timeouts: &Timeouts,
        cx: &mut Context<'_>,
    ) -> Poll<FetchError> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let Some(progress) = progress else {
                return Poll::Ready(FetchError::ReadTimeout);
            };
            match progress.deadline(Instant::now(), timeouts) {
                Ok(deadline) => self.timer.as_mut().reset(deadline),
                Err(late) => return Poll::Ready(late),
            }
        }
        Poll::Pending
    }

    /// The head of the answer is there, and its body may be silent for as long as `silence`.
    pub(super) fn answered(&mut self, silence: Duration) {
        self.silence = silence;
        self.waiting = false;
    }

    /// The next piece of the body came.
    pub(super) fn made_progress(&mut self) {
        self.waiting = false;
    }

    /// Ready when the next piece of the body has been awaited for too long.
    pub(super) fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.waiting {
            self.waiting = true;
            self.timer.as_mut().reset(after(Instant::now(), self.silence));
        }
        self.timer.as_mut().poll(cx)
    }
}

/// Whether the body may take a while to send, although it is all here: more than a socket takes at once.
fn is_long(body: &Body) -> bool {
    body.size_hint().lower() > 64 * 1024
}
