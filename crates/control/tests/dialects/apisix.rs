//! Envelope, codes and refusals of the APISIX Admin API.

use std::ops::Bound;
use std::time::Duration;

use gateward_control::Surface;
use http::StatusCode;
use serde_json::json;

use crate::{Answer, Plane};

const KEY: (&str, &str) = ("x-api-key", "canary-admin");

async fn ask(plane: &Plane, method: &str, path: &str, body: &str) -> Answer {
    plane.ask(Surface::Apisix, method, &format!("/apisix/admin{path}"), &[KEY], body).await
}

#[tokio::test]
async fn a_route_is_created_replaced_read_listed_and_deleted() {
    let plane = Plane::new().await;
    let empty = ask(&plane, "GET", "/routes", "").await;
    assert_eq!((empty.status, empty.json), (StatusCode::OK, json!({"total": 0, "list": []})));

    let route = r#"{"uri": "/a", "plugins": {}, }"#;
    let created = ask(&plane, "PUT", "/routes/1", route).await;
    assert_eq!(created.status, StatusCode::CREATED);
    assert_eq!(created.json["key"], "/apisix/routes/1");
    assert_eq!(
        created.json["value"],
        json!({"uri": "/a", "plugins": {}, "id": "1", "create_time": 1_700_000_000, "update_time": 1_700_000_000})
    );
    plane.clock.advance(Duration::from_secs(5));
    let replaced = ask(&plane, "PUT", "/routes", r#"{"id": 1, "uri": "/b", "plugins": {}}"#).await;
    assert_eq!(replaced.status, StatusCode::OK);
    let times = (&replaced.json["value"]["create_time"], &replaced.json["value"]["update_time"]);
    assert_eq!(times, (&json!(1_700_000_000), &json!(1_700_000_005)));

    let read = ask(&plane, "GET", "/routes/1", "").await;
    assert_eq!(read.json["value"]["uri"], "/b");
    assert_eq!(read.json["modifiedIndex"], json!(read.json["createdIndex"].as_u64().unwrap() + 1));
    assert_eq!(ask(&plane, "GET", "/routes", "").await.json["total"], 1);

    let deleted = ask(&plane, "DELETE", "/routes/1", "").await;
    assert_eq!(deleted.json, json!({"deleted": "1", "key": "/apisix/routes/1"}));
    for method in ["GET", "DELETE"] {
        let missing = ask(&plane, method, "/routes/1", "").await;
        assert_eq!(
            (missing.status, missing.json),
            (StatusCode::NOT_FOUND, json!({"message": "Key not found"}))
        );
    }
}

#[tokio::test]
async fn an_upstream_must_stand_while_a_route_uses_it() {
    let plane = Plane::new().await;
    let route = r#"{"uri": "/a", "upstream_id": "u"}"#;
    let dangling = ask(&plane, "PUT", "/routes/1", route).await;
    assert_eq!(dangling.status, StatusCode::BAD_REQUEST);
    ask(&plane, "PUT", "/upstreams/u", r#"{"nodes": {"127.0.0.1:1980": 1}}"#).await;
    assert_eq!(ask(&plane, "PUT", "/routes/1", route).await.status, StatusCode::CREATED);
    let refused = ask(&plane, "DELETE", "/upstreams/u", "").await;
    assert_eq!(refused.json["error_msg"], "can not delete this upstream, route [1] is still using it now");
    assert_eq!(ask(&plane, "DELETE", "/upstreams/u?force=true", "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_wrong_is_answered_with_the_field_and_changes_nothing() {
    let plane = Plane::new().await;
    ask(&plane, "PUT", "/routes/1", r#"{"uri": "/before", "plugins": {}}"#).await;
    let lambda = |fields: &str| format!(r#"{{"uri": "/a", "plugins": {{"aws-lambda": {{{fields}}}}}}}"#);
    let cases = [
        (String::new(), "missing configurations"),
        (r#"{"uri" "canary"}"#.to_owned(), "it is not JSON at line 1"),
        ("[]".to_owned(), "must be a JSON object"),
        (r#"{"uri": "/a", "plugins": {"nope": {}}}"#.to_owned(), "unknown plugin [nope]"),
        (r#"{"uri": "/a", "canary_key": 1}"#.replace("canary_key", "nope"), "unknown field `nope`"),
        (r#"{"id": "2", "uri": "/a", "plugins": {}}"#.to_owned(), "wrong route id"),
        (
            r#"{"uri": "/a", "plugins": {}, "create_time": 1}"#.to_owned(),
            "the property is forbidden:  create_time",
        ),
        (lambda(r#""timeout": 3000"#), "aws-lambda err: missing field `function_uri`"),
        (
            lambda(r#""function_uri": "http://x/", "authorization": {"apikey": "{vault://}"}"#),
            "authorization.apikey",
        ),
        (lambda(r#""function_uri": "canary""#), "function_uri"),
        (lambda(r#""function_uri": "http://x/", "authorization": {"apikey": "***"}"#), "*** hides a secret"),
    ];
    for (body, expected) in cases {
        let answer = ask(&plane, "PUT", "/routes/1", &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        let message = answer.json["error_msg"].as_str().unwrap();
        assert!(message.contains(expected), "{body}: {message}");
    }
    assert_eq!(ask(&plane, "GET", "/routes/1", "").await.json["value"]["uri"], "/before");
    assert_eq!(ask(&plane, "PATCH", "/routes/1", "{}").await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ask(&plane, "GET", "/ssl", "").await.json["error_msg"], "Unsupported resource type: ssl");
    let too_large = ask(&plane, "PUT", "/routes/1", &"x".repeat(1_572_865)).await;
    assert_eq!(too_large.status, StatusCode::BAD_REQUEST);
    assert!(too_large.json["error_msg"].as_str().unwrap().contains("maximum size 1572864"));
}

#[tokio::test]
async fn without_the_key_or_a_token_nobody_gets_in() {
    let plane = Plane::new().await;
    let path = "/apisix/admin/routes";
    let missing = plane.ask(Surface::All, "GET", path, &[], "").await;
    assert_eq!(missing.status, StatusCode::UNAUTHORIZED);
    assert_eq!(missing.json, json!({"error_msg": "failed to check token", "description": "missing apikey"}));
    for wrong in
        [("x-api-key", "wrong"), ("authorization", "Bearer wrong"), ("cookie", "x_api_key=canary-admin")]
    {
        let refused = plane.ask(Surface::All, "GET", path, &[wrong], "").await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{wrong:?}");
    }
    let bearer = format!("Bearer {}", plane.token().await);
    let in_query = format!("{path}?api_key=canary-admin");
    assert_eq!(plane.ask(Surface::All, "GET", &in_query, &[], "").await.status, StatusCode::OK);
    assert_eq!(
        plane.ask(Surface::All, "GET", path, &[("authorization", &bearer)], "").await.status,
        StatusCode::OK
    );
    plane.clock.advance(Duration::from_secs(61));
    let expired = plane.ask(Surface::All, "GET", path, &[("authorization", &bearer)], "").await;
    assert_eq!(expired.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_literal_secret_is_sealed_in_the_store_and_hidden_in_answers() {
    let plane = Plane::new().await;
    let secret = |apikey: &str| {
        json!({"uri": "/a", "plugins": {"aws-lambda": {
            "function_uri": "http://x/", "authorization": {"apikey": apikey}}}})
        .to_string()
    };
    let written = ask(&plane, "PUT", "/routes/1", &secret("canary")).await;
    assert_eq!(written.json["value"]["plugins"]["aws-lambda"]["authorization"]["apikey"], "***");
    // What was read can be sent back.
    assert_eq!(ask(&plane, "PUT", "/routes/1", &secret("***")).await.status, StatusCode::OK);
    let stored = plane.store.list("routes", (Bound::Unbounded, Bound::Unbounded), 10).await.unwrap();
    assert_eq!(stored.len(), 1);
    assert!(!String::from_utf8_lossy(&stored[0].value).contains("canary"));
}
