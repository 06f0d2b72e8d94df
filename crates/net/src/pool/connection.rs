//! One connection, and one exchange on it at a time.

use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::Timeouts;
use super::home::Home;
use super::patience::Patience;
use super::pooled_body::PooledBody;
use super::replay::{Replay, Unanswered};
use super::tape::{Tape, Taped};
use crate::{Body, FetchError, Stream, Upgraded};

/// One connection to a peer. Dropped, it closes at once, whatever is going on.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Body>,
    /// Drives the socket.
    task: AbortHandle,
    patience: Patience,
    home: Weak<Home>,
    /// Where it leads, and when the peer had that address.
    remote: IpAddr,
    version: u64,
    /// How many requests it has carried. Only one that has carried some can have died unnoticed.
    requests: u64,
    /// The request under way, should it have to be sent again.
    replay: Replay,
    pub(super) idle_since: Instant,
}

impl Connection {
    /// Speaks HTTP/1.1 over `stream`; the connection will come home to `home`.
    pub(super) async fn open(stream: Stream, home: &Rc<Home>) -> Result<Box<Self>, FetchError> {
        let (remote, version) = (stream.remote(), home.version());
        let tape = Rc::new(Tape::default());
        let taped = Taped { stream, tape: Rc::clone(&tape) };
        let (sender, driver) = handshake(TokioIo::new(taped)).await.map_err(FetchError::unanswered)?;
        let task = tokio::task::spawn_local(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection to a peer ended");
            }
        });
        let mut this = Self::new(sender, task.abort_handle(), tape, remote);
        (this.home, this.version) = (Rc::downgrade(home), version);
        Ok(this)
    }

    /// Speaks HTTP/1.1 over `stream` until the peer switches to something else; the connection has no home to come to.
    pub(super) async fn open_for_upgrade(stream: Stream) -> Result<Box<Self>, FetchError> {
        let remote = stream.remote();
        let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(FetchError::unanswered)?;
        let task = tokio::task::spawn_local(async move {
            if let Err(error) = driver.with_upgrades().await {
                tracing::debug!(%error, "a connection to a peer ended");
            }
        });
        Ok(Self::new(sender, task.abort_handle(), Rc::default(), remote))
    }

    fn new(sender: SendRequest<Body>, task: AbortHandle, tape: Rc<Tape>, remote: IpAddr) -> Box<Self> {
        let now = Instant::now();
        Box::new(Self {
            sender,
            task,
            patience: Patience::new(),
            home: Weak::new(),
            remote,
            version: 0,
            requests: 0,
            replay: Replay::new(tape),
            idle_since: now,
        })
    }

    /// The address that it was opened to.
    pub(super) fn remote(&self) -> IpAddr {
        self.remote
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
        if self.requests > 0 {
            self.replay.keep(&request);
        }
        self.requests += 1;
        let progress = request.body_mut().watch();
        self.patience.begin(&request, progress.as_deref(), timeouts, now);
        let patience = &mut self.patience;
        let mut answer = pin!(self.sender.try_send_request(request));
        let answer = poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Ok(answer)),
            Poll::Pending => patience.poll_late(progress.as_deref(), timeouts, cx).map(Err),
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

    fn answered(mut self: Box<Self>, response: Response<Incoming>, silence: Duration) -> Response<Body> {
        self.replay.forget();
        let (head, incoming) = response.into_parts();
        if incoming.is_end_stream() {
            drop(incoming);
            self.give_back();
            return Response::from_parts(head, Body::empty());
        }
        self.patience.answered(silence);
        Response::from_parts(head, PooledBody::of_connection(incoming, self).into())
    }

    pub(super) fn patience(&mut self) -> &mut Patience {
        &mut self.patience
    }

    /// Goes back to the pool it came from, if it can carry another exchange.
    pub(super) fn give_back(mut self: Box<Self>) {
        let Some(home) = self.home.upgrade() else { return };
        let has_had_enough = home.keepalive.requests != 0 && self.requests >= home.keepalive.requests;
        if self.is_ready() && !has_had_enough && home.still_has(self.remote, self.version) {
            self.idle_since = Instant::now();
            home.idle.put(self);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}
