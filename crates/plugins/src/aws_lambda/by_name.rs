//! A function called by its name, through Lambda's Invoke API.
//!
//! The request becomes an event, which is signed and sent; what the function returns becomes the answer. A call that Lambda
//! throttles is made again, ever later and at a random moment, as long as there is time.

mod function;
mod settings;

use std::time::Duration;

use bytes::Bytes;
use gateward_aws::sigv4::Signer;
use gateward_model::{Failure, Invalid, Origin};
use gateward_net::{Body, FetchError, Peer, Timeouts};
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use serde_json::Value;
use tokio::time::Instant;

use super::answer::Reading;
use super::body::{LARGEST_CALL, collect, event_too_large};
use super::event::{Encode, Form, Source};
use super::failures::Refusal;
use super::identity::Identity;
use super::limit::{Limit, until_ended};
use crate::{Exchange, Flow, Matched, Plugin, Site, Step};
pub(super) use settings::Settings;
use settings::{InvocationType, LogType};

/// A function, and how to call it.
pub(super) struct ByName {
    peer: Peer,
    /// The path of the call, with the qualifier.
    target: Uri,
    /// What every call's headers begin with.
    headers: HeaderMap,
    identity: Identity,
    form: Form,
    encode: Encode,
    /// The account that the function belongs to, if its name says.
    account: Box<str>,
    reading: Reading,
    /// How long it may take until the head of the answer is there.
    patience: Duration,
    timeouts: Timeouts,
    /// How large a request's body may be.
    largest_body: usize,
    /// How large an event may be.
    largest_event: usize,
    limit: Option<Limit>,
}

impl ByName {
    /// The function that `settings` name.
    pub(super) fn build(settings: &Value, site: &Site<'_>) -> Result<Self, Invalid> {
        let settings = Settings::read(settings)?;
        settings.check()?;
        let function = settings.function()?;
        let region = settings.region(&function, site)?;
        let peer = settings.peer(&region)?;
        let host = HeaderValue::try_from(peer.authority())
            .map_err(|_invalid| Invalid::new("host", "cannot be sent in a header"))?;
        let is_streamed = settings.is_streamed();
        let target = function.target(settings.qualifier.as_deref(), is_streamed)?;
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(HOST, host);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(&INVOCATION_TYPE, HeaderValue::from_static(settings.invocation_type.as_str()));
        let tells_log = settings.forward_log_result && settings.log_type == LogType::Tail;
        if tells_log && !is_streamed {
            headers.insert(&LOG_TYPE, HeaderValue::from_static("Tail"));
        }
        let patience = Duration::from_millis(settings.timeout);
        let limit = settings.concurrency.map(|most| {
            let called = format!("{}{target}", peer.authority());
            Limit::of(called, most, site)
        });
        let largest_event = match settings.invocation_type {
            InvocationType::Event => LARGEST_ASYNCHRONOUS_CALL,
            InvocationType::RequestResponse | InvocationType::DryRun => LARGEST_CALL,
        };
        let largest_body = settings.max_req_body_size.and_then(|size| usize::try_from(size).ok());
        Ok(Self {
            identity: Identity::new(Signer::new(&region, "lambda"), settings.who().provider(&region, site)?),
            form: settings.form(),
            encode: settings.encode(),
            account: function.account.unwrap_or_default().into(),
            reading: Reading {
                is_integration: settings.is_proxy_integration,
                infers: settings.form() == Form::HttpApi,
                is_streamed,
                unhandled_status: settings.unhandled_status()?,
                keeps_status: settings.preserve_lambda_api_error_code,
                tells_log,
            },
            patience,
            timeouts: Timeouts { connect: patience, send: patience, read: patience },
            largest_body: largest_body.unwrap_or(usize::MAX).min(largest_event),
            largest_event,
            limit,
            peer,
            target,
            headers,
        })
    }

    async fn invoke(&self, exchange: &mut Exchange<'_>) -> Result<Response<Body>, Failure> {
        self.limit.as_ref().map_or(Ok(()), Limit::look)?;
        let method = exchange.request.method().clone();
        let event = self.event(exchange).await?;
        let permit = self.limit.as_ref().map(Limit::enter).transpose()?;
        let answer = self.call(event, exchange).await?;
        let response = self.reading.read(&method, answer).await?;
        Ok(until_ended(response, permit))
    }

