//! Bearer tokens that say themselves whose they are and until when.
//!
//! A token is `t-`, a JSON payload and a MAC over it, both in base64url. Nothing is stored, so any instance with the
//! same root key takes what another one gave: that is what a fleet, and a Lambda function with many copies, needs.
//! The price is that a token cannot be taken back before it expires, which is why it does so soon.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateward_clock::{Clock, Timestamp};
use gateward_seal::{Sealer, SecretValue};
use ring::hmac;
use serde::{Deserialize, Serialize};

use crate::AccessId;
use crate::admin::random_bytes;
use crate::allowed::SubClaims;
use crate::directory::OutOfReach;

/// Issues tokens, and verifies those that any instance with the same root key has issued.
pub struct Tokens {
    key: hmac::Key,
    clock: Arc<dyn Clock>,
    ttl: Duration,
}

/// A token, fresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What a client shows.
    pub text: SecretValue,
    /// From when on it is no longer taken.
    pub expires: Timestamp,
}

/// Whom a token stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who logged in.
    pub access_id: AccessId,
    /// What their auth method says of them; an access key says nothing.
    pub sub_claims: SubClaims,
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is none of ours: made up, altered, cut, or issued under another root key.
    #[error("the token is not valid; log in to get one")]
    Invalid,
    /// It was one of ours.
    #[error("the token has expired; log in again")]
    Expired,
    /// It is one of ours, and whether whoever it was given to may still log in cannot be looked up.
    #[error(transparent)]
    Unavailable(#[from] OutOfReach),
}

#[derive(Serialize, Deserialize)]
struct Payload {
    access_id: AccessId,
    /// In milliseconds since 1970.
    expires: Timestamp,
    /// The same for when it was issued.
    issued: Timestamp,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sub_claims: SubClaims,
    /// What the administrator logged in with, unrecognisable; empty for others.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    proof: String,
    /// Random, so that no two tokens are the same and a record can name one.
    id: String,
}

impl Tokens {
    /// How long a token lasts unless something else is asked for.
    pub const DEFAULT_TTL: Duration = Duration::from_secs(60 * 60);

    /// Tokens that last for `ttl`, under a key derived by `sealer`.
    pub fn new(sealer: &Sealer, clock: Arc<dyn Clock>, ttl: Duration) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, sealer.derive_from_both("access token").as_slice());
        Self { key, clock, ttl }
    }

    /// A token for `access_id`.
    pub fn issue(&self, access_id: &AccessId) -> Token {
        self.issue_with(access_id, &SubClaims::new())
    }

    /// A token for `access_id`, of whom `sub_claims` are known.
    pub fn issue_with(&self, access_id: &AccessId, sub_claims: &SubClaims) -> Token {
        self.issue_bound(access_id, sub_claims, None)
    }

    /// The same, good for as long only as its owner logs in with `proof`.
    pub(crate) fn issue_bound(
        &self,
        access_id: &AccessId,
        sub_claims: &SubClaims,
        proof: Option<&SecretValue>,
    ) -> Token {
        let proof = proof.map(|proof| self.fingerprint(proof)).unwrap_or_default();
        let issued = self.clock.now();
        let expires = issued + self.ttl;
        let id = URL_SAFE_NO_PAD.encode(random_bytes::<ID_BYTES>());
        let payload = Payload {
            access_id: access_id.clone(),
            expires,
            issued,
            sub_claims: sub_claims.clone(),
            proof,
            id,
        };
        let json = serde_json::to_vec(&payload).expect("texts and a number are JSON");
        let mut text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json));
        let mac = hmac::sign(&self.key, text.as_bytes());
        text.push(SEPARATOR);
        URL_SAFE_NO_PAD.encode_string(mac, &mut text);
        Token { text: SecretValue::new(text), expires }
    }

    /// Whose token `text` is. Nothing in it is looked at before its MAC is found right, in constant time.
    pub fn verify(&self, text: &str) -> Result<Identity, TokenError> {
        self.read(text).map(|(identity, _)| identity)
    }

    /// The same, and when it was issued.
    pub(crate) fn read(&self, text: &str) -> Result<(Identity, Timestamp), TokenError> {
        let Payload { access_id, issued, sub_claims, .. } = self.payload(text)?;
        Ok((Identity { access_id, sub_claims }, issued))
    }

    /// Whether a token is bound to `proof`.
    pub(crate) fn is_bound_to(&self, text: &str, proof: &SecretValue) -> bool {
        self.payload(text).is_ok_and(|payload| payload.proof == self.fingerprint(proof))
    }

    /// Tells proofs apart; only with the key could anybody try which it is.
    fn fingerprint(&self, proof: &SecretValue) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        // No token begins like this, so that none is ever the MAC of another.
        context.update(b"proof ");
        context.update(proof.expose().as_bytes());
        URL_SAFE_NO_PAD.encode(&context.sign().as_ref()[..FINGERPRINT_BYTES])
    }

    /// When `text` was issued, and until when it is taken.
    pub(crate) fn times(&self, text: &str) -> Result<(Timestamp, Timestamp), TokenError> {
        self.payload(text).map(|payload| (payload.issued, payload.expires))
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    fn payload(&self, text: &str) -> Result<Payload, TokenError> {
        let (signed, mac) = text.rsplit_once(SEPARATOR).ok_or(TokenError::Invalid)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| TokenError::Invalid)?;
        hmac::verify(&self.key, signed.as_bytes(), &mac).map_err(|_| TokenError::Invalid)?;

        let payload = signed.strip_prefix(PREFIX).ok_or(TokenError::Invalid)?;
        let json = URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenError::Invalid)?;
        let payload: Payload = serde_json::from_slice(&json).map_err(|_| TokenError::Invalid)?;
        if self.clock.now() >= payload.expires {
            return Err(TokenError::Expired);
        }
        Ok(payload)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tokens").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

/// Tells people, and scanners that look for leaked secrets, what it is. It is under the MAC as well.
const PREFIX: &str = "t-";
const SEPARATOR: char = '.';
const ID_BYTES: usize = 12;
const FINGERPRINT_BYTES: usize = 12;

#[cfg(test)]
mod tests;
