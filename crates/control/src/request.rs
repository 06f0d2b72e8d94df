//! What every dialect does with a request before it knows what it is about.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode, Uri};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::json;

/// A body that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyRefused {
    #[error("the body is larger than {MAX_BODY} bytes")]
    TooLarge,
    #[error("the body broke off")]
    Broken,
}

impl BodyRefused {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken => StatusCode::BAD_REQUEST,
        }
    }
}

/// The whole body.
pub(crate) async fn read(body: Body) -> Result<Bytes, BodyRefused> {
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(BodyRefused::TooLarge),
        Err(_) => Err(BodyRefused::Broken),
    }
}

/// An answer in JSON, with a line feed at its end for those who look at it in a terminal.
pub(crate) fn json_answer(status: StatusCode, body: &impl serde::Serialize) -> Response {
    // What is answered here is made of strings, numbers and maps with string keys: it always serialises.
    let mut text = serde_json::to_string(body).unwrap_or_default();
    text.push('\n');
    (status, [(http::header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// The answer where no dialect has anything.
pub(crate) async fn not_found() -> Response {
    let error = "there is nothing at this path; here are /apisix/admin, /vaults, /schemas/vaults, /v1/references, /health, /ready, \
                 /metrics, and the calls of the Akeyless API (also below /v2 and /api/v2)";
    json_answer(StatusCode::NOT_FOUND, &json!({"error": error}))
}

/// The id of a request that whoever hands it on has named already.
#[derive(Clone)]
pub(crate) struct RequestId(pub(crate) HeaderValue);

/// An id for the log and for whoever asks about an answer.
pub(crate) fn id() -> HeaderValue {
    HeaderValue::try_from(format!("{:032x}", fastrand::u128(..))).unwrap_or(HeaderValue::from_static("none"))
}

/// Some clients put a slash between a base address that ends with one and the path: `//auth`.
pub(crate) fn collapse_slashes(uri: &mut Uri) {
    if !uri.path().contains("//") {
        return;
    }
    let mut path = String::with_capacity(uri.path().len());
    for character in uri.path().chars() {
        if character != '/' || !path.ends_with('/') {
            path.push(character);
        }
    }
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    if let Ok(path) = PathAndQuery::try_from(path) {
        parts.path_and_query = Some(path);
        if let Ok(collapsed) = Uri::from_parts(parts) {
            *uri = collapsed;
        }
    }
}

/// APISIX's limit: 1.5 MiB.
pub(crate) const MAX_BODY: usize = 1_572_864;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_slashes_become_one_and_the_query_stays() {
        for (from, to) in [("//auth", "/auth"), ("/v2//auth?a=//b", "/v2/auth?a=//b"), ("/auth", "/auth")] {
            let mut uri = Uri::try_from(from).unwrap();
            collapse_slashes(&mut uri);
            assert_eq!(uri, to);
        }
    }
}
