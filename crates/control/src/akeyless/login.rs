//! `/auth`: a token for an access id and its key, or for one whom AWS knows.

use std::sync::Arc;

use gateward_access::{LoginError, TokenError};
use gateward_seal::SecretValue;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ApiError};
use crate::{ControlParts, audit};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Auth {
    #[serde(default)]
    access_id: String,
    #[serde(default)]
    access_key: SecretValue,
    #[serde(default = "access_key")]
    access_type: String,
    #[serde(default)]
    cloud_id: SecretValue,
}

pub(super) async fn auth(parts: Arc<ControlParts>, body: Value) -> Answer {
    let Auth { access_id, access_key, access_type, cloud_id } = gateward_model::parse(&body)?;
    audit::note_claimed(&access_id);
    let login = match access_type.as_str() {
        "access_key" | "api_key" => parts.authenticator.login(&access_id, &access_key).await,
        "aws_iam" => parts.authenticator.login_with_aws(&access_id, &cloud_id).await,
        _ => return Err(ApiError::bad("access-type: is access_key or aws_iam")),
    };
    let token = login.map_err(|error| match error {
        LoginError::Unavailable => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        LoginError::Wrong => {
            tracing::warn!("login refused");
            let said = if access_type == "aws_iam" { AWS_REFUSED.to_owned() } else { error.to_string() };
            ApiError::new(StatusCode::UNAUTHORIZED, said)
        }
    })?;
    let text = token.text.expose();
    Ok(json!({
        "token": text,
        "expiration": token.expires.rfc3339(),
        "creds": {"access_id": access_id, "token": text, "expiry": token.expires.secs()},
    })
    .into())
}

/// `/configure`: a login; the profile is the client's to keep.
pub(super) async fn configure(parts: Arc<ControlParts>, body: Value) -> Answer {
    let profile = body.get("profile").and_then(Value::as_str).unwrap_or("default").to_owned();
    let mut granted = auth(parts, body).await?;
    let token = granted.body["token"].take();
    gateward_seal::wipe(&mut granted.body);
    Ok(json!({"token": token, "profile": profile}).into())
}

/// `/validate-token`: whether a token is taken, and until when.
pub(super) async fn validate(parts: Arc<ControlParts>, body: Value) -> Answer {
    let token = body.get("token").and_then(Value::as_str).unwrap_or_default();
    let known = parts.authenticator.verify(token).and_then(|_| parts.authenticator.times(token));
    if let Err(TokenError::Unavailable(error)) = known {
        return Err(error.into());
    }
    Ok(match known {
        Ok((issued, expires)) => json!({
            "is_valid": true, "expiration": expires.rfc3339(), "last_renew": issued.rfc3339(), "reason": "",
        }),
        Err(error) => {
            json!({"is_valid": false, "expiration": "", "last_renew": "", "reason": error.to_string()})
        }
    }
    .into())
}

/// The one message for every reason.
const AWS_REFUSED: &str = "the access id or the cloud id is wrong";

fn access_key() -> String {
    "access_key".to_owned()
}
