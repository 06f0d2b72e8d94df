//! One connection, and one exchange on it at a time.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep};

use super::idle::Idle;
use super::pooled_body::PooledBody;
use super::replay::{Replay, Unanswered};
use super::tape::{Tape, Taped};
use super::{Timeouts, after};
use crate::body::Progress;
use crate::{Body, FetchError, Stream, Upgraded};

/// One connection to a peer. Dropped, it closes at once, whatever is going on.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Body>,
    /// Drives the socket.
    task: AbortHandle,
    /// The one timer of every exchange on this connection. It is set anew for each wait, which costs next to nothing
    /// as long as it is set to something later; so it stays armed between waits, and an early ring means nothing.
    timer: Pin<Box<Sleep>>,
    /// How long the answer under way may stay silent.
    patience: Duration,
    /// Whether the timer is set for the piece of the body that is awaited now.
    waiting: bool,
    home: Weak<Idle>,
    /// Whether it has carried an exchange before: only then can it have died unnoticed.
    kept: bool,
    /// The request under way, should it have to be sent again.
    replay: Replay,
    pub(super) idle_since: Instant,
}

impl Connection {
    /// Speaks HTTP/1.1 over `stream`; the connection will come home to `home`.
    pub(super) async fn open(stream: Stream, home: &Rc<Idle>) -> Result<Box<Self>, FetchError> {
        let tape = Rc::new(Tape::default());
        let taped = Taped { stream, tape: Rc::clone(&tape) };
        let (sender, driver) = handshake(TokioIo::new(taped)).await.map_err(FetchError::unanswered)?;
        let task = tokio::task::spawn_local(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection to a peer ended");
            }
        });
        Ok(Self::new(sender, task.abort_handle(), tape, Rc::downgrade(home)))
    }

    /// Speaks HTTP/1.1 over `stream` until the peer switches to something else; the connection has no home to come to.
    pub(super) async fn open_for_upgrade(stream: Stream) -> Result<Box<Self>, FetchError> {
        let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(FetchError::unanswered)?;
        let task = tokio::task::spawn_local(async move {
            if let Err(error) = driver.with_upgrades().await {
                tracing::debug!(%error, "a connection to a peer ended");
            }
        });
        Ok(Self::new(sender, task.abort_handle(), Rc::default(), Weak::new()))
    }

    fn new(sender: SendRequest<Body>, task: AbortHandle, tape: Rc<Tape>, home: Weak<Idle>) -> Box<Self> {
        let now = Instant::now();
        Box::new(Self {
            sender,
            task,
            timer: Box::pin(tokio::time::sleep_until(now)),
            patience: Duration::ZERO,
            waiting: false,
            home,
            kept: false,
            replay: Replay::new(tape),
            idle_since: now,
        })
    }

    /// Whether a request can be sent right now: the last exchange has ended and the peer has not hung up.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Sends `request` and waits for the head of the answer.
    pub(super) async fn exchange(
        mut self: Box<Self>,
        request: Request<Body>,
        timeouts: &Timeouts,
        now: Instant,
    ) -> Result<Response<Body>, Unanswered> {
        let response = self.send(request, timeouts, now).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Unanswered::for_good(FetchError::Switched));
        }
        Ok(self.answered(response, timeouts.read))
    }

    /// Sends `request`, which asks for another protocol, and waits for the head of the answer. If that is a yes, there
    /// is a stream that speaks it.
    pub(super) async fn upgrade(
        mut self: Box<Self>,
        request: Request<Body>,
        timeouts: &Timeouts,
    ) -> Result<(Response<Body>, Option<Upgraded>), FetchError> {
        let response = self.send(request, timeouts, Instant::now()).await;
        let mut response = response.map_err(|unanswered| unanswered.error)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok((self.answered(response, timeouts.read), None));
        }
        let upgraded = hyper::upgrade::on(&mut response).await.map_err(FetchError::unanswered)?;
        Ok((response.map(|_none| Body::empty()), Some(upgraded.into())))
    }

    async fn send(
        &mut self,
        mut request: Request<Body>,
        timeouts: &Timeouts,
        now: Instant,
    ) -> Result<Response<Incoming>, Unanswered> {
        if self.kept {
            self.replay.keep(&request);
        }
        let progress = request.body_mut().watch();
        let first_look = match &progress {
            Some(_) => timeouts.send,
            None if is_long(request.body()) => timeouts.send.saturating_add(timeouts.read),
            None => timeouts.read,
        };
        self.timer.as_mut().reset(after(now, first_look));
        let timer = &mut self.timer;
        let mut answer = pin!(self.sender.try_send_request(request));
        let answer = poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Ok(answer)),
            Poll::Pending => poll_late(timer, progress.as_deref(), timeouts, cx).map(Err),
        })
        .await;
        match answer {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(mut failed)) => {
                let unsent = failed.take_message();
                Err(Unanswered::of(FetchError::unanswered(failed.into_error()), unsent, &mut self.replay))
            }
            Err(late) => Err(Unanswered::for_good(late)),
        }
    }

    fn answered(mut self: Box<Self>, response: Response<Incoming>, patience: Duration) -> Response<Body> {
        self.replay.forget();
        let (head, incoming) = response.into_parts();
        if incoming.is_end_stream() {
            drop(incoming);
            self.give_back();
            return Response::from_parts(head, Body::empty());
        }
        self.patience = patience;
        self.waiting = false;
        Response::from_parts(head, PooledBody::new(incoming, self).into())
    }

    /// The next piece of the body came.
    pub(super) fn made_progress(&mut self) {
        self.waiting = false;
    }

    /// Ready when the next piece of the body has been awaited for too long.
    pub(super) fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.waiting {
            self.waiting = true;
            self.timer.as_mut().reset(after(Instant::now(), self.patience));
        }
        self.timer.as_mut().poll(cx)
    }

    /// Goes back to the pool it came from, if it can carry another exchange.
    pub(super) fn give_back(mut self: Box<Self>) {
        if let Some(home) = self.home.upgrade()
            && self.is_ready()
        {
            self.idle_since = Instant::now();
            self.kept = true;
            home.put(self);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Ready with what took too long, once something did.
fn poll_late(
    timer: &mut Pin<Box<Sleep>>,
    progress: Option<&Progress>,
    timeouts: &Timeouts,
    cx: &mut Context<'_>,
) -> Poll<FetchError> {
    while timer.as_mut().poll(cx).is_ready() {
        let Some(progress) = progress else {
            return Poll::Ready(FetchError::ReadTimeout);
        };
        match progress.deadline(Instant::now(), timeouts) {
            Ok(deadline) => timer.as_mut().reset(deadline),
            Err(late) => return Poll::Ready(late),
        }
    }
    Poll::Pending
}

/// Whether the body may take a while to send, although it is all here: more than a socket takes at once.
fn is_long(body: &Body) -> bool {
    body.size_hint().lower() > 64 * 1024
}
