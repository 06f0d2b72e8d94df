use proptest::prelude::*;
use serde_json::json;

use super::*;

fn route(apikey: &str) -> Value {
    json!({"uri": "/a", "plugins": {"aws-lambda": {"authorization": {"apikey": apikey}}}})
}

#[test]
fn a_secret_is_hidden_and_a_reference_is_not() {
    let mut secret = route("canary");
    hide(Kind::Routes, "1", &mut secret);
    assert_eq!(secret, route(MASK));
    let mut reference = route("{vault://aws/a}");
    hide(Kind::Routes, "1", &mut reference);
    assert_eq!(reference, route("{vault://aws/a}"));
}

#[test]
fn secrets_are_hidden_wherever_they_stand() {
    let tls = |key: &str| {
        json!({
            "tls": {"client_cert": "c", "client_key": key},
            "checks": {"active": {"http_path": "/up", "req_headers": [key, key]}},
        })
    };
    let nested = |key: &str| json!({"upstream": tls(key)});
    for kind in [
        Kind::Services,
        Kind::GlobalRules,
        Kind::PluginConfigs,
        Kind::ConsumerGroups,
        Kind::Consumers,
        Kind::Credentials,
    ] {
        let mut json = route("canary");
        hide(kind, "1", &mut json);
        assert_eq!(json, route(MASK), "{kind:?}");
    }
    for (kind, mut json, hidden) in [
        (Kind::Upstreams, tls("canary"), tls(MASK)),
        (Kind::Services, nested("canary"), nested(MASK)),
        (Kind::Routes, nested("canary"), nested(MASK)),
        (
            Kind::Ssls,
            json!({"cert": "c", "key": "canary", "keys": ["canary"], "certs": ["c"]}),
            json!({"cert": "c", "certs": ["c"]}),
        ),
        (
            Kind::Routes,
            json!({"plugins": {"of/old": {"a~b": ["canary", 1], "c": true}}}),
            json!({"plugins": {"of/old": {"a~b": [MASK, 1], "c": true}}}),
        ),
    ] {
        hide(kind, "1", &mut json);
        assert_eq!(json, hidden, "{kind:?}");
    }
}

#[test]
fn what_was_read_can_be_written_back_without_losing_the_secret() {
    let mut read = route(MASK);
    assert!(restore(Kind::Routes, "1", &mut read, Some(&route("canary"))).is_ok());
    assert_eq!(read, route("canary"));
    let mut ssl = json!({"key": MASK, "keys": [MASK, "new"]});
    assert!(restore(Kind::Ssls, "1", &mut ssl, Some(&json!({"key": "a", "keys": ["b", "c"]}))).is_ok());
    assert_eq!(ssl, json!({"key": "a", "keys": ["b", "new"]}));
    assert!(restore(Kind::Routes, "1", &mut route(MASK), None).is_err());
    assert!(restore(Kind::Routes, "1", &mut route(MASK), Some(&json!({"uri": "/a"}))).is_err());
}

proptest! {
    #[test]
    fn hiding_and_writing_back_gives_the_same_resource(
        apikey in prop::option::of("[a-z*]{0,4}"),
        secretkey in prop::option::of("([a-z]{0,4})|(\\{vault://aws/[a-z]\\})"),
        client_key in prop::option::of("[a-z]{0,4}"),
    ) {
        let mut resource = json!({"uri": "/a", "plugins": {"aws-lambda": {"authorization": {"iam": {}}}}, "upstream": {"tls": {}}});
        let authorization = &mut resource["plugins"]["aws-lambda"]["authorization"];
        if let Some(apikey) = apikey { authorization["apikey"] = apikey.into(); }
        if let Some(secretkey) = secretkey { authorization["iam"]["secretkey"] = secretkey.into(); }
        if let Some(client_key) = client_key { resource["upstream"]["tls"]["client_key"] = client_key.into(); }
        let mut shown = resource.clone();
        hide(Kind::Routes, "1", &mut shown);
        prop_assert!(restore(Kind::Routes, "1", &mut shown, Some(&resource)).is_ok());
        prop_assert_eq!(shown, resource);
    }
}

#[test]
fn a_pattern_stands_for_each_field_that_there_is() {
    let json = json!({"collector": {"request_headers": {"a/b": "x", "c": {"d": "y"}}, "address": "z"}});
    let of = |pattern| {
        let mut pointers = Vec::new();
        fields(pattern, &json, String::new(), &mut pointers);
        pointers
    };
    assert_eq!(
        of("/collector/request_headers/*"),
        ["/collector/request_headers/a~1b", "/collector/request_headers/c"]
    );
    assert_eq!(of("/collector/*/c/d"), ["/collector/request_headers/c/d"]);
    assert_eq!(of("/collector/address"), ["/collector/address"]);
    assert!(of("/nobody/*").is_empty());
}
