//! Consumers and their credentials: whose they are, what they show, and what goes with them.

use std::ops::Bound;

use http::StatusCode;
use serde_json::json;

use crate::Plane;
use crate::apisix::ask;
use crate::apisix_resources::{message, status};

fn ann(key: &str) -> String {
    json!({"username": "ann", "plugins": {"key-auth": {"key": key}}}).to_string()
}

fn shows(key: &str) -> String {
    json!({"plugins": {"key-auth": {"key": key}}}).to_string()
}

#[tokio::test]
async fn a_credential_belongs_to_a_consumer() {
    let plane = Plane::new().await;
    for (method, path) in [("GET", ""), ("GET", "/1"), ("PUT", "/1"), ("DELETE", "/1")] {
        let answer = ask(&plane, method, &format!("/consumers/nobody/credentials{path}"), "{}").await;
        assert_eq!(
            (answer.status, message(&answer)),
            (StatusCode::NOT_FOUND, "consumer not found"),
            "{method} {path}"
        );
    }
    ask(&plane, "PUT", "/consumers", r#"{"username": "ann"}"#).await;
    for method in ["POST", "PATCH"] {
        let path =
            if method == "POST" { "/consumers/ann/credentials" } else { "/consumers/ann/credentials/1" };
        let answer = ask(&plane, method, path, "{}").await;
        assert_eq!(message(&answer), format!("not supported `{method}` method for credential"));
    }
    let lambda = r#"{"plugins": {"aws-lambda": {"function_uri": "http://x/"}}}"#;
    let refused = ask(&plane, "PUT", "/consumers/ann/credentials/1", lambda).await;
    assert!(message(&refused).contains("only plugins that authenticate"), "{refused:?}");
    let empty = ask(&plane, "GET", "/consumers/ann/credentials", "").await;
    assert_eq!(empty.json, json!({"total": 0, "list": []}));
    assert_eq!(status(&plane, "GET", "/credentials", "").await, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_consumer_has_no_id_but_its_name() {
    let plane = Plane::new().await;
    let created = ask(&plane, "PUT", "/consumers", r#"{"username": "ann", "desc": "d"}"#).await;
    assert_eq!(created.json["key"], "/apisix/consumers/ann");
    assert_eq!(
        created.json["value"],
        json!({"username": "ann", "desc": "d", "create_time": 1_700_000_000, "update_time": 1_700_000_000})
    );
    for (path, body, expected) in [
        ("/consumers", "{}", "property \"username\": is required"),
        ("/consumers/ann", "{}", "property \"username\": is required"),
        ("/consumers/ann", r#"{"username": "bob"}"#, "wrong username"),
        ("/consumers", r#"{"username": "bob", "id": "ann"}"#, "wrong consumer id"),
        ("/consumers", r#"{"username": 7}"#, "property \"username\""),
        ("/consumers", r#"{"username": "a b"}"#, "property \"username\""),
    ] {
        let refused = ask(&plane, "PUT", path, body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path} {body}");
        assert!(message(&refused).contains(expected), "{refused:?}");
    }
}

#[tokio::test]
async fn no_two_consumers_show_the_same() {
    let plane = Plane::new().await;
    assert_eq!(status(&plane, "PUT", "/consumers", &ann("canary-1")).await, StatusCode::CREATED);
    ask(&plane, "PUT", "/consumers", r#"{"username": "bob"}"#).await;
    let bob = |key: &str| ann(key).replace("ann", "bob");
    for (path, body) in
        [("/consumers/bob", bob("canary-1")), ("/consumers/bob/credentials/1", shows("canary-1"))]
    {
        let refused = ask(&plane, "PUT", path, &body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(message(&refused).starts_with("duplicate key found with consumer: ann"), "{refused:?}");
    }
    // Its own may be written again, and what it lets go of is free.
    assert_eq!(status(&plane, "PUT", "/consumers/ann", &ann("canary-1")).await, StatusCode::OK);
    assert_eq!(status(&plane, "PUT", "/consumers/ann", &ann("***")).await, StatusCode::OK);
    assert_eq!(status(&plane, "PUT", "/consumers/bob", &bob("canary-1")).await, StatusCode::BAD_REQUEST);
    assert_eq!(status(&plane, "PUT", "/consumers/ann", &ann("canary-2")).await, StatusCode::OK);
    assert_eq!(status(&plane, "PUT", "/consumers/bob", &bob("canary-1")).await, StatusCode::OK);
    assert_eq!(status(&plane, "DELETE", "/consumers/bob", "").await, StatusCode::OK);
    assert_eq!(
        status(&plane, "PUT", "/consumers/ann/credentials/1", &shows("canary-1")).await,
        StatusCode::CREATED
    );
    let own = ask(&plane, "PUT", "/consumers/ann", &ann("canary-1")).await;
    assert_eq!(own.status, StatusCode::BAD_REQUEST, "not even a consumer and its credential: {own:?}");
    assert_eq!(status(&plane, "DELETE", "/consumers/ann", "").await, StatusCode::OK);
    let left = plane.store.list("consumer_keys", (Bound::Unbounded, Bound::Unbounded), 10).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn credentials_are_written_read_masked_and_go_with_their_consumer() {
    let plane = Plane::new().await;
    ask(&plane, "PUT", "/consumers", r#"{"username": "ann"}"#).await;
    // Begins as ann's do, and is somebody else's.
    ask(&plane, "PUT", "/consumers", r#"{"username": "ann.b"}"#).await;
    ask(&plane, "PUT", "/consumers/ann.b/credentials/1", &shows("canary-b")).await;
    let created = ask(&plane, "PUT", "/consumers/ann/credentials/0", &shows("canary-0")).await;
    assert_eq!(created.status, StatusCode::CREATED);
    assert_eq!(created.json["key"], "/apisix/consumers/ann/credentials/0");
    assert_eq!(created.json["value"]["plugins"]["key-auth"]["key"], "***");
    assert_eq!(status(&plane, "PUT", "/consumers/ann/credentials/0", &shows("***")).await, StatusCode::OK);
    // More than one commit takes.
    for at in 1..60 {
        let path = format!("/consumers/ann/credentials/{at}?ttl=600");
        assert_eq!(status(&plane, "PUT", &path, &shows(&format!("canary-{at}"))).await, StatusCode::CREATED);
    }
    assert_eq!(ask(&plane, "GET", "/consumers/ann/credentials", "").await.json["total"], 60);
    let one = ask(&plane, "GET", "/consumers/ann/credentials/7", "").await;
    assert_eq!(one.json["value"]["id"], "7");
    assert_eq!(
        ask(&plane, "DELETE", "/consumers/ann/credentials/7", "").await.json["key"],
        "/apisix/consumers/ann/credentials/7"
    );
    assert_eq!(status(&plane, "DELETE", "/consumers/ann", "").await, StatusCode::OK);
    for (partition, left) in [("credentials", 1), ("consumer_keys", 1), ("expiries", 0)] {
        let all = plane.store.list(partition, (Bound::Unbounded, Bound::Unbounded), 100).await.unwrap();
        assert_eq!(all.len(), left, "{partition}");
    }
    // Nothing of the one that is gone comes back with a new one of the same name.
    ask(&plane, "PUT", "/consumers", r#"{"username": "ann"}"#).await;
    assert_eq!(ask(&plane, "GET", "/consumers/ann/credentials", "").await.json["total"], 0);
}
