//! Whether the process lives, and whether it is ready to serve.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use serde_json::json;

use crate::ControlParts;
use crate::request::json_answer;

pub(crate) fn router() -> Router<Arc<ControlParts>> {
    Router::new().route("/health", get(health)).route("/ready", get(ready))
}

async fn health() -> Response {
    json_answer(StatusCode::OK, &json!({"status": "ok"}))
}

/// 200 once the configuration is served and each of its references has been asked for once.
async fn ready(State(parts): State<Arc<ControlParts>>) -> Response {
    if parts.configuration.ready() {
        return json_answer(StatusCode::OK, &json!({"status": "ready"}));
    }
    json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "starting"}))
}
