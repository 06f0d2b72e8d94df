//! A function called by the URL that API Gateway or Lambda has given it.
//!
//! The part of the path that the route's `*` stands for is appended to the URL's path, and the client's query to the URL's
//! own. The call is authorised with an API key, with a signature, with both, or with whatever the client has sent.
//!
//! A signature needs the hash of the whole body, so a signed request's body is collected first, up to the 6 MiB that
//! a function takes at most. Without a signature the body is streamed, and the answer always is.

mod settings;

use std::time::Duration;

use gateward_clock::Clock;
use gateward_model::{ErrorStatus, Failure, Invalid, Origin};
use gateward_net::{Body, FetchError, Peer, Pool, Timeouts, remove_hop_by_hop};
use http::header::{CONNECTION, HOST};
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::{LengthLimitError, Limited};
use serde_json::Value;

use super::body::{LARGEST_CALL, collect, too_large};
use super::failures::Refusal;
use super::identity::Identity;
use super::limit::{Limit, until_ended};
use crate::{Exchange, Flow, Plugin, Site, Step};
pub(super) use settings::Settings;

/// A function, and how to call it.
pub(super) struct ByUrl {
    peer: Peer,
    host: HeaderValue,
    /// The path of the function's URL; at least a slash.
    path: Box<str>,
    /// The query of the function's URL.
    query: Option<Box<str>>,
    api_key: Option<HeaderValue>,
    identity: Option<Identity>,
    /// Whether what a client says to Lambda itself would be said in the gateway's name.
    signs_for_lambda: bool,
    /// How long it may take until the head of the answer is there.
    patience: Duration,
    timeouts: Timeouts,
    keepalive: bool,
    max_body: usize,
    limit: Option<Limit>,
}

impl ByUrl {
    /// The function at the URL that `settings` name.
    pub(super) fn build(settings: &Value, site: &Site<'_>) -> Result<Self, Invalid> {
        let settings = Settings::read(settings)?;
        let uri = settings.function_uri()?;
        let peer = settings.peer(&uri)?;
        let host = HeaderValue::try_from(peer.authority())
            .map_err(|_invalid| Invalid::new("function_uri", "its host cannot be sent in a header"))?;
        let patience = Duration::from_millis(settings.timeout);
        let limit = settings
            .concurrency
            .map(|most| Limit::of(format!("{}{}", peer.authority(), uri.path()), most, site));
        let identity = settings.identity(&uri, site)?;
        Ok(Self {
            host,
            path: uri.path().into(),
            query: uri.query().filter(|query| !query.is_empty()).map(Into::into),
            api_key: settings.api_key()?,
            signs_for_lambda: identity.as_ref().is_some_and(|identity| identity.service() == "lambda"),
            identity,
            patience,
            timeouts: Timeouts { connect: patience, send: patience, read: patience },
            keepalive: settings.keepalive,
            max_body: usize::try_from(settings.max_req_body_size).unwrap_or(usize::MAX),
            limit,
            peer,
        })
    }

