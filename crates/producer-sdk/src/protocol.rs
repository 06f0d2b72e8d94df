//! What goes over the wire between a gateway and a producer.
//!
//! Reading is tolerant where published gateways differ (`input` may be missing or an empty text), and fields that
//! nobody knows are passed over. The payload and the credential are secrets: neither has a `Debug` that shows it.

use std::collections::BTreeMap;
use std::fmt;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// The header that carries the gateway's token.
pub const CREDENTIALS_HEADER: &str = "AkeylessCreds";

/// The access id of the caller in a dry run: the gateway tries a producer out, and there is no user.
pub const DRY_RUN_ACCESS_ID: &str = "p-custom";

/// What a gateway asks of a producer. A token is good for one operation only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Make a credential.
    Create,
    /// Unmake credentials.
    Revoke,
    /// Replace the producer's own secret.
    Rotate,
    /// Name the credentials that exist.
    List,
}

impl Operation {
    /// The operation that a request's path ends in: `/sync/create`, or `/my/users/create`.
    pub fn from_path(path: &str) -> Option<Self> {
        match path.trim_end_matches('/').rsplit('/').next()? {
            "create" => Some(Self::Create),
            "revoke" => Some(Self::Revoke),
            "rotate" => Some(Self::Rotate),
            "list" => Some(Self::List),
            _ => None,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Create => "create",
            Self::Revoke => "revoke",
            Self::Rotate => "rotate",
            Self::List => "list",
        })
    }
}

/// The producer's own secret, that the gateway keeps for it and sends with every call: a connection string, an
/// administrator's password, whatever the producer needs. Empty if none was configured.
///
/// It wipes itself and prints as `***`. It can be serialised because a rotation hands a new one back.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Payload(Zeroizing<String>);

impl Payload {
    /// Takes `text` over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(Option::<String>::deserialize(deserializer)?.unwrap_or_default()))
    }
}

/// Asks for a credential.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct CreateRequest {
    /// The producer's own secret.
    #[serde(default)]
    pub payload: Payload,
    /// What the user gave with the request; empty if nothing.
    #[serde(default, deserialize_with = "object_or_nothing")]
    pub input: Map<String, Value>,
    /// Who the credential is for.
    #[serde(default)]
    pub client_info: ClientInfo,
    /// Names this request. The same one again is the same request, whose first answer was lost: a producer that
    /// keeps request ids answers with the credential that it made already, and makes no second one.
    #[serde(default)]
    pub request_id: Option<String>,
    /// The gateway's name for the lease that the credential belongs to.
    #[serde(default)]
    pub lease_id: Option<String>,
    /// How long the credential is to live, in seconds.
    #[serde(default)]
    pub ttl: Option<u64>,
    /// The latest moment at which the credential may still be needed: `2026-11-21T00:53:27Z` (RFC 3339). A producer
    /// whose target can end credentials by itself sets this there, as a second line behind revocation.
    #[serde(default)]
    pub expires_at: Option<String>,
}

impl CreateRequest {
    /// Whether the gateway is only trying the producer out. The server answers that by itself, after it has asked
    /// [`Producer::dry_run`](crate::Producer::dry_run), so no producer gets to see such a request.
    pub fn is_dry_run(&self) -> bool {
        self.client_info.access_id == DRY_RUN_ACCESS_ID
    }

    /// A name for what is made: `prefix` and what names the request, so that the same request again has the same name,
    /// and the same credential. Where the gateway does not name its requests, every name is a fresh one.
    ///
    /// It ends in small letters, digits and `-`, at most 40 of them.
    pub fn unique_name(&self, prefix: &str) -> String {
        match &self.request_id {
            Some(id) if is_plain(id) => format!("{prefix}{id}"),
            Some(id) => format!("{prefix}{}", hex(&digest(&SHA256, id.as_bytes()).as_ref()[..16])),
            None => format!("{prefix}{}", hex(&random_bytes::<16>())),
        }
    }
}

/// A password of `length` letters, digits, `-` and `_`: nothing in it needs quoting.
pub fn random_password(length: usize) -> Zeroizing<String> {
    let characters = std::iter::repeat_with(random_bytes::<1>).map(|[byte]| PLAIN[usize::from(byte % 64)]);
    Zeroizing::new(characters.take(length).map(char::from).collect())
}

/// A system without random numbers can make no credentials at all.
fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the system gives random numbers");
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_plain(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=40).contains(&id.len()) && id.bytes().all(plain)
}

