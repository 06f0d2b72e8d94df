//! The token by which a producer knows that a call comes from this gateway, and for which body.
//!
//! A JWT (RFC 7519) signed with Ed25519 (RFC 8037), 60 seconds long, of a `typ` of its own, so that no other token
//! can stand for it nor it for another. Producers check it offline with the JWKS, or by
//! `/validate-producer-credentials`.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateward_access::AccessId;
use gateward_clock::{Clock, Timestamp};
use gateward_seal::Sealer;
use gateward_store::{Change, CommitError, Key, Precondition, Store, StoreError, Write};
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Mints and checks the tokens that producers are called with.
pub struct ProducerTokens {
    key: Ed25519KeyPair,
    key_id: String,
    access_id: AccessId,
    clock: Arc<dyn Clock>,
}

/// The signing key could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum TokenKeyError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sealed key does not open.
    #[error("the key that signs tokens for producers cannot be opened")]
    Sealed(#[source] gateward_seal::OpenError),
    /// The random source failed, or what was sealed is no key.
    #[error("the key that signs tokens for producers is unusable")]
    Unusable,
}

/// A token that does not stand, without saying how: whoever forges learns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the producer credentials are not valid")]
pub struct InvalidToken;

/// What a valid token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    /// The gateway's access id.
    pub access_id: String,
    /// JSON text with `item_name`, `account_id` and `operation`.
    pub attaches: String,
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    iat: u64,
    exp: u64,
    jti: String,
    access_id: String,
    attaches: String,
    body_sha256: String,
}

#[derive(Serialize, Deserialize)]
struct Attaches<'a> {
    item_name: Cow<'a, str>,
    account_id: Cow<'a, str>,
    operation: Cow<'a, str>,
}

impl ProducerTokens {
    /// Opens the signing key that stands sealed in `store`, or makes one.
    pub async fn open(
        store: &dyn Store,
        sealer: &Sealer,
        access_id: AccessId,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TokenKeyError> {
        let place = Key { partition: "keys".to_owned(), sort: "producer-token".to_owned() };
        loop {
            if let Some(entry) = store.get(&place).await? {
                let document = sealer.open_entry(PURPOSE, &entry).map_err(TokenKeyError::Sealed)?;
                let key = Ed25519KeyPair::from_pkcs8(&document).map_err(|_| TokenKeyError::Unusable)?;
                let thumbprint = digest::digest(&digest::SHA256, key.public_key().as_ref());
                let key_id = URL_SAFE_NO_PAD.encode(&thumbprint.as_ref()[..12]);
                return Ok(Self { key, key_id, access_id, clock });
            }
            let document =
                Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| TokenKeyError::Unusable)?;
            let sealed = sealer.seal_own_at(PURPOSE, &place, 1, document.as_ref());
            let write =
                Write { key: place.clone(), precondition: Precondition::Absent, change: Change::Put(sealed) };
            match store.commit(vec![write]).await {
                // On a conflict another gateway has just made the key: read that one.
                Ok(_) | Err(CommitError::Conflict { .. }) => {}
                Err(CommitError::Store(error)) => return Err(error.into()),
            }
        }
    }

    /// A token for one call to `origin` with `body`.
    pub fn mint(&self, origin: &str, item_name: &str, operation: &str, body: &[u8]) -> String {
        let issued = self.clock.now();
        let attaches = Attaches {
            item_name: item_name.into(),
            account_id: self.account_id().into(),
            operation: operation.into(),
        };
        let header = Header { alg: "EdDSA".to_owned(), typ: TYPE.to_owned(), kid: self.key_id.clone() };
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: origin.to_owned(),
            iat: issued.secs(),
            exp: issued.secs() + LIFETIME_SECONDS,
            jti: format!("{:032x}", fastrand::u128(..)),
            access_id: self.access_id.to_string(),
            attaches: json!(attaches).to_string(),
            body_sha256: URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, body)),
        };
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Checks a token that a producer was called with, and that it says what the producer expects.
    pub fn validate(
        &self,
        token: &str,
        expected_access_id: &str,
        expected_item_name: Option<&str>,
    ) -> Result<Validated, InvalidToken> {
        let (signed, signature) = token.rsplit_once('.').ok_or(InvalidToken)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| InvalidToken)?;
        UnparsedPublicKey::new(&ED25519, self.key.public_key())
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| InvalidToken)?;
        let (header, claims) = signed.split_once('.').ok_or(InvalidToken)?;
        let header: Header = unpart(header)?;
        let claims: Claims = unpart(claims)?;
        let now = self.clock.now();
        let in_time =
            Timestamp::from_secs(claims.exp) > now && Timestamp::from_secs(claims.iat) <= now + CLOCK_SKEW;
        let ours = header.typ == TYPE && header.alg == "EdDSA" && claims.iss == ISSUER;
        let attaches: Attaches<'_> = serde_json::from_str(&claims.attaches).map_err(|_| InvalidToken)?;
        let expected = claims.access_id == expected_access_id
            && expected_item_name.is_none_or(|name| name.is_empty() || name == attaches.item_name);
        if !(in_time && ours && expected) {
            return Err(InvalidToken);
        }
        Ok(Validated { access_id: claims.access_id, attaches: claims.attaches })
    }

    /// The time by which tokens are minted.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The public key, as a JSON Web Key Set (RFC 7517).
    pub fn jwks(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.key.public_key().as_ref());
        json!({"keys": [{
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.key_id, "x": x,
        }]})
    }

    fn account_id(&self) -> String {
        format!("acc-{}", self.key_id)
    }
}

fn part(value: &impl Serialize) -> String {
    // These structs are strings and numbers: they always serialise.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap_or_default())
}

fn unpart<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, InvalidToken> {
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidToken)?;
    serde_json::from_slice(&json).map_err(|_| InvalidToken)
}

/// The header that carries the token.
pub const HEADER: &str = "AkeylessCreds";

/// The token's type (RFC 8725, 3.11: explicit typing).
pub const TYPE: &str = "gateward-producer+jwt";

const ISSUER: &str = "gateward";
const PURPOSE: &str = "producer token key";
const LIFETIME_SECONDS: u64 = 60;
const CLOCK_SKEW: std::time::Duration = std::time::Duration::from_secs(60);
