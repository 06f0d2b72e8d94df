use gateward_model::apisix::Kind;
use serde_json::{Value, json};

use super::*;

fn fault(kind: Kind, id: &str, json: &Value) -> String {
    match check(kind, id, json) {
        Ok(_) => panic!("{json} is taken"),
        Err(fault) => fault.to_string(),
    }
}

#[test]
fn what_is_wrong_names_the_field_or_the_plugin() {
    let lambda = |settings: Value| json!({"uri": "/a", "plugins": {"aws-lambda": settings}});
    let cases = [
        (Kind::Routes, json!({"uri": "/a", "plugins": {}, "nope": 1}), "unknown field `nope`"),
        (Kind::Routes, json!({"uri": "/a", "plugins": {"nope": {}}}), "unknown plugin [nope]"),
        (
            Kind::Routes,
            lambda(json!({"timeout": 3000})),
            "of plugin aws-lambda err: property \"function_uri\": is required",
        ),
        (
            Kind::Routes,
            json!({"uri": "/a", "plugins": {}, "vars": [["arg_a", "is", "1"]]}),
            "property \"vars",
        ),
        (Kind::Services, json!({"plugins": {"nope": {}}}), "unknown plugin [nope]"),
        (Kind::Upstreams, json!({"type": "roundrobin"}), "property \"nodes\""),
        (
            Kind::Upstreams,
            json!({"nodes": {"a:1": 1}, "checks": {"active": {"http_path": "a b"}}}),
            "property \"checks.active.http_path\"",
        ),
        (
            Kind::Services,
            json!({"upstream": {"nodes": {"a:1": 1}, "tls": {"ca": "no PEM"}}}),
            "property \"upstream.tls.ca\"",
        ),
        (
            Kind::Routes,
            json!({"uri": "/a", "upstream": {
                "nodes": {"a:1": 1}, "scheme": "https", "pass_host": "rewrite", "upstream_host": "a..b"}}),
            "property \"upstream.upstream_host\"",
        ),
        (Kind::GlobalRules, json!({}), "property \"plugins\": is required"),
        (Kind::PluginConfigs, json!({"plugins": {"nope": {}}}), "unknown plugin [nope]"),
        (Kind::ConsumerGroups, json!({"plugins": 7}), "property \"plugins\""),
        (Kind::Consumers, json!({"username": "2"}), "property \"username\": is not the one in the path"),
        (Kind::Consumers, json!({"username": "a b"}), "property \"username\""),
        (Kind::PluginMetadata, json!({}), "unknown plugin [1]"),
        (Kind::Ssls, json!({"cert": "x", "key": "y", "sni": "a"}), "property \"cert\""),
    ];
    for (kind, json, expected) in cases {
        let message = fault(kind, "1", &json);
        assert!(message.contains(expected), "{json}: {message}");
    }
}

#[test]
fn the_meta_of_a_plugin_is_checked_too() {
    let route = |meta: Value| json!({"uri": "/a", "plugins": {"aws-lambda": {"function_uri": "http://x/", "_meta": meta}}});
    assert!(check(Kind::Routes, "1", &route(json!({"error_response": {"message": "no"}}))).is_ok());
    for (meta, field) in [
        (json!({"error_response": 7}), "_meta.error_response"),
        (json!({"error_response": "{vault://env/a}"}), "_meta.error_response"),
        (json!({"filter": [["arg_a", "==", "{vault://env/a}"]]}), "_meta.filter"),
        (json!({"filter": [["arg_a", "is", "1"]]}), "_meta.filter"),
    ] {
        let message = fault(Kind::Routes, "1", &route(meta));
        assert!(message.contains(field), "{message}");
    }
}

#[test]
fn a_reference_stands_where_a_secret_may_and_nowhere_else() {
    let reference = "{vault://env/a}";
    let upstream = |field: &str| json!({"nodes": {"a:1": 1}, "pass_host": "rewrite", "upstream_host": field});
    for text in [reference, "x-{vault://env/a}.{vault://env/b}"] {
        assert!(check(Kind::Upstreams, "1", &upstream(text)).is_ok());
    }
    for (kind, json, field) in [
        (Kind::Routes, json!({"uri": format!("/{reference}"), "plugins": {}}), "uri"),
        (Kind::Routes, json!({"uri": "/a", "name": reference, "plugins": {}}), "name"),
        (Kind::Routes, json!({"uri": "/a", "vars": [["arg_a", "==", reference]], "plugins": {}}), "vars"),
        (Kind::Upstreams, upstream("{vault://}"), "upstream_host"),
        (Kind::Upstreams, upstream("x{vault://env/a"), "upstream_host"),
        (
            Kind::Upstreams,
            json!({"nodes": [{"host": "a", "weight": 1}], "tls": {
            "client_cert": "$ENV://canary", "client_key": reference}}),
            "tls.client_cert",
        ),
        (Kind::Services, json!({"upstream": upstream("{vault://}")}), "upstream.upstream_host"),
    ] {
        let message = fault(kind, "1", &json);
        assert!(message.contains(&format!("property \"{field}")), "{json}: {message}");
        assert!(!message.contains("canary"), "{message}");
    }
}

