//! The answers that the gateway gives itself.

use gateward_model::{ErrorStatus, Failure, Origin};
use gateward_net::Body;
use gateward_upstreams::Balanced;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Response, StatusCode};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

/// What a client hears of `failure`; what only the log should hear goes there.
pub(super) fn answer(failure: &Failure, id: &str) -> Response<Body> {
    if let Some(detail) = &failure.detail {
        tracing::warn!(request_id = id, code = failure.code, origin = ?failure.origin, detail, "a request failed");
    }
    // Strings always have a JSON form.
    let mut body = serde_json::to_vec(&Told { failure, id }).unwrap_or_default();
    body.push(b'\n');
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = failure.status.status();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = failure.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// Whether an answer with this `status` says that whoever asked may not, which a secret that has changed explains.
pub(super) fn is_of_credentials(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// A failure, in JSON.
struct Told<'f> {
    failure: &'f Failure,
    id: &'f str,
}

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { failure, id } = *self;
        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry("error_msg", &failure.message)?;
        fields.serialize_entry("code", failure.code)?;
        fields.serialize_entry("request_id", id)?;
        for (name, what) in &failure.told {
            fields.serialize_entry(name, what)?;
        }
        fields.end()
    }
}

/// No route takes a request with this method. The text is APISIX's.
pub(super) fn no_route(method: &Method) -> Failure {
    if method == Method::TRACE {
        let message = "TRACE is served only by routes that name it among their methods";
        return Failure::new(ErrorStatus::METHOD_NOT_ALLOWED, Origin::Client, "trace_refused", message);
    }
    Failure::new(ErrorStatus::NOT_FOUND, Origin::Client, "no_route", "404 Route Not Found")
}

/// The body decides what happens to the request, and is too long to be read for that.
pub(super) fn too_long_to_read() -> Failure {
    let message =
        "what happens to this request depends on what its body says, which may then have 1 MiB at most";
    Failure::new(ErrorStatus::TOO_LARGE, Origin::Client, "body_too_large", message)
}

/// The route has no upstream, and none of its plugins answered.
pub(super) fn no_upstream() -> Failure {
    let message = "missing upstream configuration: no plugin of the route answered, and it has no upstream";
    Failure::new(ErrorStatus::UNAVAILABLE, Origin::Gateway, "no_upstream", message)
}

/// No node of the upstream may be picked.
pub(super) fn no_nodes(upstream: &Balanced) -> Failure {
    let message = match upstream.source().nodes.is_empty() {
        true => "the upstream has no nodes",
        false => "no node of the upstream has a weight above 0",
    };
    Failure::new(ErrorStatus::UNAVAILABLE, Origin::Gateway, "no_nodes", message)
}

/// A value that a plugin's configuration refers to is not there.
pub(super) fn secret_unresolved() -> Failure {
    let message =
        "a secret that this route needs could not be resolved; its vault or its reference must be put right";
    Failure::new(ErrorStatus::UNAVAILABLE, Origin::Vault, "secret_unresolved", message)
}

/// What is stored of a plugin's configuration cannot be used.
pub(super) fn plugin_invalid() -> Failure {
    let message =
        "the configuration of a plugin of this route cannot be used; the gateway's log names what is wrong";
    Failure::new(ErrorStatus::UNAVAILABLE, Origin::Gateway, "plugin_invalid", message)
}

/// The upstream answered with something that only HTTP's machinery may say.
pub(super) fn bad_answer(status: StatusCode) -> Failure {
    let message = "the upstream gave no usable answer";
    Failure::new(ErrorStatus::BAD_GATEWAY, Origin::Upstream, "upstream_bad_answer", message)
        .with_detail(format!("it answered {status}, which it was not asked for"))
}
