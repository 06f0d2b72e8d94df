//! One question to one node, on a connection of its own: one that is kept could hide that no new ones are taken.

use std::pin::pin;
use std::sync::Arc;

use gateward_model::apisix::CheckType;
use gateward_net::{Connector, FetchError, Protocol, Stream};
use http::header::{CONNECTION, HOST};
use http::uri::{Authority, PathAndQuery, Scheme as UriScheme};
use http::{HeaderValue, Request, Uri};
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{Outcome, Plan, Target};

/// Asks one of `plan`'s targets.
pub(crate) async fn ask(plan: Arc<Plan>, target: usize, connector: Arc<Connector>) -> Outcome {
    let asked = exchange(&plan, &plan.targets()[target], &connector);
    match tokio::time::timeout(plan.timeout(), asked).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Outcome::TimedOut,
    }
}

async fn exchange(plan: &Plan, target: &Target, connector: &Connector) -> Outcome {
    let stream = match connector.connect(&target.peer).await {
        Ok(stream) => stream,
        Err(FetchError::ConnectTimeout) => return Outcome::TimedOut,
        Err(error) => {
            tracing::debug!(peer = ?target.peer.authority(), %error, "a health check got no connection");
            return Outcome::Broken;
        }
    };
    if plan.r#type() == CheckType::Tcp {
        return Outcome::Connected;
    }
    let status = match target.peer.protocol() {
        Protocol::Http1 => by_http1(plan, target, stream).await,
        Protocol::Http2 => by_http2(plan, target, stream).await,
    };
    match status {
        Ok(status) => Outcome::Answered(status),
        Err(error) if error.is_parse() => Outcome::Garbled,
        Err(_) => Outcome::Broken,
    }
}

async fn by_http1(plan: &Plan, target: &Target, stream: Stream) -> hyper::Result<u16> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = request(plan, plan.question().target.clone());
    request.headers_mut().insert(HOST, target.host.clone());
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    let (mut response, mut connection) = (pin!(sender.send_request(request)), pin!(connection));
    let response = tokio::select! {
        biased;
        response = &mut response => response,
        // What ends a connection also ends what was asked on it, with an answer or with the reason.
        _ended = &mut connection => response.await,
    };
    Ok(response?.status().as_u16())
}

async fn by_http2(plan: &Plan, target: &Target, stream: Stream) -> hyper::Result<u16> {
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let request = request(plan, absolute(plan, target));
    let (mut response, mut connection) = (pin!(sender.send_request(request)), pin!(connection));
    let response = tokio::select! {
        biased;
        response = &mut response => response,
        _ended = &mut connection => response.await,
    };
    Ok(response?.status().as_u16())
}

fn request(plan: &Plan, uri: Uri) -> Request<Full<bytes::Bytes>> {
    let question = plan.question();
    let mut request = Request::new(Full::new(question.body.clone()));
    *request.method_mut() = question.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = question.headers.clone();
    request
}

/// HTTP/2 has the host in the target.
fn absolute(plan: &Plan, target: &Target) -> Uri {
    let mut parts = plan.question().target.clone().into_parts();
    parts.scheme = Some(match target.peer.scheme() {
        gateward_net::Scheme::Http => UriScheme::HTTP,
        gateward_net::Scheme::Https => UriScheme::HTTPS,
    });
    let authority = Authority::try_from(target.host.as_bytes());
    parts.authority = Some(authority.unwrap_or_else(|_| Authority::from_static("localhost")));
    parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    Uri::from_parts(parts).unwrap_or_default()
}

#[cfg(test)]
mod tests;