#[test]
fn everything_that_must_exist_is_named() {
    let links = |kind: Kind, json: Value| -> Vec<(&'static str, Kind, String)> {
        let links = check(kind, "1", &json).unwrap().links;
        links.into_iter().map(|link| (link.field, link.kind, link.id.as_str().to_owned())).collect()
    };
    let route = json!({"uri": "/a", "upstream_id": 7, "service_id": "s", "plugin_config_id": "p"});
    assert_eq!(
        links(Kind::Routes, route),
        [
            ("service_id", Kind::Services, "s".to_owned()),
            ("plugin_config_id", Kind::PluginConfigs, "p".to_owned()),
            ("upstream_id", Kind::Upstreams, "7".to_owned()),
        ]
    );
    let tls = json!({"scheme": "https", "nodes": {"a:1": 1}, "tls": {"client_cert_id": "c"}});
    assert_eq!(links(Kind::Upstreams, tls.clone()), [("tls.client_cert_id", Kind::Ssls, "c".to_owned())]);
    assert_eq!(
        links(Kind::Services, json!({"upstream": tls})),
        [("upstream.tls.client_cert_id", Kind::Ssls, "c".to_owned())]
    );
    assert_eq!(
        links(Kind::Consumers, json!({"username": "1", "group_id": "g"})),
        [("group_id", Kind::ConsumerGroups, "g".to_owned())]
    );
}

#[test]
fn a_whole_configuration_is_taken_if_its_parts_go_together() {
    let upstream = json!({"nodes": {"a:1": 1}});
    let route = json!({"uri": "/a", "upstream_id": "u"});
    let route = Resource { kind: Kind::Routes, id: "1", json: &route };
    let upstream = Resource { kind: Kind::Upstreams, id: "u", json: &upstream };
    assert_eq!(check_all(&[route, upstream], None), []);
    let faults =
        check_all(&[upstream, Resource { kind: Kind::Upstreams, id: "v", ..upstream }, route, route], None);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!((faults[0].0, faults[0].1.to_string().contains("another route")), (3, true));
    let other = Resource { id: "2", ..route };
    let mut faults = check_all(&[route, other], None);
    assert_eq!(faults.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 1], "each is told");
    let (_, fault) = faults.remove(0);
    assert_eq!(
        fault.into_invalid().to_string(),
        "property \"upstream_id\": upstream \"u\" does not exist; create it, or drop upstream_id"
    );
}

#[test]
fn what_a_consumer_shows_is_its_own() {
    let ann = json!({"username": "ann", "plugins": {"key-auth": {"key": "canary"}}});
    let credential = json!({"plugins": {"key-auth": {"key": "canary"}}});
    let referring = json!({"username": "cid", "plugins": {"key-auth": {"key": "{vault://env/a}"}}});
    let resources = [
        Resource { kind: Kind::Consumers, id: "ann", json: &ann },
        Resource { kind: Kind::Consumers, id: "cid", json: &referring },
        Resource { kind: Kind::Credentials, id: "cid/1", json: &credential },
    ];
    assert!(check(Kind::Consumers, "cid", &referring).unwrap().shown.is_empty());
    let faults = check_all(&resources, None);
    let [(2, fault)] = &faults[..] else { panic!("{faults:?}") };
    assert_eq!(
        fault.to_string(),
        "duplicate key found with consumer: ann; what a consumer shows to key-auth must be its own"
    );
}

#[test]
fn a_reference_may_stand_where_a_number_is_wanted_and_each_vault_that_is_named_must_exist() {
    let reference = "{vault://team/a}";
    let route = json!({"uri": "/a", "desc": "{vault://people/a}", "plugins": {"aws-lambda": {
        "function_uri": "http://x/{vault://other/b}/", "timeout": reference, "ssl_verify": reference}}});
    let sound = check(Kind::Routes, "1", &route).unwrap();
    assert_eq!(sound.vaults.iter().map(String::as_str).collect::<Vec<_>>(), ["other", "team"]);
    let resource = Resource { kind: Kind::Routes, id: "1", json: &route };
    let known = |names: &[&'static str]| check_all(&[resource], Some(&names.iter().copied().collect()));
    assert_eq!(known(&["team", "other"]), []);
    let faults = known(&["team"]);
    assert!(faults[0].1.to_string().starts_with("the vault \"other\" that a reference names does not exist"));
    let inside = json!({"uri": "/a", "plugins": {"aws-lambda": {
        "function_uri": "http://x/", "timeout": "1{vault://team/a}"}}});
    assert!(fault(Kind::Routes, "1", &inside).contains("timeout"));
}
