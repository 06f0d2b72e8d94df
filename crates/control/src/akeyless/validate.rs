//! How producers check that a call comes from this gateway: by asking, or with the public key.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ApiError};
use crate::ControlParts;
use crate::request::json_answer;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Validate {
    creds: String,
    expected_access_id: String,
    #[serde(default)]
    expected_item_name: Option<String>,
}

/// `/validate-producer-credentials`. Takes producer tokens and no others.
pub(super) async fn validate(parts: Arc<ControlParts>, body: Value) -> Answer {
    let wrong = |error: gateward_model::Invalid| {
        ApiError::coded(StatusCode::BAD_REQUEST, "BadRequest", &error.to_string())
    };
    let sent: Validate = gateward_model::parse(&body).map_err(wrong)?;
    let valid = parts
        .producer_tokens
        .validate(&sent.creds, &sent.expected_access_id, sent.expected_item_name.as_deref())
        .map_err(|error| ApiError::coded(StatusCode::UNAUTHORIZED, "Unauthorized", &error.to_string()))?;
    Ok(json!({"access_id": valid.access_id, "attaches": valid.attaches}).into())
}

/// `/.well-known/jwks.json`.
pub(super) async fn jwks(State(parts): State<Arc<ControlParts>>) -> Response {
    json_answer(StatusCode::OK, &parts.producer_tokens.jwks())
}
