//! One connection of a client: HTTP/1.1, or HTTP/2 if it begins with HTTP/2's preface.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use gateward_net::{Body, Conn};
use http::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::dozing::Dozing;
use super::vigil::{HeadTimer, Heard, Limits, Vigil};
use crate::host::Entrance;

/// Serves connections by the protocol that each begins with.
pub(super) struct Protocols {
    entrance: Entrance,
    limits: Limits,
    http: auto::Builder<OnThisThread>,
}

impl Protocols {
    /// Serves requests by `entrance`.
    pub(super) fn new(entrance: Entrance, limits: Limits) -> Self {
        let mut http = auto::Builder::new(OnThisThread);
        http.http1().keep_alive(true).max_buf_size(LARGEST_HEAD as usize).header_read_timeout(limits.head);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(100)
            .max_header_list_size(LARGEST_HEAD)
            // A client that does not answer a ping is gone.
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        Self { entrance, limits, http }
    }

    /// Serves `stream` until it ends. After `stop` it ends as soon as no request is under way.
    async fn serve(self: Rc<Self>, stream: TcpStream, client: SocketAddr, stop: impl Future<Output = ()>) {
        // Answers are written whole; to wait for more would only delay them.
        let prepared = stream.set_nodelay(true).and_then(|()| stream.local_addr());
        let Ok(local) = prepared else { return };
        let conn = Rc::new(Conn::plain(client, local));
        let vigil = Vigil::new(self.limits);
        let begun = Cell::new(false);
        let service = service_fn(|request: Request<Incoming>| {
            begun.set(true);
            vigil.rest();
            // An HTTP/2 connection may end before its streams do.
            let (this, conn) = (Rc::clone(&self), Rc::clone(&conn));
            async move { Ok::<_, Infallible>(this.entrance.answer(request.map(Body::from), &conn).await) }
        });
        let mut http = self.http.clone();
        http.http1().timer(HeadTimer(Arc::clone(&vigil)));
        let io = TokioIo::new(Heard { stream, vigil: Arc::clone(&vigil) });
        let mut served = pin!(http.serve_connection(io, service));
        let (stopping, out_of_grace) = (Cell::new(false), Cell::new(false));
        let mut cut = Dozing::new(async {
            let last_request = async {
                stop.await;
                stopping.set(true);
                // The first request of a new connection is on its way most likely, and its client could not know.
                tokio::time::sleep(GRACE).await;
                out_of_grace.set(true);
            };
            tokio::select! {
                () = last_request => {}
                () = vigil.broken() => return,
            }
            vigil.broken().await;
        });
        let mut ending = false;
        poll_fn(|cx| {
            if Pin::new(&mut cut).poll(cx).is_ready() {
                tracing::debug!("a client took too long, and its connection is cut");
                return Poll::Ready(());
            }
            if stopping.get() && !ending && (begun.get() || out_of_grace.get()) {
                ending = true;
                served.as_mut().graceful_shutdown();
            }
            served.as_mut().poll(cx).map(|ended| {
                if let Err(error) = ended {
                    tracing::debug!(error, "a client's connection ended");
                }
            })
        })
        .await;
    }
}

/// The connections of one listener.
#[derive(Clone)]
pub(super) struct Connections {
    pub(super) protocols: Rc<Protocols>,
    pub(super) stopped: watch::Receiver<Option<Duration>>,
    /// Held as long as there is a listener or a connection.
    pub(super) alive: mpsc::Sender<()>,
}

impl Connections {
    /// Serves `stream` in a task of its own.
    pub(super) fn serve(&self, stream: TcpStream, client: SocketAddr) {
        let mut this = self.clone();
        tokio::task::spawn_local(async move {
            let protocols = Rc::clone(&this.protocols);
            protocols.serve(stream, client, this.stop()).await;
            drop(this.alive);
        });
    }

    /// Completes when no more connections are to be taken.
    pub(super) async fn stop(&mut self) {
        // An error means that the server was dropped, and all tasks are about to be.
        let _ = self.stopped.wait_for(Option::is_some).await;
    }
}

/// Runs the streams of an HTTP/2 connection where the connection itself runs: on its data thread.
#[derive(Clone, Copy, Debug)]
struct OnThisThread;

impl<F: Future<Output = ()> + 'static> Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// The largest head of a request, in bytes.
const LARGEST_HEAD: u32 = 32 * 1024;

/// How long a new connection may still begin its first request when the server stops.
const GRACE: Duration = Duration::from_millis(250);

const PING_INTERVAL: Duration = Duration::from_secs(30);

const PING_TIMEOUT: Duration = Duration::from_secs(20);
