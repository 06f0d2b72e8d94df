//! The control plane behind a host that carries traffic: a port that serves both, or a Lambda function.

use futures_util::future::LocalBoxFuture;
use gateward_net::{Body, Conn};
use gateward_proxy::Door;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tokio::runtime::Handle;

use crate::request::RequestId;
use crate::{Control, Surface};

/// Carries requests from a data thread to the control runtime, and the answers back.
pub struct ControlDoor {
    control: Control,
    surface: Surface,
    prefixes: &'static [&'static str],
    rest: bool,
    runtime: Handle,
}

impl ControlDoor {
    /// For a port of traffic that has APISIX's Admin API too, as APISIX once did.
    pub fn apisix(control: Control, runtime: Handle) -> Self {
        Self { control, surface: Surface::Apisix, prefixes: &["/apisix/admin"], rest: false, runtime }
    }

    /// For one address that has everything: control paths with a prefix come first, then routes, then the Akeyless API
    /// at the root.
    pub fn everything(control: Control, runtime: Handle) -> Self {
        Self { control, surface: Surface::All, prefixes: PREFIXES, rest: true, runtime }
    }
}

impl Door for ControlDoor {
    fn takes(&self, path: &str) -> bool {
        self.prefixes.iter().any(|prefix| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    fn takes_rest(&self, path: &str) -> bool {
        self.rest && crate::akeyless::has(path.trim_start_matches('/'))
    }

    fn open(&self, request: Request<Body>, _: Conn) -> LocalBoxFuture<'static, Response<Body>> {
        let (control, surface, runtime) = (self.control.clone(), self.surface, self.runtime.clone());
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = body.collect(2 * crate::request::MAX_BODY).await else {
                return failure(http::StatusCode::PAYLOAD_TOO_LARGE, "the body is too large, or broke off");
            };
            let mut request = Request::from_parts(parts, axum::body::Body::from(body));
            // The id that the answer will have, by which the audit names it, too.
            if let Some(id) = request.headers().get("x-request-id").cloned() {
                request.extensions_mut().insert(RequestId(id));
            }
            // A task of the control runtime: a data thread never runs what the control plane does.
            let answer = runtime.spawn(async move {
                let (parts, body) = control.answer(surface, request).await.into_parts();
                body.collect().await.map(|body| Response::from_parts(parts, body.to_bytes()))
            });
            match answer.await {
                Ok(Ok(answer)) => answer.map(Body::full),
                _ => failure(
                    http::StatusCode::INTERNAL_SERVER_ERROR,
                    "the control plane failed; its log says why",
                ),
            }
        })
    }
}

fn failure(status: http::StatusCode, text: &str) -> Response<Body> {
    let body = serde_json::json!({"error": text, "error_msg": text, "message": text});
    let mut response = Response::new(Body::full(format!("{body}\n")));
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

/// The prefixes of everything that is not the Akeyless API at the root.
const PREFIXES: &[&str] = &[
    "/console",
    "/config",
    "/apisix/admin",
    "/vaults",
    "/v2",
    "/api/v2",
    "/health",
    "/ready",
    "/metrics",
    "/apisix/prometheus",
    "/validate-producer-credentials",
    "/.well-known/jwks.json",
];
