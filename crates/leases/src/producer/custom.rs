//! A custom producer: somebody's HTTP endpoints that make and unmake credentials.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gateward_model::{CustomSettings, DynamicSecret, ProducerUrl};
use gateward_net::{Client, FetchError, Limits, Peer, PeerTls};
use gateward_seal::SecretValue;
use http::{Request, Response, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

use super::allowed::{AllowedProducers, NotAllowed};
use super::protocol::{
    ClientInfo, CreateAnswer, CreateRequest, ListAnswer, ListRequest, RevokeReply, RevokeRequest,
    RotateReply, RotateRequest,
};
use super::token::{self, ProducerTokens};
use super::words::{answered, not_understood};
use super::{
    Capabilities, CreateError, Created, Listing, Order, Producer, RevokeAnswer, RevokeCallError,
    RevokeFailure, RotateCall, RotateError,
};
use crate::items::Catalog;

/// Calls custom producers.
#[derive(Clone)]
pub struct CustomProducers {
    client: Client,
    tokens: Arc<ProducerTokens>,
    catalog: Arc<Catalog>,
    allowed: Arc<AllowedProducers>,
    tls: Option<Arc<PeerTls>>,
}

impl CustomProducers {
    /// Calls those that stand where `allowed` says through `client`, with tokens of `tokens`. After a rotation it tells
    /// `catalog` which payload works.
    pub fn new(
        client: Client,
        tokens: Arc<ProducerTokens>,
        catalog: Arc<Catalog>,
        allowed: AllowedProducers,
    ) -> Self {
        Self { client, tokens, catalog, allowed: Arc::new(allowed), tls: None }
    }
}

impl CustomProducers {
    /// The same, where producers have a CA of their own, or want to know by a certificate who calls.
    #[must_use]
    pub fn with_tls(self, tls: Option<Arc<PeerTls>>) -> Self {
        Self { tls, ..self }
    }

    /// The producer of `secret`, whose endpoints are `urls`.
    pub fn of(
        &self,
        urls: &CustomSettings,
        secret: &DynamicSecret,
        payload: SecretValue,
    ) -> Box<dyn Producer> {
        let (producers, secret) = (self.clone(), secret.clone());
        Box::new(CustomProducer { producers, urls: urls.clone(), secret, payload })
    }

    /// Has a payload replaced, and gives the new one.
    pub(super) async fn rotate(&self, call: &RotateCall) -> Result<SecretValue, RotateError> {
        let ask = |payload: SecretValue| async move {
            let body = RotateRequest { payload: payload.expose(), request_id: &call.rotation_id };
            self.send(&call.url, "rotate", call.item_name.as_str(), call.timeout, written(&body)?).await
        };
        let mut answer = ask(call.payload.clone()).await;
        if let (Ok(refusal), Some(previous)) = (&answer, &call.previous)
            && is_unauthorized(refusal.status())
        {
            answer = ask(previous.clone()).await;
        }
        let answer = answer.map_err(|error| match error {
            CallError::NotSent(what) => RotateError::Refused(what),
            CallError::NoAnswer { what, timeout } => RotateError::Lost { reason: what, timeout },
        })?;
        let status = answer.status();
        if status != StatusCode::OK {
            let what = answered(&call.url, "rotate", status);
            return Err(if may_have_created(status) {
                RotateError::Lost { reason: what, timeout: status == StatusCode::GATEWAY_TIMEOUT }
            } else {
                RotateError::Refused(what)
            });
        }
        match serde_json::from_slice::<RotateReply>(answer.body()) {
            Ok(reply) if !reply.payload.is_empty() => Ok(reply.payload),
            _ => {
                let reason = not_understood(&call.url, "rotate", "{\"payload\": text}");
                Err(RotateError::Lost { reason, timeout: false })
            }
        }
    }

    /// Refuses `url` if the administrator lets no producer stand there.
    pub(super) fn check(&self, url: &ProducerUrl) -> Result<(), NotAllowed> {
        self.allowed.check(url)
    }
}

struct CustomProducer {
    producers: CustomProducers,
    urls: CustomSettings,
    secret: DynamicSecret,
    payload: SecretValue,
}

#[async_trait]
impl Producer for CustomProducer {
    async fn create(&self, order: &Order) -> Result<Created, CreateError> {
        let lease_id = order.lease_id.to_string();
        let body = |payload: &SecretValue| {
            written(&CreateRequest {
                payload: payload.expose(),
                input: &order.input,
                client_info: ClientInfo {
                    access_id: &order.holder.access_id,
                    sub_claims: &order.holder.sub_claims,
                },
                request_id: &lease_id,
                lease_id: &lease_id,
                ttl: order.ttl.as_secs(),
                expires_at: order.expires_at.rfc3339(),
            })
        };
        let answer =
            self.call(&self.urls.create_sync_url, "create", &body).await.map_err(|error| match error {
                CallError::NotSent(what) => CreateError::NotCreated(what),
                CallError::NoAnswer { what, timeout } => CreateError::Lost { reason: what, timeout },
            })?;
        self.read_answer(&answer).map_err(|error| match error {
            CreateError::NotCreated(reason) => {
                CreateError::NotCreated(self.with_words(&reason, answer.body()))
            }
            error => error,
        })
    }

    async fn dry_run(&self) -> Result<Capabilities, String> {
        let body = |payload: &SecretValue| {
            written(&CreateRequest {
                payload: payload.expose(),
                input: &Map::new(),
                client_info: ClientInfo { access_id: DRY_RUN, sub_claims: &BTreeMap::new() },
                request_id: DRY_RUN,
                lease_id: DRY_RUN,
                ttl: self.secret.user_ttl.span().as_secs(),
                expires_at: (self.producers.tokens.now() + self.timeout() + self.secret.user_ttl.span())
                    .rfc3339(),
            })
        };
        let answer = self.call(&self.urls.create_sync_url, "create", &body).await;
        let answer = answer.map_err(|(CallError::NotSent(what) | CallError::NoAnswer { what, .. })| what)?;
        let id = match self.read_answer(&answer) {
            Ok(created) => created.id,
            // Made, and refused: it is not left behind.
            Err(CreateError::Unusable { id, reason }) => {
                return match self.revoke(&[id]).await {
                    Ok(_) => Err(reason),
                    Err(error) => Err(format!("{reason}; and what it made is not revoked: {error}")),
                };
            }
            Err(error) => match empty_dry_run_id(&answer) {
                Some(id) => id,
                None if answer.status().is_success() => return Err(error.to_string()),
                None => return Err(self.with_words(&error.to_string(), answer.body())),
            },
        };
        let revoked = self.revoke(std::slice::from_ref(&id)).await.map_err(|error| error.to_string())?;
        if !revoked.gone.contains(&id) {
            return Err(
                "the producer's revoke call did not name the id that its create call returned".to_owned()
            );
        }
        Ok(serde_json::from_slice(answer.body())
            .map_or_else(|_| Capabilities::default(), |answer: CreateAnswer| answer.capabilities()))
    }

    async fn revoke(&self, ids: &[String]) -> Result<RevokeAnswer, RevokeCallError> {
        let body = |payload: &SecretValue| written(&RevokeRequest { payload: payload.expose(), ids });
        let answer = match self.call(&self.urls.revoke_sync_url, "revoke", &body).await {
            Ok(answer) => answer,
            Err(CallError::NotSent(what) | CallError::NoAnswer { what, .. }) => {
                return Err(RevokeCallError::transient(what));
            }
        };
        if answer.status() != StatusCode::OK {
            return Err(failed(&self.urls.revoke_sync_url, "revoke", answer.status()));
        }
        let reply = RevokeReply::read(answer.body()).ok_or_else(|| {
            let url = &self.urls.revoke_sync_url;
            RevokeCallError::transient(not_understood(url, "revoke", "{\"revoked\": [ids]}"))
        })?;
        let message = reply.message().map(|message| self.printable(message));
        Ok(RevokeAnswer { gone: reply.gone(), message })
    }

    async fn list(&self, page: Option<&str>) -> Result<Option<Listing>, RevokeCallError> {
        if !self.secret.capabilities.list {
            return Ok(None);
        }
        let url = self.urls.create_sync_url.beside("list");
        let body = |payload: &SecretValue| written(&ListRequest { payload: payload.expose(), page });
        let answer = match self.call(&url, "list", &body).await {
            Ok(answer) => answer,
            Err(CallError::NotSent(what) | CallError::NoAnswer { what, .. }) => {
                return Err(RevokeCallError::transient(what));
            }
        };
        if answer.status() != StatusCode::OK {
            return Err(failed(&url, "list", answer.status()));
        }
        let answer: ListAnswer = serde_json::from_slice(answer.body())
            .map_err(|_| RevokeCallError::transient(not_understood(&url, "list", "{\"ids\": [ids]}")))?;
        Ok(Some(answer.into()))
    }
}

/// A call that brought no answer.
enum CallError {
    /// The producer has not heard of it.
    NotSent(String),
    /// The producer may have heard of it.
    NoAnswer { what: String, timeout: bool },
}

/// The body of a call, with one payload or another.
type BodyOf<'a> = &'a (dyn Fn(&SecretValue) -> Result<Bytes, CallError> + Send + Sync);

impl CustomProducer {
    /// Makes a call with the payload; while that is new and the producer does not take it yet, with the one before.
    async fn call(
        &self,
        url: &ProducerUrl,
        operation: &str,
        body: BodyOf<'_>,
    ) -> Result<Response<Bytes>, CallError> {
        let answer = self.call_with(&self.payload, url, operation, body).await?;
        let trial = self.producers.catalog.trial(self.secret.id);
        let Some(trial) = trial.filter(|trial| trial.new == self.payload) else { return Ok(answer) };
        if is_unauthorized(answer.status()) {
            return self.call_with(&trial.old, url, operation, body).await;
        }
        if answer.status() == StatusCode::OK
            && let Err(error) = self.producers.catalog.payload_worked(self.secret.id, &self.payload).await
        {
            tracing::warn!(item = %self.secret.name, %error, "the payload before is kept for longer");
        }
        Ok(answer)
    }

    async fn call_with(
        &self,
        payload: &SecretValue,
        url: &ProducerUrl,
        operation: &str,
        body: BodyOf<'_>,
    ) -> Result<Response<Bytes>, CallError> {
        self.producers.send(url, operation, self.secret.name.as_str(), self.timeout(), body(payload)?).await
    }

    /// What an answer to a create call means. The reasons hold nothing of the body: some are kept with the lease.
    fn read_answer(&self, answer: &Response<Bytes>) -> Result<Created, CreateError> {
        let status = answer.status();
        if status == StatusCode::OK {
            return read_created(answer.body());
        }
        let reason = answered(&self.urls.create_sync_url, "create", status);
        match read_created(answer.body()) {
            // A slip of the producer's: it made one, and says so in other than a 200.
            Ok(Created { id, .. }) | Err(CreateError::Unusable { id, .. }) if status.is_success() => {
                Err(CreateError::Unusable { id, reason })
            }
            _ if may_have_created(status) => {
                Err(CreateError::Lost { reason, timeout: status == StatusCode::GATEWAY_TIMEOUT })
            }
            _ => Err(CreateError::NotCreated(reason)),
        }
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.secret.timeout_sec)
    }

    /// `reason` with the producer's own words, for the person who asked. They are not kept anywhere.
    fn with_words(&self, reason: &str, body: &[u8]) -> String {
        match self.printable(&String::from_utf8_lossy(body)).trim() {
            "" => reason.to_owned(),
            // Told apart from ours: what a stranger says is no advice.
            words => format!("{reason}; its own words: \"{words}\""),
        }
    }

    fn printable(&self, text: &str) -> String {
        let mut text = text.to_owned();
        // While a new payload is on trial, the one before may have been sent.
        let trial = self.producers.catalog.trial(self.secret.id);
        let sent = trial.iter().flat_map(|trial| [&trial.old, &trial.new]).chain([&self.payload]);
        for payload in sent.filter(|payload| !payload.is_empty()) {
            // As it is, and as it stands inside JSON.
            let quoted = Value::from(payload.expose()).to_string();
            text = text.replace(quoted.trim_matches('"'), "***").replace(payload.expose(), "***");
        }
        text.chars().filter(|character| !character.is_control()).take(MAX_WORDS).collect()
    }
}

