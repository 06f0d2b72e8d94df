//! The answer to an event: status, headers, cookies and the whole body, as JSON.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use gateward_net::{Body, CollectError};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Serialize;

/// The JSON that answers the event. What does not fit into an answer of Lambda becomes a 502 that says so.
pub(in super::super) async fn response(response: Response<Body>) -> Bytes {
    let (head, body) = response.into_parts();
    let body = match body.collect(LARGEST_ANSWER).await {
        Ok(body) => body,
        Err(CollectError::TooLarge { .. }) => return refusal(&head.headers, TOO_LARGE),
        Err(CollectError::Broken(_)) => return refusal(&head.headers, BROKEN),
    };
    let answer = encode(head.status, &head.headers, &body);
    if answer.len() > LARGEST_ANSWER {
        return refusal(&head.headers, TOO_LARGE);
    }
    answer
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'r> {
    status_code: u16,
    headers: BTreeMap<&'r str, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    body: String,
    is_base64_encoded: bool,
}

fn encode(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Bytes {
    let mut fields: BTreeMap<&str, String> = BTreeMap::new();
    let mut cookies = Vec::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        if name == SET_COOKIE {
            cookies.push(value.into_owned());
        } else if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
            // Of a name that stands there twice API Gateway wants one value, as HTTP allows for all but cookies.
            match fields.get_mut(name.as_str()) {
                Some(values) => {
                    values.push_str(", ");
                    values.push_str(&value);
                }
                None => drop(fields.insert(name.as_str(), value.into_owned())),
            }
        }
    }
    let (body, is_base64_encoded) = match std::str::from_utf8(body) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (BASE64_STANDARD.encode(body), true),
    };
    let answer = Answer { status_code: status.as_u16(), headers: fields, cookies, body, is_base64_encoded };
    // Strings, numbers and a boolean always have a JSON form.
    serde_json::to_vec(&answer).unwrap_or_default().into()
}

/// What the client hears in place of an answer that could not be given; the request id stays.
fn refusal(headers: &HeaderMap, (code, message): (&str, &str)) -> Bytes {
    let id = headers.get("x-request-id").cloned().unwrap_or(HeaderValue::from_static("unknown"));
    let told = serde_json::json!({"error_msg": message, "code": code, "request_id": id.to_str().unwrap_or_default()});
    tracing::warn!(request_id = ?id, code, "an answer could not be given");
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("x-request-id", id);
    encode(StatusCode::BAD_GATEWAY, &headers, format!("{told}\n").as_bytes())
}

const TOO_LARGE: (&str, &str) =
    ("answer_too_large", "the answer is larger than the 6 MB that a Lambda function can give");

const BROKEN: (&str, &str) = ("answer_broken", "the answer broke off");

/// What the Runtime API takes.
const LARGEST_ANSWER: usize = 6 * 1024 * 1024;
