//! `/auth`: an access id and its key for a token.

use std::sync::Arc;

use gateward_seal::SecretValue;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ApiError};
use crate::ControlParts;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Auth {
    #[serde(default)]
    access_id: String,
    #[serde(default)]
    access_key: SecretValue,
    #[serde(default = "access_key")]
    access_type: String,
}

pub(super) async fn auth(parts: Arc<ControlParts>, body: Value) -> Answer {
    let Auth { access_id, access_key, access_type } = gateward_model::parse(&body)?;
    if access_type != "access_key" {
        return Err(ApiError::bad("access-type: the only type is access_key"));
    }
    let token = parts.authenticator.login(&access_id, &access_key).map_err(|error| {
        tracing::warn!("login refused");
        ApiError::new(StatusCode::UNAUTHORIZED, error.to_string())
    })?;
    let text = token.text.expose();
    Ok(json!({
        "token": text,
        "expiration": token.expires.rfc3339(),
        "creds": {"access_id": access_id, "token": text, "expiry": token.expires.secs()},
    })
    .into())
}

fn access_key() -> String {
    "access_key".to_owned()
}
