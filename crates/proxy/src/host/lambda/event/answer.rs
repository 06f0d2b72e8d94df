//! The answer to a request's event: status, headers, cookies and body, in the form that the event wants.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use gateward_model::ErrorStatus;
use gateward_net::{Body, CollectError};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::Form;

/// The JSON that answers the event. What does not fit into an answer of its form becomes a 502 that says so.
pub(in super::super) async fn response(form: Form, response: Response<Body>) -> Bytes {
    let (head, body) = response.into_parts();
    let refused = |why| {
        let (head, body) = refusal(ErrorStatus::BAD_GATEWAY, &head.headers, why).into_parts();
        encode(form, head.status, &head.headers, Some(&body))
    };
    let (largest, too_large) = limit(form);
    let body = match body.collect(largest).await {
        Ok(body) => body,
        Err(CollectError::TooLarge { .. }) => return refused((TOO_LARGE, too_large)),
        Err(CollectError::Broken(_)) => return refused(BROKEN),
    };
    let answer = encode(form, head.status, &head.headers, Some(&body));
    if answer.len() > largest {
        return refused((TOO_LARGE, too_large));
    }
    answer
}

/// How large an answer may be as JSON, and what is said of a larger one: what takes it from the function may take less
/// than the Runtime API does, and would say nothing but 502.
fn limit(form: Form) -> (usize, &'static str) {
    match form {
        Form::LoadBalancer => {
            (MB, "the answer is larger than the 1 MB that a load balancer takes of a function")
        }
        Form::HttpApi | Form::RestApi => {
            (6 * MB, "the answer is larger than the 6 MB that a Lambda function can give")
        }
    }
}

/// What comes before the body of an answer that is streamed: the same JSON without a body, and eight zeros.
pub(in super::super) fn prelude(form: Form, status: StatusCode, headers: &HeaderMap) -> Bytes {
    let mut prelude = encode(form, status, headers, None).to_vec();
    prelude.extend_from_slice(&[0; 8]);
    prelude.into()
}

/// What the client hears in place of an answer that could not be given; the request id among `headers` stays.
pub(in super::super) fn refusal(
    status: ErrorStatus,
    headers: &HeaderMap,
    (code, message): (&str, &str),
) -> Response<Bytes> {
    let id = headers.get("x-request-id").cloned().unwrap_or(HeaderValue::from_static("unknown"));
    let told = serde_json::json!({"error_msg": message, "code": code, "request_id": id.to_str().unwrap_or_default()});
    tracing::warn!(request_id = id.to_str().unwrap_or_default(), code, "an answer could not be given");
    let mut response = Response::new(Bytes::from(format!("{told}\n")));
    *response.status_mut() = status.status();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert("x-request-id", id);
    response
}

/// An answer; what a form does not know is not in it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'r> {
    status_code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<Cow<'r, str>, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    multi_value_headers: Option<BTreeMap<&'r str, Vec<Cow<'r, str>>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<Cow<'r, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'r, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_base64_encoded: Option<bool>,
}

fn encode(form: Form, status: StatusCode, headers: &HeaderMap, body: Option<&[u8]>) -> Bytes {
    let (body, is_base64_encoded) = match body.map(|body| (body, std::str::from_utf8(body))) {
        None => (None, None),
        Some((_, Ok(text))) => (Some(Cow::Borrowed(text)), Some(false)),
        Some((bytes, Err(_))) => (Some(Cow::Owned(BASE64_STANDARD.encode(bytes))), Some(true)),
    };
    let mut answer = Answer {
        status_code: status.as_u16(),
        status_description: None,
        headers: None,
        multi_value_headers: None,
        cookies: Vec::new(),
        body,
        is_base64_encoded,
    };
    match form {
        Form::HttpApi => (answer.headers, answer.cookies) = joined(headers),
        Form::RestApi => answer.multi_value_headers = Some(listed(headers)),
        Form::LoadBalancer => {
            let reason = status.canonical_reason().unwrap_or("Unknown");
            answer.status_description = Some(format!("{} {reason}", status.as_u16()));
            // Which of the two it reads is a setting of its target group.
            let (single, cookies) = joined(headers);
            let mut single = single.unwrap_or_default();
            let spelled = cookies.into_iter().enumerate();
            single.extend(
                spelled.map(|(place, cookie)| (spelling(SET_COOKIE_NAME, place), cookie.into_owned())),
            );
            answer.headers = Some(single);
            answer.multi_value_headers = Some(listed(headers));
        }
    }
    // Strings, numbers and a boolean always have a JSON form.
    serde_json::to_vec(&answer).unwrap_or_default().into()
}

type Joined<'r> = (Option<BTreeMap<Cow<'r, str>, String>>, Vec<Cow<'r, str>>);

/// One value a name, as HTTP allows for all but cookies, and these by themselves.
fn joined(headers: &HeaderMap) -> Joined<'_> {
    let mut fields: BTreeMap<Cow<'_, str>, String> = BTreeMap::new();
    let mut cookies = Vec::new();
    for (name, value) in told(headers) {
        if name == SET_COOKIE_NAME {
            cookies.push(value);
        } else {
            match fields.get_mut(name) {
                Some(values) => {
                    values.push_str(", ");
                    values.push_str(&value);
                }
                None => drop(fields.insert(Cow::Borrowed(name), value.into_owned())),
            }
        }
    }
    (Some(fields), cookies)
}

/// One of the ways in which `name` can be written, another for each `place` below 512. A load balancer that takes one
/// value a name takes several names that differ in their letters' case alone, and for HTTP they are one.
fn spelling(name: &str, place: usize) -> Cow<'_, str> {
    if place == 0 {
        return Cow::Borrowed(name);
    }
    let mut left = place;
    let letters = name.chars().map(|letter| {
        if !letter.is_ascii_lowercase() {
            return letter;
        }
        let is_upper = left & 1 == 1;
        left >>= 1;
        if is_upper { letter.to_ascii_uppercase() } else { letter }
    });
    Cow::Owned(letters.collect())
}

/// Each name with its values.
fn listed(headers: &HeaderMap) -> BTreeMap<&str, Vec<Cow<'_, str>>> {
    let mut fields: BTreeMap<&str, Vec<Cow<'_, str>>> = BTreeMap::new();
    for (name, value) in told(headers) {
        fields.entry(name).or_default().push(value);
    }
    fields
}

/// The headers but those of a framing that the answer does not have.
fn told(headers: &HeaderMap) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    let framing = |name: &http::HeaderName| name == CONTENT_LENGTH || name == TRANSFER_ENCODING;
    let fields = headers.iter().filter(move |(name, _)| !framing(name));
    fields.map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
}

const SET_COOKIE_NAME: &str = "set-cookie";

const TOO_LARGE: &str = "answer_too_large";

const BROKEN: (&str, &str) = ("answer_broken", "the answer broke off");

const MB: usize = 1024 * 1024;
