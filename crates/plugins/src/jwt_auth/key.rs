//! What a consumer has given to have its tokens recognised, and whether a token was signed with it.

mod public;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use gateward_model::Invalid;
use gateward_seal::SecretValue;
use ring::{hmac, signature};
use serde::Deserialize;
use serde_json::{Value, json};

use super::token::Token;
use crate::holds_reference;
use public::{KeyKind, PublicKey};

/// What a consumer's tokens are recognised by.
pub(super) struct Key {
    algorithm: Algorithm,
    material: Material,
    /// By how many seconds the clock of whoever signs may differ.
    pub(super) grace: u64,
}

enum Material {
    Shared(hmac::Key),
    Public(signature::UnparsedPublicKey<Vec<u8>>),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
enum Algorithm {
    #[default]
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    ES256,
    ES384,
    ES512,
    PS256,
    PS384,
    PS512,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Key {
    /// Whether `token` was signed with the key, by the key's algorithm.
    pub(super) fn has_signed(&self, token: &Token<'_>) -> bool {
        if token.algorithm != self.algorithm.name() {
            return false;
        }
        match &self.material {
            // Compared in constant time.
            Material::Shared(key) => hmac::verify(key, token.message, &token.signature).is_ok(),
            Material::Public(key) => key.verify(token.message, &token.signature).is_ok(),
        }
    }
}

impl Algorithm {
    /// As tokens call it.
    fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::EdDsa => "EdDSA",
        }
    }

    fn kind(self) -> Result<AlgorithmKind, Invalid> {
        use AlgorithmKind::{Public, Shared};
        Ok(match self {
            Self::HS256 => Shared(hmac::HMAC_SHA256),
            Self::HS384 => Shared(hmac::HMAC_SHA384),
            Self::HS512 => Shared(hmac::HMAC_SHA512),
            Self::RS256 => Public(KeyKind::Rsa, &signature::RSA_PKCS1_2048_8192_SHA256),
            Self::RS384 => Public(KeyKind::Rsa, &signature::RSA_PKCS1_2048_8192_SHA384),
            Self::RS512 => Public(KeyKind::Rsa, &signature::RSA_PKCS1_2048_8192_SHA512),
            Self::PS256 => Public(KeyKind::Rsa, &signature::RSA_PSS_2048_8192_SHA256),
            Self::PS384 => Public(KeyKind::Rsa, &signature::RSA_PSS_2048_8192_SHA384),
            Self::PS512 => Public(KeyKind::Rsa, &signature::RSA_PSS_2048_8192_SHA512),
            Self::ES256 => Public(KeyKind::P256, &signature::ECDSA_P256_SHA256_FIXED),
            Self::ES384 => Public(KeyKind::P384, &signature::ECDSA_P384_SHA384_FIXED),
            Self::EdDsa => Public(KeyKind::Ed25519, &signature::ED25519),
            Self::ES512 => {
                let problem = "ES512 is not available in this gateway; use ES384 or EdDSA";
                return Err(Invalid::new("algorithm", problem));
            }
        })
    }
}

enum AlgorithmKind {
    Shared(hmac::Algorithm),
    Public(KeyKind, &'static dyn signature::VerificationAlgorithm),
}

/// What a consumer has given, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(super) struct Shown {
    pub(super) key: String,
    secret: Option<SecretValue>,
    public_key: Option<String>,
    #[serde(default)]
    algorithm: Algorithm,
    /// How long tokens lived that APISIX itself signed, in versions that did. Here as there nobody asks for it.
    #[serde(default = "default_exp")]
    exp: u64,
    #[serde(default)]
    base64_secret: bool,
    #[serde(default)]
    lifetime_grace_period: u64,
}

impl Shown {
    pub(super) fn read(json: &Value) -> Result<Self, Invalid> {
        let shown: Self = gateward_model::parse(json)?;
        if shown.key.is_empty() {
            return Err(Invalid::new("key", "must not be empty"));
        }
        if shown.exp == 0 {
            return Err(Invalid::new("exp", "must be at least 1"));
        }
        Ok(shown)
    }

    /// Checks what is not a reference yet to be replaced.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let unknown = match self.algorithm.kind()? {
            AlgorithmKind::Shared(_) => {
                self.secret.as_ref().is_some_and(|text| holds_reference(text.expose()))
            }
            AlgorithmKind::Public(..) => self.public_key.as_ref().is_some_and(|text| holds_reference(text)),
        };
        match unknown {
            true => Ok(()),
            false => self.material().map(drop),
        }
    }

    pub(super) fn build(&self) -> Result<Key, Invalid> {
        Ok(Key { algorithm: self.algorithm, material: self.material()?, grace: self.lifetime_grace_period })
    }

    fn material(&self) -> Result<Material, Invalid> {
        match self.algorithm.kind()? {
            AlgorithmKind::Shared(algorithm) => {
                Ok(Material::Shared(hmac::Key::new(algorithm, &self.shared_secret()?)))
            }
            AlgorithmKind::Public(kind, algorithm) => {
                let text = self.public_key.as_deref();
                let text = text.ok_or_else(|| Invalid::new("public_key", "is required by the algorithm"))?;
                let key = PublicKey::read(text).ok_or_else(|| {
                    Invalid::new("public_key", "is no public key in PEM, as -----BEGIN PUBLIC KEY-----")
                })?;
                if key.kind != kind {
                    let problem = "is a key of another kind than the algorithm needs";
                    return Err(Invalid::new("public_key", problem));
                }
                if kind == KeyKind::Rsa && !key.rsa_size().is_some_and(|size| (256..=1024).contains(&size)) {
                    return Err(Invalid::new(
                        "public_key",
                        "is an RSA key of less than 2048 or more than 8192 bits",
                    ));
                }
                Ok(Material::Public(signature::UnparsedPublicKey::new(algorithm, key.bytes)))
            }
        }
    }

    fn shared_secret(&self) -> Result<zeroize::Zeroizing<Vec<u8>>, Invalid> {
        let secret = self.secret.as_ref().filter(|secret| !secret.is_empty()).ok_or_else(|| {
            Invalid::new("secret", "is required, and not empty, when using HS based algorithms")
        })?;
        let text = secret.expose();
        if !self.base64_secret {
            return Ok(text.as_bytes().to_vec().into());
        }
        let bytes = STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text));
        let bytes = bytes.ok().filter(|bytes| !bytes.is_empty());
        let problem = "base64_secret required but the secret is not in base64 format";
        bytes.map(Into::into).ok_or_else(|| Invalid::new("secret", problem))
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Key({:?})", self.algorithm)
    }
}

fn default_exp() -> u64 {
    86_400
}

/// The JSON schema of what a consumer gives.
pub(super) fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["key"],
        "properties": {
            "key": {"type": "string", "minLength": 1},
            "secret": {"type": "string", "minLength": 1},
            "public_key": {"type": "string", "minLength": 1},
            "algorithm": {
                "type": "string",
                "enum": [
                    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "PS256", "PS384",
                    "PS512", "EdDSA",
                ],
                "default": "HS256",
            },
            "exp": {"type": "integer", "minimum": 1, "default": 86_400},
            "base64_secret": {"type": "boolean", "default": false},
            "lifetime_grace_period": {"type": "integer", "minimum": 0, "default": 0},
        },
    })
}
