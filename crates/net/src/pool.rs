//! A data thread's own connections to those it calls.
//!
//! Of HTTP/1.1 this is a stack. Last in, first out: the connection that was used last is the least likely to have been closed meanwhile, and the
//! others grow old and go. A connection comes back only when the answer that it carried has been read to its end; one
//! whose answer was dropped half-read is closed. Connections of HTTP/2 carry many exchanges at a time ([`multiplexed`]).
//! Nothing here is shared between threads, so nothing is locked.

mod connection;
mod home;
mod idle;
mod incoming;
mod multiplexed;
mod outgoing;
mod patience;
mod pooled_body;
mod record;
mod session;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::{Body, Connector, FetchError, Peer, Protocol, Upgraded};
use connection::{Connection, Unanswered};
use home::Home;
pub(crate) use pooled_body::PooledBody;
use session::{Exchange, Session, Unserved};

/// How long each phase of a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the name to an open connection, TLS included.
    pub connect: Duration,
    /// Between two pieces of the request's body.
    pub send: Duration,
    /// From the request's end to the answer's head, and between two pieces of its body.
    pub read: Duration,
}

/// How many connections a [`Pool`] keeps, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Idle connections to one peer. Fewer than are busy at one time, and calls open connections for each other to close.
    pub idle_per_peer: usize,
    /// How long a connection may be idle. Peers close idle connections too, and a pool should do it first.
    pub idle_timeout: Duration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self { idle_per_peer: 320, idle_timeout: Duration::from_secs(60) }
    }
}

/// A call that got no answer.
#[derive(Debug)]
pub struct Unreached {
    /// Why not.
    pub error: FetchError,
    /// The request, if no connection could be opened to send it on.
    pub request: Option<Box<Request<Body>>>,
}

/// A call by [`Pool::send`] that got no answer.
#[derive(Debug)]
pub struct Missed {
    /// Why not.
    pub error: FetchError,
    /// Whether the request is as it was, for no connection could be opened to send it on.
    pub untouched: bool,
}

impl Unreached {
    /// The request may have reached the peer.
    fn not(error: FetchError) -> Self {
        Self { error, request: None }
    }
}

/// A data thread's own connections. Cheap to clone, never sent to another thread; must be used within a
/// [`tokio::task::LocalSet`] or a local runtime.
#[derive(Clone, Debug)]
pub struct Pool(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    connector: Arc<Connector>,
    settings: PoolSettings,
    /// Peers come from the configuration, so nobody outside can choose ones that hash alike.
    peers: RefCell<FxHashMap<Peer, Rc<Home>>>,
    swept: Cell<bool>,
}

impl Pool {
    /// A pool that opens its connections with `connector`.
    pub fn new(connector: Arc<Connector>, settings: PoolSettings) -> Self {
        Self(Rc::new(Shared { connector, settings, peers: RefCell::default(), swept: Cell::new(false) }))
    }

    /// Sends `request` to `peer` and returns the answer as soon as its head is there.
    ///
    /// The request has an origin-form URI (`/path?query`) and its Host header already. It is sent a second time, on a
    /// fresh connection, only if it was first sent on a kept connection that turned out dead, and only if the peer
    /// cannot have got it or would not mind getting it twice (the method is idempotent, the body at hand). Over HTTP/2
    /// it is also sent again if the peer says that it has not looked at it.
    pub async fn fetch(
        &self,
        peer: &Peer,
        mut request: Request<Body>,
        timeouts: &Timeouts,
    ) -> Result<Response<Body>, FetchError> {
        self.send(peer, &mut request, timeouts).await.map_err(|missed| missed.error)
    }

    /// Like [`Pool::fetch`], and gives the request back, untouched, if no connection to `peer` could be opened, so that
    /// it can be sent to another.
    pub async fn fetch_or_return(
        &self,
        peer: &Peer,
        mut request: Request<Body>,
        timeouts: &Timeouts,
    ) -> Result<Response<Body>, Unreached> {
        let answer = self.send(peer, &mut request, timeouts).await;
        answer.map_err(|missed| Unreached {
            error: missed.error,
            request: missed.untouched.then(|| Box::new(request)),
        })
    }

    /// Like [`Pool::fetch`], and leaves the request where it is: to move one about is not free. Its body is gone
    /// afterwards, and its headers may be, unless the error says that it is untouched.
    pub async fn send(
        &self,
        peer: &Peer,
        request: &mut Request<Body>,
        timeouts: &Timeouts,
    ) -> Result<Response<Body>, Missed> {
        let home = self.home(peer);
        match peer.protocol() {
            Protocol::Http1 => self.send_http1(peer, &home, request, timeouts).await,
            // Boxed, so that the others need no room for it.
            Protocol::Http2 => {
                let taken = std::mem::replace(request, Request::new(Body::empty()));
                let answer = Box::pin(self.fetch_http2(peer, &home, taken, timeouts)).await;
                answer.map_err(|unreached| {
                    let untouched = unreached.request.is_some();
                    if let Some(returned) = unreached.request {
                        *request = *returned;
                    }
                    Missed { error: unreached.error, untouched }
                })
            }
        }
    }

    async fn send_http1(
        &self,
        peer: &Peer,
        home: &Rc<Home>,
        request: &mut Request<Body>,
        timeouts: &Timeouts,
    ) -> Result<Response<Body>, Missed> {
        let now = Instant::now();
        home.keep_up(now);
        if let Some(connection) = home.idle.take(now) {
            match connection.exchange(request, timeouts, now).await {
                Ok(response) => return Ok(response),
                Err(Unanswered { again: Some(again), .. }) => *request.body_mut() = again,
                Err(Unanswered { error, again: None }) => return Err(Missed { error, untouched: false }),
            }
        }
        let connection = match Box::pin(self.open_http1(peer, home, timeouts.connect)).await {
            Ok(connection) => connection,
            Err(error) => return Err(Missed { error, untouched: true }),
        };
        let answer = connection.exchange(request, timeouts, Instant::now()).await;
        answer.map_err(|unanswered| Missed { error: unanswered.error, untouched: false })
    }

