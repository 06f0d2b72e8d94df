//! Asks the services that hand out credentials on the spot: of the container, of the machine.
//!
//! They answer in JSON, all in much the same form. What goes wrong is said without any part of an answer.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use gateward_clock::Timestamp;
use gateward_net::{Client, FetchError, Limits};
use gateward_seal::SecretValue;
use http::{Request, Response};
use serde::Deserialize;

use super::Credentials;
use super::source::{Loaded, Missing};
use crate::ErrorType;
use crate::service::wipe;

/// Sends `request`; once more if the service is out of order or the connection broke, as both happen for a moment.
pub(super) async fn ask(
    client: &Client,
    request: Request<Bytes>,
    timeout: Duration,
) -> Result<Response<Bytes>, FetchError> {
    let limits = Limits { timeout, max_body: MAX_ANSWER, verify: true };
    match client.fetch(request.clone(), limits).await {
        Ok(response) if response.status().is_server_error() => client.fetch(request, limits).await,
        Err(FetchError::Closed(_)) => client.fetch(request, limits).await,
        other => other,
    }
}

/// The credentials in an answer.
pub(super) fn read(response: Response<Bytes>) -> Result<Loaded, Missing> {
    let (head, body) = response.into_parts();
    let answer: Option<Answer> = serde_json::from_slice(&body).ok();
    wipe(body);
    let answer = answer.unwrap_or_default();
    let error = ErrorType::of(answer.code.as_deref().unwrap_or_default());
    if head.status.as_u16() != 200 {
        return Err(Missing::failed(format!("it answers with status {} ({error})", head.status.as_u16())));
    }
    if !matches!(error.as_str(), "" | "Success") {
        return Err(Missing::failed(format!("it has none ({error})")));
    }
    let expires = answer.expiration.map(|time| Timestamp::parse_rfc3339(&time));
    let (Some(access_key), Some(secret_key), None | Some(Some(_))) =
        (answer.access_key, answer.secret_key, expires)
    else {
        return Err(Missing::failed("its answer holds no credentials"));
    };
    let session_token = answer.token.filter(|token| !token.is_empty());
    let look_again = expires.is_none().then_some(LOOK_AGAIN);
    Ok(Loaded {
        credentials: Credentials { access_key, secret_key, session_token },
        expires: expires.flatten(),
        look_again,
    })
}

/// What all of these services answer.
#[derive(Default, Deserialize)]
struct Answer {
    #[serde(rename = "Code", alias = "code")]
    code: Option<String>,
    #[serde(rename = "AccessKeyId")]
    access_key: Option<String>,
    #[serde(rename = "SecretAccessKey")]
    secret_key: Option<SecretValue>,
    #[serde(rename = "Token")]
    token: Option<SecretValue>,
    #[serde(rename = "Expiration")]
    expiration: Option<String>,
}

/// An error and its causes, for a message.
pub(super) fn why(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// No answer is longer than a few kilobytes.
const MAX_ANSWER: usize = 64 * 1024;

/// When credentials without an end are asked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(5 * 60);
