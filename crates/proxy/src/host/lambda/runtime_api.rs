//! The Runtime API, over one kept connection: the next event, its answer or that there is none, and that the start has failed.
//!
//! An answer that is streamed has that connection to itself; the next call opens another if it cannot be used again.

use std::time::Duration;

use bytes::Bytes;
use gateward_clock::Timestamp;
use http::header::{CONTENT_TYPE, HOST, TRAILER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::streamed::{ERROR_BODY, ERROR_TYPE, Streamed};

/// What a call carries: all of it, or part by part.
type Outgoing = Either<Full<Bytes>, Streamed>;

/// The Runtime API does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeApiError {
    /// It is not there.
    #[error("the Lambda Runtime API cannot be reached")]
    Connect(#[source] std::io::Error),
    /// The call broke off.
    #[error("the call to the Lambda Runtime API broke off")]
    Call(#[source] hyper::Error),
    /// It answered that the call failed.
    #[error("the Lambda Runtime API answered {0}")]
    Status(StatusCode),
    /// An event without an id, which could not be answered.
    #[error("the Lambda Runtime API gave an event without an id")]
    NoId,
    /// A call that cannot be written down.
    #[error("the address of the Lambda Runtime API, or the id of an event, cannot be used")]
    Request(#[from] http::Error),
}

/// An event, and the id to answer it by.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) id: String,
    pub(super) event: Bytes,
    /// When the function is ended if it has not answered.
    pub(super) deadline: Option<Timestamp>,
}

/// The Runtime API of one function.
pub(super) struct RuntimeApi {
    address: String,
    connection: Option<SendRequest<Outgoing>>,
}

impl RuntimeApi {
    /// The one at `address` (`host:port`).
    pub(super) fn new(address: String) -> Self {
        Self { address, connection: None }
    }

    /// Waits for the next event, however long that takes.
    pub(super) async fn next(&mut self) -> Result<Invocation, RuntimeApiError> {
        let mut attempts = 1;
        loop {
            let error = match self.try_next().await {
                Ok(invocation) => return Ok(invocation),
                Err(error) => error,
            };
            if attempts == ATTEMPTS {
                return Err(error);
            }
            attempts += 1;
            tracing::warn!(%error, "asking for the next event again");
            tokio::time::sleep(BREATH).await;
        }
    }

    /// Answers the event `id`.
    pub(super) async fn response(&mut self, id: &str, answer: Bytes) -> Result<(), RuntimeApiError> {
        let path = format!("/2018-06-01/runtime/invocation/{id}/response");
        let request = self.request(Method::POST, &path)?.body(Either::Left(Full::new(answer)))?;
        self.post(request).await
    }

    /// Answers the event `id` with what comes part by part.
    pub(super) async fn stream(&mut self, id: &str, answer: Streamed) -> Result<(), RuntimeApiError> {
        let path = format!("/2018-06-01/runtime/invocation/{id}/response");
        let request = self
            .request(Method::POST, &path)?
            .header("lambda-runtime-function-response-mode", "streaming")
            .header(CONTENT_TYPE, "application/vnd.awslambda.http-integration-response")
            .header(TRAILER, format!("{ERROR_TYPE}, {ERROR_BODY}"))
            .body(Either::Right(answer))?;
        self.post(request).await
    }

    /// Says that the event `id` could not be answered.
    pub(super) async fn error(&mut self, id: &str, kind: &str, message: &str) -> Result<(), RuntimeApiError> {
        let path = format!("/2018-06-01/runtime/invocation/{id}/error");
        self.post_error(&path, kind, message).await
    }

    /// Says that the function cannot start.
    pub(super) async fn init_error(&mut self, message: &str) -> Result<(), RuntimeApiError> {
        self.post_error("/2018-06-01/runtime/init/error", "Gateward.InitError", message).await
    }

    async fn try_next(&mut self) -> Result<Invocation, RuntimeApiError> {
        let path = "/2018-06-01/runtime/invocation/next";
        let request = self.request(Method::GET, path)?.body(Either::Left(Full::default()))?;
        let response = self.call(request).await?;
        let status = response.status();
        let id = response.headers().get("lambda-runtime-aws-request-id").cloned();
        let deadline =
            response.headers().get("lambda-runtime-deadline-ms").and_then(|millis| millis.to_str().ok());
        let deadline = deadline.and_then(|millis| millis.parse().ok()).map(Timestamp::from_millis);
        let event = response.into_body().collect().await.map_err(RuntimeApiError::Call)?.to_bytes();
        if !status.is_success() {
            return Err(RuntimeApiError::Status(status));
        }
        let id = id.as_ref().and_then(|id| id.to_str().ok()).ok_or(RuntimeApiError::NoId)?;
        Ok(Invocation { id: id.to_owned(), event, deadline })
    }

    async fn post_error(&mut self, path: &str, kind: &str, message: &str) -> Result<(), RuntimeApiError> {
        let told = serde_json::json!({"errorType": kind, "errorMessage": message, "stackTrace": []});
        let request = self
            .request(Method::POST, path)?
            .header("lambda-runtime-function-error-type", kind)
            .header(CONTENT_TYPE, JSON)
            .body(Either::Left(Full::from(told.to_string())))?;
        self.post(request).await
    }

    async fn post(&mut self, request: Request<Outgoing>) -> Result<(), RuntimeApiError> {
        let response = self.call(request).await?;
        let status = response.status();
        // The connection is free for the next call when the answer has been read.
        response.into_body().collect().await.map_err(RuntimeApiError::Call)?;
        match status {
            // The function was too late, or the answer too large: this event is lost, the next one is not.
            status if status.is_client_error() => {
                tracing::error!(%status, "the Lambda Runtime API did not take an answer");
                Ok(())
            }
            status if status.is_success() => Ok(()),
            status => Err(RuntimeApiError::Status(status)),
        }
    }

    async fn call(&mut self, request: Request<Outgoing>) -> Result<Response<Incoming>, RuntimeApiError> {
        let mut connection = match self.connection.take() {
            Some(connection) if connection.is_ready() => connection,
            _ => self.connect().await?,
        };
        let response = connection.send_request(request).await.map_err(RuntimeApiError::Call)?;
        self.connection = Some(connection);
        Ok(response)
    }

    async fn connect(&self) -> Result<SendRequest<Outgoing>, RuntimeApiError> {
        let stream = TcpStream::connect(&self.address).await.map_err(RuntimeApiError::Connect)?;
        stream.set_nodelay(true).map_err(RuntimeApiError::Connect)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(RuntimeApiError::Call)?;
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the Runtime API ended");
            }
        });
        Ok(sender)
    }

    fn request(&self, method: Method, path: &str) -> Result<http::request::Builder, RuntimeApiError> {
        let host = HeaderValue::from_str(&self.address).map_err(http::Error::from)?;
        Ok(Request::builder().method(method).uri(path).header(HOST, host))
    }
}

/// How often the next event is asked for before the function gives up.
const ATTEMPTS: u32 = 3;

const BREATH: Duration = Duration::from_millis(50);

const JSON: HeaderValue = HeaderValue::from_static("application/json");
