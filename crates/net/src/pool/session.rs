//! One HTTP/2 connection, and the exchanges on it.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;

use super::multiplexed::{STREAMS, Seat};
use super::patience::Patience;
use super::pooled_body::PooledBody;
use super::record::Record;
use super::{Left, Timeouts};
use crate::{Body, BodyError, FetchError, Scheme, Stream};

/// One HTTP/2 connection. It ends when nobody holds it any more and its last exchange has ended.
pub(super) struct Session {
    sender: SendRequest<Body>,
    remote: IpAddr,
    load: Rc<Load>,
    streams: Cell<usize>,
    /// How many requests it has carried.
    requests: Cell<u64>,
    idle_since: Cell<Instant>,
}

/// How many exchanges the peer allows at a time.
#[derive(Default)]
struct Load {
    /// 0 as long as the peer has not said it.
    allowed: Cell<usize>,
    /// Whom to wake when the peer may have said it.
    listening: Cell<Option<Waker>>,
}

impl Session {
    /// Speaks HTTP/2 over `stream`, once the peer has shown that it does, too.
    ///
    /// Nothing is sent before the peer's settings are here. It costs one way through the network for a connection
    /// that lasts, and no request is ever one more than the peer allows.
    pub(super) async fn open(stream: Stream) -> Result<Rc<Self>, FetchError> {
        let remote = stream.remote();
        let load = Rc::new(Load::default());
        let (sender, driver) = Builder::new(OnThisThread(Rc::clone(&load)))
            .timer(TokioTimer::new())
            .initial_max_send_streams(0)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(LARGEST_HEAD)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(FetchError::unanswered)?;
        let (settled, peers_settings) = tokio::sync::oneshot::channel();
        let heard = Rc::clone(&load);
        tokio::task::spawn_local(async move {
            let (mut driver, mut settled) = (pin!(driver), Some(settled));
            let ended = poll_fn(|cx| {
                let ended = driver.as_mut().poll(cx);
                heard.allowed.set(driver.current_max_send_streams());
                if heard.allowed.get() == 0 {
                    heard.listening.set(Some(cx.waker().clone()));
                } else if let Some(settled) = settled.take() {
                    // Whoever opened the connection may have given up.
                    let _ = settled.send(());
                }
                ended
            })
            .await;
            if let Err(error) = ended {
                tracing::debug!(
                    error = FetchError::unanswered(error).chain(),
                    "a connection to a peer ended"
                );
            }
        });
        peers_settings.await.map_err(|_ended| FetchError::NotHttp2)?;
        Ok(Rc::new(Self {
            sender,
            remote,
            load,
            streams: Cell::new(0),
            requests: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
        }))
    }

    /// The address that it was opened to.
    pub(super) fn remote(&self) -> IpAddr {
        self.remote
    }

    /// How many exchanges it carries.
    pub(super) fn streams(&self) -> usize {
        self.streams.get()
    }

    pub(super) fn has_room(&self) -> bool {
        self.streams.get() < self.load.allowed.get().min(STREAMS)
    }

    /// Whether it takes no more exchanges, or has had as many as it is to have, which is any number if that is 0.
    pub(super) fn is_over(&self, requests: u64) -> bool {
        self.sender.is_closed() || requests != 0 && self.requests.get() >= requests
    }

    /// Since when it has had nothing to do, if it has nothing to do.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.streams.get() == 0).then(|| self.idle_since.get())
    }

    /// Somebody will send on it.
    pub(super) fn sit(&self) {
        self.streams.set(self.streams.get() + 1);
        self.requests.set(self.requests.get() + 1);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.session.streams.set(self.session.streams.get() - 1);
        self.session.idle_since.set(Instant::now());
    }
}

/// One exchange. Dropped before its end, it is cancelled; the connection goes on.
#[derive(Debug)]
pub(super) struct Exchange {
    seat: Seat,
    patience: Patience,
}

/// A request that got no answer.
pub(super) struct Unserved {
    pub(super) error: FetchError,
    /// The request, unless it is spent.
    pub(super) rest: Option<Box<Rest>>,
}

/// A request that may be sent again.
pub(super) struct Rest {
    pub(super) request: Request<Body>,
    pub(super) left: Left,
    /// The connection that it must not be sent on again, if it may be sent to the same peer.
    pub(super) spurned: Option<Rc<Session>>,
}

impl Unserved {
    fn of(
        error: FetchError,
        request: Option<Request<Body>>,
        left: Left,
        spurned: Option<Rc<Session>>,
    ) -> Self {
        Self { error, rest: request.map(|request| Box::new(Rest { request, left, spurned })) }
    }
}

impl Exchange {
    pub(super) fn on(seat: Seat) -> Self {
        Self { seat, patience: Patience::new() }
    }

