//! The event that carries an HTTP request: version 2 (function URLs, HTTP APIs) or version 1 (REST APIs, load balancers).

use std::collections::BTreeMap;

use http::Method;
use serde::Deserialize;

use super::bytes_of;
use crate::protocol::CREDENTIALS_HEADER;

/// What of an event a producer looks at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) method: Method,
    pub(super) path: String,
    /// Each header that should hold the gateway's token.
    pub(super) tokens: Vec<String>,
    /// By which name AWS was called; load balancers do not say.
    pub(super) origin: Option<String>,
    pub(super) body: Vec<u8>,
}

/// The fields of both versions; each has some of them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    raw_path: Option<String>,
    path: Option<String>,
    http_method: Option<String>,
    #[serde(default)]
    headers: Option<BTreeMap<String, String>>,
    #[serde(default)]
    multi_value_headers: Option<BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    request_context: Context,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    http: Option<Http>,
    domain_name: Option<String>,
}

#[derive(Deserialize)]
struct Http {
    method: String,
}

impl Event {
    /// Reads an event; `None` if it is no HTTP request.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        let sent: Sent = serde_json::from_slice(json).ok()?;
        let method = sent.request_context.http.map(|http| http.method).or(sent.http_method)?;
        let origin = sent.request_context.domain_name;
        Some(Self {
            method: method.parse().ok()?,
            path: sent.raw_path.or(sent.path)?,
            tokens: tokens(sent.multi_value_headers, sent.headers),
            origin: origin.map(|name| format!("https://{}", name.to_ascii_lowercase())),
            body: bytes_of(&sent.body.unwrap_or_default(), sent.is_base64_encoded)?,
        })
    }
}

/// Version 1 has repeated headers in a list, and the last one besides; version 2 joins them, so that two tokens are none.
fn tokens(
    all: Option<BTreeMap<String, Vec<String>>>,
    single: Option<BTreeMap<String, String>>,
) -> Vec<String> {
    let is_ours = |name: &str| name.eq_ignore_ascii_case(CREDENTIALS_HEADER);
    match all {
        Some(all) => {
            all.into_iter().filter(|(name, _)| is_ours(name)).flat_map(|(_, values)| values).collect()
        }
        None => {
            let single = single.unwrap_or_default().into_iter();
            single.filter(|(name, _)| is_ours(name)).map(|(_, value)| value).collect()
        }
    }
}
