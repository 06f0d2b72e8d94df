//! A data thread's own connections to those it calls.
//!
//! Last in, first out: the connection that was used last is the least likely to have been closed meanwhile, and the
//! others grow old and go. A connection comes back only when the answer that it carried has been read to its end; one
//! whose answer was dropped half-read is closed. Nothing here is shared between threads, so nothing is locked.

mod connection;
mod idle;
mod pooled_body;
mod replay;
mod tape;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::{Body, Connector, FetchError, Peer, Protocol, Upgraded};
use connection::Connection;
use idle::Idle;
pub(crate) use pooled_body::PooledBody;
use replay::Unanswered;

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
    peers: RefCell<FxHashMap<Peer, Rc<Idle>>>,
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
    /// cannot have got it or would not mind getting it twice (the method is idempotent, the body at hand).
    pub async fn fetch(
        &self,
        peer: &Peer,
        request: Request<Body>,
        timeouts: &Timeouts,
    ) -> Result<Response<Body>, FetchError> {
        let answer = self.fetch_or_return(peer, request, timeouts).await;
        answer.map_err(|unreached| unreached.error)
    }

    /// Like [`Pool::fetch`], and gives the request back, untouched, if no connection to `peer` could be opened, so that
    /// it can be sent to another.
    pub async fn fetch_or_return(
        &self,
        peer: &Peer,
        mut request: Request<Body>,
        timeouts: &Timeouts,
    ) -> Result<Response<Body>, Unreached> {
        *request.version_mut() = Version::HTTP_11;
        let idle = self.idle(peer);
        let now = Instant::now();
        if let Some(connection) = idle.take(now) {
            match connection.exchange(request, timeouts, now).await {
                Ok(response) => return Ok(response),
                Err(Unanswered { again: Some(again), .. }) => request = again,
                Err(Unanswered { error, again: None }) => return Err(Unreached::not(error)),
            }
        }
        let connection = match self.open(peer, &idle, timeouts.connect).await {
            Ok(connection) => connection,
            Err(error) => return Err(Unreached { error, request: Some(Box::new(request)) }),
        };
        let answer = connection.exchange(request, timeouts, Instant::now()).await;
        answer.map_err(|unanswered| Unreached::not(unanswered.error))
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
            let stream = tokio::time::timeout(timeouts.connect, connecting)
                .await
                .map_err(|_elapsed| FetchError::ConnectTimeout)??;
            Connection::open_for_upgrade(stream).await
        };
        let connection = match opening.await {
            Ok(connection) => connection,
            Err(error) => return Err(Unreached { error, request: Some(Box::new(request)) }),
        };
        *request.version_mut() = Version::HTTP_11;
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        connection.upgrade(request, timeouts).await.map_err(Unreached::not)
    }

    fn idle(&self, peer: &Peer) -> Rc<Idle> {
        let mut peers = self.0.peers.borrow_mut();
        if let Some(idle) = peers.get(peer) {
            return Rc::clone(idle);
        }
        let idle = Rc::new(Idle::new(self.0.settings));
        peers.insert(peer.clone(), Rc::clone(&idle));
        idle
    }

    async fn open(
        &self,
        peer: &Peer,
        idle: &Rc<Idle>,
        patience: Duration,
    ) -> Result<Box<Connection>, FetchError> {
        let stream = tokio::time::timeout(patience, self.0.connector.connect(peer))
            .await
            .map_err(|_elapsed| FetchError::ConnectTimeout)??;
        self.keep_swept();
        Connection::open(stream, idle).await
    }

    /// Sees to it that old connections go, also those to peers that nobody calls any more.
    fn keep_swept(&self) {
        if self.0.swept.replace(true) {
            return;
        }
        let shared = Rc::downgrade(&self.0);
        let period = self.0.settings.idle_timeout;
        tokio::task::spawn_local(async move {
            loop {
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
    fn sweep(&self, now: Instant) {
        self.peers.borrow_mut().retain(|_, idle| {
            idle.expire(now);
            // A connection that is out holds a weak reference, a call under way a strong one.
            !idle.is_empty() || Rc::weak_count(idle) > 0 || Rc::strong_count(idle) > 1
        });
    }
}

/// `span` after `start`, however long a span somebody wrote down.
pub(crate) fn after(start: Instant, span: Duration) -> Instant {
    start.checked_add(span).unwrap_or_else(|| start + Duration::from_secs(365 * 86_400))
}

#[cfg(test)]
mod tests;
