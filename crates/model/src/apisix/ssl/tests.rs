use serde_json::json;

use super::*;

fn parse(json: &Value) -> Result<Ssl, Invalid> {
    Ssl::parse(ResourceId::parse("1").unwrap(), json)
}

/// PEM whose bytes are not looked into here.
fn certificate() -> String {
    "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n".to_owned()
}

fn key() -> String {
    "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n".to_owned()
}

fn with(fields: &Value) -> Value {
    let mut json = json!({"sni": "a.example", "cert": certificate(), "key": key()});
    for (name, value) in fields.as_object().unwrap() {
        match value {
            Value::Null => json.as_object_mut().unwrap().remove(name),
            value => json.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    json
}

#[test]
fn names_are_in_lower_case_and_without_the_dot_of_the_root() {
    let ssl = parse(&with(&json!({"sni": null, "snis": ["A.Example.", "*.Example", "*"]}))).unwrap();
    assert_eq!(ssl.names, ["a.example", "*.example", "*"]);
}

#[test]
fn what_is_wrong_is_named_by_its_field() {
    let cases = [
        (json!({"sni": null}), "sni"),
        (json!({"snis": ["b"]}), "sni"),
        (json!({"sni": "a b"}), "sni"),
        (json!({"sni": "*a.example"}), "sni"),
        (json!({"sni": null, "snis": []}), "snis"),
        (json!({"cert": "none"}), "cert"),
        (json!({"key": "canary"}), "key"),
        (json!({"key": certificate()}), "key"),
        (json!({"certs": [certificate()]}), "keys"),
        (json!({"certs": ["none"], "keys": [key()]}), "certs[0]"),
        (json!({"client": {"ca": "none"}}), "client.ca"),
        (
            json!({"client": {"ca": certificate(), "skip_mtls_uri_regex": ["("]}}),
            "client.skip_mtls_uri_regex[0]",
        ),
        (json!({"ssl_protocols": ["TLSv1.1"]}), "ssl_protocols"),
        (json!({"ssl_protocols": ["SSLv3"]}), "ssl_protocols[0]"),
        (json!({"status": 2}), "status"),
        (json!({"type": "both"}), "type"),
    ];
    for (fields, field) in cases {
        let error = parse(&with(&fields)).unwrap_err();
        assert_eq!(error.field, field, "{fields}: {error}");
        assert!(!error.problem.contains("canary"), "{error}");
    }
}

#[test]
fn a_certificate_for_upstreams_needs_no_name() {
    let ssl = parse(&with(&json!({"sni": null, "type": "client"}))).unwrap();
    assert_eq!(ssl.role, SslRole::Client);
}

#[test]
fn a_reference_is_taken_where_a_text_may_stand_and_looked_into_when_it_is_resolved() {
    let ssl =
        parse(&with(&json!({"key": "{vault://env/key}", "client": {"ca": "{vault://env/ca}"}}))).unwrap();
    let texts: Vec<&str> = ssl.texts().collect();
    assert_eq!(texts, [certificate().as_str(), "{vault://env/key}", "{vault://env/ca}"]);
    let resolved = ssl.with_texts([certificate().as_str(), key().as_str(), certificate().as_str()]).unwrap();
    assert_eq!(resolved.pairs[0].key.expose(), key());
    let error = ssl.with_texts([certificate().as_str(), "canary", certificate().as_str()]).unwrap_err();
    assert_eq!(error.field, "key");
}

#[test]
fn a_key_is_never_shown() {
    let ssl = parse(&with(&json!({}))).unwrap();
    assert!(!format!("{ssl:?}").contains("PRIVATE"));
}
