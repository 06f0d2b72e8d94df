//! The control plane's own ports.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use crate::{Control, Surface};

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
        tokio::pin!(stop);
        let patience = loop {
            tokio::select! {
                patience = &mut stop => break patience,
                accepted = listener.accept() => match accepted {
                    Ok((stream, client)) => self.converse(surface, stream, client, &runtime, &connections),
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

    fn converse(
        &self,
        surface: Surface,
        stream: TcpStream,
        client: SocketAddr,
        runtime: &Handle,
        connections: &GracefulShutdown,
    ) {
        let control = self.clone();
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let control = control.clone();
            async move { Ok::<_, std::convert::Infallible>(control.answer(surface, request.map(Body::new)).await) }
        });
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(MAX_HEAD);
        builder.http2().timer(TokioTimer::new()).max_concurrent_streams(100);
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let watched = connections.watch(connection);
        runtime.spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(%client, error, "control connection ended");
            }
        });
    }
}

/// How long a client may take to send a request's head.
const HEADER_TIME: Duration = Duration::from_secs(10);

/// The largest head of a request.
const MAX_HEAD: usize = 32 * 1024;
