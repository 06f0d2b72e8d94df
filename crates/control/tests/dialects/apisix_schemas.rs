//! Plugins, schemas, and configuration that is only tried out.

use http::StatusCode;
use serde_json::json;

use crate::Plane;
use crate::apisix::ask;

#[tokio::test]
async fn plugins_are_listed_by_priority_and_described() {
    let plane = Plane::new().await;
    let names = ask(&plane, "GET", "/plugins/list", "").await.json;
    let all = ask(&plane, "GET", "/plugins?all=true", "").await.json;
    let priority = |name: &serde_json::Value| all[name.as_str().unwrap()]["priority"].as_i64().unwrap();
    assert!(names.as_array().unwrap().is_sorted_by(|one, next| priority(one) >= priority(next)), "{names}");
    assert!(names.as_array().unwrap().contains(&json!("aws-lambda")));
    let ways = json!([{"required": ["function_uri"]}, {"required": ["function_name"]}]);
    assert_eq!(all["aws-lambda"]["schema"]["oneOf"], ways);
    for path in ["/plugins/aws-lambda", "/plugins/aws-lambda?subsystem=http", "/schema/plugins/aws-lambda"] {
        assert_eq!(ask(&plane, "GET", path, "").await.json["oneOf"], ways, "{path}");
    }
    for (path, status) in [
        ("/plugins/nope", StatusCode::NOT_FOUND),
        ("/plugins/aws-lambda?subsystem=stream", StatusCode::NOT_FOUND),
        ("/plugins/aws-lambda?subsystem=nope", StatusCode::BAD_REQUEST),
        ("/schema/plugins/nope", StatusCode::NOT_FOUND),
        ("/schema/plugins/aws-lambda?schema_type=consumer", StatusCode::BAD_REQUEST),
        ("/schema/nope", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(ask(&plane, "GET", path, "").await.status, status, "{path}");
    }
    assert_eq!(ask(&plane, "GET", "/plugins/list?subsystem=stream", "").await.json, json!([]));
}

#[tokio::test]
async fn reloading_plugins_is_answered_although_nothing_needs_it() {
    let plane = Plane::new().await;
    let done = ask(&plane, "PUT", "/plugins/reload", "").await;
    assert_eq!((done.status, done.json), (StatusCode::OK, json!("done")));
    for (method, path) in [
        ("GET", "/plugins/reload"),
        ("POST", "/plugins/reload"),
        ("POST", "/plugins/list"),
        ("PUT", "/schema/route"),
    ] {
        assert_eq!(
            ask(&plane, method, path, "").await.status,
            StatusCode::METHOD_NOT_ALLOWED,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn every_kind_has_a_schema_by_both_of_its_names() {
    let plane = Plane::new().await;
    for (one, many) in [
        ("route", "routes"),
        ("service", "services"),
        ("upstream", "upstreams"),
        ("consumer", "consumers"),
        ("credential", "credentials"),
        ("consumer_group", "consumer_groups"),
        ("global_rule", "global_rules"),
        ("plugin_config", "plugin_configs"),
        ("ssl", "ssls"),
    ] {
        let schema = ask(&plane, "GET", &format!("/schema/{one}"), "").await;
        assert_eq!(schema.json["type"], "object", "{one}");
        assert_eq!(schema.json, ask(&plane, "GET", &format!("/schema/{many}"), "").await.json, "{one}");
    }
}

#[tokio::test]
async fn a_resource_can_be_tried_out_without_being_written() {
    let plane = Plane::new().await;
    for (resource, body) in [
        ("routes", r#"{"uri": "/a", "upstream_id": "not yet there"}"#.replace("not yet there", "u")),
        ("services", "{}".to_owned()),
        ("upstreams", r#"{"nodes": {"a:1": 1}}"#.to_owned()),
        ("consumers", r#"{"username": "ann"}"#.to_owned()),
        ("global_rules", r#"{"plugins": {}}"#.to_owned()),
    ] {
        let taken = ask(&plane, "POST", &format!("/schema/validate/{resource}"), &body).await;
        assert_eq!((taken.status, &taken.json), (StatusCode::OK, &json!(null)), "{resource}");
        if resource != "consumers" {
            assert_eq!(ask(&plane, "GET", &format!("/{resource}"), "").await.json["total"], 0);
        }
    }
    for (resource, body, status, expected) in [
        ("routes", r#"{"plugins": {}}"#, StatusCode::BAD_REQUEST, "property \"uri\": is required"),
        ("consumers", "{}", StatusCode::BAD_REQUEST, "property \"username\": is required"),
        ("routes", "", StatusCode::BAD_REQUEST, "missing configurations"),
        ("nope", "{}", StatusCode::NOT_FOUND, "Unsupported resource type: nope"),
    ] {
        let refused = ask(&plane, "POST", &format!("/schema/validate/{resource}"), body).await;
        assert_eq!(refused.status, status, "{resource} {body}");
        assert!(refused.json["error_msg"].as_str().unwrap().contains(expected), "{refused:?}");
    }
    let get = ask(&plane, "GET", "/schema/validate/routes", "").await;
    assert_eq!(get.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_whole_configuration_can_be_tried_out() {
    let plane = Plane::new().await;
    let good = json!({
        "routes_conf_version": 1,
        "routes": [{"id": 1, "uri": "/a", "upstream_id": "u"}],
        "upstreams": [{"id": "u", "nodes": {"a:1": 1}}],
        "consumers": [{"username": "ann"}],
    });
    let taken = ask(&plane, "POST", "/configs/validate", &good.to_string()).await;
    assert_eq!(taken.status, StatusCode::OK, "{taken:?}");
    let bad = json!({
        "routes": [{"id": "1", "uri": "/a", "plugins": {}}, {"id": "2", "plugins": {}}, {"uri": "/b", "plugins": {}}],
        "nope": [],
    });
    let refused = ask(&plane, "POST", "/configs/validate", &bad.to_string()).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let errors = refused.json["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert_eq!(
        (&errors[0]["resource_type"], &errors[0]["index"], &errors[0]["resource_id"]),
        (&json!("routes"), &json!(1), &json!("2"))
    );
    let dangling = json!({"routes": [{"id": "1", "uri": "/a", "service_id": "s"}]});
    let refused = ask(&plane, "POST", "/configs/validate", &dangling.to_string()).await;
    assert!(refused.json["errors"][0]["error"].as_str().unwrap().contains("service id [s]"), "{refused:?}");
}
