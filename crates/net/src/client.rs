//! Calls from the control runtime: whole requests, whole answers, one limit on the time of all of it.
//!
//! Vaults and producers are called rarely and from any thread, so the connections are kept behind a lock, and a few
//! of them are enough.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use crate::{BodyError, Connector, FetchError, Peer};

/// What one call may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long all of it may take, from the name to the end of the answer.
    pub timeout: Duration,
    /// How many bytes the answer's body may have.
    pub max_body: usize,
    /// Whether the peer's certificate must be one that we trust.
    pub verify: bool,
}

/// In a request's extensions: it may go over a kept connection, though its method says that it must not be sent twice.
/// It is not: should that connection turn out to be dying, the caller hears of it ([`FetchError::Closed`]) and knows
/// whether to ask again.
#[derive(Clone, Copy, Debug)]
pub struct OverKept;

/// Calls from the control runtime. Cheap to clone, and may be sent between threads. Follows no redirects.
#[derive(Clone, Debug)]
pub struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connector: Arc<Connector>,
    /// How long a connection is kept without work.
    kept_for: Duration,
    idle: Mutex<HashMap<Peer, Vec<Kept>>>,
}

/// A connection that waits for work.
#[derive(Debug)]
struct Kept {
    sender: SendRequest<Full<Bytes>>,
    since: Instant,
}

impl Client {
    /// A client that opens its connections with `connector`.
    pub fn new(connector: Arc<Connector>) -> Self {
        Self::keeping(connector, KEPT_FOR)
    }

    /// The same, which keeps a connection without work for `kept_for`.
    pub fn keeping(connector: Arc<Connector>, kept_for: Duration) -> Self {
        Self(Arc::new(Shared { connector, kept_for, idle: Mutex::default() }))
    }

    /// Opens a connection to whoever `uri` names, and keeps it for the next call. That it cannot be opened, that call
    /// will say.
    pub async fn warm(&self, uri: &Uri) {
        if let Some(peer) = Peer::of(uri, true)
            && let Ok(Ok(sender)) = tokio::time::timeout(WARMING, self.open(&peer)).await
        {
            self.put(&peer, sender);
        }
    }

    /// Sends `request`, whose URI is absolute, and returns the whole answer. The Host header is made from the URI
    /// unless there is one.
    pub async fn fetch(
        &self,
        request: Request<Bytes>,
        limits: Limits,
    ) -> Result<Response<Bytes>, FetchError> {
        let peer = Peer::of(request.uri(), limits.verify).ok_or(FetchError::Address)?;
        self.fetch_from(&peer, request, limits).await
    }

    /// Sends `request` to `peer`, whatever its URI says of a host, and returns the whole answer. Whether the certificate
    /// must be one that we trust, and who we are to it, is the peer's to say.
    pub async fn fetch_from(
        &self,
        peer: &Peer,
        request: Request<Bytes>,
        limits: Limits,
    ) -> Result<Response<Bytes>, FetchError> {
        let request = addressed_to(peer, request)?;
        let deadline = tokio::time::Instant::now() + limits.timeout;
        tokio::time::timeout_at(deadline, self.exchange(peer, request, limits.max_body, deadline))
            .await
            .map_err(|_elapsed| FetchError::ReadTimeout)?
    }

    async fn exchange(
        &self,
        peer: &Peer,
        mut request: Request<Full<Bytes>>,
        max_body: usize,
        deadline: tokio::time::Instant,
    ) -> Result<Response<Bytes>, FetchError> {
        // That a kept connection is dying is often seen only when the request is on its way. One that must not be sent
        // twice gets a connection of its own, unless its caller can live with that.
        let is_repeatable = request.method().is_idempotent();
        let may_be_kept = is_repeatable || request.extensions().get::<OverKept>().is_some();
        let kept = if may_be_kept { self.take(peer) } else { None };
        if let Some(mut sender) = kept {
            let twice = is_repeatable.then(|| request.clone());
            match sender.try_send_request(request).await {
                Ok(response) => return self.finish(peer, sender, response, max_body).await,
                Err(mut failed) => {
                    let unsent = failed.take_message();
                    let error = FetchError::unanswered(failed.into_error());
                    let died = matches!(error, FetchError::Closed(_));
                    match unsent.or(twice.filter(|_| died)) {
                        Some(again) => request = again,
                        None => return Err(error),
                    }
                }
            }
        }
        let opened = tokio::time::timeout_at(deadline, self.open(peer)).await;
        let mut sender = opened.map_err(|_elapsed| FetchError::ConnectTimeout)??;
        let response = sender.send_request(request).await.map_err(FetchError::unanswered)?;
        self.finish(peer, sender, response, max_body).await
    }

    async fn open(&self, peer: &Peer) -> Result<SendRequest<Full<Bytes>>, FetchError> {
        let stream = self.0.connector.connect(peer).await?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(FetchError::unanswered)?;
        tokio::runtime::Handle::current().spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection to a peer ended");
            }
        });
        Ok(sender)
    }

    async fn finish(
        &self,
        peer: &Peer,
        sender: SendRequest<Full<Bytes>>,
        response: Response<hyper::body::Incoming>,
        limit: usize,
    ) -> Result<Response<Bytes>, FetchError> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(FetchError::Switched);
        }
        let (head, body) = response.into_parts();
        let collected = Limited::new(body, limit).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return FetchError::TooLarge { limit };
            }
            match error.downcast::<hyper::Error>() {
                Ok(error) => FetchError::AnswerBody(BodyError::Broken(error)),
                Err(error) => FetchError::AnswerBody(BodyError::Source(error)),
            }
        })?;
        self.put(peer, sender);
        Ok(Response::from_parts(head, collected.to_bytes()))
    }

    fn take(&self, peer: &Peer) -> Option<SendRequest<Full<Bytes>>> {
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.get_mut(peer)?;
        let now = Instant::now();
        while let Some(Kept { sender, since }) = kept.pop() {
            if now.saturating_duration_since(since) < self.0.kept_for && sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    fn put(&self, peer: &Peer, sender: SendRequest<Full<Bytes>>) {
        let now = Instant::now();
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|_, kept| {
            let is_young = |one: &Kept| now.saturating_duration_since(one.since) < self.0.kept_for;
            kept.retain(|one| !one.sender.is_closed() && is_young(one));
            !kept.is_empty()
        });
        let kept = idle.entry(peer.clone()).or_default();
        if kept.len() < KEPT_PER_PEER && !sender.is_closed() {
            kept.push(Kept { sender, since: now });
        }
    }
}

/// `request` as it goes over a connection to `peer`: an origin-form URI and a Host.
fn addressed_to(peer: &Peer, request: Request<Bytes>) -> Result<Request<Full<Bytes>>, FetchError> {
    let (mut head, body) = request.into_parts();
    if !head.headers.contains_key(HOST) {
        let host = HeaderValue::try_from(peer.authority()).map_err(|_invalid| FetchError::Address)?;
        head.headers.insert(HOST, host);
    }
    let target = head.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    head.uri = Uri::from(target);
    head.version = Version::HTTP_11;
    Ok(Request::from_parts(head, Full::new(body)))
}

/// How long a connection is kept without work, unless a client is told otherwise.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// How many connections to one peer are kept without work.
const KEPT_PER_PEER: usize = 8;

/// How long a connection may take that nobody needs yet.
const WARMING: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests;
