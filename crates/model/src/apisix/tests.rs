use serde_json::{Value, json};

use super::*;
use crate::Invalid;

fn route(json: &Value) -> Result<Route, Invalid> {
    Route::parse(ResourceId::parse("1").unwrap(), json)
}

#[test]
fn the_last_route_of_the_documents_is_read() {
    let route = route(&json!({
        "uri": "/aws", "plugins": {}, "upstream": {"type": "roundrobin", "nodes": {"127.0.0.1:1980": 1}}
    }))
    .unwrap();
    let Some(RouteUpstream::Own(upstream)) = route.upstream else { panic!("an upstream of its own") };
    assert_eq!(upstream.nodes, [Node { host: "127.0.0.1".to_owned(), port: 1980, weight: 1, priority: 0 }]);
}

#[test]
fn what_is_wrong_is_named_by_its_field() {
    let cases = [
        (json!({"plugins": {}}), "uri"),
        (json!({"uri": "/a", "uris": ["/b"], "plugins": {}}), "uri"),
        (json!({"uri": "/a"}), "upstream"),
        (json!({"uri": "a", "plugins": {}}), "uri"),
        (json!({"uri": "/a*b", "plugins": {}}), "uri"),
        (json!({"uri": "/a", "plugins": {}, "methods": ["GOT"]}), "methods[0]"),
        (json!({"uri": "/a", "plugins": {}, "host": "a b"}), "host"),
        (json!({"uri": "/a", "plugins": {}, "status": 2}), "status"),
        (json!({"uri": "/a", "upstream": {"nodes": {"h:x": 1}}}), "upstream.nodes.h:x"),
        (json!({"uri": "/a", "upstream": {"type": "chash", "nodes": {}}}), "upstream.key"),
        (json!({"uri": "/a", "upstream_id": 0}), "upstream_id"),
        (json!({"uri": "/a", "plugins": {}, "timeout": {"connect": 0, "send": 1, "read": 1}}), "timeout"),
    ];
    for (json, field) in cases {
        assert_eq!(route(&json).unwrap_err().field, field, "{json}");
    }
}

#[test]
fn an_unknown_field_is_refused_by_name() {
    let error = route(&json!({"uri": "/a", "plugins": {}, "uri_regex": "a"})).unwrap_err();
    assert!(error.to_string().contains("uri_regex"), "{error}");
}

#[test]
fn lua_is_refused_with_what_to_do_instead() {
    for field in ["filter_func", "script", "script_id"] {
        let error = route(&json!({"uri": "/a", "plugins": {}, field: "return true"})).unwrap_err();
        assert!(error.field == field && error.problem.contains("vars"), "{error}");
    }
}

#[test]
fn the_meta_of_a_plugin_is_not_its_settings() {
    let meta = json!({"disable": true, "priority": 7});
    let route = route(&json!({"uri": "/a", "plugins": {"cors": {"max_age": 5, "_meta": meta}}})).unwrap();
    let entry = route.plugins.get("cors").unwrap();
    assert_eq!(entry.settings, json!({"max_age": 5}));
    assert!(entry.meta.disable && entry.meta.priority == Some(7));
}

#[test]
fn a_plugins_settings_are_not_printed() {
    let route = route(&json!({"uri": "/a", "plugins": {"key-auth": {"key": "canary"}}})).unwrap();
    assert!(!format!("{route:?}").contains("canary"));
}

#[test]
fn a_credential_has_exactly_one_plugin() {
    let parse = |plugins: Value| {
        let (ann, id) = (ResourceId::parse("ann").unwrap(), ResourceId::parse("1").unwrap());
        Credential::parse(ann, id, &json!({"plugins": plugins}))
    };
    assert!(parse(json!({"key-auth": {"key": "a"}})).is_ok());
    assert!(parse(json!({})).is_err() && parse(json!({"key-auth": {}, "jwt-auth": {}})).is_err());
}

#[test]
fn nodes_may_be_a_list_and_have_ipv6_addresses() {
    let upstream = Upstream::parse(&json!({
        "scheme": "https", "nodes": [{"host": "::1", "weight": 2}, {"host": "a.example", "port": 8443, "weight": 1}]
    }))
    .unwrap();
    assert_eq!(upstream.nodes[0], Node { host: "::1".to_owned(), port: 443, weight: 2, priority: 0 });
    let upstream = Upstream::parse(&json!({"nodes": {"[::1]:80": 1}})).unwrap();
    assert_eq!(upstream.nodes[0].host, "::1");
}
