//! `aws-lambda`: answers a request with what a function answers.
//!
//! The function is called by the URL that API Gateway or Lambda has given it. The part of the path that the route's
//! `*` stands for is appended to the URL's path, and the client's query to the URL's own. The call is authorised with
//! an API key, with a signature, with both, or with whatever the client has sent.
//!
//! A signature needs the hash of the whole body, so a signed request's body is collected first, up to the 6 MiB that
//! a function takes at most. Without a signature the body is streamed, and the answer always is.

mod settings;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateward_aws::Credentials;
use gateward_aws::sigv4::{PayloadHash, Signer};
use gateward_model::{ErrorStatus, Failure, Invalid, Origin};
use gateward_net::{Body, CollectError, FetchError, Peer, Timeouts, remove_hop_by_hop};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::{LengthLimitError, Limited};
use serde_json::Value;

use crate::{Exchange, Flow, Kind, Phases, Plugin, Step};
use settings::Settings;

pub(crate) const KIND: Kind = Kind {
    name: "aws-lambda",
    priority: -1899,
    secrets: &["/authorization/apikey", "/authorization/iam/secretkey", "/authorization/iam/secret_key"],
    phases: Phases { rewrite: false, access: true, respond: false, log: false },
    check: |json| Settings::read(json)?.check(),
    build: |json, _site| Ok(Arc::new(AwsLambda::build(json)?)),
    schema: settings::schema,
    consumer: None,
    metadata: None,
};

/// A function, and how to call it.
struct AwsLambda {
    peer: Peer,
    host: HeaderValue,
    /// The path of the function's URL; at least a slash.
    path: Box<str>,
    /// The query of the function's URL.
    query: Option<Box<str>>,
    api_key: Option<HeaderValue>,
    iam: Option<Iam>,
    timeouts: Timeouts,
    keepalive: bool,
    max_body: usize,
}

/// Who signs, and with what.
struct Iam {
    signer: Signer,
    credentials: Credentials,
}

impl AwsLambda {
    fn build(json: &Value) -> Result<Self, Invalid> {
        let settings = Settings::read(json)?;
        let uri = settings.function_uri()?;
        let peer = settings.peer(&uri)?;
        let host = HeaderValue::try_from(peer.authority())
            .map_err(|_invalid| Invalid::new("function_uri", "its host cannot be sent in a header"))?;
        let span = Duration::from_millis(settings.timeout);
        Ok(Self {
            peer,
            host,
            path: uri.path().into(),
            query: uri.query().filter(|query| !query.is_empty()).map(Into::into),
            api_key: settings.api_key()?,
            iam: settings.iam()?.map(|(signer, credentials)| Iam { signer, credentials }),
            timeouts: Timeouts { connect: span, send: span, read: span },
            keepalive: settings.keepalive,
            max_body: usize::try_from(settings.max_req_body_size).unwrap_or(usize::MAX),
        })
    }

    async fn invoke(&self, exchange: &mut Exchange<'_>) -> Result<Response<Body>, Failure> {
        let (mut head, body) = std::mem::take(&mut exchange.request).into_parts();
        head.uri = self.target(&head.uri, exchange.rest)?;
        remove_hop_by_hop(&mut head.headers);
        head.headers.insert(HOST, self.host.clone());
        if let Some(key) = &self.api_key {
            head.headers.insert(X_API_KEY, key.clone());
        }
        let body = match &self.iam {
            Some(iam) => self.sign(iam, &mut head, body, exchange).await?,
            None => self.limit(body)?,
        };
        if !self.keepalive {
            head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let answer = exchange.pool.fetch(&self.peer, Request::from_parts(head, body), &self.timeouts).await;
        let mut response = answer.map_err(|error| self.failure(&error))?;
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
        iam: &Iam,
        head: &mut Parts,
        body: Body,
        exchange: &Exchange<'_>,
    ) -> Result<Body, Failure> {
        let bytes = self.collect(body).await?;
        // Servers want to hear from these methods that there is no body; others may not want to hear of one.
        let expects_body = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
        if !bytes.is_empty() || expects_body {
            head.headers.insert(CONTENT_LENGTH, bytes.len().into());
        } else {
            head.headers.remove(CONTENT_LENGTH);
        }
        let now = exchange.clock.now();
        iam.signer.sign(&iam.credentials, head, PayloadHash::Bytes(&bytes), now).map_err(|error| {
            let message = "the call of the function could not be signed";
            Failure::new(ErrorStatus::INTERNAL, Origin::Gateway, "signing_failed", message)
                .with_detail(error.to_string())
        })?;
        Ok(Body::full(bytes))
    }

    /// The whole body, for its hash.
    async fn collect(&self, body: Body) -> Result<Bytes, Failure> {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let limit = self.max_body.min(LARGEST_SIGNED_BODY);
        match tokio::time::timeout(LONGEST_COLLECTION, body.collect(limit)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(CollectError::TooLarge { limit })) => Err(too_large(limit)),
            Ok(Err(error @ CollectError::Broken(_))) => {
                let message = "the request's body broke off";
                Err(Failure::new(ErrorStatus::BAD_REQUEST, Origin::Client, "request_body_broken", message)
                    .with_detail(error.to_string()))
            }
            Err(_elapsed) => Err(FetchError::RequestBodyTimeout.failure(Origin::Function)),
        }
    }

    /// The body as it streams, held to the limit. Only one whose length nobody knows needs to be counted.
    fn limit(&self, body: Body) -> Result<Body, Failure> {
        let limit = u64::try_from(self.max_body).unwrap_or(u64::MAX);
        let size = body.size_hint();
        if size.lower() > limit {
            return Err(too_large(self.max_body));
        }
        match size.upper() {
            Some(upper) if upper <= limit => Ok(body),
            _ => Ok(Body::boxed(Limited::new(body, self.max_body))),
        }
    }

    fn failure(&self, error: &FetchError) -> Failure {
        match error {
            FetchError::RequestBody(broken) if was_too_large(&**broken) => too_large(self.max_body),
            error => error.failure(Origin::Function),
        }
    }
}

impl Plugin for AwsLambda {
    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        Step::Later(Box::pin(async move {
            match self.invoke(exchange).await {
                Ok(response) => Flow::Answer(Box::new(response)),
                Err(failure) => Flow::Fail(Box::new(failure)),
            }
        }))
    }
}

/// Where the function is, and nothing that it is called with: a query may hold a key as well.
impl std::fmt::Debug for AwsLambda {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "AwsLambda({})", self.peer.authority())
    }
}

/// Whether a body broke off because it was longer than [`AwsLambda::limit`] allows.
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

fn too_large(limit: usize) -> Failure {
    let message = format!("the request's body is larger than the {limit} bytes that the function takes");
    Failure::new(ErrorStatus::TOO_LARGE, Origin::Client, "body_too_large", message)
}

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What Lambda itself takes in one call.
const LARGEST_SIGNED_BODY: usize = 6 * 1024 * 1024;

/// How long a client may take to send a body that must be whole before it is sent on.
const LONGEST_COLLECTION: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
