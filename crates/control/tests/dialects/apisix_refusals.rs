//! What is wrong with what is sent, in APISIX's words so far as they help.

use http::StatusCode;
use serde_json::json;

use crate::Plane;
use crate::apisix::ask;

#[tokio::test]
async fn what_is_wrong_is_answered_with_the_field_and_changes_nothing() {
    let plane = Plane::new().await;
    ask(&plane, "PUT", "/routes/1", r#"{"uri": "/before", "plugins": {}}"#).await;
    let lambda = |fields: &str| format!(r#"{{"uri": "/a", "plugins": {{"aws-lambda": {{{fields}}}}}}}"#);
    let cases = [
        (String::new(), "missing configurations"),
        (r#"{"uri" "canary"}"#.to_owned(), "invalid request body: it is not JSON at line 1"),
        ("[]".to_owned(), "must be a JSON object"),
        (r#"{"uri": "/a", "plugins": {"nope": {}}}"#.to_owned(), "unknown plugin [nope]"),
        (
            r#"{"uri": "/a", "nope": 1}"#.to_owned(),
            "invalid configuration: property \"nope\": unknown field `nope`",
        ),
        (r#"{"id": "2", "uri": "/a", "plugins": {}}"#.to_owned(), "wrong route id"),
        (r#"{"id": 0, "uri": "/a", "plugins": {}}"#.to_owned(), "property \"id\""),
        (r#"{"id": true, "uri": "/a", "plugins": {}}"#.to_owned(), "property \"id\""),
        (
            r#"{"uri": "/a", "plugins": {}, "create_time": 1}"#.to_owned(),
            "the property is forbidden:  create_time",
        ),
        (
            r#"{"uri": "/a", "plugins": {}, "update_time": 1}"#.to_owned(),
            "the property is forbidden:  update_time",
        ),
        (r#"{"uri": "/a", "plugins": {}, "methods": ["canary"]}"#.to_owned(), "property \"methods[0]\""),
        (r#"{"plugins": {}}"#.to_owned(), "property \"uri\": is required"),
        (
            r#"{"uri": "/a", "uris": ["/b"], "plugins": {}}"#.to_owned(),
            "property \"uri\": give either uri or uris",
        ),
        (
            r#"{"uri": "/a", "host": "a", "hosts": ["b"], "plugins": {}}"#.to_owned(),
            "only one of host or hosts is allowed",
        ),
        (r#"{"uri": "/a"}"#.to_owned(), "a route needs one of upstream, upstream_id, service_id and plugins"),
        (
            r#"{"uri": "/a", "upstream_id": "99999999"}"#.to_owned(),
            "failed to fetch upstream info by upstream id [99999999], response code: 404",
        ),
        (
            r#"{"uri": "/a", "plugins": {}, "filter_func": "canary"}"#.to_owned(),
            "property \"filter_func\": is Lua",
        ),
        (r#"{"uri": "/a", "script": "canary"}"#.to_owned(), "vars"),
        (
            lambda(r#""timeout": 3000"#),
            "failed to check the configuration of plugin aws-lambda err: property \"function_uri\": is required, or function_name",
        ),
        (
            lambda(r#""function_uri": "http://x/", "authorization": {"apikey": "{vault://}"}"#),
            "authorization.apikey",
        ),
        (
            lambda(r#""function_uri": "http://x/", "authorization": {"apikey": "$env://canary"}"#),
            "write {vault://…}",
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
    let too_large = ask(&plane, "PUT", "/routes/1", &"x".repeat(1_572_865)).await;
    assert_eq!(too_large.status, StatusCode::BAD_REQUEST);
    assert!(too_large.json["error_msg"].as_str().unwrap().contains("maximum size 1572864 allowed"));
}

#[tokio::test]
async fn ids_are_short_texts_or_numbers() {
    let plane = Plane::new().await;
    let route = r#"{"uri": "/a", "plugins": {}}"#;
    let longest = "a".repeat(64);
    for id in ["1", "a-b_c.d", "A", longest.as_str()] {
        assert_eq!(
            ask(&plane, "PUT", &format!("/routes/{id}"), route).await.status,
            StatusCode::CREATED,
            "{id}"
        );
    }
    for id in ["a%20b", "a%2Fb", "%C3%A4", "a$b", &format!("a{longest}")] {
        let refused = ask(&plane, "PUT", &format!("/routes/{id}"), route).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{id}");
        assert!(refused.json["error_msg"].as_str().unwrap().contains("property \"id\""), "{refused:?}");
    }
    let missing = ask(&plane, "PUT", "/routes", route).await;
    assert_eq!(missing.json, json!({"error_msg": "missing route id"}));
}

#[tokio::test]
async fn what_there_is_not_is_said_with_what_there_is_instead() {
    let plane = Plane::new().await;
    for (path, status, expected) in [
        (
            "/ssl",
            StatusCode::NOT_FOUND,
            "Unsupported resource type: ssl; certificates are at /apisix/admin/ssls",
        ),
        ("/nope/1", StatusCode::NOT_FOUND, "Unsupported resource type: nope"),
        ("/credentials/1", StatusCode::NOT_FOUND, "Unsupported resource type: credentials"),
        (
            "/protos/1",
            StatusCode::NOT_FOUND,
            "Unsupported resource type: protos; gRPC is passed on as it is, and not transcoded",
        ),
        (
            "/secrets/vault/1",
            StatusCode::NOT_FOUND,
            "Unsupported resource type: secrets; vaults are managed as Kong does it, at /vaults",
        ),
        ("/stream_routes/1", StatusCode::BAD_REQUEST, "stream mode is disabled, can not add stream routes"),
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            let answer = ask(&plane, method, path, "{}").await;
            assert_eq!(
                (answer.status, &answer.json),
                (status, &json!({"error_msg": expected})),
                "{method} {path}"
            );
        }
    }
}