    async fn invoke(&self, exchange: &mut Exchange<'_>) -> Result<Response<Body>, Failure> {
        self.limit.as_ref().map_or(Ok(()), Limit::look)?;
        let request = &mut exchange.request;
        *request.uri_mut() = self.target(request.uri(), exchange.rest)?;
        let headers = request.headers_mut();
        remove_hop_by_hop(headers);
        if self.signs_for_lambda {
            for name in &OF_INVOCATIONS {
                headers.remove(name);
            }
        }
        headers.insert(HOST, self.host.clone());
        if let Some(key) = &self.api_key {
            headers.insert(X_API_KEY, key.clone());
        }
        match &self.identity {
            Some(identity) => self.sign(identity, request, exchange.clock).await?,
            None => self.limit(request)?,
        }
        let permit = self.limit.as_ref().map(Limit::enter).transpose()?;
        if !self.keepalive {
            request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let response = self.call(request, exchange.pool).await?;
        Ok(until_ended(response, permit))
    }

    async fn call(&self, request: &mut Request<Body>, pool: &Pool) -> Result<Response<Body>, Failure> {
        // How long a streamed body takes is for its client to say, as long as it goes on.
        let is_whole = request.body().is_end_stream() || self.identity.is_some();
        let sent = pool.send(&self.peer, request, &self.timeouts);
        let answer = match is_whole {
            true => match tokio::time::timeout(self.patience, sent).await {
                Ok(answer) => answer.map_err(|missed| missed.error),
                Err(_elapsed) => Err(FetchError::ReadTimeout),
            },
            false => sent.await.map_err(|missed| missed.error),
        };
        let mut response = answer.map_err(|error| self.failure(&error))?;
        if let Some(identity) = &self.identity {
            // It is the gateway that signed. What AWS says to that names its role, and repeats the session's token.
            if identity.heard(&response).is_some() {
                // Boxed, because it is rare and would make every call's future larger.
                return Err(Box::pin(Refusal::read(response)).await.failure(false));
            }
        }
        remove_hop_by_hop(response.headers_mut());
        Ok(response)
    }

    /// Where in the function's host the request goes. Nothing is decoded, so nothing needs to be encoded.
    fn target(&self, client: &Uri, rest: Option<&str>) -> Result<Uri, Failure> {
        let queries = [self.query.as_deref(), client.query().filter(|query| !query.is_empty())];
        let lengths = queries.into_iter().flatten().map(|query| query.len() + 1);
        let length = self.path.len() + rest.map_or(0, |rest| rest.len() + 1) + lengths.sum::<usize>();
        let mut target = String::with_capacity(length);
        target.push_str(&self.path);
        if let Some(rest) = rest {
            if !target.ends_with('/') {
                target.push('/');
            }
            target.push_str(rest);
        }
        for (query, mark) in queries.into_iter().flatten().zip(['?', '&']) {
            target.push(mark);
            target.push_str(query);
        }
        let target = PathAndQuery::try_from(target).map_err(|_invalid| {
            let status = ErrorStatus::new(StatusCode::URI_TOO_LONG).unwrap_or(ErrorStatus::BAD_REQUEST);
            let message = "the path and query are too long for the function's address";
            Failure::new(status, Origin::Client, "uri_too_long", message)
        })?;
        Ok(Uri::from(target))
    }

    async fn sign(
        &self,
        identity: &Identity,
        request: &mut Request<Body>,
        clock: &dyn Clock,
    ) -> Result<(), Failure> {
        let body = std::mem::take(request.body_mut());
        let bytes = collect(body, self.max_body.min(LARGEST_CALL)).await?;
        identity.sign(request, &bytes, clock.now()).await?;
        *request.body_mut() = Body::full(bytes);
        Ok(())
    }

    /// The body as it streams, held to the limit. Only one whose length nobody knows needs to be counted.
    fn limit(&self, request: &mut Request<Body>) -> Result<(), Failure> {
        let limit = u64::try_from(self.max_body).unwrap_or(u64::MAX);
        let size = request.body().size_hint();
        if size.lower() > limit {
            return Err(too_large(self.max_body));
        }
        if size.upper().is_none_or(|upper| upper > limit) {
            let body = std::mem::take(request.body_mut());
            *request.body_mut() = Body::boxed(Limited::new(body, self.max_body));
        }
        Ok(())
    }

    fn failure(&self, error: &FetchError) -> Failure {
        match error {
            FetchError::RequestBody(broken) if was_too_large(&**broken) => too_large(self.max_body),
            error => error.failure(Origin::Function),
        }
    }
}

impl Plugin for ByUrl {
    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        Step::Later(Box::pin(async move {
            let invoked = self.invoke(exchange).await;
            // It has our key and signature by now, which nobody who sees the answer is to see.
            exchange.request = Request::default();
            match invoked {
                Ok(response) => Flow::Function(Box::new(response)),
                Err(failure) => Flow::Fail(Box::new(failure)),
            }
        }))
    }
}

/// Where the function is, and nothing that it is called with: a query may hold a key as well.
impl std::fmt::Debug for ByUrl {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "AwsLambda({})", self.peer.authority())
    }
}

/// Whether a body broke off because it was longer than [`ByUrl::limit`] allows.
fn was_too_large(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// How the Invoke API, whose URL may be the function's, is told to call it, and to show its log.
static OF_INVOCATIONS: [HeaderName; 3] = [
    HeaderName::from_static("x-amz-invocation-type"),
    HeaderName::from_static("x-amz-log-type"),
    HeaderName::from_static("x-amz-client-context"),
];

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

#[cfg(test)]
mod tests;
