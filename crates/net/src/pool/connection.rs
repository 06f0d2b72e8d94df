//! One HTTP/1.1 connection, and one exchange on it at a time.
//!
//! It is driven by whoever waits for the answer, and by nobody else: there is no task, no channel and no second wake-up
//! between a socket that has something to say and the request that waits for it.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::time::Instant;

use super::home::Home;
use super::incoming::{Framing, Head, take_head};
use super::outgoing::{Outgoing, Unsent};
use super::patience::Patience;
use super::pooled_body::PooledBody;
use super::{Left, Timeouts};
use crate::body::Progress;
use crate::{Body, BodyError, FetchError, Stream, Upgraded};

/// One connection to a peer. Dropped, it closes at once, whatever is going on.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    /// What has come and was not read yet.
    received: BytesMut,
    outgoing: Outgoing,
    /// What is still to come of the answer under way.
    framing: Framing,
    /// Whether it can carry another exchange when this one has ended.
    goes_on: bool,
    /// Whether the peer has said something about the request under way, though not the last word.
    heard: bool,
    patience: Patience,
    home: Weak<Home>,
    /// When the peer had the address that it leads to.
    version: u64,
    /// How many requests it has carried. Only one that has carried some can have died unnoticed.
    requests: u64,
    pub(super) idle_since: Instant,
}

/// An exchange without an answer.
pub(super) struct Unanswered {
    pub(super) error: FetchError,
    /// What is left of the request; its body is back in it unless it is spent.
    pub(super) left: Left,
    /// Whether the request may be sent to the same peer on another connection: it was the connection that died, which
    /// had been kept, and nothing came back.
    pub(super) died: bool,
}

impl Unanswered {
    /// The peer has answered, and the answer is of no use.
    fn bad_answer(error: FetchError) -> Self {
        Self { error, left: Left::Spent, died: false }
    }
}

impl Connection {
    /// A connection by `stream` without a home to come to.
    pub(super) fn new(stream: Stream) -> Box<Self> {
        Box::new(Self {
            stream,
            received: BytesMut::new(),
            outgoing: Outgoing::default(),
            framing: Framing::Over,
            goes_on: true,
            heard: false,
            patience: Patience::new(),
            home: Weak::new(),
            version: 0,
            requests: 0,
            idle_since: Instant::now(),
        })
    }

    /// It comes home to `home` when it has nothing to do.
    pub(super) fn living_at(mut self: Box<Self>, home: &Rc<Home>) -> Box<Self> {
        (self.home, self.version) = (Rc::downgrade(home), home.version());
        self
    }

    /// The address that it was opened to.
    pub(super) fn remote(&self) -> IpAddr {
        self.stream.remote()
    }

    /// Whether a request can be sent: the peer has not hung up, and has said nothing that nobody asked for.
    pub(super) fn is_ready(&mut self) -> bool {
        let mut byte = [0];
        let mut room = ReadBuf::new(&mut byte);
        // Nothing is read from the socket unless there is something to read.
        Pin::new(&mut self.stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut room).is_pending()
    }

