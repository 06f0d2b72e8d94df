//! What a gateway has for producers to ask: its key set, and its word on a token.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Collected, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinSet};

use super::Gateway;
use crate::jwks::Jwks;
use crate::token;
use crate::verifier::system_seconds;

/// A small server with `/.well-known/jwks.json` and `/validate-producer-credentials`; it ends when it is dropped.
pub struct Published {
    address: SocketAddr,
    serving: AbortHandle,
}

impl Published {
    /// Publishes the keys of `gateway` on `address`; port 0 lets the system choose.
    pub async fn start(gateway: &Gateway, address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let (address, keys) = (listener.local_addr()?, Arc::new(gateway.jwks()));
        let serving = Handle::current().spawn(serve(listener, keys)).abort_handle();
        Ok(Self { address, serving })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, keys: Arc<Jwks>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let keys = Arc::clone(&keys);
        let service = service_fn(move |request| {
            let keys = Arc::clone(&keys);
            async move { Ok::<_, Infallible>(answer(&keys, request).await) }
        });
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(keys: &Jwks, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, json) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/.well-known/jwks.json") => (StatusCode::OK, json!(keys)),
        (&Method::POST, "/validate-producer-credentials") => {
            let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
            match serde_json::from_slice(&body).ok().and_then(|question| word(keys, &question)) {
                Some(word) => (StatusCode::OK, word),
                None => (
                    StatusCode::UNAUTHORIZED,
                    json!({"error": "Unauthorized", "message": "the credentials are not valid"}),
                ),
            }
        }
        _ => (StatusCode::NOT_FOUND, json!({"error": "NotFound", "message": "there is nothing here"})),
    };
    let mut response = Response::new(Full::new(Bytes::from(json.to_string())));
    *response.status_mut() = status;
    response
}

/// A gateway's word on a token: it has seen neither the body nor the address, and vouches for neither.
fn word(keys: &Jwks, question: &Value) -> Option<Value> {
    let text = |name: &str| question[name].as_str().unwrap_or_default();
    let claims = token::vouch(text("creds"), keys, system_seconds()).ok()?;
    let attaches: Value = serde_json::from_str(&claims.attaches).ok()?;
    let item = text("expected_item_name");
    let expected = claims.access_id == text("expected_access_id")
        && (item.is_empty() || attaches["item_name"].as_str() == Some(item));
    expected.then(|| json!({"access_id": claims.access_id, "attaches": claims.attaches}))
}
