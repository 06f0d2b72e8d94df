//! A ready HTTP server around a [`Producer`].
//!
//! It serves `POST` on any path that ends in `create`, `revoke` or `rotate`. A request is verified before its body is
//! read as anything but bytes; what is said of a bad one never repeats what was in it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::producer::{Failure, Producer};
use crate::protocol::{CREDENTIALS_HEADER, Operation};
use crate::token::{Call, Refused};
use crate::verifier::{Verifier, VerifyError};

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
        let desk = Arc::new(Desk { producer, verifier, origins: self.origins });
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut stopped = self.stop.subscribe();
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let desk = Arc::clone(&desk);
                        let service = service_fn(move |request| {
                            let desk = Arc::clone(&desk);
                            async move { Ok::<_, std::convert::Infallible>(desk.answer(request).await) }
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

/// What every request meets.
struct Desk<P> {
    producer: P,
    verifier: Verifier,
    origins: Vec<String>,
}

impl<P: Producer> Desk<P> {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match self.serve(request).await {
            Ok(json) => response(StatusCode::OK, json),
            Err(Rejection { status, reason }) => {
                tracing::warn!(status = status.as_u16(), reason, "a request was not served");
                response(status, json!({ "error": reason }).to_string())
            }
        }
    }

    async fn serve(&self, request: Request<Incoming>) -> Result<String, Rejection> {
        let operation = Operation::from_path(request.uri().path()).ok_or_else(|| {
            Rejection::new(StatusCode::NOT_FOUND, "the path must end in create, revoke or rotate")
        })?;
        if request.method() != Method::POST {
            return Err(Rejection::new(StatusCode::METHOD_NOT_ALLOWED, "only POST is served"));
        }
        let (head, body) = request.into_parts();
        let body = read_within_limits(body).await?;

        let mut tokens = head.headers.get_all(CREDENTIALS_HEADER).iter();
        let token = tokens.next().ok_or(VerifyError::Refused(Refused::Missing))?;
        if tokens.next().is_some() {
            return Err(VerifyError::Refused(Refused::Malformed).into());
        }
        let token = token.to_str().map_err(|_| VerifyError::Refused(Refused::Malformed))?;
        self.verifier.verify(token, Call { origins: &self.origins, operation, body: &body }).await?;

        match operation {
            Operation::Create => write(&self.producer.create(read(&body)?).await?),
            Operation::Revoke => write(&self.producer.revoke(read(&body)?).await?),
            Operation::Rotate => write(&self.producer.rotate(read(&body)?).await?),
        }
    }
}

/// A request that was not served, and the sentence that says why.
struct Rejection {
    status: StatusCode,
    reason: String,
}

impl Rejection {
    fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}

impl From<VerifyError> for Rejection {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Refused(refused) => {
                Self::new(StatusCode::UNAUTHORIZED, format!("invalid credentials: {refused}"))
            }
            VerifyError::Unavailable(ref cause) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, format!("{error}: {cause}"))
            }
        }
    }
}

impl From<Failure> for Rejection {
    fn from(failure: Failure) -> Self {
        let status = match failure {
            Failure::BadInput(_) => StatusCode::BAD_REQUEST,
            Failure::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Failure::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Failure::Unsupported => StatusCode::NOT_IMPLEMENTED,
        };
        Self::new(status, failure.to_string())
    }
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

/// Says where a body is wrong, and not what stands there: it holds the payload.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Rejection> {
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what =
            if error.is_data() { "has a field that is missing or of the wrong type" } else { "is not JSON" };
        Rejection::new(StatusCode::BAD_REQUEST, format!("the body {what} (line {line}, column {column})"))
    })
}

fn write<T: Serialize>(answer: &T) -> Result<String, Rejection> {
    serde_json::to_string(answer).map_err(|_| {
        Rejection::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written as JSON")
    })
}

fn response(status: StatusCode, json: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(json)));
    *response.status_mut() = status;
    let content_type = header::HeaderValue::from_static("application/json");
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
