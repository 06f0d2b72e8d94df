//! The Lambda Runtime API: asks for the next event, answers it, or says that it cannot.

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

/// The Runtime API of one function, over one kept connection.
pub(super) struct RuntimeApi {
    address: String,
    connection: Option<SendRequest<Full<Bytes>>>,
}

/// An event, and the id to answer it by.
pub(super) struct Invocation {
    pub(super) id: String,
    pub(super) event: Bytes,
}

impl RuntimeApi {
    pub(super) fn new(address: String) -> Self {
        Self { address, connection: None }
    }

    /// Waits for the next event, however long that takes.
    pub(super) async fn next(&mut self) -> Result<Invocation, RuntimeApiError> {
        let response = self.call(Method::GET, "invocation/next", Bytes::new()).await?;
        let (head, event) = response.into_parts();
        let id = head.headers.get("lambda-runtime-aws-request-id").and_then(|id| id.to_str().ok());
        Ok(Invocation { id: id.ok_or(RuntimeApiError::NoId)?.to_owned(), event })
    }

    /// Answers the event `id`.
    pub(super) async fn respond(&mut self, id: &str, answer: Value) -> Result<(), RuntimeApiError> {
        self.post(&format!("invocation/{id}/response"), &answer).await
    }

    /// Says that the event `id` could not be answered.
    pub(super) async fn fail(&mut self, id: &str, why: &str) -> Result<(), RuntimeApiError> {
        self.post(&format!("invocation/{id}/error"), &error("Producer.NotAnHttpRequest", why)).await
    }

    /// Says that the function cannot start.
    pub(super) async fn init_error(&mut self, why: &str) -> Result<(), RuntimeApiError> {
        self.post("init/error", &error("Producer.InitError", why)).await
    }

    async fn post(&mut self, path: &str, json: &Value) -> Result<(), RuntimeApiError> {
        match self.call(Method::POST, path, json.to_string().into()).await {
            // Too late, or too large: this event is lost, the next one is not.
            Err(RuntimeApiError::Status(status)) if status.is_client_error() => {
                tracing::error!(%status, "Lambda did not take an answer");
                Ok(())
            }
            outcome => outcome.map(drop),
        }
    }

    async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<http::Response<Bytes>, RuntimeApiError> {
        let mut connection = match self.connection.take() {
            Some(connection) if connection.is_ready() => connection,
            _ => self.connect().await?,
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("/2018-06-01/runtime/{path}"))
            .header(header::HOST, &self.address)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let (head, body) = connection.send_request(request).await?.into_parts();
        // The connection is free for the next call when the answer has been read.
        let body = body.collect().await?.to_bytes();
        self.connection = Some(connection);
        if head.status.is_success() {
            Ok(http::Response::from_parts(head, body))
        } else {
            Err(RuntimeApiError::Status(head.status))
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, RuntimeApiError> {
        let stream = TcpStream::connect(&self.address).await.map_err(RuntimeApiError::Unreachable)?;
        stream.set_nodelay(true).map_err(RuntimeApiError::Unreachable)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        Handle::current().spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the Runtime API ended");
            }
        });
        Ok(sender)
    }
}

fn error(kind: &str, why: &str) -> Value {
    json!({"errorType": kind, "errorMessage": why, "stackTrace": []})
}

/// The Runtime API does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeApiError {
    /// It is not there.
    #[error("the Lambda Runtime API cannot be reached")]
    Unreachable(#[source] std::io::Error),
    /// The call broke off.
    #[error("the call to the Lambda Runtime API broke off")]
    Call(#[from] hyper::Error),
    /// It answered that the call failed.
    #[error("the Lambda Runtime API answered {0}")]
    Status(StatusCode),
    /// An event without an id, which could not be answered.
    #[error("the Lambda Runtime API gave an event without an id")]
    NoId,
    /// A call that cannot be written down.
    #[error("the address of the Lambda Runtime API, or the id of an event, cannot be used")]
    Request(#[from] http::Error),
    /// It was told why the function cannot start.
    #[error("{0}")]
    NotStarted(String),
}
