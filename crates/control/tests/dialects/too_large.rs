//! What is too large to be kept: a client hears that it is, and not of an outage after which it would try again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::post;
use gateward_control::Surface;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use crate::{Answer, Plane, apisix, kong};

const KIB: usize = 1024;

async fn call(plane: &Plane, token: &str, operation: &str, mut body: Value) -> Answer {
    body["token"] = token.into();
    plane.ask(Surface::Akeyless, "POST", &format!("/{operation}"), &[], &body.to_string()).await
}

fn is_told(answer: &Answer, sentence: &str) {
    let told = answer.json["error"].as_str().or(answer.json["error_msg"].as_str());
    let told = told.or(answer.json["message"].as_str()).unwrap();
    assert_eq!((answer.status, told), (StatusCode::PAYLOAD_TOO_LARGE, sentence));
}

const SENTENCE: &str = "this is too large to be kept: a value has at most 390 KiB, as it is sealed";

#[tokio::test]
async fn a_resource_that_is_too_large_is_told_so_and_what_stands_there_stays() {
    let plane = Plane::new().await;
    let route = |bytes: usize| {
        let abort = json!({"http_status": 200, "body": "x".repeat(bytes)});
        json!({"uri": "/a", "plugins": {"fault-injection": {"abort": abort}}}).to_string()
    };
    is_told(&apisix::ask(&plane, "PUT", "/routes/1", &route(400 * KIB)).await, SENTENCE);
    is_told(&apisix::ask(&plane, "POST", "/routes", &route(400 * KIB)).await, SENTENCE);
    assert_eq!(apisix::ask(&plane, "GET", "/routes", "").await.json["total"], 0);
    assert_eq!(apisix::ask(&plane, "PUT", "/routes/1", &route(300 * KIB)).await.status, StatusCode::CREATED);
    is_told(&apisix::ask(&plane, "PUT", "/routes/1", &route(400 * KIB)).await, SENTENCE);
    let patch = json!({"labels": {"a": "x".repeat(200 * KIB)}}).to_string();
    let patched = apisix::ask(&plane, "PATCH", "/routes/1", &patch).await;
    assert!(patched.status.is_client_error(), "{patched:?}");
    let stands = apisix::ask(&plane, "GET", "/routes/1", "").await.json;
    let body = &stands["value"]["plugins"]["fault-injection"]["abort"]["body"];
    assert_eq!(body.as_str().map(str::len), Some(300 * KIB));
}

#[tokio::test]
async fn a_vault_that_is_too_large_is_told_so() {
    let plane = Plane::new().await;
    let vault = |bytes: usize| json!({"name": "env", "description": "x".repeat(bytes)});
    is_told(&kong::ask(&plane, "PUT", "/vaults/large", vault(400 * KIB)).await, SENTENCE);
    let missing = kong::ask(&plane, "GET", "/vaults/large", Value::Null).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_item_that_is_too_large_is_told_so_and_what_stands_there_stays() {
    let plane = Plane::new().await;
    let token = plane.token().await;
    let secret = json!({"name": "/s", "value": "x".repeat(500 * KIB)});
    let refused = call(&plane, &token, "create-secret", secret).await;
    let told = (refused.status, refused.json["error"].as_str().unwrap());
    assert_eq!(told, (StatusCode::BAD_REQUEST, "property \"value\": a secret has at most 128 KiB"));
    let dynamic = |bytes: usize| {
        json!({
            "name": "/d", "payload": "x".repeat(bytes), "skip-dry-run": true,
            "create-sync-url": "https://producer.example/create", "revoke-sync-url": "https://producer.example/revoke",
        })
    };
    is_told(&call(&plane, &token, "dynamic-secret-create-custom", dynamic(500 * KIB)).await, SENTENCE);
    assert_eq!(
        call(&plane, &token, "describe-item", json!({"name": "/d"})).await.status,
        StatusCode::NOT_FOUND
    );
    let created = call(&plane, &token, "dynamic-secret-create-custom", dynamic(KIB)).await;
    assert_eq!(created.status, StatusCode::OK, "{created:?}");
    is_told(&call(&plane, &token, "dynamic-secret-update-custom", dynamic(500 * KIB)).await, SENTENCE);
    let target = json!({"name": "/t", "url": "https://producer.example"});
    assert_eq!(call(&plane, &token, "target-create-web", target).await.status, StatusCode::OK);
    let rotated = json!({"name": "/r", "target-name": "/t", "custom-payload": "x".repeat(500 * KIB)});
    is_told(&call(&plane, &token, "rotated-secret-create-custom", rotated).await, SENTENCE);
}

#[tokio::test]
async fn arguments_that_are_too_large_to_be_asked_with_again_make_no_credential() {
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let create = move || async move {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        let answer = json!({"id": number.to_string(), "response": {}, "capabilities": {"request_id": true}});
        answer.to_string()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let revoke = || async { json!({"revoked": ["0"]}).to_string() };
    let calls = Router::new().route("/create", post(create)).route("/revoke", post(revoke));
    Handle::current().spawn(async move { axum::serve(listener, calls).await });

    let plane = Plane::new().await;
    let token = plane.token().await;
    let secret = json!({
        "name": "/d", "payload": "p",
        "create-sync-url": format!("{url}/create"), "revoke-sync-url": format!("{url}/revoke"),
    });
    let created = call(&plane, &token, "dynamic-secret-create-custom", secret).await;
    assert_eq!((created.status, made.load(Ordering::Relaxed)), (StatusCode::OK, 1), "{created:?}");
    let wish = |bytes: usize| json!({"name": "/d", "args": [format!("a={}", "x".repeat(bytes))]});
    let refused = call(&plane, &token, "get-dynamic-secret-value", wish(500 * KIB)).await;
    is_told(&refused, &format!("the lease could not be recorded: {SENTENCE}"));
    assert_eq!(made.load(Ordering::Relaxed), 1, "the producer was not asked");
    let report = call(&plane, &token, "lease-report", json!({})).await.json;
    assert_eq!(report["live"], 0, "{report}");
    let issued = call(&plane, &token, "get-dynamic-secret-value", wish(KIB)).await;
    assert_eq!(issued.status, StatusCode::OK, "{issued:?}");
}
