//! An address that is changed takes nothing stored along to another place, unless an administrator changes it.

use gateward_control::Surface;
use http::StatusCode;
use serde_json::{Value, json};

use crate::{Answer, JSON, Plane};

async fn post(plane: &Plane, path: &str, token: &str, mut body: Value) -> Answer {
    body["token"] = token.into();
    plane.ask(Surface::All, "POST", path, &[JSON], &body.to_string()).await
}

/// A token of somebody with these permissions.
async fn somebody(plane: &Plane, admin: &str, permissions: &str) -> String {
    let made = post(plane, "/auth-method-create-api-key", admin, json!({"name": permissions})).await.json;
    let entry = json!({"name": permissions, "access-id": made["access_id"], "permissions": permissions});
    let allowed = post(plane, "/gateway-create-allowed-access", admin, entry).await;
    assert_eq!(allowed.status, StatusCode::OK, "{allowed:?}");
    let login = json!({"access-id": made["access_id"], "access-key": made["access_key"]});
    let answer = plane.ask(Surface::All, "POST", "/auth", &[JSON], &login.to_string()).await;
    answer.json["token"].as_str().unwrap().to_owned()
}

/// An update as the vendor's clients send it: both URLs, whether they change or not.
fn update(create: &str, revoke: &str) -> Value {
    json!({
        "name": "/x", "create-sync-url": create, "revoke-sync-url": revoke, "user-ttl": "10m",
        "skip-dry-run": "true", "json": false,
    })
}

const CREATE: &str = "https://producer.example/create";
const REVOKE: &str = "https://revoker.example/revoke";

async fn plane_with_a_secret(payload: &str) -> (Plane, String, String) {
    let plane = Plane::guarded().await;
    let admin = plane.token().await;
    let owner = somebody(&plane, &admin, "dynamic_secret").await;
    let mut made = update(CREATE, REVOKE);
    made["payload"] = payload.into();
    assert_eq!(post(&plane, "/dynamic-secret-create-custom", &admin, made).await.status, StatusCode::OK);
    (plane, admin, owner)
}

#[tokio::test]
async fn a_payload_goes_to_no_other_origin_because_somebody_has_changed_a_url() {
    let (plane, admin, owner) = plane_with_a_secret("canary").await;
    let known = json!({"name": "/x"});
    let before = post(&plane, "/dynamic-secret-get", &owner, known.clone()).await.json;
    let evil = "https://evil.example/take";
    let mut rotated = update(CREATE, REVOKE);
    rotated["rotate-sync-url"] = evil.into();
    let mut tried = update(evil, REVOKE);
    tried["skip-dry-run"] = false.into();
    for (field, body) in [
        ("create-sync-url", update(evil, REVOKE)),
        ("revoke-sync-url", update(CREATE, evil)),
        ("rotate-sync-url", rotated),
        ("create-sync-url", tried),
        ("create-sync-url", update("http://producer.example/create", REVOKE)),
        ("create-sync-url", update("https://producer.example:8443/create", REVOKE)),
    ] {
        for path in ["/dynamic-secret-update-custom", "/gateway-update-producer-custom"] {
            let refused = post(&plane, path, &owner, body.clone()).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}: {refused:?}");
            let why = refused.json["error"].as_str().unwrap();
            assert!(why.starts_with("payload") || why.contains("\"payload\""), "{why}");
            assert!(why.contains(field), "{why}");
        }
    }
    assert_eq!(post(&plane, "/dynamic-secret-get", &owner, known).await.json, before, "nothing has changed");
    // To where it goes already it may go by another path, and by another of the URLs.
    for body in [update(CREATE, REVOKE), update("https://revoker.example/create", REVOKE)] {
        let done = post(&plane, "/dynamic-secret-update-custom", &owner, body).await;
        assert_eq!(done.status, StatusCode::OK, "{done:?}");
    }
    let mut given = update(evil, REVOKE);
    given["payload"] = "another canary".into();
    assert_eq!(post(&plane, "/dynamic-secret-update-custom", &owner, given).await.status, StatusCode::OK);
    let back = update(CREATE, REVOKE);
    assert_eq!(post(&plane, "/dynamic-secret-update-custom", &admin, back).await.status, StatusCode::OK);
}

#[tokio::test]
async fn where_there_is_no_payload_there_is_nothing_to_give_again() {
    let (plane, _, owner) = plane_with_a_secret("").await;
    let moved = update("https://elsewhere.example/create", REVOKE);
    assert_eq!(post(&plane, "/dynamic-secret-update-custom", &owner, moved).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_rotated_secrets_value_goes_to_no_other_origin_because_somebody_has_changed_its_target() {
    let plane = Plane::guarded().await;
    let admin = plane.token().await;
    let owner = somebody(&plane, &admin, "targets").await;
    let target = json!({"name": "/t", "url": "https://rotator.example/rotate"});
    assert_eq!(post(&plane, "/target-create-web", &admin, target).await.status, StatusCode::OK);
    let to = |url: &str| json!({"name": "/t", "url": url});
    for path in ["/target-update-web", "/update-web-target"] {
        let free = post(&plane, path, &owner, to("https://other.example/rotate")).await;
        assert_eq!(free.status, StatusCode::OK, "nothing is rotated there yet: {free:?}");
    }
    let secret =
        json!({"name": "/r", "target-name": "/t", "custom-payload": "canary", "auto-rotate": "false"});
    let made = post(&plane, "/rotated-secret-create-custom", &admin, secret).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    for path in ["/target-update-web", "/update-web-target"] {
        let refused = post(&plane, path, &owner, to("https://evil.example/take")).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{refused:?}");
        let why = refused.json["error"].as_str().unwrap();
        assert!(why.starts_with("url: ") && why.contains("/r"), "{why}");
    }
    let details = post(&plane, "/target-get-details", &owner, json!({"name": "/t"})).await.json;
    assert_eq!(details["value"]["web_target_details"]["url"], "https://other.example/rotate");
    for body in [to("https://other.example/v2/rotate"), json!({"name": "/t", "new-name": "/t2"})] {
        let done = post(&plane, "/target-update-web", &owner, body).await;
        assert_eq!(done.status, StatusCode::OK, "{done:?}");
    }
    let moved = json!({"name": "/t2", "url": "https://evil.example/take"});
    assert_eq!(post(&plane, "/target-update-web", &admin, moved).await.status, StatusCode::OK);
}
