//! The words of the custom producer protocol, as Akeyless defined them.
//!
//! `request_id`, `lease_id`, `ttl` and `expires_at` in a create call, `capabilities` in the answer to a dry run,
//! `not_found` in a revoke answer, and the call `/sync/list` are our additions; a producer that does not know them
//! ignores them.

use std::collections::BTreeMap;

use gateward_seal::SecretValue;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Capabilities, Listing};

/// Body of `POST /sync/create`.
#[derive(Serialize)]
pub struct CreateRequest<'a> {
    /// The secret that the gateway keeps for the producer.
    pub payload: &'a str,
    /// What the caller asked with.
    pub input: &'a Map<String, Value>,
    /// Who asked.
    pub client_info: ClientInfo<'a>,
    /// The same for a repeated call; a producer that knows it makes one credential only.
    pub request_id: &'a str,
    /// The lease that the credential will belong to.
    pub lease_id: &'a str,
    /// Seconds that the credential will live.
    pub ttl: u64,
    /// A moment by which it may safely end by itself (RFC 3339).
    pub expires_at: String,
}

/// Who asked for a credential.
#[derive(Serialize)]
pub struct ClientInfo<'a> {
    /// The caller's access id; `p-custom` in a dry run.
    pub access_id: &'a str,
    /// What is known of the caller.
    pub sub_claims: &'a BTreeMap<String, Vec<String>>,
}

/// Body of `POST /sync/revoke`.
#[derive(Serialize)]
pub struct RevokeRequest<'a> {
    /// The secret that the gateway keeps for the producer.
    pub payload: &'a str,
    /// The credentials that must go.
    pub ids: &'a [String],
}

/// Body of `POST /sync/rotate`.
#[derive(Serialize)]
pub struct RotateRequest<'a> {
    /// What is to be replaced.
    pub payload: &'a str,
    /// The same for a repeated call; a producer that knows it makes one payload only.
    pub request_id: &'a str,
}

/// Answer to `POST /sync/rotate`.
#[derive(Deserialize)]
pub struct RotateReply {
    /// What the gateway keeps from now on.
    pub payload: SecretValue,
}

/// Answer to `POST /sync/create`, read so that an unusable one still tells what was made.
#[derive(Deserialize)]
pub struct CreateAnswer {
    /// Must be a string; see [`CreateAnswer::id`].
    #[serde(default)]
    id: Value,
    /// Must be an object.
    #[serde(default)]
    pub response: Value,
    /// Of a dry run: what the producer can.
    #[serde(default)]
    capabilities: Value,
}

impl CreateAnswer {
    /// The credential's name: a string that is not empty, or a number as text, though a number is no valid answer.
    pub fn id(&self) -> Option<String> {
        match &self.id {
            Value::String(id) if !id.is_empty() => Some(id.clone()),
            Value::Number(id) => Some(id.to_string()),
            _ => None,
        }
    }

    /// What the producer says that it can; nothing, if that makes no sense.
    pub fn capabilities(&self) -> Capabilities {
        serde_json::from_value(self.capabilities.clone()).unwrap_or_default()
    }

    /// Whether the name is of the right type.
    pub fn id_is_text(&self) -> bool {
        self.id.is_string()
    }
}

/// Answer to `POST /sync/revoke`, read so that a slip in one field does not hide what the others say.
#[derive(Deserialize)]
pub struct RevokeReply {
    #[serde(default)]
    revoked: Value,
    #[serde(default)]
    not_found: Value,
    #[serde(default)]
    message: Value,
}

impl RevokeReply {
    /// Reads the answer, if it is an object: a list would be taken for one, field by field.
    pub fn read(body: &[u8]) -> Option<Self> {
        let object: Map<String, Value> = serde_json::from_slice(body).ok()?;
        serde_json::from_value(Value::Object(object)).ok()
    }

    /// The credentials that are gone, or were not there any more. A number counts as its text.
    pub fn gone(&self) -> Vec<String> {
        let named = [&self.revoked, &self.not_found].into_iter().filter_map(Value::as_array).flatten();
        named
            .filter_map(|id| match id {
                Value::String(id) => Some(id.clone()),
                Value::Number(id) => Some(id.to_string()),
                _ => None,
            })
            .collect()
    }

    /// About the others, for people.
    pub fn message(&self) -> Option<&str> {
        self.message.as_str()
    }
}

/// Body of `POST /sync/list`.
#[derive(Serialize)]
pub struct ListRequest<'a> {
    /// The secret that the gateway keeps for the producer.
    pub payload: &'a str,
    /// What the answer before this one had as `next`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<&'a str>,
}

/// Answer to `POST /sync/list`.
#[derive(Deserialize)]
pub struct ListAnswer {
    ids: Vec<String>,
    #[serde(default)]
    next: Option<String>,
}

impl From<ListAnswer> for Listing {
    fn from(ListAnswer { ids, next }: ListAnswer) -> Self {
        Self { ids, next: next.filter(|next| !next.is_empty()) }
    }
}
