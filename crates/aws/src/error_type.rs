//! AWS's own names for errors.

use std::fmt;

use http::response::Parts;
use serde::Deserialize;

/// AWS's name for an error, such as `ResourceNotFoundException`. Letters and digits only, so that no other part of an
/// answer can come along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorType(String);

impl ErrorType {
    /// The name in `text`, which may be `com.amazonaws.secretsmanager#ResourceNotFoundException:http://…`.
    pub fn of(text: &str) -> Self {
        let name = text.split(':').next().unwrap_or_default();
        let name = name.rsplit('#').next().unwrap_or_default();
        Self(name.chars().filter(char::is_ascii_alphanumeric).take(64).collect())
    }

    /// The name in an answer, which AWS puts into a header or into its JSON.
    pub(crate) fn of_answer(head: &Parts, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Named {
            #[serde(rename = "__type", default)]
            name: String,
        }
        let in_header = head.headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok());
        match in_header {
            Some(name) => Self::of(name),
            None => {
                Self::of(&serde_json::from_slice(body).map(|named: Named| named.name).unwrap_or_default())
            }
        }
    }

    /// Whether it is the credentials that AWS no longer takes, or not yet, so that others may do better.
    pub fn is_about_stale_credentials(&self) -> bool {
        matches!(
            self.as_str(),
            "ExpiredTokenException" | "ExpiredToken" | "UnrecognizedClientException" | "InvalidClientTokenId"
        )
    }

    /// The name; empty where AWS gave none.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_empty() { "no error named" } else { &self.0 })
    }
}
