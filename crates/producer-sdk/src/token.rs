//! The gateway's token: who calls, what for, with which body. Reading and checking it, without any I/O.
//!
//! It is a JSON Web Token (RFC 7519) signed with Ed25519. Only the one algorithm is spoken, so nothing in the token
//! can choose a weaker one. The body's digest is a claim, so a token that somebody caught carries no other body; the
//! audience is a claim, so a producer cannot pass the token that it got on to another.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::jwks::Jwks;
use crate::protocol::Operation;

/// The `typ` of the tokens that go to producers, so that no other token of the gateway is taken for one.
pub const TOKEN_TYPE: &str = "gateward-producer+jwt";

/// No token lives longer; one that claims to is refused.
pub const LONGEST_LIFE_SECONDS: u64 = 60;

/// By how many seconds the clocks of the gateway and of the producer may differ.
const CLOCK_SKEW_SECONDS: u64 = 10;

/// What a token claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The gateway that signed.
    pub iss: String,
    /// The origin of the URL that it called: `https://producer.example:8443`.
    pub aud: String,
    /// When it signed, in seconds since 1970.
    pub iat: u64,
    /// When the token ends, in seconds since 1970.
    pub exp: u64,
    /// Names the token.
    pub jti: String,
    /// The gateway's own access id (not the user's).
    pub access_id: String,
    /// [`Attaches`] as text: JSON inside JSON, as published producers expect it.
    pub attaches: String,
    /// The SHA-256 of the request's body, base64url without padding.
    pub body_sha256: String,
}

/// What the call is about; it travels in [`Claims::attaches`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attaches {
    /// The name of the item whose producer is called.
    pub item_name: String,
    /// The gateway's account.
    #[serde(default)]
    pub account_id: String,
    /// What is asked for.
    pub operation: Operation,
}

/// A request as it came in.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The origins under which this producer is called: the token must be for one of them.
    pub origins: &'a [String],
    /// What is asked for.
    pub operation: Operation,
    /// The body, as it was received.
    pub body: &'a [u8],
}

/// Who may call.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The gateway's access id.
    pub access_id: &'a str,
    /// The only item that this producer serves, if there is but one.
    pub item_name: Option<&'a str>,
}

/// Checks that `token` was signed by one of `keys`, and says what `call` is and what `expected` asks for, at
/// `now` (seconds since 1970). Everything that it claims is checked; what it claimed is handed back.
pub fn verify(
    token: &str,
    keys: &Jwks,
    expected: Expected<'_>,
    call: Call<'_>,
    now: u64,
) -> Result<Claims, Refused> {
    let parts = Parts::split(token)?;
    check_signature(&parts, keys)?;
    check_claims(&parts, expected, call, now)
}

/// What `token` claims, if it was signed by one of `keys` and has not expired at `now`; of the call itself a gateway that
/// is asked about a token knows nothing.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn vouch(token: &str, keys: &Jwks, now: u64) -> Result<Claims, Refused> {
    let parts = Parts::split(token)?;
    check_signature(&parts, keys)?;
    let claims: Claims = read(parts.claims)?;
    if claims.exp <= now { Err(Refused::Expired) } else { Ok(claims) }
}

fn check_signature(parts: &Parts<'_>, keys: &Jwks) -> Result<(), Refused> {
    let header = parts.header()?;
    if header.alg != "EdDSA" {
        return Err(Refused::Algorithm);
    }
    if header.typ.as_deref() != Some(TOKEN_TYPE) || header.crit.is_some() {
        return Err(Refused::Type);
    }
    let kid = header.kid.ok_or(Refused::UnknownKey)?;
    let signature = decode(parts.signature)?;
    match keys.signed(&kid, parts.signed.as_bytes(), &signature) {
        Some(true) => Ok(()),
        Some(false) => Err(Refused::Signature),
        None => Err(Refused::UnknownKey),
    }
}

/// The id of the key that `token` says it was signed with. Nothing is checked yet.
pub(crate) fn key_id(token: &str) -> Result<String, Refused> {
    Parts::split(token)?.header()?.kid.ok_or(Refused::UnknownKey)
}

