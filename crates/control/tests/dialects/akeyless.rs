//! Logging in, dynamic secrets and producer credentials, by the Akeyless API; nobody answers for the producer here.

use gateward_control::Surface;
use http::StatusCode;
use serde_json::{Value, json};

use crate::{Answer, Plane};

async fn post(plane: &Plane, path: &str, body: &Value) -> Answer {
    plane.ask(Surface::Akeyless, "POST", path, &[], &body.to_string()).await
}

/// What the vendor's Python client sends, defaults and all.
fn create(token: &str) -> Value {
    json!({
        "create-sync-url": "http://127.0.0.1:9/c", "enable-admin-rotation": false, "json": false, "name": "/x",
        "payload": "canary", "revoke-sync-url": "http://127.0.0.1:9/r", "tags": ["a"], "timeout-sec": 60,
        "token": token, "user-ttl": "60m", "skip-dry-run": "true",
    })
}

#[tokio::test]
async fn the_api_answers_at_each_of_its_addresses() {
    let plane = Plane::new().await;
    let body = json!({"access-id": "p-admin", "access-key": "canary-key"});
    for path in ["/auth", "//auth", "/v2/auth", "/api/v2/auth"] {
        let answer = post(&plane, path, &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(answer.json["token"].as_str().is_some_and(|token| token.starts_with("t-")));
        assert_eq!(answer.json["creds"]["access_id"], "p-admin");
    }
}

#[tokio::test]
async fn a_wrong_login_says_one_thing_whatever_is_wrong() {
    let plane = Plane::new().await;
    for (id, key) in [("p-admin", "wrong"), ("p-other", "canary-key"), ("", "")] {
        let answer = post(&plane, "/auth", &json!({"access-id": id, "access-key": key})).await;
        let expected = json!({"error": "the access id or the access key is wrong"});
        assert_eq!((answer.status, answer.json), (StatusCode::UNAUTHORIZED, expected));
    }
    let answer = post(&plane, "/auth", &json!({"access-type": "saml"})).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    for body in ["", "[]", "canary", "{"] {
        let answer = plane.ask(Surface::Akeyless, "POST", "/auth", &[], body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
    }
    let answer = plane.ask(Surface::Akeyless, "GET", "/auth", &[], "").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_dynamic_secret_is_created_once_and_deleted() {
    let plane = Plane::new().await;
    let token = plane.token().await;
    let created = post(&plane, "/dynamic-secret-create-custom", &create(&token)).await;
    assert_eq!(created.status, StatusCode::OK, "{created:?}");
    let details = &created.json["dynamic_secret_details"];
    assert_eq!((&details["dynamic_secret_name"], &details["user_ttl"]), (&json!("/x"), &json!("60m")));
    let again = post(&plane, "/dynamic-secret-create-custom", &create(&token)).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let leases = post(&plane, "/dynamic-secret-tmp-creds-get", &json!({"name": "/x", "token": token})).await;
    assert_eq!(leases.json, json!([]));
    let deleted = post(&plane, "/dynamic-secret-delete", &json!({"name": "/x", "token": token})).await;
    assert_eq!(deleted.json, json!({"dynamic_secret_name": "/x"}));
    let missing = post(&plane, "/get-dynamic-secret-value", &json!({"name": "/x", "token": token})).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_by_its_name() {
    let plane = Plane::new().await;
    let token = plane.token().await;
    let cases = [
        ("create-sync-url", json!("ftp://x/"), "create-sync-url"),
        ("user-ttl", json!("60 minutes"), "user-ttl"),
        ("user-ttl", json!("1ms"), "user-ttl"),
        ("timeout-sec", json!(0), "timeout-sec"),
        ("timeout-sec", json!("901"), "timeout-sec"),
        ("name", json!("/a//b"), "name"),
        ("rotate-sync-url", json!("nope"), "rotate-sync-url"),
        ("enable-admin-rotation", json!(true), "enable-admin-rotation"),
        ("producer-encryption-key-name", json!("k"), "producer-encryption-key-name"),
        ("delete_protection", json!("canary"), "delete-protection"),
    ];
    for (field, value, named) in cases {
        let mut body = create(&token);
        body[field] = value;
        let answer = post(&plane, "/dynamic-secret-create-custom", &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{field}");
        let message = answer.json["error"].as_str().unwrap();
        assert!(message.contains(named), "{field}: {message}");
    }
    let mut tried = create(&token);
    tried["skip-dry-run"] = json!(false);
    let answer = post(&plane, "/dynamic-secret-create-custom", &tried).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.json["error"].as_str().unwrap().contains("nothing was created"), "{answer:?}");
    let missing = post(&plane, "/dynamic-secret-delete", &json!({"name": "/x", "token": token})).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_call_but_login_wants_a_token() {
    let plane = Plane::new().await;
    for path in
        ["/dynamic-secret-create-custom", "/get-dynamic-secret-value", "/dynamic-secret-tmp-creds-delete"]
    {
        for token in [json!(null), json!(""), json!("t-wrong"), json!(7)] {
            let answer = post(&plane, path, &json!({"name": "/x", "token": token})).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path} {token}");
        }
    }
}

#[tokio::test]
async fn producer_credentials_are_checked_and_no_other_token_is_taken_for_one() {
    let plane = Plane::new().await;
    let creds = plane.tokens.mint("http://127.0.0.1:9", "/x", "create", b"{}");
    let ask = |creds: &str, id: &str, item: &str| json!({"creds": creds, "expected_access_id": id, "expected_item_name": item});
    let valid = post(&plane, "/validate-producer-credentials", &ask(&creds, "p-admin", "/x")).await;
    assert_eq!((valid.status, &valid.json["access_id"]), (StatusCode::OK, &json!("p-admin")));
    let attaches: Value = serde_json::from_str(valid.json["attaches"].as_str().unwrap()).unwrap();
    assert_eq!((&attaches["item_name"], &attaches["operation"]), (&json!("/x"), &json!("create")));
    let any_item = post(&plane, "/validate-producer-credentials", &ask(&creds, "p-admin", "")).await;
    assert_eq!(any_item.status, StatusCode::OK);

    let token = plane.token().await;
    let forged = creds.replace('.', "x.");
    let refused = [
        (creds.as_str(), "p-other", "/x"),
        (&creds, "p-admin", "/y"),
        (&token, "p-admin", "/x"),
        (&forged, "p-admin", "/x"),
        ("", "p-admin", ""),
    ];
    for (creds, id, item) in refused {
        let answer = post(&plane, "/validate-producer-credentials", &ask(creds, id, item)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{id} {item}");
        assert_eq!(answer.json["error"], "Unauthorized");
    }
    for (method, body, status, code) in [
        ("POST", "", 400, "BadRequest"),
        ("POST", "canary", 400, "BadRequest"),
        ("POST", "[]", 400, "BadRequest"),
        ("POST", "{}", 400, "BadRequest"),
        ("GET", "", 405, "MethodNotAllowed"),
    ] {
        let answer = plane.ask(Surface::Akeyless, method, "/validate-producer-credentials", &[], body).await;
        assert_eq!((answer.status.as_u16(), &answer.json["error"]), (status, &json!(code)), "{body}");
        assert!(answer.json["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}: {answer:?}");
    }
    plane.clock.advance(std::time::Duration::from_secs(61));
    let expired = post(&plane, "/validate-producer-credentials", &ask(&creds, "p-admin", "/x")).await;
    assert_eq!(expired.status, StatusCode::UNAUTHORIZED);
}