impl CustomProducers {
    /// Makes one call, about the item called `item_name`.
    async fn send(
        &self,
        url: &ProducerUrl,
        operation: &str,
        item_name: &str,
        timeout: Duration,
        body: Bytes,
    ) -> Result<Response<Bytes>, CallError> {
        self.allowed.check(url).map_err(|why| {
            let origin = url.origin();
            CallError::NotSent(format!("the producer's {operation} URL ({origin}) is refused: {why}"))
        })?;
        let token = self.tokens.mint(&url.origin(), item_name, operation, &body);
        let request = Request::post(url.url().as_str())
            .header(http::header::CONTENT_TYPE, "application/json")
            .header(token::HEADER, token)
            .body(body)
            .map_err(|_| CallError::NotSent(format!("the producer's {operation} URL cannot be called")))?;
        let limits = Limits { timeout, max_body: MAX_ANSWER, verify: true };
        let answer = match (&self.tls, Peer::of(request.uri(), true)) {
            (Some(tls), Some(peer)) => {
                self.client.fetch_from(&peer.with_tls(Arc::clone(tls)), request, limits).await
            }
            _ => self.client.fetch(request, limits).await,
        };
        answer.map_err(|error| {
            let what = format!("the {operation} call to the producer at {} failed: {error}", url.origin());
            match error {
                FetchError::Address
                | FetchError::Resolve(_)
                | FetchError::Forbidden
                | FetchError::Connect(_)
                | FetchError::ConnectTimeout
                | FetchError::Tls(_) => CallError::NotSent(what),
                error => {
                    let timeout = matches!(error, FetchError::SendTimeout | FetchError::ReadTimeout);
                    CallError::NoAnswer { what, timeout }
                }
            }
        })
    }
}