    async fn fetch_http2(
        &self,
        peer: &Peer,
        home: &Rc<Home>,
        mut request: Request<Body>,
        timeouts: &Timeouts,
    ) -> Result<Response<Body>, Unreached> {
        home.keep_up(Instant::now());
        session::to_http2(&mut request, peer.scheme()).map_err(Unreached::not)?;
        let mut spurned = None;
        for attempt in 1.. {
            let seat = home.multiplexed.seat(spurned.as_ref(), async || self.open_http2(peer).await);
            let seat = match tokio::time::timeout(timeouts.connect, seat).await {
                Ok(Ok(seat)) => seat,
                failed => {
                    let error = match failed {
                        Ok(Err(error)) => error,
                        _elapsed => FetchError::ConnectTimeout,
                    };
                    session::from_http2(&mut request);
                    return Err(Unreached { error, request: Some(Box::new(request)) });
                }
            };
            match Exchange::on(seat).run(request, timeouts).await {
                Ok(response) => return Ok(response),
                Err(Unserved { again: Some(again), .. }) if attempt < ATTEMPTS => {
                    (request, spurned) = (again.0, Some(again.1));
                }
                Err(Unserved { error, .. }) => return Err(Unreached::not(error)),
            }
        }
        Err(Unreached::not(FetchError::ConnectTimeout))
    }

    /// Sends `request`, which asks to `Upgrade` to another protocol, on a connection of its own, by HTTP/1.1 whatever
    /// `peer` speaks otherwise.
    ///
    /// If the peer answers 101, that answer and the stream on which the other protocol is spoken from now on; any other
    /// answer is one like that of [`Pool::fetch`]. The request has its `Upgrade` header, and gets its `Connection`
    /// header here. It is given back, untouched, if no connection could be opened.
    pub async fn upgrade(
        &self,
        peer: &Peer,
        mut request: Request<Body>,
        timeouts: &Timeouts,
    ) -> Result<(Response<Body>, Option<Upgraded>), Unreached> {
        let opening = async {
            let connecting = self.0.connector.connect_for(peer, Protocol::Http1);
            tokio::time::timeout(timeouts.connect, connecting)
                .await
                .map_err(|_elapsed| FetchError::ConnectTimeout)?
        };
        let stream = match opening.await {
            Ok(stream) => stream,
            Err(error) => return Err(Unreached { error, request: Some(Box::new(request)) }),
        };
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        Connection::new(stream).upgrade(&mut request, timeouts).await.map_err(Unreached::not)
    }

    #[cfg(test)]
    pub(crate) fn connector(&self) -> &Connector {
        &self.0.connector
    }

    fn home(&self, peer: &Peer) -> Rc<Home> {
        let mut peers = self.0.peers.borrow_mut();
        if let Some(home) = peers.get(peer) {
            return Rc::clone(home);
        }
        let name = self.0.connector.name(peer);
        let home = Rc::new(Home::new(peer, self.0.settings, name));
        peers.insert(peer.clone(), Rc::clone(&home));
        home
    }

    async fn open_http1(
        &self,
        peer: &Peer,
        home: &Rc<Home>,
        patience: Duration,
    ) -> Result<Box<Connection>, FetchError> {
        let stream = tokio::time::timeout(patience, self.0.connector.connect(peer))
            .await
            .map_err(|_elapsed| FetchError::ConnectTimeout)??;
        self.keep_swept();
        Ok(Connection::new(stream).living_at(home))
    }

    async fn open_http2(&self, peer: &Peer) -> Result<Rc<Session>, FetchError> {
        let stream = self.0.connector.connect(peer).await?;
        self.keep_swept();
        Session::open(stream).await
    }

    /// Sees to it that old connections go, also those to peers that nobody calls any more.
    fn keep_swept(&self) {
        if self.0.swept.replace(true) {
            return;
        }
        let shared = Rc::downgrade(&self.0);
        tokio::task::spawn_local(async move {
            loop {
                let Some(period) = shared.upgrade().map(|shared| shared.period()) else { return };
                tokio::time::sleep(period).await;
                let Some(shared) = shared.upgrade() else { return };
                shared.sweep(Instant::now());
                if shared.peers.borrow().is_empty() {
                    shared.swept.set(false);
                    return;
                }
            }
        });
    }
}

impl Shared {
    /// How often to look for old connections: as often as the most hasty peer wants it.
    fn period(&self) -> Duration {
        let peers = self.peers.borrow();
        let each =
            peers.values().map(|home| home.keepalive.idle_timeout).filter(|timeout| !timeout.is_zero());
        each.fold(self.settings.idle_timeout, Duration::min)
    }

    fn sweep(&self, now: Instant) {
        self.peers.borrow_mut().retain(|_, home| {
            home.expire(now);
            // A connection that is out holds a weak reference, a call under way a strong one.
            !home.is_empty() || Rc::weak_count(home) > 0 || Rc::strong_count(home) > 1
        });
    }
}

/// `span` after `start`, however long a span somebody wrote down.
pub(crate) fn after(start: Instant, span: Duration) -> Instant {
    start.checked_add(span).unwrap_or_else(|| start + Duration::from_secs(365 * 86_400))
}

/// How often a request is sent at most that the peer refuses to look at.
const ATTEMPTS: u32 = 3;

#[cfg(test)]
mod tests;
