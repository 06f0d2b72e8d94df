//! What administrators see of leases and decide about them, with a producer on loopback that loses answers and refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode as Status;
use axum::routing::post;
use gateward_control::Surface;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use crate::access::somebody;
use crate::{Answer, Plane};

/// A producer whose answers to create calls get lost while it is told so, and that refuses to revoke.
async fn producer(loses: Arc<AtomicBool>) -> String {
    async fn create(State(loses): State<Arc<AtomicBool>>) -> (Status, String) {
        if loses.load(Ordering::Relaxed) {
            return (Status::INTERNAL_SERVER_ERROR, String::new());
        }
        (Status::OK, json!({"id": "user-1", "response": {"user": "user-1"}}).to_string())
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let calls = Router::new()
        .route("/create", post(create))
        .route("/revoke", post(|| async { (Status::BAD_REQUEST, "{}") }))
        .route("/list", post(|| async { json!({"ids": ["user-1", "stray"]}).to_string() }))
        .with_state(loses);
    Handle::current().spawn(async move { axum::serve(listener, calls).await });
    url
}

async fn post_to(plane: &Plane, path: &str, body: &Value) -> Answer {
    plane.ask(Surface::Akeyless, "POST", path, &[], &body.to_string()).await
}

/// A plane with one lease that is UNKNOWN and one that is parked, the administrator's token, and the two leases' names.
async fn troubled() -> (Plane, String, String, String) {
    let plane = Plane::new().await;
    let token = plane.token().await;
    let loses = Arc::new(AtomicBool::new(true));
    let url = producer(Arc::clone(&loses)).await;
    let made = json!({
        "name": "/x", "create-sync-url": format!("{url}/create"), "revoke-sync-url": format!("{url}/revoke"),
        "payload": "p", "skip-dry-run": true, "token": token,
    });
    let created = post_to(&plane, "/dynamic-secret-create-custom", &made).await;
    assert_eq!(created.status, StatusCode::OK, "{created:?}");
    let item = json!({"name": "/x", "token": token});
    assert_eq!(post_to(&plane, "/get-dynamic-secret-value", &item).await.status, StatusCode::BAD_GATEWAY);
    loses.store(false, Ordering::Relaxed);
    assert_eq!(post_to(&plane, "/get-dynamic-secret-value", &item).await.status, StatusCode::OK);
    let all = json!({"name": "/x", "token": token, "revoke-all": true});
    let revoked = post_to(&plane, "/dynamic-secret-tmp-creds-delete", &all).await;
    assert_eq!(revoked.status, StatusCode::BAD_GATEWAY, "the producer refuses");
    let report = post_to(&plane, "/lease-report", &json!({"token": token})).await.json;
    let id = |list: &str| report[list]["leases"][0]["id"].as_str().unwrap().to_owned();
    let (unknown, parked) = (id("unknown"), id("parked"));
    (plane, token, unknown, parked)
}

#[tokio::test]
async fn a_report_tells_what_needs_somebody_and_what_exists_that_no_lease_knows() {
    let (plane, token, unknown, parked) = troubled().await;
    let report = post_to(&plane, "/lease-report", &json!({"token": token, "name": "/x"})).await;
    assert_eq!(report.status, StatusCode::OK, "{report:?}");
    let json = &report.json;
    assert_eq!((&json["live"], &json["active"], &json["held"]), (&json!(2), &json!(0), &Value::Null));
    assert_eq!(
        (&json["unknown"]["leases"][0]["id"], &json["unknown"]["count"]),
        (&json!(unknown), &json!(1))
    );
    let seen = &json["parked"]["leases"][0];
    assert_eq!(
        (&seen["id"], &seen["item_name"], &seen["state"]),
        (&json!(parked), &json!("/x"), &json!("PARKED"))
    );
    let there = &json["producers"][0];
    assert_eq!(
        (&there["can_list"], &there["listed"]),
        (&json!(false), &json!(0)),
        "it has not said that it can"
    );
    let page = post_to(&plane, "/lease-report", &json!({"token": token, "list": "parked"})).await.json;
    assert!(page.get("unknown").is_none() && page["parked"]["count"] == 1, "{page}");
    for (field, value) in
        [("list", "all"), ("limit", "0"), ("limit", "1001"), ("after", "7/l-1"), ("name", "/y/")]
    {
        let answer = post_to(&plane, "/lease-report", &json!({"token": token, field: value})).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{field} {value}: {answer:?}");
        assert!(answer.json["error"].as_str().is_some_and(|text| text.contains(field)), "{answer:?}");
    }
}

#[tokio::test]
async fn a_decision_is_taken_once_with_a_reason_and_by_nobody_but_an_administrator() {
    let (plane, token, unknown, parked) = troubled().await;
    let of = |id: &str| json!({"token": token, "id": id, "reason": "looked", "no-credential": true});
    let refused = [
        ("/lease-abandon", json!({"token": token, "id": parked, "reason": " "}), StatusCode::BAD_REQUEST),
        ("/lease-abandon", json!({"id": parked, "reason": "x"}), StatusCode::UNAUTHORIZED),
        ("/lease-abandon", of("l-7"), StatusCode::BAD_REQUEST),
        ("/lease-abandon", of(&format!("l-{}", "0".repeat(32))), StatusCode::NOT_FOUND),
        ("/lease-abandon", of(&unknown), StatusCode::CONFLICT),
        ("/lease-settle", of(&parked), StatusCode::CONFLICT),
        ("/lease-settle", json!({"token": token, "id": unknown, "reason": "x"}), StatusCode::BAD_REQUEST),
        ("/lease-let-go", json!({"token": token}), StatusCode::BAD_REQUEST),
        ("/lease-let-go", json!({"reason": "x"}), StatusCode::UNAUTHORIZED),
    ];
    for (path, body, status) in refused {
        let answer = post_to(&plane, path, &body).await;
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
    }
    for (path, id) in [("/lease-abandon", &parked), ("/lease-settle", &unknown)] {
        let answer = post_to(&plane, path, &of(id)).await;
        assert_eq!((answer.status, &answer.json["id"]), (StatusCode::OK, &json!(id)), "{answer:?}");
        assert_eq!(post_to(&plane, path, &of(id)).await.status, StatusCode::NOT_FOUND, "it is over");
    }
    let report = post_to(&plane, "/lease-report", &json!({"token": token})).await.json;
    assert_eq!(report["live"], 0);
    let let_go = post_to(&plane, "/lease-let-go", &json!({"token": token, "reason": "x"})).await;
    assert_eq!((let_go.status, &let_go.json["was_held"]), (StatusCode::OK, &json!(false)));
}

#[tokio::test]
async fn custom_ttl_is_the_minutes_that_a_renewal_gave() {
    let plane = Plane::new().await;
    let token = plane.token().await;
    let url = producer(Arc::default()).await;
    let made = json!({
        "name": "/x", "create-sync-url": format!("{url}/create"), "revoke-sync-url": format!("{url}/revoke"),
        "payload": "p", "skip-dry-run": true, "token": token,
    });
    post_to(&plane, "/dynamic-secret-create-custom", &made).await;
    let item = json!({"name": "/x", "token": token});
    let issued = post_to(&plane, "/get-dynamic-secret-value", &item).await;
    let id = issued.headers["x-gateward-lease-id"].to_str().unwrap().to_owned();
    let listed = post_to(&plane, "/dynamic-secret-tmp-creds-get", &item).await.json;
    assert_eq!(listed[0]["custom_ttl"], 0);
    let renewal = json!({"name": "/x", "token": token, "tmp-creds-id": id, "new-ttl-min": 7, "host": ""});
    assert_eq!(post_to(&plane, "/dynamic-secret-tmp-creds-update", &renewal).await.status, StatusCode::OK);
    let listed = post_to(&plane, "/dynamic-secret-tmp-creds-get", &item).await.json;
    assert_eq!(listed[0]["custom_ttl"], 7);
}

#[tokio::test]
async fn a_lease_is_its_holders_and_an_administrators_and_nobody_elses() {
    let plane = Plane::guarded().await;
    let admin = plane.token().await;
    let url = producer(Arc::default()).await;
    let made = json!({
        "name": "/x", "create-sync-url": format!("{url}/create"), "revoke-sync-url": format!("{url}/revoke"),
        "payload": "p", "skip-dry-run": true, "token": admin,
    });
    assert_eq!(post_to(&plane, "/dynamic-secret-create-custom", &made).await.status, StatusCode::OK);
    let mut tokens = Vec::new();
    for (name, permissions) in [("ann", "dynamic_secret"), ("bob", "dynamic_secret"), ("eve", "admin")] {
        let (id, _, token) = somebody(&plane, &admin, name).await;
        let entry = json!({"name": name, "access-id": id, "permissions": permissions, "token": admin});
        assert_eq!(post_to(&plane, "/gateway-create-allowed-access", &entry).await.status, StatusCode::OK);
        tokens.push(token);
    }
    let [ann, bob, eve] = &tokens[..] else { panic!("three") };
    let issued = post_to(&plane, "/get-dynamic-secret-value", &json!({"name": "/x", "token": ann})).await;
    let id = issued.headers["x-gateward-lease-id"].to_str().unwrap().to_owned();
    for (token, may) in [(bob, false), (ann, true), (eve, true), (&admin, true)] {
        let lease = json!({"name": "/x", "token": token, "tmp-creds-id": id, "new-ttl-min": 7});
        let renewed = post_to(&plane, "/dynamic-secret-tmp-creds-update", &lease).await.status;
        assert_eq!(renewed, if may { StatusCode::OK } else { StatusCode::FORBIDDEN });
    }
    for (token, may) in [(bob, false), (ann, true), (eve, true), (&admin, true)] {
        let lease = json!({"name": "/x", "token": token, "tmp-creds-id": id});
        let revoked = post_to(&plane, "/dynamic-secret-tmp-creds-delete", &lease).await.status;
        // The producer refuses whoever may.
        assert_eq!(revoked, if may { StatusCode::BAD_GATEWAY } else { StatusCode::FORBIDDEN });
    }
}

#[tokio::test]
async fn of_an_item_no_more_credentials_live_than_it_says() {
    let plane = Plane::new().await;
    let token = plane.token().await;
    let url = producer(Arc::default()).await;
    let made = json!({
        "name": "/x", "create-sync-url": format!("{url}/create"), "revoke-sync-url": format!("{url}/revoke"),
        "payload": "p", "skip-dry-run": true, "token": token, "max-leases": "1",
    });
    assert_eq!(post_to(&plane, "/dynamic-secret-create-custom", &made).await.status, StatusCode::OK);
    let item = json!({"name": "/x", "token": token});
    assert_eq!(post_to(&plane, "/get-dynamic-secret-value", &item).await.status, StatusCode::OK);
    for _ in 0..2 {
        let beyond = post_to(&plane, "/get-dynamic-secret-value", &item).await;
        assert_eq!(beyond.status, StatusCode::TOO_MANY_REQUESTS, "{beyond:?}");
        let sentence = beyond.json["error"].as_str().unwrap();
        assert!(sentence.contains("as many live leases"), "{sentence}");
    }
    let leases = post_to(&plane, "/dynamic-secret-tmp-creds-get", &item).await.json;
    assert_eq!(leases.as_array().unwrap().len(), 1);
}
