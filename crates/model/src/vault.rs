//! A vault entity, as Kong has it: where secrets stand, and the prefix by which references name it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Invalid;

/// A vault entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vault {
    /// A UUID, given at creation.
    pub id: String,
    /// What references name it by.
    pub prefix: String,
    /// The backend: `env` or `aws`.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// The backend's settings; which there are, the backend knows.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// For people.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// Seconds since the epoch.
    pub created_at: u64,
    /// Seconds since the epoch.
    pub updated_at: u64,
}

impl Vault {
    /// Checks a prefix: two or more lower-case letters, digits and `-`, a letter first, no `-` last.
    pub fn check_prefix(prefix: &str) -> Result<(), Invalid> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let shaped = prefix.len() >= 2
            && prefix.starts_with(|first: char| first.is_ascii_lowercase())
            && !prefix.ends_with('-')
            && prefix.bytes().all(allowed);
        if shaped {
            return Ok(());
        }
        Err(Invalid::new(
            "prefix",
            "a prefix is two or more of a-z, 0-9 and -, begins with a letter and does not end with -",
        ))
    }
}
