//! The control plane's own ports.

mod client_body;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Control, Surface};
use client_body::ClientBody;

impl Control {
    /// Serves `surface` on `listener` until `stop` completes, and then until what is under way is answered, at most
    /// for the time that `stop` gave.
    pub async fn serve(
        self,
        surface: Surface,
        listener: TcpListener,
        runtime: Handle,
        stop: impl Future<Output = Duration>,
    ) {
        let connections = GracefulShutdown::new();
        let seats = Arc::new(Semaphore::new(self.most_connections));
        tokio::pin!(stop);
        let patience = loop {
            tokio::select! {
                patience = &mut stop => break patience,
                accepted = listener.accept() => match accepted {
                    Ok((stream, client)) => match Arc::clone(&seats).try_acquire_owned() {
                        Ok(seat) => {
                            let connection = self.connection(surface, stream, &connections);
                            runtime.spawn(converse(connection, client, seat));
                        }
                        Err(_) => tracing::warn!(%client, "a control connection too many was closed"),
                    },
                    Err(error) => {
                        // Out of file descriptors, most likely: accepting again at once would spin.
                        tracing::error!(%error, "a control connection was not accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        };
        drop(listener);
        if tokio::time::timeout(patience, connections.shutdown()).await.is_err() {
            tracing::warn!("control requests were cut off");
        }
    }

    /// The connection by `stream`, to be waited for by `connections`. Tells with it whether a request has begun.
    fn connection(
        &self,
        surface: Surface,
        stream: TcpStream,
        connections: &GracefulShutdown,
    ) -> (impl Future<Output = Result<(), ConnectionError>> + Send + use<>, Arc<AtomicBool>) {
        let control = self.clone();
        let begun = Arc::new(AtomicBool::new(false));
        let beginning = Arc::clone(&begun);
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            beginning.store(true, Ordering::Relaxed);
            let control = control.clone();
            async move {
                let request = request.map(|body| Body::new(ClientBody::new(body)));
                Ok::<_, Infallible>(control.answer(surface, request).await)
            }
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(MAX_HEAD);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(100)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(HEADER_TIME);
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        (connections.watch(connection), begun)
    }
}

/// Serves a connection, whose place `seat` is, until it ends.
async fn converse(
    (connection, begun): (impl Future<Output = Result<(), ConnectionError>>, Arc<AtomicBool>),
    client: SocketAddr,
    seat: OwnedSemaphorePermit,
) {
    let _seat = seat;
    let mut connection = Box::pin(connection);
    let ended = match tokio::time::timeout(HEADER_TIME, &mut connection).await {
        Ok(ended) => ended,
        // hyper's own limit begins with the first byte that is no HTTP/2; one that sends nothing, or half of
        // HTTP/2's preface, would stay for ever.
        Err(_) if !begun.load(Ordering::Relaxed) => return,
        Err(_) => connection.await,
    };
    if let Err(error) = ended {
        tracing::debug!(%client, error, "control connection ended");
    }
}

/// Why a connection ended.
type ConnectionError = Box<dyn std::error::Error + Send + Sync>;

/// How long a client may take to send a request's head, the first one from the beginning of the connection.
const HEADER_TIME: Duration = Duration::from_secs(10);

/// How often a client that speaks HTTP/2 is asked for a sign of life.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// The largest head of a request.
const MAX_HEAD: usize = 32 * 1024;