/// Sixty-four characters, so that a byte chooses one without favour.
const PLAIN: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Who a credential is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ClientInfo {
    /// The user's access id.
    #[serde(default)]
    pub access_id: String,
    /// What the user's identity provider said of them.
    #[serde(default)]
    pub sub_claims: BTreeMap<String, Vec<String>>,
}

/// A credential that was made.
#[derive(Clone, Serialize)]
pub struct CreateResponse {
    /// What the credential is revoked by. It is text, and comes back as it is given here.
    pub id: String,
    /// What the user gets, as it is.
    pub response: Map<String, Value>,
}

impl CreateResponse {
    /// The credential `response`, revoked by `id`. What is no object becomes one: `{"value": …}`.
    pub fn new(id: impl Into<String>, response: impl Into<Value>) -> Self {
        let response = match response.into() {
            Value::Object(fields) => fields,
            value => Map::from_iter([("value".to_owned(), value)]),
        };
        Self { id: id.into(), response }
    }
}

impl fmt::Debug for CreateResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CreateResponse").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Asks to unmake credentials.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RevokeRequest {
    /// The producer's own secret.
    #[serde(default)]
    pub payload: Payload,
    /// The credentials, by the ids that they were made with.
    pub ids: Vec<String>,
}

/// Which credentials are gone. One that is named in neither list counts as still there, and is asked for again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RevokeResponse {
    /// The ids that were revoked by this call.
    pub revoked: Vec<String>,
    /// The ids that the target is sure not to have (any more): as good as revoked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_found: Vec<String>,
    /// Tells a person why an id is missing from the lists. No gateway interprets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl RevokeResponse {
    /// Every one of `ids` was revoked, or the service has no revocation.
    pub fn all(ids: Vec<String>) -> Self {
        Self { revoked: ids, ..Self::default() }
    }

    /// Revokes one after the other: `revoke` says whether it was there, or why it still is.
    pub fn each<E: fmt::Display>(ids: Vec<String>, mut revoke: impl FnMut(&str) -> Result<bool, E>) -> Self {
        let mut answer = Self::default();
        for id in ids {
            let outcome = revoke(&id);
            answer.note(id, outcome);
        }
        answer
    }

    /// Notes of one credential whether it was revoked (`true`), was not there (`false`), or is there still.
    pub fn note<E: fmt::Display>(&mut self, id: String, outcome: Result<bool, E>) {
        match outcome {
            Ok(true) => self.revoked.push(id),
            Ok(false) => self.not_found.push(id),
            Err(why) => {
                let message = self.message.get_or_insert_default();
                let separator = if message.is_empty() { "" } else { "; " };
                message.push_str(&format!("{separator}{id} is not revoked: {why}"));
            }
        }
    }
}

/// Asks to replace the producer's own secret.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RotateRequest {
    /// The secret to replace.
    #[serde(default)]
    pub payload: Payload,
    /// Names this request. The same one again is the same request, whose first answer was lost: a producer that
    /// keeps request ids answers with the secret that it made already.
    #[serde(default)]
    pub request_id: Option<String>,
}

/// The producer's new secret. The old one must go on working until a request has brought the new one.
#[derive(Clone, Debug, Serialize)]
pub struct RotateResponse {
    /// What the gateway keeps from now on.
    pub payload: Payload,
}

/// Asks which credentials exist, a page after the other.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ListRequest {
    /// The producer's own secret.
    #[serde(default)]
    pub payload: Payload,
    /// What the page before had as [`ListResponse::next`]; none for the first.
    #[serde(default)]
    pub page: Option<String>,
}

/// The credentials that exist, by the ids that they were made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListResponse {
    /// Those of this page.
    pub ids: Vec<String>,
    /// How the next page is asked for, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What a producer can beyond making and unmaking; a gateway learns it in the dry run, and asks for nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Two create calls with one [`CreateRequest::request_id`] make one credential, also after a restart. A gateway
    /// then asks again when an answer was lost, and learns what it has to revoke.
    #[serde(default)]
    pub request_id: bool,
    /// [`Producer::list`](crate::Producer::list) tells which credentials exist.
    #[serde(default)]
    pub list: bool,
    /// The most ids that it takes in one revoke call; a gateway sends at most 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_batch: Option<u16>,
}

/// An object; published gateways also send an empty text, null, or nothing at all.
fn object_or_nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Object(fields) => Ok(fields),
        Value::Null => Ok(Map::new()),
        Value::String(text) if text.is_empty() => Ok(Map::new()),
        _ => Err(serde::de::Error::custom("input must be an object")),
    }
}

#[cfg(test)]
mod tests;
