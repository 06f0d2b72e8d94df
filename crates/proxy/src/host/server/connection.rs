//! One connection of a client, from its first byte to its last.
//!
//! What a balancer says of the client comes first, where the listener asks for it; then the handshake of TLS, where the
//! listener speaks it (`arrival`); then HTTP/1.1, or HTTP/2 if both ends agreed on it or the connection begins with its preface.
//! hyper serves each, and what it leaves open is kept here: who has taken too long, who has had enough requests, who
//! is to go because the server ends.

mod arrival;
mod linger;
mod streams;

use std::cell::{Cell, OnceCell};
use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use gateward_net::{Body, Conn};
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::client_body::{self, Fault};
use super::crowd::Crowd;
use super::dozing::Dozing;
use super::limits::USUAL_FIELDS;
use super::refusal;
use super::tether::Tether;
use super::transport::{Heard, Transport};
use super::vigil::{Alarm, HeadTimer, Vigil};
use super::{CertificatesSource, Limits};
use crate::host::Entrance;
use crate::hygiene;
pub(super) use arrival::{Connections, Manners};
use linger::linger;
use streams::Streams;

/// How connections are served, whichever listener they came by.
pub(super) struct Protocols {
    pub(super) entrance: Entrance,
    pub(super) limits: Limits,
    pub(super) crowd: Arc<Crowd>,
    pub(super) certificates: CertificatesSource,
    pub(super) fallback_sni: Option<Box<str>>,
    http1: http1::Builder,
}

impl Protocols {
    pub(super) fn new(
        entrance: Entrance,
        limits: Limits,
        crowd: Arc<Crowd>,
        certificates: CertificatesSource,
        fallback_sni: Option<Box<str>>,
    ) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .keep_alive(true)
            .max_buf_size(limits.head_bytes.max(SMALLEST_HEAD))
            .max_header_size(limits.head_bytes)
            .header_read_timeout(limits.head);
        if limits.head_fields != USUAL_FIELDS {
            http1.max_headers(limits.head_fields);
        }
        Self { entrance, limits, crowd, certificates, fallback_sni, http1 }
    }

    fn http2(&self, streams: Streams) -> http2::Builder<Streams> {
        let limits = &self.limits;
        let mut http2 = http2::Builder::new(streams);
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .initial_stream_window_size(limits.stream_window)
            .initial_connection_window_size(limits.connection_window.max(limits.stream_window))
            // A client that does not answer a ping is gone.
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        http2
    }
}

/// A connection that serves requests.
struct Open {
    protocols: Rc<Protocols>,
    conn: Conn,
    vigil: Arc<Vigil>,
    /// What keeps the server from ending, and the places that are taken.
    tether: Tether,
    since: Instant,
    /// How many requests have begun.
    requests: Cell<u64>,
    /// Those of HTTP/2, if that is what is spoken.
    streams: OnceCell<Streams>,
    /// Whether the server ends.
    stopping: Cell<bool>,
    /// Whether no request is to come after those that are under way.
    last: Cell<bool>,
    /// Whether the client may still be sending what we will not read.
    rude: Cell<bool>,
}

/// What has come of driving a connection.
enum Driven {
    /// It has ended.
    Ended,
    /// Nothing has happened on it for a while.
    Quiet,
}

/// What there is to do beside HTTP.
enum Signal {
    Stop,
    OutOfGrace,
    Old,
    Alarm(Alarm),
}

impl Open {
    async fn serve(self: Rc<Self>, mut io: Heard, http2: Option<bool>) {
        let http2 = match http2 {
            Some(agreed) => agreed,
            None => match self.begins_as_http2(&mut io).await {
                Some(http2) => http2,
                None => return,
            },
        };
        if http2 {
            return self.serve_http2(io).await;
        }
        let mut next = Some(io);
        while let Some(io) = next {
            let Some(io) = self.serve_http1(io).await else { return };
            next = self.sleep_until_something_comes(io).await;
        }
    }