    /// The request as an event.
    async fn event(&self, exchange: &mut Exchange<'_>) -> Result<Bytes, Failure> {
        let (head, body) = std::mem::take(&mut exchange.request).into_parts();
        let body = collect(body, self.largest_body).await?;
        let source = Source {
            head: &head,
            body: &body,
            host: exchange.host,
            client: exchange.client,
            certificate: exchange.conn.tls.as_ref().and_then(|tls| tls.certificate.as_deref()),
            request_id: exchange.request_id.to_str().unwrap_or_default(),
            now: exchange.clock.now(),
            route: exchange.route.map(|route| &**route),
            uri: exchange.matched.map(Matched::uri),
            params: exchange.params,
            rest: exchange.rest,
            account: &self.account,
        };
        let event = self.form.write(&source, self.encode)?;
        if event.len() > self.largest_event {
            return Err(event_too_large(event.len(), self.largest_event));
        }
        Ok(event.into())
    }

    /// Calls the function, until Lambda takes the call or there is no more time.
    async fn call(&self, event: Bytes, exchange: &Exchange<'_>) -> Result<Response<Body>, Failure> {
        let deadline = Instant::now() + self.patience;
        let mut longest_pause = SHORTEST_PAUSE;
        let mut throttled: Option<Refusal> = None;
        loop {
            let refusal = match tokio::time::timeout_at(deadline, self.call_once(&event, exchange)).await {
                Ok(Ok(Ok(response))) => return Ok(response),
                Ok(Ok(Err(refusal))) => refusal,
                Ok(Err(failure)) => return Err(failure),
                // What Lambda said of the call before says more than that there was no time for this one.
                Err(_elapsed) => {
                    return Err(match throttled {
                        Some(refusal) => refusal.failure(self.reading.keeps_status),
                        None => FetchError::ReadTimeout.failure(Origin::Function),
                    });
                }
            };
            let pause = longest_pause.mul_f64(fastrand::f64());
            if Instant::now() + pause >= deadline {
                return Err(refusal.failure(self.reading.keeps_status));
            }
            throttled = Some(refusal);
            tokio::time::sleep(pause).await;
            longest_pause = (longest_pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The answer, or the refusal of a call that was throttled.
    async fn call_once(
        &self,
        event: &Bytes,
        exchange: &Exchange<'_>,
    ) -> Result<Result<Response<Body>, Refusal>, Failure> {
        let mut request = self.request(event, exchange).await?;
        let answer = exchange.pool.send(&self.peer, &mut request, &self.timeouts).await;
        let response = answer.map_err(|missed| missed.error.failure(Origin::Function))?;
        let _objection = self.identity.heard(&response);
        match response.status() {
            StatusCode::TOO_MANY_REQUESTS => Ok(Err(Refusal::read(response).await)),
            _ => Ok(Ok(response)),
        }
    }

    async fn request(&self, event: &Bytes, exchange: &Exchange<'_>) -> Result<Request<Body>, Failure> {
        let mut request = Request::new(Body::full(event.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.clone();
        *request.headers_mut() = self.headers.clone();
        self.identity.sign(&mut request, event, exchange.clock.now()).await?;
        Ok(request)
    }
}

impl Plugin for ByName {
    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        Step::Later(Box::pin(async move {
            match self.invoke(exchange).await {
                Ok(response) => Flow::Function(Box::new(response)),
                Err(failure) => Flow::Fail(Box::new(failure)),
            }
        }))
    }
}

impl std::fmt::Debug for ByName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "AwsLambda({}{})", self.peer.authority(), self.target)
    }
}

static INVOCATION_TYPE: HeaderName = HeaderName::from_static("x-amz-invocation-type");
static LOG_TYPE: HeaderName = HeaderName::from_static("x-amz-log-type");

/// What Lambda takes in one call that waits for no answer.
const LARGEST_ASYNCHRONOUS_CALL: usize = 1024 * 1024;

/// Within how much time the next call follows the first that was throttled; each one after it may take twice as long, up to
/// the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
