//! The gateway's public keys, as it publishes them (RFC 7517, RFC 8037: Ed25519 keys in a JSON Web Key Set).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

/// A set of keys. A gateway that changes its key publishes the old and the new one side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwks {
    /// The keys, those of other kinds included.
    pub keys: Vec<Jwk>,
}

/// One key. Those that are no Ed25519 keys are carried along and never used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    #[serde(default)]
    pub crv: String,
    /// `EdDSA`.
    #[serde(default)]
    pub alg: String,
    /// `sig`.
    #[serde(default, rename = "use")]
    pub usage: String,
    /// What a token names its key by.
    #[serde(default)]
    pub kid: String,
    /// The public key, base64url.
    #[serde(default)]
    pub x: String,
}

impl Jwks {
    /// Reads a published key set.
    pub fn parse(json: &[u8]) -> Result<Self, JwksError> {
        serde_json::from_slice(json).map_err(|_| JwksError)
    }

    /// Whether there is a usable key called `kid`.
    pub fn has(&self, kid: &str) -> bool {
        self.find(kid).is_some()
    }

    /// Whether the key called `kid` signed `message`; `None` if there is no such key.
    pub(crate) fn signed(&self, kid: &str, message: &[u8], signature: &[u8]) -> Option<bool> {
        Some(self.find(kid)?.verify(message, signature).is_ok())
    }

    fn find(&self, kid: &str) -> Option<UnparsedPublicKey<Vec<u8>>> {
        let key = self.keys.iter().find(|key| key.kid == kid && key.is_ed25519_for_signatures())?;
        Some(UnparsedPublicKey::new(&ED25519, URL_SAFE_NO_PAD.decode(&key.x).ok()?))
    }
}

impl Jwk {
    /// The published form of the public key `x`.
    pub fn ed25519(kid: impl Into<String>, x: &[u8; 32]) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            alg: "EdDSA".to_owned(),
            usage: "sig".to_owned(),
            kid: kid.into(),
            x: URL_SAFE_NO_PAD.encode(x),
        }
    }

    /// `alg` and `use` may be left out (RFC 7517), but what they say counts.
    fn is_ed25519_for_signatures(&self) -> bool {
        self.kty == "OKP"
            && self.crv == "Ed25519"
            && matches!(self.alg.as_str(), "" | "EdDSA" | "Ed25519")
            && matches!(self.usage.as_str(), "" | "sig")
    }
}

/// What was read is no key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no JSON Web Key Set: an object with a list `keys` is expected")]
pub struct JwksError;
