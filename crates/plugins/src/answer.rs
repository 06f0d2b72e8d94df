//! Answers of plugins in APISIX's shape: `{"message": "…"}`, and a line feed.

use gateward_model::Invalid;
use gateward_net::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

/// The answer `status` that says `text`.
pub(crate) fn message(status: StatusCode, text: &str) -> Response<Body> {
    worded("message", status, text)
}

/// The same for the plugins that call it `error_msg`.
pub(crate) fn error_msg(status: StatusCode, text: &str) -> Response<Body> {
    worded("error_msg", status, text)
}

/// The answer `status` without more words.
pub(crate) fn bare(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// The status that a setting asks for, if it can end a request.
pub(crate) fn status(field: &str, code: u16, from: u16, to: u16) -> Result<StatusCode, Invalid> {
    let status = StatusCode::from_u16(code).ok().filter(|_| (from..=to).contains(&code));
    status.ok_or_else(|| Invalid::new(field, format!("must be a status from {from} to {to}")))
}

fn worded(field: &str, status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::full(format!("{}\n", json!({ field: text }))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
