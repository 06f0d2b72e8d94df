//! A gateway's identity: a key, the tokens that it signs, and the key set that it publishes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use crate::jwks::{Jwk, Jwks};
use crate::protocol::Operation;
use crate::token::{LONGEST_LIFE_SECONDS, TOKEN_TYPE};
use crate::verifier::{Verifier, system_seconds};

/// A gateway that signs. Each has a key of its own.
pub struct Gateway {
    key: Ed25519KeyPair,
}

impl Default for Gateway {
    fn default() -> Self {
        Self::new()
    }
}

impl Gateway {
    /// Its own access id, which producers must expect.
    pub const ACCESS_ID: &str = "p-gateway";

    /// The item that its tokens are for.
    pub const ITEM_NAME: &str = "/producers/under-test";

    /// One with a fresh key.
    pub fn new() -> Self {
        let document =
            Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("there are random numbers");
        Self { key: Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("a key was just made") }
    }

    /// What it publishes at `/.well-known/jwks.json`.
    pub fn jwks(&self) -> Jwks {
        let public: &[u8; 32] = self.key.public_key().as_ref().try_into().expect("such a key has 32 bytes");
        Jwks { keys: vec![Jwk::ed25519(KEY_ID, public)] }
    }

    /// Believes this gateway, offline.
    pub fn verifier(&self) -> Verifier {
        Verifier::with_keys(self.jwks(), Self::ACCESS_ID)
    }

    /// The token of a call to `origin`, for `operation` with `body`, made now.
    pub fn token(&self, origin: &str, operation: Operation, body: &[u8]) -> String {
        self.sign(&Self::header(), &Self::claims(origin, operation, body, system_seconds()))
    }

    /// What a right token says about itself.
    pub fn header() -> Value {
        json!({"alg": "EdDSA", "typ": TOKEN_TYPE, "kid": KEY_ID})
    }

    /// What a right token claims, at `now` (seconds since 1970).
    pub fn claims(origin: &str, operation: Operation, body: &[u8], now: u64) -> Value {
        let attaches = json!({"item_name": Self::ITEM_NAME, "account_id": "acc-1", "operation": operation});
        json!({
            "iss": "gateward", "aud": origin, "iat": now, "exp": now + LONGEST_LIFE_SECONDS,
            "jti": URL_SAFE_NO_PAD.encode(digest(&SHA256, body)),
            "access_id": Self::ACCESS_ID, "attaches": attaches.to_string(),
            "body_sha256": URL_SAFE_NO_PAD.encode(digest(&SHA256, body)),
        })
    }

    /// A token that says what it is told to, right or wrong.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

const KEY_ID: &str = "k1";
