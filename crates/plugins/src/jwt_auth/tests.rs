use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use gateward_net::Body;
use http::{Request, Response};
use ring::hmac;

use super::*;
use crate::testing::{Bench, NOW, text};
use crate::{Consumer, Consumers, ConsumersBuilder, Flow};

const SECRET: &str = "a secret that nobody guesses";

fn ann() -> Value {
    json!({"key": "ann", "secret": SECRET})
}

fn consumers(shown: &Value) -> Consumers {
    let kind = KIND.consumer.as_ref().unwrap();
    (kind.check)(shown).unwrap();
    let named = |name: &str| Consumer { username: name.into(), ..Consumer::default() };
    let mut builder = ConsumersBuilder::default();
    builder.add(NAME, Arc::new(named("ann")), (kind.build)(shown).unwrap()).unwrap();
    builder.name(Arc::new(named("stranger")));
    builder.build()
}

/// A token, signed with `secret` by HS256 whatever its header says.
fn signed(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn token(claims: &Value) -> String {
    signed(&json!({"alg": "HS256", "typ": "JWT"}), claims, SECRET.as_bytes())
}

fn bearer(token: &str) -> Request<Body> {
    Request::get("/").header("authorization", format!("Bearer {token}")).body(Body::empty()).unwrap()
}

struct Passed {
    caller: String,
    request: Request<()>,
    claims: Option<Map<String, Value>>,
}

async fn try_as(
    shown: &Value,
    settings: &Value,
    request: Request<Body>,
) -> Result<Passed, Box<Response<Body>>> {
    let bench = Bench { consumers: consumers(shown), ..Bench::new() };
    let plugin = bench.build(&KIND, settings);
    bench
        .try_request(&*plugin, request, |exchange, flow| match flow {
            Flow::Continue => Ok(Passed {
                caller: exchange.consumer.as_ref().unwrap().username.to_string(),
                request: std::mem::take(&mut exchange.request).map(drop),
                claims: exchange.notes.take::<TokenClaims>().map(|claims| claims.0),
            }),
            Flow::Answer(response) | Flow::Function(response) => Err(response),
            Flow::Fail(failure) => panic!("{failure}"),
        })
        .await
}

async fn passes(shown: &Value, settings: &Value, token: &str) -> bool {
    try_as(shown, settings, bearer(token)).await.is_ok()
}

async fn refusal(settings: &Value, request: Request<Body>) -> String {
    let response = try_as(&ann(), settings, request).await.err().unwrap();
    assert_eq!(response.status(), 401);
    let body: Value = serde_json::from_str(&text(*response).await).unwrap();
    body["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_is_found_in_the_header_the_query_or_a_cookie() {
    let token = token(&json!({"key": "ann"}));
    let with = |name: &str, value: String| Request::get("/").header(name, value).body(Body::empty()).unwrap();
    let in_query = |name: &str| Request::get(format!("/?{name}={token}")).body(Body::empty()).unwrap();
    let elsewhere = json!({"header": "X-Token", "query": "t", "cookie": "c"});
    for (settings, request) in [
        (json!({}), with("authorization", format!("Bearer {token}"))),
        (json!({}), with("authorization", token.clone())),
        (json!({}), in_query("jwt")),
        (json!({}), with("cookie", format!("a=b; jwt={token}; c=d"))),
        (elsewhere.clone(), with("x-token", format!("bearer {token}"))),
        (elsewhere.clone(), in_query("t")),
        (elsewhere.clone(), with("cookie", format!("c={token}"))),
    ] {
        assert_eq!(try_as(&ann(), &settings, request).await.ok().unwrap().caller, "ann", "{settings}");
    }
    let usual = with("authorization", token.clone());
    assert_eq!(refusal(&elsewhere, usual).await, "Missing JWT token in request");
}

#[tokio::test]
async fn who_shows_no_good_token_is_told_what_is_wrong_with_it() {
    let plain = json!({});
    for (text, problem) in [
        ("a.b", "JWT token invalid".to_owned()),
        ("", "JWT token invalid".to_owned()),
        (&*token(&json!({"name": "ann"})), "missing user key in JWT token".to_owned()),
        (&*token(&json!({"key": "bob"})), "Invalid user key in JWT token".to_owned()),
        (&*token(&json!({"key": 1})), "Invalid user key in JWT token".to_owned()),
        (
            &*signed(&json!({"alg": "HS256"}), &json!({"key": "ann"}), b"other"),
            "failed to verify jwt".to_owned(),
        ),
    ] {
        assert_eq!(refusal(&plain, bearer(text)).await, problem, "{text}");
    }
    let none = Request::new(Body::empty());
    assert_eq!(refusal(&plain, none).await, "Missing JWT token in request");
}

#[tokio::test]
async fn only_the_consumers_algorithm_counts() {
    let claims = json!({"key": "ann"});
    for alg in ["none", "None", "HS384", "hs256", "RS256", ""] {
        let forged = signed(&json!({"alg": alg}), &claims, SECRET.as_bytes());
        assert!(!passes(&ann(), &json!({}), &forged).await, "{alg}");
        let unsigned = format!("{}.", forged.rsplit_once('.').unwrap().0);
        assert!(!passes(&ann(), &json!({}), &unsigned).await, "{alg}");
    }
    let unknown_extension = signed(&json!({"alg": "HS256", "crit": ["x"]}), &claims, SECRET.as_bytes());
    assert!(!passes(&ann(), &json!({}), &unknown_extension).await);
}

/// The classic: what is signed with the public key as if that were a secret.
#[tokio::test]
async fn a_public_key_is_never_taken_for_a_secret() {
    for case in signed_elsewhere()["tokens"].as_array().unwrap() {
        let public_key = case["public_key"].as_str().unwrap();
        let shown = json!({"key": "ann", "algorithm": case["algorithm"], "public_key": public_key});
        for alg in ["HS256", case["algorithm"].as_str().unwrap()] {
            for secret in [public_key, public_key.trim_end()] {
                let forged = signed(&json!({"alg": alg}), &json!({"key": "ann"}), secret.as_bytes());
                assert!(!passes(&shown, &json!({}), &forged).await);
            }
        }
    }
}

/// Tokens that another implementation has signed.
fn signed_elsewhere() -> Value {
    serde_json::from_str(include_str!("tests/signed.json")).unwrap()
}

#[tokio::test]
async fn tokens_of_every_algorithm_are_recognised_and_changed_ones_are_not() {
    let all = signed_elsewhere();
    let cases = all["tokens"].as_array().unwrap();
    assert_eq!(cases.len(), 11);
    for case in cases {
        let shown = json!({"key": "ann", "algorithm": case["algorithm"], "public_key": case["public_key"]});
        let token = case["token"].as_str().unwrap();
        assert!(passes(&shown, &json!({}), token).await, "{}", case["algorithm"]);
        let (message, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        bytes[7] ^= 1;
        let changed = format!("{message}.{}", URL_SAFE_NO_PAD.encode(bytes));
        assert!(!passes(&shown, &json!({}), &changed).await, "{}", case["algorithm"]);
    }
    for (algorithm, digest) in
        [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
    {
        let unsigned = signed(&json!({"alg": algorithm}), &json!({"key": "ann"}), b"");
        let message = unsigned.rsplit_once('.').unwrap().0;
        let tag = hmac::sign(&hmac::Key::new(digest, SECRET.as_bytes()), message.as_bytes());
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag));
        let shown = json!({"key": "ann", "secret": SECRET, "algorithm": algorithm});
        assert!(passes(&shown, &json!({}), &token).await, "{algorithm}");
    }
}

#[tokio::test]
async fn a_token_is_good_only_in_its_time() {
    let now = NOW.secs();
    let good = async |claims: Value, grace: u64, settings: Value| {
        let mut all = json!({"key": "ann"});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let shown = json!({"key": "ann", "secret": SECRET, "lifetime_grace_period": grace});
        passes(&shown, &settings, &token(&all)).await
    };
    assert!(good(json!({"exp": now + 1, "nbf": now}), 0, json!({})).await);
    assert!(!good(json!({"exp": now}), 0, json!({})).await);
    assert!(!good(json!({"nbf": now + 1}), 0, json!({})).await);
    assert!(good(json!({"exp": now - 4, "nbf": now + 5}), 5, json!({})).await);
    assert!(!good(json!({"exp": now - 5}), 5, json!({})).await);
    assert!(!good(json!({"nbf": now + 6}), 5, json!({})).await);
    assert!(!good(json!({"exp": "never"}), 0, json!({})).await);
    let both = json!({"claims_to_verify": ["exp", "nbf"]});
    assert!(good(json!({"exp": now + 1, "nbf": now}), 0, both.clone()).await);
    assert!(!good(json!({"exp": now + 1}), 0, both.clone()).await);
    assert!(!good(json!({"nbf": now}), 0, both).await);
    assert!(!good(json!({"exp": now}), 0, json!({"claims_to_verify": ["nbf"]})).await);
    assert!(good(json!({}), 0, json!({"claims_to_verify": []})).await);
}

#[tokio::test]
async fn another_claim_can_name_the_consumer() {
    let settings = json!({"key_claim_name": "iss"});
    assert!(passes(&ann(), &settings, &token(&json!({"iss": "ann"}))).await);
    assert!(!passes(&ann(), &settings, &token(&json!({"key": "ann"}))).await);
}

#[tokio::test]
async fn a_secret_can_be_bytes_in_base64() {
    let bytes = [0_u8, 255, 128, 7];
    let shown = json!({"key": "ann", "secret": STANDARD.encode(bytes), "base64_secret": true});
    let token = signed(&json!({"alg": "HS256"}), &json!({"key": "ann"}), &bytes);
    assert!(passes(&shown, &json!({}), &token).await);
}

#[tokio::test]
async fn hidden_tokens_do_not_reach_the_upstream() {
    let token = token(&json!({"key": "ann"}));
    let request = || {
        Request::get(format!("/a?x=1&jwt={token}"))
            .header("authorization", &token)
            .header("cookie", format!("a=b; jwt={token}; c=d"))
            .header("cookie", format!("jwt={token}"))
            .body(Body::empty())
            .unwrap()
    };
    let hidden = try_as(&ann(), &json!({"hide_credentials": true}), request()).await.ok().unwrap().request;
    assert_eq!(
        (hidden.uri().to_string(), hidden.headers().get("authorization")),
        ("/a?x=1".to_owned(), None)
    );
    let cookies: Vec<_> = hidden.headers().get_all("cookie").iter().collect();
    assert_eq!(cookies, ["a=b; c=d"]);
    let shown = try_as(&ann(), &json!({}), request()).await.ok().unwrap().request;
    assert!(shown.headers().contains_key("authorization") && shown.uri().query().unwrap().contains("jwt"));
}

#[tokio::test]
async fn strangers_pass_in_the_name_of_a_consumer_who_exists() {
    for request in [bearer("nonsense"), Request::new(Body::empty())] {
        let settings = json!({"anonymous_consumer": "stranger"});
        assert_eq!(try_as(&ann(), &settings, request).await.ok().unwrap().caller, "stranger");
    }
    let nobody = json!({"anonymous_consumer": "nobody"});
    assert_eq!(refusal(&nobody, bearer("x")).await, "Invalid user authorization");
}

#[tokio::test]
async fn the_challenge_names_the_realm() {
    for (settings, challenge) in
        [(json!({}), "Bearer realm=\"jwt\""), (json!({"realm": "shop"}), "Bearer realm=\"shop\"")]
    {
        let response = try_as(&ann(), &settings, bearer("x")).await.err().unwrap();
        assert_eq!(response.headers()["www-authenticate"], challenge);
    }
}

#[tokio::test]
async fn claims_are_kept_for_others_if_asked_for() {
    let token = token(&json!({"key": "ann", "role": "admin"}));
    let kept = try_as(&ann(), &json!({"store_in_ctx": true}), bearer(&token)).await.ok().unwrap().claims;
    assert_eq!(kept.unwrap()["role"], "admin");
    assert!(try_as(&ann(), &json!({}), bearer(&token)).await.ok().unwrap().claims.is_none());
}

#[test]
fn wrong_settings_are_refused() {
    for (settings, field) in [
        (json!({"header": ""}), "header"),
        (json!({"query": 1}), "query"),
        (json!({"cookie": 1}), "cookie"),
        (json!({"hide_credentials": 1}), "hide_credentials"),
        (json!({"key_claim_name": ""}), "key_claim_name"),
        (json!({"store_in_ctx": 1}), "store_in_ctx"),
        (json!({"realm": "\u{e4}"}), "realm"),
        (json!({"anonymous_consumer": ""}), "anonymous_consumer"),
        (json!({"claims_to_verify": ["iat"]}), "claims_to_verify[0]"),
        (json!({"claims_to_verify": ["exp", "exp"]}), "claims_to_verify"),
    ] {
        assert_eq!((KIND.check)(&settings).unwrap_err().field, field, "{settings}");
    }
}

#[test]
fn wrong_consumers_are_refused() {
    let check = KIND.consumer.as_ref().unwrap().check;
    let others = signed_elsewhere();
    let key = |algorithm: &str| {
        let mut cases = others["tokens"].as_array().unwrap().iter();
        cases.find(|case| case["algorithm"] == algorithm).unwrap()["public_key"].clone()
    };
    for (shown, field) in [
        (json!({"secret": "s"}), ""),
        (json!({"key": "", "secret": "s"}), "key"),
        (json!({"key": "k"}), "secret"),
        (json!({"key": "k", "secret": ""}), "secret"),
        (json!({"key": "k", "secret": "%%", "base64_secret": true}), "secret"),
        (json!({"key": "k", "secret": "s", "algorithm": "none"}), "algorithm"),
        (json!({"key": "k", "secret": "s", "exp": 0}), "exp"),
        (json!({"key": "k", "secret": "s", "lifetime_grace_period": -1}), "lifetime_grace_period"),
        (json!({"key": "k", "secret": "s", "algorithm": "RS256"}), "public_key"),
        (json!({"key": "k", "public_key": "x", "algorithm": "RS256"}), "public_key"),
        (json!({"key": "k", "public_key": key("ES256"), "algorithm": "RS256"}), "public_key"),
        (json!({"key": "k", "public_key": key("ES384"), "algorithm": "ES256"}), "public_key"),
        (json!({"key": "k", "public_key": others["rsa_1024"], "algorithm": "RS256"}), "public_key"),
        (json!({"key": "k", "public_key": others["p521"], "algorithm": "ES512"}), "algorithm"),
    ] {
        assert_eq!(check(&shown).unwrap_err().field, field, "{shown}");
    }
    check(&json!({"key": "k", "secret": "{vault://env/secret}", "base64_secret": true})).unwrap();
    check(&json!({"key": "k", "public_key": "{vault://env/key}", "algorithm": "PS512"})).unwrap();
}
