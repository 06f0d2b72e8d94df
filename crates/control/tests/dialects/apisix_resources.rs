//! What becomes of resources: each kind with its methods, what goes with it, and what stands in its way.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateward_control::Surface;
use gateward_model::apisix::Kind;
use gateward_proxy::declarative::Declared;
use gateward_store::{Change, Key, Precondition, Write};
use http::StatusCode;
use serde_json::json;
use tokio::sync::watch;

use crate::apisix::ask;
use crate::{Answer, JSON, Plane};

/// Each kind of resource: where one is written, what it says, and which of POST and PATCH there are.
const KINDS: &[(&str, &str, &str, bool, bool)] = &[
    ("route", "/routes/a", r#"{"uri": "/a", "plugins": {}}"#, true, true),
    ("service", "/services/a", r#"{"plugins": {}}"#, true, true),
    ("upstream", "/upstreams/a", r#"{"nodes": {"a:1": 1}}"#, true, true),
    ("consumer", "/consumers/a", r#"{"username": "a"}"#, false, false),
    ("global rule", "/global_rules/a", r#"{"plugins": {}}"#, false, true),
    ("plugin config", "/plugin_configs/a", r#"{"plugins": {}}"#, false, true),
    ("consumer group", "/consumer_groups/a", r#"{"plugins": {}}"#, false, true),
];

pub(crate) fn message(answer: &Answer) -> &str {
    answer.json["error_msg"].as_str().unwrap_or_default()
}

pub(crate) async fn status(plane: &Plane, method: &str, path: &str, body: &str) -> StatusCode {
    ask(plane, method, path, body).await.status
}

#[tokio::test]
async fn every_kind_has_its_methods_and_no_others() {
    let plane = Plane::new().await;
    for (kind, path, body, has_post, has_patch) in KINDS {
        let collection = path.trim_end_matches("/a");
        let created = ask(&plane, "PUT", path, body).await;
        assert_eq!(created.status, StatusCode::CREATED, "{kind}: {created:?}");
        assert_eq!(created.json["key"], format!("/apisix{path}"), "{kind}");
        assert_eq!(status(&plane, "PUT", path, body).await, StatusCode::OK, "{kind}");
        assert_eq!(ask(&plane, "GET", collection, "").await.json["total"], 1, "{kind}");
        assert_eq!(ask(&plane, "GET", path, "").await.json["key"], format!("/apisix{path}"), "{kind}");

        for (method, path, body, has, done) in [
            ("POST", collection, *body, *has_post, StatusCode::CREATED),
            ("PATCH", path, r#"{"desc": "x"}"#, *has_patch, StatusCode::OK),
        ] {
            let answer = ask(&plane, method, path, body).await;
            if *has_post || method != "POST" {
                assert_eq!(answer.status == done, has, "{method} {path}: {answer:?}");
            }
            if !has {
                assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
                assert_eq!(message(&answer), format!("not supported `{method}` method for {kind}"));
            }
        }
        let deleted = ask(&plane, "DELETE", path, "").await;
        assert_eq!(deleted.json, json!({"deleted": "1", "key": format!("/apisix{path}")}), "{kind}");
        for method in ["GET", "DELETE"] {
            let missing = ask(&plane, method, path, "").await;
            assert_eq!(
                (missing.status, &missing.json),
                (StatusCode::NOT_FOUND, &json!({"message": "Key not found"}))
            );
        }
        let no_id = ask(&plane, "DELETE", collection, "").await;
        assert_eq!(no_id.status, StatusCode::BAD_REQUEST, "{kind}");
    }
}

#[tokio::test]
async fn a_posted_resource_gets_an_id_of_its_own() {
    let plane = Plane::new().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let created = ask(&plane, "POST", "/routes", r#"{"uri": "/a", "plugins": {}}"#).await;
        assert_eq!(created.status, StatusCode::CREATED);
        let id = created.json["value"]["id"].as_str().unwrap().to_owned();
        assert!(id.len() == 20 && id.bytes().all(|byte| byte.is_ascii_digit()), "{id}");
        assert_eq!(created.json["key"], format!("/apisix/routes/{id}"));
        ids.push(id);
    }
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    for (path, body) in [
        ("/routes", r#"{"id": "1", "uri": "/a", "plugins": {}}"#),
        ("/routes/1", r#"{"uri": "/a", "plugins": {}}"#),
    ] {
        assert_eq!(
            message(&ask(&plane, "POST", path, body).await),
            "wrong route id, do not need it",
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_nothing_else() {
    let plane = Plane::new().await;
    let route = r#"{"id": 7, "uri": "/a", "labels": {"x": "1", "y": "2"}, "upstream": {"nodes": {"a:1": 1, "b:1": 1}}}"#;
    ask(&plane, "PUT", "/routes", route).await;
    plane.clock.advance(Duration::from_secs(5));
    let patch = r#"{"desc": "d", "labels": {"x": null, "z": "3"}, "upstream": {"nodes": {"a:1": null}}}"#;
    let patched = ask(&plane, "PATCH", "/routes/7", patch).await;
    assert_eq!(patched.status, StatusCode::OK);
    assert_eq!(
        patched.json["value"],
        json!({
            "id": 7, "uri": "/a", "labels": {"y": "2", "z": "3"}, "upstream": {"nodes": {"b:1": 1}}, "desc": "d",
            "create_time": 1_700_000_000, "update_time": 1_700_000_005,
        })
    );
    let nodes = ask(&plane, "PATCH", "/routes/7/upstream/nodes", r#"{"c:1": 1}"#).await;
    assert_eq!(nodes.json["value"]["upstream"]["nodes"], json!({"c:1": 1}));
    let text = ask(&plane, "PATCH", "/routes/7/uri", r#""/b""#).await;
    assert_eq!(text.json["value"]["uri"], "/b");

    for (path, patch, expected) in [
        ("/routes/7", r#"{"uri": null}"#, "property \"uri\": is required"),
        ("/routes/7", r#"{"id": "8"}"#, "wrong route id"),
        ("/routes/7", "[]", "a patch of the whole resource is a JSON object"),
        ("/routes/7", "", "missing configurations"),
        ("/routes/7/uri/x", "1", "invalid sub-path: /uri"),
        ("/routes/7/upstream/nodes", r#"{"c": "canary"}"#, "upstream.nodes"),
    ] {
        let refused = ask(&plane, "PATCH", path, patch).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path} {patch}");
        assert!(message(&refused).contains(expected), "{path} {patch}: {refused:?}");
    }
    assert_eq!(status(&plane, "PATCH", "/routes/8", "{}").await, StatusCode::NOT_FOUND);
    assert_eq!(status(&plane, "PUT", "/routes/7/uri", "{}").await, StatusCode::NOT_FOUND);
    assert_eq!(ask(&plane, "GET", "/routes/7", "").await.json["value"], text.json["value"]);
}

#[tokio::test]
async fn a_masked_secret_survives_a_put_and_a_patch() {
    let plane = Plane::new().await;
    let rule = |apikey: &str, uri: &str| {
        json!({"plugins": {"aws-lambda": {"function_uri": uri, "authorization": {"apikey": apikey}}}})
            .to_string()
    };
    for path in ["/global_rules/1", "/plugin_configs/1", "/consumer_groups/1", "/services/1"] {
        ask(&plane, "PUT", path, &rule("canary", "http://x/")).await;
        for (method, path, body) in [
            ("PUT", path, rule("***", "http://y/")),
            ("PATCH", path, rule("***", "http://z/")),
            ("PATCH", &format!("{path}/plugins/aws-lambda/authorization"), r#"{"apikey": "***"}"#.to_owned()),
        ] {
            if method == "PATCH" && path.starts_with("/consumers") {
                continue;
            }
            let answer = ask(&plane, method, path, &body).await;
            assert_eq!(answer.status, StatusCode::OK, "{method} {path}: {answer:?}");
        }
        assert_eq!(
            status(&plane, "PUT", &path.replace('1', "2"), &rule("***", "http://x/")).await,
            StatusCode::BAD_REQUEST
        );
    }
}

#[tokio::test]
async fn what_is_referred_to_must_exist_and_stays_while_it_is() {
    let plane = Plane::new().await;
    let cases = [
        (
            "/upstreams/x",
            r#"{"nodes": {"a:1": 1}}"#,
            "/routes/r",
            r#"{"uri": "/a", "upstream_id": "x"}"#,
            "upstream",
            "upstream, route",
        ),
        (
            "/upstreams/x",
            r#"{"nodes": {"a:1": 1}}"#,
            "/services/r",
            r#"{"upstream_id": "x"}"#,
            "upstream",
            "upstream, service",
        ),
        (
            "/services/x",
            r#"{"plugins": {}}"#,
            "/routes/r",
            r#"{"uri": "/a", "service_id": "x"}"#,
            "service",
            "service directly, route",
        ),
        (
            "/plugin_configs/x",
            r#"{"plugins": {}}"#,
            "/routes/r",
            r#"{"uri": "/a", "plugin_config_id": "x"}"#,
            "plugin config",
            "plugin config, route",
        ),
        (
            "/consumer_groups/x",
            r#"{"plugins": {}}"#,
            "/consumers/r",
            r#"{"username": "r", "group_id": "x"}"#,
            "consumer group",
            "consumer group, consumer",
        ),
    ];
    for (target, body, user, using, what, words) in cases {
        let dangling = ask(&plane, "PUT", user, using).await;
        assert_eq!(dangling.status, StatusCode::BAD_REQUEST, "{user}");
        let expected = format!("failed to fetch {what} info by {what} id [x], response code: 404");
        assert!(message(&dangling).starts_with(&expected), "{dangling:?}");
        assert_eq!(status(&plane, "GET", user, "").await, StatusCode::NOT_FOUND);

        ask(&plane, "PUT", target, body).await;
        assert_eq!(status(&plane, "PUT", user, using).await, StatusCode::CREATED, "{user}");
        for force in ["", "?force=1", "?force=TRUE"] {
            let refused = ask(&plane, "DELETE", &format!("{target}{force}"), "").await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{target}{force}");
            assert_eq!(message(&refused), format!("can not delete this {words} [r] is still using it now"));
        }
        assert_eq!(status(&plane, "DELETE", &format!("{target}?force=true"), "").await, StatusCode::OK);
        assert_eq!(status(&plane, "DELETE", user, "").await, StatusCode::OK);
    }
    let tls = r#"{"scheme": "https", "nodes": {"a:1": 1}, "tls": {"client_cert_id": "x"}}"#;
    let dangling = ask(&plane, "PUT", "/upstreams/1", tls).await;
    assert!(message(&dangling).starts_with("failed to fetch ssl info by ssl id [x]"), "{dangling:?}");
}

#[tokio::test]
async fn a_resource_with_a_ttl_goes_when_its_time_is_over() {
    let plane = Plane::new().await;
    let route = r#"{"uri": "/a", "plugins": {}}"#;
    for path in [
        "/routes/short?ttl=60",
        "/routes/long?ttl=90",
        "/routes/kept?ttl=60",
        "/routes/again?ttl=60",
        "/routes/patched?ttl=60",
    ] {
        assert_eq!(status(&plane, "PUT", path, route).await, StatusCode::CREATED);
    }
    let posted = ask(&plane, "POST", "/routes?ttl=60", route).await;
    let posted = posted.json["key"].as_str().unwrap().trim_start_matches("/apisix").to_owned();
    // Whoever writes it again says anew for how long.
    ask(&plane, "PUT", "/routes/kept", route).await;
    ask(&plane, "DELETE", "/routes/again", "").await;
    ask(&plane, "PUT", "/routes/again", route).await;
    ask(&plane, "PATCH", "/routes/patched?ttl=120", "{}").await;
    for text in ["x", "", "0", "-1", "nan"] {
        let refused = ask(&plane, "PUT", &format!("/routes/1?ttl={text}"), route).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{text}");
        assert!(message(&refused).starts_with("invalid argument ttl: should be"), "{refused:?}");
    }
    plane.clock.advance(Duration::from_millis(59_999));
    assert_eq!(status(&plane, "GET", "/routes/short", "").await, StatusCode::OK);
    plane.clock.advance(Duration::from_millis(1));
    plane.gone("routes", "short").await;
    plane.gone("routes", posted.trim_start_matches("/routes/")).await;
    for path in ["/routes/long", "/routes/kept", "/routes/again", "/routes/patched"] {
        assert_eq!(status(&plane, "GET", path, "").await, StatusCode::OK, "{path}");
    }
    plane.clock.advance(Duration::from_secs(60));
    plane.gone("routes", "long").await;
    plane.gone("routes", "patched").await;
    assert_eq!(ask(&plane, "GET", "/routes", "").await.json["total"], 2);
    let left = plane.store.list("expiries", (Bound::Unbounded, Bound::Unbounded), 10).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn what_cannot_be_opened_is_named_and_can_be_replaced_or_deleted() {
    let plane = Plane::new().await;
    let broken = |partition: &str, sort: &str| Write {
        key: Key { partition: partition.to_owned(), sort: sort.to_owned() },
        precondition: Precondition::Any,
        change: Change::Put(Bytes::from_static(b"canary")),
    };
    plane
        .store
        .commit(vec![
            broken("routes", "1"),
            broken("routes", "2"),
            broken("consumers", "ann"),
            broken("credentials", "ann/1"),
            broken("vaults", "demo"),
        ])
        .await
        .unwrap();
    for (method, path) in [("GET", "/routes/1"), ("PATCH", "/routes/1")] {
        let answer = ask(&plane, method, path, "{}").await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{method}");
        assert!(message(&answer).contains("what is stored as routes 1 cannot be opened"), "{answer:?}");
    }
    let route = r#"{"uri": "/a", "plugins": {}}"#;
    assert_eq!(status(&plane, "PUT", "/routes/1", route).await, StatusCode::OK);
    assert_eq!(ask(&plane, "GET", "/routes/1", "").await.json["value"]["uri"], "/a");
    assert_eq!(ask(&plane, "GET", "/routes", "").await.json["total"], 1);
    assert_eq!(status(&plane, "DELETE", "/routes/2", "").await, StatusCode::OK);
    assert_eq!(status(&plane, "DELETE", "/consumers/ann", "").await, StatusCode::OK);
    for (method, status) in [("GET", 503), ("PUT", 200), ("GET", 200), ("DELETE", 204)] {
        let vault = plane.ask(Surface::KongOpen, method, "/vaults/demo", &[JSON], r#"{"name": "env"}"#).await;
        assert_eq!(vault.status.as_u16(), status, "{method}: {vault:?}");
    }
    let left = plane.store.list("credentials", (Bound::Unbounded, Bound::Unbounded), 10).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn what_stands_in_a_declarative_file_is_read_and_not_written() {
    let route = json!({"id": "1", "uri": "/file", "plugins": {}});
    let declared = Declared { resources: vec![(Kind::Routes, "1".to_owned(), route)], vaults: None };
    let (file, declared) = watch::channel(Arc::new(declared));
    let plane = Plane::with(declared).await;
    assert_eq!(ask(&plane, "GET", "/routes", "").await.json["total"], 1);
    assert_eq!(ask(&plane, "GET", "/routes/1", "").await.json["value"]["uri"], "/file");
    for (method, path) in
        [("PUT", "/routes/1"), ("POST", "/routes"), ("PATCH", "/routes/1"), ("DELETE", "/routes/1")]
    {
        let refused = ask(&plane, method, path, r#"{"uri": "/a", "plugins": {}}"#).await;
        assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert!(message(&refused).contains("declarative file"), "{refused:?}");
    }
    // Vaults are not the file's while it says nothing of them.
    let vault = plane.ask(Surface::KongOpen, "PUT", "/vaults/demo", &[JSON], r#"{"name": "env"}"#).await;
    assert_eq!(vault.status, StatusCode::OK);
    file.send_replace(Arc::new(Declared { resources: Vec::new(), vaults: Some(Vec::new()) }));
    assert_eq!(ask(&plane, "GET", "/routes", "").await.json["total"], 0);
    let vault = plane.ask(Surface::KongOpen, "PUT", "/vaults/demo", &[JSON], r#"{"name": "env"}"#).await;
    assert_eq!(vault.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(vault.json["message"].as_str().unwrap().contains("declarative file"), "{vault:?}");
    let vaults = plane.ask(Surface::KongOpen, "GET", "/vaults", &[], "").await;
    assert_eq!(vaults.json["data"], json!([]));
}

#[tokio::test]
async fn a_certificate_is_taken_with_its_key_and_shown_without() {
    let plane = Plane::new().await;
    let pair = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let (one, other) = (pair("a.example"), pair("b.example"));
    let ssl = |key: String| json!({"cert": one.cert.pem(), "key": key, "snis": ["a.example"]}).to_string();
    let wrong = ask(&plane, "PUT", "/ssls/1", &ssl(other.signing_key.serialize_pem())).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(message(&wrong).contains("property \"key\""), "{wrong:?}");
    assert!(!message(&wrong).contains("PRIVATE"));
    let created = ask(&plane, "PUT", "/ssls/1", &ssl(one.signing_key.serialize_pem())).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    for answer in [
        created,
        ask(&plane, "GET", "/ssls/1", "").await,
        ask(&plane, "PUT", "/ssls/1", &ssl("***".to_owned())).await,
        ask(&plane, "PATCH", "/ssls/1", r#"{"desc": "d"}"#).await,
    ] {
        let value = &answer.json["value"];
        assert!(
            value["cert"].is_string() && value.get("key").is_none() && value.get("keys").is_none(),
            "{answer:?}"
        );
    }
    let client =
        json!({"type": "client", "cert": other.cert.pem(), "key": other.signing_key.serialize_pem()});
    ask(&plane, "PUT", "/ssls/c", &client.to_string()).await;
    let upstream = r#"{"scheme": "https", "nodes": {"a:1": 1}, "tls": {"client_cert_id": "c"}}"#;
    assert_eq!(status(&plane, "PUT", "/upstreams/1", upstream).await, StatusCode::CREATED);
    let used = ask(&plane, "DELETE", "/ssls/c", "").await;
    assert_eq!(message(&used), "can not delete this ssl, upstream [1] is still using it now");
    let own = json!({"uri": "/a", "upstream": {"scheme": "https", "nodes": {"a:1": 1}, "tls": {
        "client_cert": other.cert.pem(), "client_key": other.signing_key.serialize_pem()}}});
    let route = ask(&plane, "PUT", "/routes/1", &own.to_string()).await;
    assert_eq!(route.json["value"]["upstream"]["tls"]["client_key"], "***");
}

#[tokio::test]
async fn metadata_stand_by_their_plugins_name_and_come_back_as_they_were_sent() {
    let plane = Plane::new().await;
    let metadata = json!({"allow_origins": {"one": "https://a.example"}});
    let created = ask(&plane, "PUT", "/plugin_metadata/cors", &metadata.to_string()).await;
    assert_eq!(created.status, StatusCode::CREATED, "{created:?}");
    assert_eq!(created.json, json!({"key": "/apisix/plugin_metadata/cors", "value": metadata}));
    assert_eq!(ask(&plane, "GET", "/plugin_metadata/cors", "").await.json["value"], metadata);
    assert_eq!(ask(&plane, "GET", "/plugin_metadata", "").await.json["total"], 1);
    for (path, body, expected) in [
        ("/plugin_metadata/nope", "{}", "unknown plugin [nope]"),
        ("/plugin_metadata/key-auth", "{}", "the plugin key-auth has no metadata"),
        (
            "/plugin_metadata/cors",
            r#"{"allow_origins": 7}"#,
            "configuration of plugin cors err: property \"allow_origins\"",
        ),
        ("/plugin_metadata/cors", r#"{"id": "key-auth"}"#, "wrong plugin metadata id"),
    ] {
        let refused = ask(&plane, "PUT", path, body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path} {body}");
        assert!(message(&refused).contains(expected), "{refused:?}");
    }
    for (method, path) in [("POST", "/plugin_metadata"), ("PATCH", "/plugin_metadata/cors")] {
        assert_eq!(status(&plane, method, path, "{}").await, StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
    assert_eq!(status(&plane, "DELETE", "/plugin_metadata/cors", "").await, StatusCode::OK);
}