    /// Sends `request` and waits for the head of the answer.
    pub(super) async fn run(
        mut self,
        request: Request<Body>,
        timeouts: &Timeouts,
    ) -> Result<Response<Body>, Unserved> {
        let (record, mut request) = Record::of(request);
        let progress = request.body_mut().watch();
        self.patience.begin(&request, progress.as_deref(), timeouts, Instant::now());
        let mut sender = self.seat.session.sender.clone();
        let mut answer = pin!(sender.try_send_request(request));
        let patience = &mut self.patience;
        let answer = poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Ok(answer)),
            Poll::Pending => patience.poll_late(progress.as_deref(), timeouts, cx).map(Err),
        })
        .await;
        let mut failed = match answer {
            Ok(Ok(response)) => return self.answered(response, timeouts.read),
            Ok(Err(failed)) => failed,
            Err(late) => {
                let by_peer = !matches!(late, FetchError::RequestBodyTimeout);
                let again = if by_peer { record.again_if_idempotent() } else { None };
                return Err(Unserved::of(late, again, Left::AtHand, None));
            }
        };
        let unsent = failed.take_message();
        let error = failed.into_error();
        if progress.is_some_and(|progress| progress.is_broken()) {
            return Err(Unserved { error: FetchError::RequestBody(error.into()), rest: None });
        }
        let session = || Some(Rc::clone(&self.seat.session));
        let (again, left, spurned) = match unsent {
            Some(unsent) => (Some(unsent), Left::Untouched, session()),
            None if was_refused(&error) => (record.again(), Left::Untouched, session()),
            // What is no HTTP/2 is an answer, if a bad one.
            None if error.is_parse() => (None, Left::Spent, None),
            None => {
                let died = self.seat.kept && was_cut_off(&error);
                (record.again_if_idempotent(), Left::AtHand, if died { session() } else { None })
            }
        };
        Err(Unserved::of(FetchError::unanswered(error), again, left, spurned))
    }

    fn answered(
        mut self,
        response: Response<Incoming>,
        silence: Duration,
    ) -> Result<Response<Body>, Unserved> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Unserved { error: FetchError::Switched, rest: None });
        }
        self.patience.answered(silence);
        let (head, incoming) = response.into_parts();
        let body = if incoming.is_end_stream() {
            Body::empty()
        } else {
            PooledBody::of_exchange(incoming, self).into()
        };
        Ok(Response::from_parts(head, body))
    }

    /// The next piece of the answer's body, which is `incoming`.
    pub(super) fn poll_frame(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Pending => {
                ready!(self.patience.poll_silence(cx));
                Poll::Ready(Some(Err(BodyError::Timeout)))
            }
            Poll::Ready(frame) => {
                self.patience.made_progress();
                Poll::Ready(frame.map(|frame| frame.map_err(|error| BodyError::Broken(error.into()))))
            }
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Session").field("streams", &self.streams).finish_non_exhaustive()
    }
}

/// Puts into `request` what HTTP/2 has in other places than HTTP/1.1: the scheme and the host.
pub(super) fn to_http2(request: &mut Request<Body>, scheme: Scheme) -> Result<(), FetchError> {
    let host = request.headers_mut().remove(header::HOST).ok_or(FetchError::Address)?;
    let scheme = match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let target = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(Authority::try_from(host.as_bytes()).map_err(|_invalid| FetchError::Address)?)
        .path_and_query(target)
        .build();
    *request.uri_mut() = uri.map_err(|_invalid| FetchError::Address)?;
    *request.version_mut() = Version::HTTP_2;
    Ok(())
}

/// Undoes [`to_http2`], for a request that will go somewhere else.
pub(super) fn from_http2(request: &mut Request<Body>) {
    if let Some(host) = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
        request.headers_mut().insert(header::HOST, host);
    }
    let target = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(target);
}

/// Whether the peer said that it has done nothing about the request: it refused the exchange, or it is leaving and named
/// the last one that it will see to, and that was before.
fn was_refused(error: &hyper::Error) -> bool {
    cause(error).is_some_and(|error| {
        error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}

/// Whether the connection ended without a word about the request.
fn was_cut_off(error: &hyper::Error) -> bool {
    let of_io = |error: &(dyn std::error::Error + 'static)| error.is::<std::io::Error>();
    error.is_canceled()
        || error.is_closed()
        || cause(error).is_some_and(h2::Error::is_io)
        || std::error::Error::source(error).is_some_and(of_io)
}

fn cause(error: &hyper::Error) -> Option<&h2::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

/// Runs what hyper has to run where the connection was opened: on its data thread.
#[derive(Clone)]
struct OnThisThread(Rc<Load>);

impl<F: Future<Output = ()> + 'static> Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        let load = Rc::clone(&self.0);
        // It is large, and spawning moves what it is given many times over.
        let mut future = Box::pin(future);
        tokio::task::spawn_local(async move {
            poll_fn(|cx| {
                let ended = future.as_mut().poll(cx);
                // The peer's settings are read by such a future, and hyper tells nobody.
                if let Some(listening) = load.listening.take() {
                    listening.wake();
                }
                ended
            })
            .await;
        });
    }
}

/// How much of an answer may be on its way before somebody has read it, in bytes.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same for all answers together: as much as all may have, so that those that nobody reads hold up no other.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * STREAMS as u32;

/// The largest head of an answer, in bytes.
const LARGEST_HEAD: u32 = 64 * 1024;

/// After how much silence during an exchange the peer is asked whether it lives. gRPC servers take a client that asks more
/// often than once in five minutes for a nuisance, and hang up.
const PING_INTERVAL: Duration = Duration::from_secs(330);

const PING_TIMEOUT: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests;
