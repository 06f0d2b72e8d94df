//! A data thread's own connections to those it calls.
//!
//! Of HTTP/1.1 this is a stack. Last in, first out: the connection that was used last is the least likely to have been closed meanwhile, and the
//! others grow old and go. A connection comes back only when the answer that it carried has been read to its end; one
//! whose answer was dropped half-read is closed. Connections of HTTP/2 carry many exchanges at a time ([`multiplexed`]).
//! Nothing here is shared between threads, so nothing is locked.

mod connection;
mod home;
mod idle;
pub mod incoming;
mod multiplexed;
mod outgoing;
mod patience;
mod pooled_body;
mod record;
mod session;
mod tally;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use rustc_hash::FxHashMap;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::{Body, Connector, FetchError, Peer, Protocol, Upgraded};
use connection::{Connection, Unanswered};
use home::Home;
pub(crate) use pooled_body::PooledBody;
use session::{Exchange, Rest, Session, Unserved};
pub(crate) use tally::{Tallies, Tally};

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
    /// The longest that a peer may say in place of it, if there is such a limit.
    pub longest_idle: Option<Duration>,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self { idle_per_peer: 320, idle_timeout: Duration::from_secs(60), longest_idle: None }
    }
}

/// A call that got no answer.
#[derive(Debug)]
pub struct Missed {
    /// Why not.
    pub error: FetchError,
    /// What is left of the request.
    pub left: Left,
}

/// What is left of a request that got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// All of it: no peer has seen anything of it.
    Untouched,
    /// All of it, but a peer may have got it. Its method is idempotent: doing it twice is doing it once.
    AtHand,
    /// Not all, or it must not be repeated: the peer may have got it, or has begun to answer.
    Spent,
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
    /// Rung when there is a new peer: its connections may grow old sooner than all others.
    peer_came: Rc<Notify>,
}

impl Pool {
    /// A pool that opens its connections with `connector`.
    pub fn new(connector: Arc<Connector>, settings: PoolSettings) -> Self {
        Self(Rc::new(Shared {
            connector,
            settings,
            peers: RefCell::default(),
            swept: Cell::new(false),
            peer_came: Rc::default(),
        }))
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

    /// Like [`Pool::fetch`], and leaves the request where it is: to move one about is not free, and what is left of it
    /// may be sent to another peer. What is not whole any more has neither body nor headers that one may rely on.
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
            Protocol::Http2 => Box::pin(self.send_http2(peer, &home, request, timeouts)).await,
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
                Err(Unanswered { died: true, .. }) => {}
                Err(Unanswered { error, left, .. }) => return Err(Missed { error, left }),
            }
        }
        let connection = match Box::pin(self.open_http1(peer, home, timeouts.connect)).await {
            Ok(connection) => connection,
            Err(error) => return Err(Missed { error, left: Left::Untouched }),
        };
        let answer = connection.exchange(request, timeouts, Instant::now()).await;
        answer.map_err(|Unanswered { error, left, .. }| Missed { error, left })
    }

    async fn send_http2(
        &self,
        peer: &Peer,
        home: &Rc<Home>,
        request: &mut Request<Body>,
        timeouts: &Timeouts,
    ) -> Result<Response<Body>, Missed> {
        home.keep_up(Instant::now());
        session::to_http2(request, peer.scheme()).map_err(|error| Missed { error, left: Left::Spent })?;
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
                    session::from_http2(request);
                    return Err(Missed { error, left: Left::Untouched });
                }
            };
            let Unserved { error, rest } =
                match Exchange::on(seat).run(std::mem::take(request), timeouts).await {
                    Ok(response) => return Ok(response),
                    Err(unserved) => unserved,
                };
            let Some(rest) = rest else { return Err(Missed { error, left: Left::Spent }) };
            let Rest { request: returned, left, spurned: session } = *rest;
            *request = returned;
            match session {
                Some(session) if attempt < ATTEMPTS => spurned = Some(session),
                _ => {
                    session::from_http2(request);
                    return Err(Missed { error, left });
                }
            }
        }
        Err(Missed { error: FetchError::ConnectTimeout, left: Left::Spent })
    }

    /// Sends `request`, which asks to `Upgrade` to another protocol, on a connection of its own, by HTTP/1.1 whatever
    /// `peer` speaks otherwise.
    ///
    /// If the peer answers 101, that answer and the stream on which the other protocol is spoken from now on; any other
    /// answer is one like that of [`Pool::fetch`]. The request has its `Upgrade` header, and gets its `Connection`
    /// header here.
    pub async fn upgrade(
        &self,
        peer: &Peer,
        request: &mut Request<Body>,
        timeouts: &Timeouts,
    ) -> Result<(Response<Body>, Option<Upgraded>), Missed> {
        let opening = async {
            let connecting = self.0.connector.connect_for(peer, Protocol::Http1);
            tokio::time::timeout(timeouts.connect, connecting)
                .await
                .map_err(|_elapsed| FetchError::ConnectTimeout)?
        };
        let stream = opening.await.map_err(|error| Missed { error, left: Left::Untouched })?;
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        let answer = Connection::new(stream).upgrade(request, timeouts).await;
        answer.map_err(|Unanswered { error, left, .. }| Missed { error, left })
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
        let tally = peer.counts_together().then(|| self.0.connector.tally(peer));
        let home = Rc::new(Home::new(peer, self.0.settings, name, tally));
        peers.insert(peer.clone(), Rc::clone(&home));
        self.0.peer_came.notify_one();
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
        let (shared, peer_came) = (Rc::downgrade(&self.0), Rc::clone(&self.0.peer_came));
        let mut swept = Instant::now();
        tokio::task::spawn_local(async move {
            loop {
                let Some(period) = shared.upgrade().map(|shared| shared.period()) else { return };
                tokio::select! {
                    () = tokio::time::sleep_until(after(swept, period)) => {}
                    () = peer_came.notified() => continue,
                }
                let Some(shared) = shared.upgrade() else { return };
                swept = Instant::now();
                shared.sweep(swept);
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