/// Whether `token` says that it is one of Gateward's for producers. Nothing is checked yet.
pub(crate) fn is_for_producers(token: &str) -> bool {
    let header = Parts::split(token).and_then(|parts| parts.header());
    header.is_ok_and(|header| header.typ.as_deref() == Some(TOKEN_TYPE))
}

/// Checks all but the signature, for which somebody else has vouched.
pub(crate) fn verify_claims(
    token: &str,
    expected: Expected<'_>,
    call: Call<'_>,
    now: u64,
) -> Result<Claims, Refused> {
    check_claims(&Parts::split(token)?, expected, call, now)
}

fn check_claims(
    parts: &Parts<'_>,
    expected: Expected<'_>,
    call: Call<'_>,
    now: u64,
) -> Result<Claims, Refused> {
    let claims: Claims = read(parts.claims)?;
    if claims.exp.saturating_add(CLOCK_SKEW_SECONDS) <= now {
        return Err(Refused::Expired);
    }
    if claims.iat > now.saturating_add(CLOCK_SKEW_SECONDS) {
        return Err(Refused::NotYetValid);
    }
    if claims.exp.saturating_sub(claims.iat) > LONGEST_LIFE_SECONDS {
        return Err(Refused::LivesTooLong);
    }
    if !call.origins.contains(&claims.aud) {
        return Err(Refused::Audience);
    }
    if claims.access_id != expected.access_id {
        return Err(Refused::AccessId);
    }
    let attaches: Attaches = serde_json::from_str(&claims.attaches).map_err(|_| Refused::Malformed)?;
    if expected.item_name.is_some_and(|item_name| item_name != attaches.item_name) {
        return Err(Refused::ItemName);
    }
    if attaches.operation != call.operation {
        return Err(Refused::Operation);
    }
    if claims.body_sha256 != URL_SAFE_NO_PAD.encode(digest(&SHA256, call.body)) {
        return Err(Refused::Body);
    }
    Ok(claims)
}

/// A token taken apart: `header.claims.signature`.
struct Parts<'a> {
    /// What the signature is over.
    signed: &'a str,
    header: &'a str,
    claims: &'a str,
    signature: &'a str,
}

/// What a token says about itself.
#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    /// Extensions that a reader must understand; we understand none.
    crit: Option<serde::de::IgnoredAny>,
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self, Refused> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Refused::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Refused::Malformed)?;
        Ok(Self { signed, header, claims, signature })
    }

    fn header(&self) -> Result<Header, Refused> {
        read(self.header)
    }
}

/// The JSON of a part. It is read as text, for what nobody looks at must be UTF-8 too.
fn read<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, Refused> {
    let text = String::from_utf8(decode(part)?).map_err(|_| Refused::Malformed)?;
    serde_json::from_str(&text).map_err(|_| Refused::Malformed)
}

fn decode(part: &str) -> Result<Vec<u8>, Refused> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Refused::Malformed)
}

/// Why a token is not taken. It says nothing of what would have been right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is none.
    #[error("there is no AkeylessCreds header")]
    Missing,
    /// It cannot be read.
    #[error("the token cannot be read")]
    Malformed,
    /// It is signed another way than with Ed25519.
    #[error("the token's alg is not EdDSA")]
    Algorithm,
    /// It is made for something else.
    #[error("the token is not one for producers")]
    Type,
    /// The key that it names is not the gateway's.
    #[error("the token's key is unknown")]
    UnknownKey,
    /// Somebody else made it, or changed it.
    #[error("the token's signature is wrong")]
    Signature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come; a clock is wrong.
    #[error("the token was issued in the future; check the clocks of the gateway and of the producer")]
    NotYetValid,
    /// It claims a longer life than tokens have.
    #[error("the token lives longer than a token may")]
    LivesTooLong,
    /// It is for another producer.
    #[error("the token is for another origin; check under which URL this producer is called")]
    Audience,
    /// Another gateway sent it.
    #[error("the token is from another access id")]
    AccessId,
    /// It is for another item.
    #[error("the token is for another item")]
    ItemName,
    /// It is for another operation.
    #[error("the token is for another operation")]
    Operation,
    /// It came with another body than it was made for.
    #[error("the token is for another body")]
    Body,
    /// The gateway that was asked does not know it.
    #[error("the gateway does not vouch for the token")]
    NotVouchedFor,
}

#[cfg(test)]
pub(crate) mod tests;