    /// Reads as far as the first byte that is not HTTP/2's preface, or its end.
    async fn begins_as_http2(&self, io: &mut Heard) -> Option<bool> {
        loop {
            let known = io.before.len().min(PREFACE.len());
            if io.before[..known] != PREFACE[..known] {
                return Some(false);
            }
            if known == PREFACE.len() {
                return Some(true);
            }
            let Transport::Plain(tcp) = &mut io.transport else { return Some(false) };
            let mut stopped = self.tether.stopped.clone();
            let read = async {
                tokio::select! {
                    read = tcp.read_buf(&mut io.before) => read.ok().filter(|length| *length > 0),
                    _late = self.vigil.alarm(false) => None,
                    () = async {
                        let _ = stopped.wait_for(Option::is_some).await;
                        // The first request of a new connection is on its way most likely, and its client could not know.
                        sleep(GRACE).await;
                    } => None,
                }
            };
            Box::pin(read).await?;
        }
    }

    /// Serves HTTP/1.1 until the connection ends, or is left alone for so long that it should cost less.
    async fn serve_http1(self: &Rc<Self>, io: Heard) -> Option<Heard> {
        let open = Rc::clone(self);
        let service = service_fn(move |request| {
            let open = Rc::clone(&open);
            async move { Ok::<_, Infallible>(open.answer(request).await) }
        });
        let mut builder = self.protocols.http1.clone();
        builder.timer(HeadTimer(Arc::clone(&self.vigil)));
        let mut http = Box::new(builder.serve_connection(TokioIo::new(io), service).with_upgrades());
        let driven = self.drive(&mut *http, |http| Pin::new(http).graceful_shutdown(), true).await;
        let parts = http.into_parts()?;
        let mut io = parts.io.into_inner();
        match driven {
            Driven::Quiet => {
                io.before.extend_from_slice(&parts.read_buf);
                Some(io)
            }
            Driven::Ended => {
                if self.rude.get() {
                    linger(&mut io).await;
                }
                None
            }
        }
    }

    async fn serve_http2(self: Rc<Self>, io: Heard) {
        self.vigil.watch_streams();
        let patience = self.protocols.limits.body_idle;
        let streams = self.streams.get_or_init(|| Streams::new(Arc::clone(&self.vigil), patience)).clone();
        let open = Rc::clone(&self);
        let service = service_fn(move |request| {
            // An HTTP/2 connection may end before its streams do.
            let open = Rc::clone(&open);
            async move { Ok::<_, Infallible>(open.answer(request).await) }
        });
        let builder = self.protocols.http2(streams);
        let mut http = Box::pin(builder.serve_connection(TokioIo::new(io), service));
        self.drive(&mut http, |http| http.as_mut().graceful_shutdown(), false).await;
    }

    /// Keeps a connection that nobody uses, without what only a busy one needs.
    async fn sleep_until_something_comes(&self, mut io: Heard) -> Option<Heard> {
        if !io.before.is_empty() {
            return Some(io);
        }
        let woken = loop {
            tokio::select! {
                signal = self.signal(false) => match signal {
                    // The next request may be on its way.
                    Signal::Stop => self.stopping.set(true),
                    // Somebody may be about to use it, as far as the client's clock goes; there is no harm in that.
                    Signal::OutOfGrace | Signal::Old | Signal::Alarm(_) => break false,
                },
                readable = io.transport.socket().readable() => break readable.is_ok(),
            }
        };
        if woken {
            return Some(io);
        }
        let _ = timeout(GRACE, io.shutdown()).await;
        None
    }

