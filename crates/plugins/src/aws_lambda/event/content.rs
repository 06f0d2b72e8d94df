//! A request's body in an event: as text where it is text, and else in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::{Serialize, Serializer};

use super::Encode;

/// A body as a JSON string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'b> {
    /// As it is.
    Text(&'b str),
    /// In base64.
    Base64(&'b [u8]),
}

impl<'b> Content<'b> {
    /// How `body` is written, of a request with these headers; nothing, if there is none.
    pub(super) fn of(headers: &HeaderMap, body: &'b [u8], encode: Encode) -> Option<Self> {
        if body.is_empty() {
            return None;
        }
        let as_text = match encode {
            Encode::Always => false,
            Encode::AsNeeded => is_text(headers),
            Encode::OnlyBytes => true,
        };
        match std::str::from_utf8(body) {
            Ok(text) if as_text => Some(Self::Text(text)),
            _ => Some(Self::Base64(body)),
        }
    }

    pub(super) fn is_base64(self) -> bool {
        matches!(self, Self::Base64(_))
    }
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Base64(bytes) => serializer.serialize_str(&STANDARD.encode(bytes)),
        }
    }
}

/// The content type, without its parameters, in lower case.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether the headers say that the body is text: what is compressed is none, whatever it was before.
fn is_text(headers: &HeaderMap) -> bool {
    let encoding = headers.get(CONTENT_ENCODING).map(|value| value.as_bytes().trim_ascii());
    if encoding.is_some_and(|encoding| !encoding.is_empty() && !encoding.eq_ignore_ascii_case(b"identity")) {
        return false;
    }
    let media_type = media_type(headers);
    media_type.starts_with("text/")
        || media_type.ends_with("+json")
        || media_type.ends_with("+xml")
        || TEXTS.contains(&media_type.as_str())
}

/// What is text besides `text/*`, by API Gateway's reckoning.
const TEXTS: [&str; 6] = [
    "application/javascript",
    "application/json",
    "application/x-www-form-urlencoded",
    "application/xhtml+xml",
    "application/xml",
    "application/graphql",
];
