//! AWS's own names for errors.

use std::fmt;

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
