//! A ready HTTP server around a [`Producer`].
//!
//! It serves `POST` on any path that ends in `create`, `revoke`, `rotate` or `list`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::desk::{self, Answer, Asked, Desk, Rejection};
use crate::producer::Producer;
use crate::protocol::CREDENTIALS_HEADER;
use crate::verifier::Verifier;

/// A server that has its address already, and serves once it is given a producer.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    origins: Vec<String>,
    stop: Arc<watch::Sender<bool>>,
}

impl Server {
    /// Takes `address`; port 0 lets the system choose one. Tokens must be for `http://` and this address (on
    /// loopback, `http://localhost` too) unless [`Server::origin`] says otherwise.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let listener = TcpListener::bind(address).await.map_err(|cause| BindError { address, cause })?;
        let address = listener.local_addr().map_err(|cause| BindError { address, cause })?;
        let origins = origins_of(address);
        Ok(Self { listener, address, origins, stop: Arc::new(watch::Sender::new(false)) })
    }

    /// Says under which origin gateways call this producer, where that is not the address it listens on: behind a
    /// load balancer, or on all addresses. `https://producer.example`, with a port only if it is not the usual one.
    #[must_use]
    pub fn origin(mut self, origin: &str) -> Self {
        self.origins = vec![origin.trim_end_matches('/').to_ascii_lowercase()];
        self
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the server, from elsewhere.
    pub fn handle(&self) -> Handle {
        Handle { stop: Arc::clone(&self.stop) }
    }

    /// Serves until [`Handle::stop`]; then takes no more connections, and ends when the last request was answered.
    pub async fn serve<P: Producer>(self, producer: P, verifier: Verifier) {
        let desk = Arc::new((Desk::new(producer, verifier), self.origins));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut stopped = self.stop.subscribe();
        loop {
            tokio::select! {
                () = async { drop(stopped.wait_for(|stop| *stop).await) } => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let desk = Arc::clone(&desk);
                        let service = service_fn(move |request| {
                            let desk = Arc::clone(&desk);
                            async move {
                                let (desk, origins) = &*desk;
                                Ok::<_, Infallible>(response(answer(desk, origins, request).await))
                            }
                        });
                        let connection = hyper::server::conn::http1::Builder::new()
                            .timer(TokioTimer::new())
                            .header_read_timeout(HEAD_DEADLINE)
                            .serve_connection(TokioIo::new(stream), service);
                        connections.spawn(graceful.watch(connection));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be taken");
                        // Out of file handles, most likely: without a pause this would spin.
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.listener);
        graceful.shutdown().await;
    }
}

/// Stops a [`Server`].
#[derive(Clone)]
pub struct Handle {
    stop: Arc<watch::Sender<bool>>,
}

impl Handle {
    /// Asks the server to take no more requests and to end when those it has are answered.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// An address could not be taken.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    address: SocketAddr,
    #[source]
    cause: std::io::Error,
}

async fn answer<P: Producer>(desk: &Desk<P>, origins: &[String], request: Request<Incoming>) -> Answer {
    let operation = match desk::operation(request.method(), request.uri().path()) {
        Ok(operation) => operation,
        Err(rejection) => return rejection.told(),
    };
    let (head, body) = request.into_parts();
    let body = match read_within_limits(body).await {
        Ok(body) => body,
        Err(rejection) => return rejection.told(),
    };
    let tokens: Vec<&[u8]> =
        head.headers.get_all(CREDENTIALS_HEADER).iter().map(HeaderValue::as_bytes).collect();
    desk.answer(Asked { operation, tokens: &tokens, origins, body: &body }).await
}

async fn read_within_limits(body: Incoming) -> Result<Bytes, Rejection> {
    let read = Limited::new(body, LARGEST_BODY).collect();
    match tokio::time::timeout(BODY_DEADLINE, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Rejection::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is over {LARGEST_BODY} bytes"),
        )),
        Ok(Err(_)) => Err(Rejection::new(StatusCode::BAD_REQUEST, "the body ended early")),
        Err(_) => Err(Rejection::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
    }
}

fn response(Answer { status, json }: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(json)));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// What a URL that leads to `address` begins with.
fn origins_of(address: SocketAddr) -> Vec<String> {
    let port = if address.port() == 80 { String::new() } else { format!(":{}", address.port()) };
    let host = match address {
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    };
    let mut origins = vec![format!("http://{host}{port}")];
    if address.ip().is_loopback() {
        origins.push(format!("http://localhost{port}"));
    }
    origins
}

const LARGEST_BODY: usize = 1024 * 1024;
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
const BODY_DEADLINE: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests;
