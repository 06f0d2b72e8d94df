//! Tokens that the gateway shows to producers: the SDK takes those that a plain reading of the rules takes, and no others.
//! Every token here is signed with the gateway's key, but for its last byte where the input says so.
//!
//! The input is lines: whether the signature is right, the header, the claims; or it is taken for a token as it is. The
//! texts `BODY` in the claims stand for the digest of the body that is sent along.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateward_producer_sdk::{Attaches, Call, Claims, Expected, Jwk, Jwks, Operation, Refused, verify};
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Map, Value};

use crate::says_all_once;
use crate::stage::NOW;

const BODY: &[u8] = br#"{"payload":"x"}"#;

static KEY: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("any seed makes a key"));

static JWKS: LazyLock<Jwks> = LazyLock::new(|| {
    let public_key = KEY.public_key().as_ref().try_into().expect("32 bytes");
    Jwks { keys: vec![Jwk::ed25519("k1", public_key)] }
});

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.splitn(3, '\n');
    let (Some(is_right), Some(header), Some(claims)) = (lines.next(), lines.next(), lines.next()) else {
        assert!(check(text).is_err(), "nobody guesses the key");
        return;
    };
    let body_sha256 = URL_SAFE_NO_PAD.encode(digest(&SHA256, BODY));
    let claims = claims.replace("BODY", &body_sha256);
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(&claims));
    let mut signature = KEY.sign(signed.as_bytes()).as_ref().to_vec();
    if is_right != "right" {
        signature[63] ^= 1;
    }
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    let is_right = is_right == "right" && is_good(header, &claims, &body_sha256).unwrap_or(false);
    match check(&token) {
        Ok(_) => assert!(is_right),
        // JSON that says a thing twice may be refused.
        Err(refused) => assert!(!is_right || !says_all_once(header.as_bytes()), "{refused}"),
    }
}

fn check(token: &str) -> Result<Claims, Refused> {
    let origins = ["http://127.0.0.1:9".to_owned()];
    let expected = Expected { access_id: "p-gateway", item_name: Some("/users") };
    let call = Call { origins: &origins, operation: Operation::Create, body: BODY };
    verify(token, &JWKS, expected, call, NOW)
}

/// Whether a token with a right signature is to be taken.
fn is_good(header: &str, claims: &str, body_sha256: &str) -> Option<bool> {
    let header: Map<String, Value> = serde_json::from_str(header).ok()?;
    let claims: Claims = serde_json::from_str(claims).ok()?;
    let attaches: Attaches = serde_json::from_str(&claims.attaches).ok()?;
    let is_named = header.get("alg")? == "EdDSA"
        && header.get("typ")? == "gateward-producer+jwt"
        && header.get("kid")? == "k1"
        && header.get("crit").is_none_or(Value::is_null);
    // Clocks may differ by ten seconds, and no token lives for more than a minute.
    let is_in_time = u128::from(claims.exp) + 10 > u128::from(NOW)
        && claims.iat <= NOW + 10
        && i128::from(claims.exp) - i128::from(claims.iat) <= 60;
    let is_for_us = claims.aud == "http://127.0.0.1:9" && claims.access_id == "p-gateway";
    let is_this_call = attaches.item_name == "/users"
        && attaches.operation == Operation::Create
        && claims.body_sha256 == body_sha256;
    Some(is_named && is_in_time && is_for_us && is_this_call)
}