    /// Polls `http` until it ends, and tells it by `wind_up` when it should come to its end.
    async fn drive<H>(&self, http: &mut H, wind_up: impl Fn(&mut H), mut quiet_too: bool) -> Driven
    where
        H: Future<Output = hyper::Result<()>> + Unpin,
    {
        let mut signal = Dozing::new(self.signal(quiet_too));
        let mut out_of_grace = false;
        let mut winding_up = false;
        poll_fn(|cx| {
            let mut quiet = false;
            while let Poll::Ready(what) = Pin::new(&mut signal).poll(cx) {
                match what {
                    Signal::Alarm(Alarm::Quiet) => {
                        quiet = true;
                        quiet_too = false;
                    }
                    // HTTP/2 has words for it, which a client should get the time to hear.
                    Signal::Alarm(Alarm::Late) if self.is_http2() && !winding_up => {
                        self.last.set(true);
                        self.vigil.wait(GRACE);
                    }
                    Signal::Alarm(Alarm::Late) => {
                        tracing::debug!("a client took too long, and its connection is cut");
                        return Poll::Ready(Driven::Ended);
                    }
                    Signal::Stop => self.stopping.set(true),
                    Signal::OutOfGrace => out_of_grace = true,
                    Signal::Old => self.last.set(true),
                }
                signal = Dozing::new(self.signal(quiet_too && !out_of_grace));
            }
            // HTTP/2 says which requests it still takes. On HTTP/1.1 the next one may be on its way, and gets an answer
            // that says that it was the last.
            let stops = self.stopping.get() && (out_of_grace || self.is_http2() && self.requests.get() > 0);
            let given_up = self.streams.get().is_some_and(Streams::gave_up);
            if (stops || given_up || self.last.get()) && !winding_up {
                winding_up = true;
                self.last.set(true);
                wind_up(http);
            }
            match Pin::new(&mut *http).poll(cx) {
                // Only now it is sure that nothing came meanwhile.
                Poll::Pending if quiet && self.vigil.is_quiet() => Poll::Ready(Driven::Quiet),
                Poll::Pending => Poll::Pending,
                Poll::Ready(ended) => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a client's connection ended");
                        self.rude.set(self.rude.get() || error.is_parse());
                    }
                    Poll::Ready(Driven::Ended)
                }
            }
        })
        .await
    }

    fn is_http2(&self) -> bool {
        self.streams.get().is_some()
    }

    /// What comes next beside HTTP.
    async fn signal(&self, quiet_too: bool) -> Signal {
        let mut stopped = self.tether.stopped.clone();
        let stop = async {
            if self.last.get() {
                return pending().await;
            }
            if self.stopping.get() {
                // The first request of a new connection is on its way most likely, and its client could not know.
                sleep(GRACE).await;
                return Signal::OutOfGrace;
            }
            match stopped.wait_for(Option::is_some).await {
                Ok(_) => Signal::Stop,
                // The server was dropped, and all tasks are about to be.
                Err(_) => pending().await,
            }
        };
        let old = async {
            match self.protocols.limits.connection_age {
                Some(age) if !self.last.get() => sleep_until(self.since + age).await,
                _ => pending().await,
            }
        };
        tokio::select! {
            signal = stop => signal,
            () = old => Signal::Old,
            alarm = self.vigil.alarm(quiet_too) => Signal::Alarm(alarm),
        }
    }

    async fn answer(self: Rc<Self>, request: Request<Incoming>) -> Response<Body> {
        let Protocols { entrance, limits, crowd, .. } = &*self.protocols;
        let number = self.requests.get() + 1;
        self.requests.set(number);
        if number >= limits.requests_per_connection {
            self.last.set(true);
        }
        self.vigil.rest();
        let turn = crowd.turn();
        let excess =
            if turn.is_some() { refusal::excess(&request, limits) } else { Some(refusal::overloaded()) };
        let mut response = if let Some(failure) = excess {
            self.rude.set(true);
            refusal::answer(entrance, request.map(|_| Body::empty()), &self.conn, &failure).await
        } else if hyper::body::Body::is_end_stream(request.body()) {
            let mut request = request.map(|_| Body::empty());
            // hyper leaves it there for requests that ask for an upgrade.
            if request.extensions().get::<OnUpgrade>().is_some() {
                request.extensions_mut().insert(self.tether.clone());
            }
            entrance.answer(request, &self.conn).await
        } else {
            self.answer_with_body(request).await
        };
        if self.stopping.get() {
            self.last.set(true);
        }
        if let Some(streams) = self.streams.get() {
            response.body_mut().report_to(streams.progress());
        } else if self.last.get() || self.rude.get() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn answer_with_body(&self, request: Request<Incoming>) -> Response<Body> {
        let Protocols { entrance, limits, .. } = &*self.protocols;
        if let Err(improper) = hygiene::check_coding(request.headers()) {
            self.rude.set(true);
            let (request, failure) = (request.map(|_| Body::empty()), improper.failure());
            return refusal::answer(entrance, request, &self.conn, &failure).await;
        }
        let fault = Fault::default();
        let request = request.map(|incoming| client_body::held_to(limits, incoming, Rc::clone(&fault)));
        let response = entrance.answer(request, &self.conn).await;
        match fault.get() {
            Some(fault) => {
                self.rude.set(true);
                refusal::instead(&response, &refusal::body(fault))
            }
            None => response,
        }
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// hyper takes no smaller buffer.
const SMALLEST_HEAD: usize = 8192;

/// How long a connection may still begin a request when the server stops.
const GRACE: Duration = Duration::from_millis(250);

const PING_INTERVAL: Duration = Duration::from_secs(30);

const PING_TIMEOUT: Duration = Duration::from_secs(20);
