//! What a client hears that has gone over a limit.

use gateward_model::{ErrorStatus, Failure, Origin};
use gateward_net::{Body, Conn};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::json;

use super::Limits;
use super::client_body::BodyFault;
use crate::host::Entrance;
use crate::hygiene::Improper;

/// The limit that the head of `request` goes over, if it does.
pub(super) fn excess<B>(request: &Request<B>, limits: &Limits) -> Option<Failure> {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target > limits.target_bytes {
        return Some(Improper::TooLong.failure());
    }
    if request.headers().len() > limits.head_fields {
        let message = "the request has more header fields than are taken here";
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Some(failure(status, Origin::Client, "too_many_fields", message));
    }
    let most = limits.body_bytes?;
    let length = request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse::<u64>().ok()?;
    (length > most).then(|| body(BodyFault::TooLarge))
}

/// There are as many requests under way as there may be.
pub(super) fn overloaded() -> Failure {
    let message = "the gateway has as much to do as it can; try again in a moment";
    failure(StatusCode::SERVICE_UNAVAILABLE, Origin::Gateway, "overloaded", message)
}

/// A body was not as it may be.
pub(super) fn body(fault: BodyFault) -> Failure {
    let (status, code) = match fault {
        BodyFault::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
        BodyFault::TooSlow => (StatusCode::REQUEST_TIMEOUT, "body_too_slow"),
    };
    failure(status, Origin::Client, code, &fault.to_string())
}

/// Answers `request` with `failure`.
pub(super) async fn answer(
    entrance: &Entrance,
    request: Request<Body>,
    conn: &Conn,
    failure: &Failure,
) -> Response<Body> {
    let tell = async |request: Request<Body>| told(failure, request.headers().get(REQUEST_ID));
    entrance.gateway.handle_by(request, conn, Some(failure.code), tell).await
}

/// Says `failure` in place of `response`, which was made of a broken request.
pub(super) fn instead(response: &Response<Body>, failure: &Failure) -> Response<Body> {
    let mut told = told(failure, response.headers().get(REQUEST_ID));
    for name in ["server", REQUEST_ID] {
        if let Some(value) = response.headers().get(name) {
            told.headers_mut().insert(name, value.clone());
        }
    }
    told
}

fn told(failure: &Failure, id: Option<&HeaderValue>) -> Response<Body> {
    let id = id.and_then(|id| id.to_str().ok());
    let mut body = json!({"error_msg": failure.message, "code": failure.code, "request_id": id}).to_string();
    body.push('\n');
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = failure.status.status();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if failure.status == ErrorStatus::UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn failure(status: StatusCode, origin: Origin, code: &'static str, message: &str) -> Failure {
    Failure::new(ErrorStatus::new(status).unwrap_or(ErrorStatus::BAD_REQUEST), origin, code, message)
}

const REQUEST_ID: &str = "x-request-id";

/// What a connection hears that there is no room for, before anything of it was read.
pub(super) const NO_ROOM: &str = "HTTP/1.1 503 Service Unavailable\r\n\
    server: gateward\r\n\
    retry-after: 1\r\n\
    connection: close\r\n\
    content-type: application/json\r\n\
    content-length: 105\r\n\
    \r\n\
    {\"error_msg\":\"the gateway has as many connections as it can; try again in a moment\",\"code\":\"overloaded\"}\n";
