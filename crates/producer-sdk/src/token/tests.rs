use serde_json::{Value, json};

use super::*;
use crate::jwks::Jwk;
use crate::testing::Gateway;

pub(crate) const NOW: u64 = 1_800_000_000;
const BODY: &[u8] = br#"{"payload":"x"}"#;

pub(crate) fn header() -> Value {
    Gateway::header()
}

pub(crate) fn claims(body: &[u8]) -> Value {
    Gateway::claims("http://127.0.0.1:9", Operation::Create, body, NOW)
}

/// What becomes of the token that is right but for one header field and one claim.
fn verified(header_change: (&str, Value), claim_change: (&str, Value)) -> Result<Claims, Refused> {
    let (mut header, mut claims) = (header(), claims(BODY));
    for (object, (field, value)) in [(&mut header, header_change), (&mut claims, claim_change)] {
        if !field.is_empty() {
            object[field] = value;
        }
    }
    let gateway = Gateway::new();
    check(&gateway.sign(&header, &claims), &gateway.jwks(), NOW)
}

fn check(token: &str, keys: &Jwks, now: u64) -> Result<Claims, Refused> {
    let origins = ["http://localhost:9".to_owned(), "http://127.0.0.1:9".to_owned()];
    let expected = Expected { access_id: "p-gateway", item_name: Some(Gateway::ITEM_NAME) };
    verify(token, keys, expected, Call { origins: &origins, operation: Operation::Create, body: BODY }, now)
}

fn unchanged() -> (&'static str, Value) {
    ("", Value::Null)
}

#[test]
fn a_right_token_is_taken_and_tells_its_claims() {
    let claims = verified(unchanged(), unchanged()).unwrap();
    assert_eq!(claims.access_id, "p-gateway");
}

#[test]
fn a_token_with_any_one_claim_wrong_is_refused() {
    let attaches = |item: &str, operation: &str| {
        json!({"item_name": item, "account_id": "acc-1", "operation": operation}).to_string().into()
    };
    let other_body = URL_SAFE_NO_PAD.encode(digest(&SHA256, b"another"));
    let wrong = [
        ("exp", json!(NOW - 10), Refused::Expired),
        ("iat", json!(NOW + 11), Refused::NotYetValid),
        ("exp", json!(NOW + 61), Refused::LivesTooLong),
        ("aud", json!("http://127.0.0.1:10"), Refused::Audience),
        ("aud", json!("http://127.0.0.1:9/"), Refused::Audience),
        ("access_id", json!("p-other"), Refused::AccessId),
        ("attaches", attaches("/other", "create"), Refused::ItemName),
        ("attaches", attaches(Gateway::ITEM_NAME, "revoke"), Refused::Operation),
        ("attaches", attaches(Gateway::ITEM_NAME, "destroy"), Refused::Malformed),
        ("attaches", json!({"item_name": Gateway::ITEM_NAME, "operation": "create"}), Refused::Malformed),
        ("body_sha256", json!(other_body), Refused::Body),
        ("body_sha256", json!(""), Refused::Body),
        ("exp", Value::Null, Refused::Malformed),
        ("exp", json!("1800000060"), Refused::Malformed),
    ];
    for (claim, value, refused) in wrong {
        assert_eq!(verified(unchanged(), (claim, value.clone())), Err(refused), "{claim} = {value}");
    }
}

#[test]
fn a_token_with_any_one_header_field_wrong_is_refused() {
    let wrong = [
        ("alg", json!("none"), Refused::Algorithm),
        ("alg", json!("HS256"), Refused::Algorithm),
        ("typ", json!("JWT"), Refused::Type),
        ("typ", Value::Null, Refused::Type),
        ("crit", json!(["b64"]), Refused::Type),
        ("kid", json!("k2"), Refused::UnknownKey),
        ("kid", Value::Null, Refused::UnknownKey),
    ];
    for (field, value, refused) in wrong {
        assert_eq!(verified((field, value.clone()), unchanged()), Err(refused), "{field} = {value}");
    }
}

#[test]
fn a_token_signed_by_another_key_or_changed_after_signing_is_refused() {
    let (gateway, stranger) = (Gateway::new(), Gateway::new());
    let forged = stranger.sign(&header(), &claims(BODY));
    assert_eq!(check(&forged, &gateway.jwks(), NOW), Err(Refused::Signature));

    let token = gateway.sign(&header(), &claims(BODY));
    let mut later = claims(BODY);
    later["exp"] = json!(NOW + 59);
    let parts: Vec<&str> = token.split('.').collect();
    let changed = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(later.to_string()), parts[2]);
    assert_eq!(check(&changed, &gateway.jwks(), NOW), Err(Refused::Signature));
    let unsigned = format!("{}.{}.", parts[0], parts[1]);
    assert_eq!(check(&unsigned, &gateway.jwks(), NOW), Err(Refused::Signature));
}

#[test]
fn what_is_no_token_is_refused() {
    for text in ["", "a", "a.b", "a.b.c", "..", "e30.e30.e30", "e30.e30.e30.e30"] {
        assert_eq!(check(text, &Gateway::new().jwks(), NOW), Err(Refused::Malformed), "{text}");
    }
}

#[test]
fn a_token_lives_until_it_expires_and_the_clocks_skew_after() {
    let gateway = Gateway::new();
    let token = gateway.sign(&header(), &claims(BODY));
    assert!(check(&token, &gateway.jwks(), NOW + 69).is_ok());
    assert_eq!(check(&token, &gateway.jwks(), NOW + 70), Err(Refused::Expired));
    assert!(check(&token, &gateway.jwks(), NOW - 10).is_ok());
    assert_eq!(check(&token, &gateway.jwks(), NOW - 11), Err(Refused::NotYetValid));
}

#[test]
fn keys_of_another_kind_or_use_are_never_used() {
    let gateway = Gateway::new();
    let token = gateway.sign(&header(), &claims(BODY));
    let changes: [fn(&mut Jwk); 4] = [
        |key| key.kty = "EC".to_owned(),
        |key| key.crv = "X25519".to_owned(),
        |key| key.alg = "ES256".to_owned(),
        |key| key.usage = "enc".to_owned(),
    ];
    for change in changes {
        let mut keys = gateway.jwks();
        change(&mut keys.keys[0]);
        assert_eq!(check(&token, &keys, NOW), Err(Refused::UnknownKey));
    }
}
