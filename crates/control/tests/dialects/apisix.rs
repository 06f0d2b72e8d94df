//! The APISIX Admin API's envelope, who gets in, and what nobody gets to see.

use std::ops::Bound;
use std::time::Duration;

use gateward_control::Surface;
use http::StatusCode;
use serde_json::json;

use crate::{Answer, Plane};

const KEY: (&str, &str) = ("x-api-key", "canary-admin");
const VIEWER: (&str, &str) = ("x-api-key", "canary-viewer");

pub(crate) async fn ask(plane: &Plane, method: &str, path: &str, body: &str) -> Answer {
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

#[tokio::test]
async fn a_viewer_looks_and_changes_nothing() {
    let plane = Plane::new().await;
    let as_viewer = async |method: &str, path: &str, body: &str| {
        plane.ask(Surface::Apisix, method, &format!("/apisix/admin{path}"), &[VIEWER], body).await
    };
    let route = r#"{"uri": "/a", "plugins": {"aws-lambda": {"function_uri": "http://x/", "authorization": {"apikey": "canary"}}}}"#;
    for (method, path) in
        [("PUT", "/routes/1"), ("POST", "/routes"), ("DELETE", "/routes/1"), ("PATCH", "/routes/1")]
    {
        let refused = as_viewer(method, path, route).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{method}");
        let expected =
            json!({"error_msg": "failed to check token", "description": "invalid method for role viewer"});
        assert_eq!(refused.json, expected);
    }
    ask(&plane, "PUT", "/routes/1", route).await;
    let read = as_viewer("GET", "/routes/1", "").await;
    assert_eq!(read.status, StatusCode::OK);
    assert_eq!(read.json["value"]["plugins"]["aws-lambda"]["authorization"]["apikey"], "***");
    let in_query = "/apisix/admin/routes?api_key=canary-viewer";
    assert_eq!(plane.ask(Surface::Apisix, "GET", in_query, &[KEY], "").await.status, StatusCode::OK);
    let first = plane
        .ask(Surface::Apisix, "DELETE", "/apisix/admin/routes/1?api_key=canary-viewer", &[KEY], "")
        .await;
    assert_eq!(first.status, StatusCode::UNAUTHORIZED, "the key in the query counts first");
}

#[tokio::test]
async fn whether_the_api_is_there_may_be_asked_without_a_key() {
    let plane = Plane::new().await;
    for (method, path) in
        [("HEAD", "/apisix/admin"), ("HEAD", "/apisix/admin/"), ("OPTIONS", "/apisix/admin/routes/1")]
    {
        let answer = plane.ask(Surface::Apisix, method, path, &[], "").await;
        assert_eq!((answer.status, &answer.json), (StatusCode::OK, &json!(null)), "{method} {path}");
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    let refused = plane.ask(Surface::Apisix, "HEAD", "/apisix/admin/routes", &[], "").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn every_answer_says_which_version_of_the_api_it_is() {
    let plane = Plane::new().await;
    for path in ["/routes", "/routes/1", "/nope"] {
        let answer = ask(&plane, "GET", path, "").await;
        assert_eq!(answer.headers["x-api-version"], "v3", "{path}");
        assert_eq!(answer.headers["content-type"], "application/json", "{path}");
    }
}

#[tokio::test]
async fn the_health_of_nodes_is_told_to_whoever_has_a_key() {
    let plane = Plane::new().await;
    let get = async |path: &str, headers: &[(&str, &str)]| {
        plane.ask(Surface::Apisix, "GET", path, headers, "").await
    };
    let refused = get("/v1/healthcheck", &[]).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let none = get("/v1/healthcheck", &[VIEWER]).await;
    assert_eq!((none.status, none.json), (StatusCode::OK, json!([])));
    let nobody = gateward_testkit::nobody();
    let checks = json!({"active": {"unhealthy": {"tcp_failures": 1}}});
    let upstream = json!({"nodes": {nobody.to_string(): 1}, "checks": checks});
    let route = json!({"uri": "/a", "upstream": upstream});
    for (path, resource) in [
        ("/upstreams/1", upstream),
        ("/routes/7", route),
        ("/routes/8", json!({"uri": "/b", "upstream_id": "1"})),
    ] {
        assert_eq!(ask(&plane, "PUT", path, &resource.to_string()).await.status, StatusCode::CREATED);
    }
    let is_known = async || {
        while !get("/v1/healthcheck", &[VIEWER])
            .await
            .json
            .as_array()
            .unwrap()
            .iter()
            .all(|upstream| upstream["nodes"][0]["status"] == "unhealthy")
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), is_known()).await.unwrap();
    let told = |name: &str| {
        let address = nobody.to_string();
        let counter = json!({"success": 0, "http_failure": 0, "tcp_failure": 1, "timeout_failure": 0});
        let node = json!({"ip": "127.0.0.1", "port": nobody.port(), "hostname": address,
            "status": "unhealthy", "counter": counter});
        json!({"name": name, "type": "http", "nodes": [node]})
    };
    let all = get("/v1/healthcheck", &[KEY]).await.json;
    assert_eq!(all, json!([told("/apisix/routes/7"), told("/apisix/upstreams/1")]));
    let one = get("/v1/healthcheck/upstreams/1", &[KEY]).await;
    assert_eq!((one.status, one.json), (StatusCode::OK, told("/apisix/upstreams/1")));
    for path in ["/routes/7", "/routes/8"] {
        ask(&plane, "DELETE", path, "").await;
    }
    let missing = get("/v1/healthcheck/upstreams/1", &[KEY]).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.json["error_msg"].as_str().unwrap().contains("upstreams/1"), "{missing:?}");
}