fn written(body: &impl Serialize) -> Result<Bytes, CallError> {
    let written = serde_json::to_vec(body).map(Bytes::from);
    written.map_err(|_| CallError::NotSent("the call cannot be written".to_owned()))
}

/// Whether the producer did not take the payload.
fn is_unauthorized(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// What an answer of `status` to a revoke call means for the next one. A 404 is most likely a mistyped URL: it says
/// nothing about any credential.
fn failed(url: &ProducerUrl, operation: &str, status: StatusCode) -> RevokeCallError {
    let failure = match status.as_u16() {
        // A redirect is not followed, so somebody must put the address right.
        300..=399 | 401 | 403 | 404 | 405 | 410 => RevokeFailure::Misconfigured,
        400 | 422 => RevokeFailure::Refused,
        _ => RevokeFailure::Transient,
    };
    RevokeCallError { failure, words: answered(url, operation, status) }
}

/// Whether an answer of `status` leaves open that a credential was made: something may have failed after it was, or
/// something between us and the producer may have lost the producer's own answer.
fn may_have_created(status: StatusCode) -> bool {
    let not_begun = matches!(status, StatusCode::NOT_IMPLEMENTED | StatusCode::SERVICE_UNAVAILABLE);
    status.is_server_error() && !not_begun || status.is_success() || status == StatusCode::REQUEST_TIMEOUT
}

fn read_created(body: &[u8]) -> Result<Created, CreateError> {
    let lost = |reason: &str| CreateError::Lost { reason: reason.to_owned(), timeout: false };
    let answer: CreateAnswer =
        serde_json::from_slice(body).map_err(|_| lost("the producer's answer is not a JSON object"))?;
    let id = answer.id().ok_or_else(|| lost("the producer's answer has no id"))?;
    if !answer.id_is_text() {
        let reason = "the producer's answer has an id that is a number; it must be a string".to_owned();
        return Err(CreateError::Unusable { id, reason });
    }
    match answer.response {
        Value::Object(response) => Ok(Created { id, response }),
        _ => {
            let reason = "the producer's answer has a response that is no JSON object".to_owned();
            Err(CreateError::Unusable { id, reason })
        }
    }
}

/// An empty id is allowed in the answer to a dry run, and stands for one that begins with `tmp`.
fn empty_dry_run_id(answer: &Response<Bytes>) -> Option<String> {
    let read: CreateAnswer = serde_json::from_slice(answer.body()).ok()?;
    let empty = answer.status() == StatusCode::OK && read.id_is_text() && read.id().is_none();
    (empty && read.response.is_object()).then(|| format!("tmp.{DRY_RUN}"))
}

/// Who asks in a dry run.
const DRY_RUN: &str = "p-custom";

/// The largest answer that is read.
const MAX_ANSWER: usize = 64 * 1024;

/// The most characters of a producer's words that are passed on.
const MAX_WORDS: usize = 300;