    /// Sends `request`, whose body is taken out of it, and waits for the head of the answer.
    pub(super) async fn exchange(
        mut self: Box<Self>,
        request: &mut Request<Body>,
        timeouts: &Timeouts,
        now: Instant,
    ) -> Result<Response<Body>, Unanswered> {
        let head = self.send(request, timeouts, now).await?;
        if head.response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Unanswered::bad_answer(FetchError::Switched));
        }
        self.answered(head, timeouts.read).map_err(Unanswered::bad_answer)
    }

    /// Sends `request`, which asks for another protocol, and waits for the head of the answer. If that is a yes, there
    /// is a stream that speaks it.
    pub(super) async fn upgrade(
        mut self: Box<Self>,
        request: &mut Request<Body>,
        timeouts: &Timeouts,
    ) -> Result<(Response<Body>, Option<Upgraded>), Unanswered> {
        let head = self.send(request, timeouts, Instant::now()).await?;
        if head.response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let answer = self.answered(head, timeouts.read).map_err(Unanswered::bad_answer)?;
            return Ok((answer, None));
        }
        let upgraded = Upgraded::raw(self.stream, self.received.freeze());
        Ok((head.response.map(|()| Body::empty()), Some(upgraded)))
    }

    async fn send(
        &mut self,
        request: &mut Request<Body>,
        timeouts: &Timeouts,
        now: Instant,
    ) -> Result<Head, Unanswered> {
        // What may be sent a second time: it is at hand, and doing it twice is doing it once.
        let again = if request.method().is_idempotent() { request.body().bytes() } else { None };
        self.requests += 1;
        self.heard = false;
        let progress = request.body_mut().watch();
        self.patience.begin(request, progress.as_deref(), timeouts, now);
        self.outgoing.begin(request);
        let progress = progress.as_deref();
        let error = match poll_fn(|cx| self.poll_answer(request, progress, timeouts, cx)).await {
            Ok(head) => return Ok(head),
            Err(error) => error,
        };
        let left = self.leave(request, again, &error);
        let said_nothing = !self.heard && self.received.is_empty();
        let died = matches!(error, FetchError::Closed(_)) && self.requests > 1 && said_nothing;
        Err(Unanswered { died: died && left != Left::Spent, error, left })
    }

    /// Puts back into `request` what is left of it after `error`; `again` is its body, if it may be sent a second time.
    fn leave(&mut self, request: &mut Request<Body>, again: Option<Bytes>, error: &FetchError) -> Left {
        let failed =
            matches!(error, FetchError::Closed(_) | FetchError::SendTimeout | FetchError::ReadTimeout);
        // A broken answer is an answer, and whoever has begun to give one is alive and may be at work. Its head took
        // over the room of the request's headers, too.
        if !failed || self.heard {
            return Left::Spent;
        }
        if !self.outgoing.is_begun() {
            *request.body_mut() = self.outgoing.take_body();
            return Left::Untouched;
        }
        let Some(bytes) = again else { return Left::Spent };
        *request.body_mut() = Body::full(bytes);
        Left::AtHand
    }

    /// Ready with the head of the answer. Until then, the request is sent.
    fn poll_answer(
        &mut self,
        request: &mut Request<Body>,
        progress: Option<&Progress>,
        timeouts: &Timeouts,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Head, FetchError>> {
        let mut unsendable = None;
        if !self.outgoing.is_over() {
            match self.outgoing.poll_send(&mut self.stream, cx) {
                Poll::Pending | Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(Unsent::Body(error))) => {
                    return Poll::Ready(Err(FetchError::RequestBody(error.into())));
                }
                // The peer may have said why it takes no more.
                Poll::Ready(Err(Unsent::Connection(error))) => unsendable = Some(error),
            }
        }
        loop {
            // The request's headers have been written, and are not needed when there is an answer.
            let (method, spare) = (request.method().clone(), request.headers_mut());
            match take_head(&mut self.received, &method, spare) {
                Ok(None) => {}
                Ok(Some(head)) if is_interim(head.response.status()) => {
                    self.heard = true;
                    continue;
                }
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Err(error) => return Poll::Ready(Err(FetchError::Protocol(error.into()))),
            }
            match self.poll_receive(READ, cx) {
                Poll::Ready(Ok(0)) => {
                    let error = unsendable.unwrap_or(std::io::ErrorKind::UnexpectedEof.into());
                    return Poll::Ready(Err(FetchError::Closed(error.into())));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(FetchError::Closed(error.into()))),
                Poll::Pending => {
                    if let Some(error) = unsendable {
                        return Poll::Ready(Err(FetchError::Closed(error.into())));
                    }
                    return self.patience.poll_late(progress, timeouts, cx).map(Err);
                }
            }
        }
    }

    /// The answer. If its body is here already, the connection is free for the next exchange.
    fn answered(mut self: Box<Self>, head: Head, silence: Duration) -> Result<Response<Body>, FetchError> {
        let Head { response, mut framing, goes_on } = head;
        self.goes_on = goes_on;
        let mut body = Body::empty();
        if let Framing::Length(length) = framing
            && usize::try_from(length).is_ok_and(|length| length <= self.received.len())
        {
            let whole =
                framing.take(&mut self.received).map_err(|error| FetchError::Protocol(error.into()))?;
            body = Body::full(whole.and_then(|frame| frame.into_data().ok()).unwrap_or_default());
        }
        if framing == Framing::Over {
            self.give_back();
        } else {
            self.framing = framing;
            self.patience.answered(silence);
            body = PooledBody::of_connection(self).into();
        }
        Ok(response.map(|()| body))
    }

    /// The next piece of the answer's body; None when there are no more.
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // The peer may answer while it is still being told what to answer to.
        if !self.outgoing.is_over() && self.outgoing.poll_send(&mut self.stream, cx).is_ready() {
            // If that failed, what follows here will, too, or was worth reading.
            self.goes_on &= self.outgoing.is_over();
            self.outgoing.forget();
        }
        loop {
            match self.framing.take(&mut self.received) {
                Ok(Some(frame)) => {
                    self.patience.made_progress();
                    return Poll::Ready(Some(Ok(frame)));
                }
                Ok(None) if self.framing == Framing::Over => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(BodyError::Broken(error.into())))),
            }
            let wanted = match self.framing {
                Framing::Length(length) => {
                    usize::try_from(length).unwrap_or(READ_MUCH).clamp(READ, READ_MUCH)
                }
                _ => READ_MUCH / 4,
            };
            match self.poll_receive(wanted, cx) {
                Poll::Ready(Ok(0)) if self.framing == Framing::UntilClose => {
                    self.framing = Framing::Over;
                }
                Poll::Ready(Ok(0)) => {
                    let error = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                    return Poll::Ready(Some(Err(BodyError::Broken(error.into()))));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(BodyError::Broken(error.into())))),
                Poll::Pending => {
                    ready!(self.patience.poll_silence(cx));
                    return Poll::Ready(Some(Err(BodyError::Timeout)));
                }
            }
        }
    }

    /// Whether all of the answer has been read.
    pub(super) fn has_ended(&self) -> bool {
        self.framing == Framing::Over
    }

    /// How many bytes of the answer's body are still to be read, if that is known.
    pub(super) fn left(&self) -> Option<u64> {
        self.framing.exact()
    }

    fn poll_receive(&mut self, wanted: usize, cx: &mut Context<'_>) -> Poll<std::io::Result<usize>> {
        self.received.reserve(wanted);
        pin!(self.stream.read_buf(&mut self.received)).poll(cx)
    }

    /// Goes back to the pool it came from, if it can carry another exchange.
    pub(super) fn give_back(mut self: Box<Self>) {
        let Some(home) = self.home.upgrade() else { return };
        let has_had_enough = home.keepalive.requests != 0 && self.requests >= home.keepalive.requests;
        // What has come beyond the answer is nothing that anybody asked for.
        let is_clean = self.goes_on && self.outgoing.is_over() && self.received.is_empty();
        if is_clean && !has_had_enough && home.still_has(self.remote(), self.version) {
            self.outgoing.forget();
            // Many connections may be idle, and few of them have much to receive soon.
            if self.received.capacity() > 2 * READ {
                self.received = BytesMut::new();
            }
            self.idle_since = Instant::now();
            home.idle.put(self);
        }
    }
}

/// Whether another answer follows.
fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// How much room there is for what comes, in bytes.
const READ: usize = 8 * 1024;

/// The same where much is to come.
const READ_MUCH: usize = 64 * 1024;
