//! Makes the calls of one item to one producer, each with its token.

use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::Gateway;
use crate::producer::Producer;
use crate::protocol::{CREDENTIALS_HEADER, DRY_RUN_ACCESS_ID, Operation};
use crate::server::{self, Server};
use crate::web::{Web, WebError};

/// Calls a producer as the gateway would.
pub struct Caller {
    gateway: Gateway,
    base: String,
    web: Web,
    /// A server that was started for it, which ends with it.
    server: Option<server::Handle>,
}

/// What a producer has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The status code.
    pub status: u16,
    /// The body; a text where it is no JSON.
    pub body: Value,
}

impl Caller {
    /// Calls the producer whose URLs begin with `base`: `http://127.0.0.1:8090/sync`. It must believe `gateway`.
    pub fn to(base: &str, gateway: Gateway) -> Self {
        Self::of_server(base, gateway, None)
    }

    /// Starts a server for `producer` on loopback, in this process, and calls that.
    pub async fn of<P: Producer>(producer: P) -> Self {
        let gateway = Gateway::new();
        let loopback = "127.0.0.1:0".parse().expect("it is an address");
        let server = Server::bind(loopback).await.expect("loopback has a free port");
        let (base, handle) = (format!("http://{}/sync", server.address()), server.handle());
        Handle::current().spawn(server.serve(producer, gateway.verifier()));
        Self::of_server(&base, gateway, Some(handle))
    }

    fn of_server(base: &str, gateway: Gateway, server: Option<server::Handle>) -> Self {
        let web = Web::new().patient(PATIENCE);
        Self { gateway, base: base.trim_end_matches('/').to_owned(), web, server }
    }

    /// Calls through `web`, which trusts the producer's certificate or waits longer than two minutes.
    #[must_use]
    pub fn web(mut self, web: Web) -> Self {
        self.web = web;
        self
    }

    /// The gateway that signs.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// What the producer's URLs begin with, scheme, host and port alone.
    pub fn origin(&self) -> String {
        let url: Uri = self.base.parse().unwrap_or_default();
        let authority = url.authority().map_or("", |authority| authority.as_str()).to_ascii_lowercase();
        let scheme = url.scheme_str().unwrap_or("http");
        let usual = if scheme == "https" { ":443" } else { ":80" };
        format!("{scheme}://{}", authority.strip_suffix(usual).unwrap_or(&authority))
    }

    /// Asks for a credential, as a gateway does that tells all it can.
    pub async fn create(&self, payload: &str, input: &Value, request_id: &str) -> Result<Answered, WebError> {
        let body = json!({
            "payload": payload, "input": input,
            "client_info": {"access_id": "p-user", "sub_claims": {"team": ["blue"]}},
            "request_id": request_id, "lease_id": request_id, "ttl": 3600, "expires_at": "2100-01-01T00:00:00Z",
        });
        self.call(Operation::Create, &body).await
    }

    /// Tries the producer out, as a gateway does before an item is there.
    pub async fn dry_run(&self, payload: &str) -> Result<Answered, WebError> {
        self.call(Operation::Create, &Self::dry_run_body(payload)).await
    }

    /// The body of such a call.
    pub fn dry_run_body(payload: &str) -> Value {
        json!({
            "payload": payload, "input": {},
            "client_info": {"access_id": DRY_RUN_ACCESS_ID, "sub_claims": {}},
            "request_id": DRY_RUN_ACCESS_ID, "lease_id": DRY_RUN_ACCESS_ID, "ttl": 3600,
            "expires_at": "2100-01-01T00:00:00Z",
        })
    }

    /// Asks to unmake credentials.
    pub async fn revoke(&self, payload: &str, ids: &[&str]) -> Result<Answered, WebError> {
        self.call(Operation::Revoke, &json!({"payload": payload, "ids": ids})).await
    }

    /// Asks for a new payload.
    pub async fn rotate(&self, payload: &str, request_id: &str) -> Result<Answered, WebError> {
        self.call(Operation::Rotate, &json!({"payload": payload, "request_id": request_id})).await
    }

    /// Asks which credentials exist; all pages.
    pub async fn list(&self, payload: &str) -> Result<Answered, WebError> {
        let (mut ids, mut page) = (Vec::new(), Value::Null);
        for _ in 0..MOST_PAGES {
            let answered = self.call(Operation::List, &json!({"payload": payload, "page": page})).await?;
            let Some(found) = answered.body["ids"].as_array().filter(|_| answered.status == 200) else {
                return Ok(answered);
            };
            ids.extend(found.iter().cloned());
            page = answered.body["next"].clone();
            if page.as_str().is_none_or(str::is_empty) {
                break;
            }
        }
        Ok(Answered { status: 200, body: json!({ "ids": ids }) })
    }

    /// Makes a call with this body, whatever it is, and a right token for it.
    pub async fn call(&self, operation: Operation, body: &Value) -> Result<Answered, WebError> {
        let body = body.to_string();
        let token = self.gateway.token(&self.origin(), operation, body.as_bytes());
        self.send(operation, &[(CREDENTIALS_HEADER, &token)], body.into()).await
    }

    /// Makes a call with these headers and these bytes.
    pub async fn send(
        &self,
        operation: Operation,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answered, WebError> {
        let url = format!("{}/{operation}", self.base).parse().map_err(http::Error::from)?;
        let answer = self.web.post(&url, headers, body).await?;
        let body = serde_json::from_slice(answer.body())
            .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(answer.body())));
        Ok(Answered { status: answer.status().as_u16(), body })
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.stop();
        }
    }
}

/// A producer may have to wait for others.
const PATIENCE: Duration = Duration::from_secs(120);

/// A producer that always has another page is not followed for ever.
const MOST_PAGES: usize = 1000;
