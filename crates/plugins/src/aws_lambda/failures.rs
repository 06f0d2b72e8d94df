//! Why a function that was called by its name gave no answer: what Lambda says in its place, sorted by what it means for
//! the client.
//!
//! What AWS calls its error and by which id it knows the call are told, for that is what somebody looks up in its logs.
//! AWS's sentence is for our own log, because it names accounts and functions.

use std::error::Error;

use gateward_model::{ErrorStatus, Failure, Origin};
use gateward_net::{Body, BodyError, CollectError, FetchError};
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;

/// Lambda's refusal of a call.
pub(super) struct Refusal {
    status: StatusCode,
    error: String,
    id: Option<String>,
    sentence: String,
    retry_after: Option<u32>,
}

/// How a function says that it failed.
#[derive(Deserialize, Default)]
struct Crash {
    #[serde(rename = "errorType", default)]
    error_type: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Told {
    #[serde(alias = "Message")]
    message: String,
    #[serde(alias = "Type", alias = "__type")]
    code: String,
}

impl Refusal {
    /// Reads what Lambda says.
    pub(super) async fn read(response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        // Without a body that can be read, the status and the headers still say what happened.
        let body = body.collect(LARGEST_REFUSAL).await.unwrap_or_default();
        let told: Told = serde_json::from_slice(&body).unwrap_or_default();
        let named = text(&head.headers, "x-amzn-errortype").unwrap_or(told.code);
        Self {
            status: head.status,
            error: name_of(&named),
            id: aws_request_id(&head.headers),
            // What follows, where a signature is wrong, is what should have been signed, the session's token included.
            sentence: printable(told.message.lines().next().unwrap_or_default()),
            retry_after: text(&head.headers, "retry-after").and_then(|seconds| seconds.parse().ok()),
        }
    }

    /// What the client hears; with Lambda's own status, if that is to be kept.
    pub(super) fn failure(self, keep_status: bool) -> Failure {
        let (status, code, message) = match self.status.as_u16() {
            429 => (429, "function_throttled", "the function is called more often than it may be"),
            413 => (413, "body_too_large", "the request is larger than the function takes"),
            404 => {
                (502, "function_not_found", "there is no such function, or no such version or alias of it")
            }
            401 | 403 => (502, "function_access_denied", "the gateway may not call the function"),
            400..=499 => (502, "function_call_refused", "the call of the function was refused"),
            503 => (503, "function_unavailable", "the function cannot be run now"),
            504 => (504, "function_timeout", "the function did not answer in time"),
            500..=599 => (502, "function_unavailable", "the function cannot be run now"),
            _ => (502, "function_bad_answer", "the function gave no usable answer"),
        };
        let ours = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        let theirs = Some(self.status).filter(|_| keep_status);
        let status = theirs.and_then(ErrorStatus::new).or(ErrorStatus::new(ours));
        let mut failure =
            Failure::new(status.unwrap_or(ErrorStatus::BAD_GATEWAY), Origin::Function, code, message)
                .with_detail(format!("AWS answered {}, {}: {}", self.status, self.error, self.sentence));
        failure.retry_after = match code {
            "function_throttled" | "function_unavailable" => Some(self.retry_after.unwrap_or(1)),
            _ => self.retry_after,
        };
        with_aws(failure, self.error, self.id)
    }
}

/// The function ran and failed: `how` is `Handled` or `Unhandled`, and `left` what it returned.
pub(super) fn crash(headers: &HeaderMap, how: &str, left: &[u8]) -> Failure {
    let crash: Crash = serde_json::from_slice(left).unwrap_or_default();
    crash_called(headers, how, &crash.error_type)
}

/// The same, of which the name of the error is known.
pub(super) fn crash_called(headers: &HeaderMap, how: &str, error: &str) -> Failure {
    let code = if how == "Handled" { "function_handled_error" } else { "function_unhandled_error" };
    let message = "the function failed; its own log says why";
    let failure = Failure::new(ErrorStatus::BAD_GATEWAY, Origin::Function, code, message)
        .with_detail(format!("the function failed, {}", name_of(error)));
    with_aws(failure, name_of(error), aws_request_id(headers))
}

/// What a function returned is not what its route says that it returns. The field `error` has Kong's words.
pub(super) fn bad_answer(headers: &HeaderMap, reason: &str) -> Failure {
    let message = "the function gave no usable answer";
    let error = format!("could not JSON decode Lambda function response: {reason}");
    let failure = Failure::new(ErrorStatus::BAD_GATEWAY, Origin::Function, "function_bad_answer", message)
        .with_detail(error.clone())
        .with_told("message", "Bad Gateway")
        .with_told("error", error);
    with_aws(failure, String::new(), aws_request_id(headers))
}

/// The answer broke off, or never ended.
pub(super) fn broken(error: &CollectError) -> Failure {
    match error {
        CollectError::TooLarge { limit } => {
            let message = format!("the function's answer is larger than {limit} bytes");
            Failure::new(ErrorStatus::BAD_GATEWAY, Origin::Function, "function_answer_too_large", message)
        }
        CollectError::Broken(BodyError::Timeout) => FetchError::ReadTimeout.failure(Origin::Function),
        CollectError::Broken(error) => broken_off(error),
    }
}

/// The answer broke off, for the reason that `error` gives.
pub(super) fn broken_off(error: &(dyn Error + 'static)) -> Failure {
    let mut detail = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        detail = format!("{detail}: {error}");
        cause = error.source();
    }
    let message = "the function gave no usable answer";
    Failure::new(ErrorStatus::BAD_GATEWAY, Origin::Function, "function_bad_answer", message)
        .with_detail(detail)
}

fn with_aws(mut failure: Failure, error: String, id: Option<String>) -> Failure {
    if !error.is_empty() {
        failure = failure.with_told("aws_error", error);
    }
    if let Some(id) = id {
        failure = failure.with_told("aws_request_id", id);
    }
    failure
}

fn aws_request_id(headers: &HeaderMap) -> Option<String> {
    text(headers, "x-amzn-requestid").map(|id| printable(&id))
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The bare name of an error, such as `TooManyRequestsException` or `Runtime.ExitError`: nothing else of an answer can
/// come along.
pub(super) fn name_of(error: &str) -> String {
    let name = error.split(':').next().unwrap_or_default().rsplit('#').next().unwrap_or_default();
    name.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '.').take(64).collect()
}

fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(300).collect()
}

/// What of a refusal is read, in bytes.
const LARGEST_REFUSAL: usize = 64 * 1024;
