//! That a reference may stand in every field of every kind of resource but those that the documentation excepts: each field
//! of a whole configuration is replaced by a reference, one at a time, which must be taken, and whose value must make of
//! it what stood there.

use std::collections::HashSet;
use std::sync::Arc;

use gateward_clock::SystemClock;
use gateward_model::apisix::Upstream;
use gateward_plugins::{Shared, Site};
use serde_json::json;
use tokio::runtime::Handle;

use super::*;
use crate::typed;

const REFERENCE: &str = "{vault://env/value}";

/// The pointers to all texts, numbers and booleans in `json`.
fn leaves(json: &Value) -> Vec<String> {
    match json {
        Value::Array(elements) => {
            let inner = |(at, element)| leaves(element).into_iter().map(move |leaf| format!("/{at}{leaf}"));
            elements.iter().enumerate().flat_map(inner).collect()
        }
        Value::Object(fields) => {
            let inner = |(name, field): (&String, &Value)| {
                leaves(field).into_iter().map(move |leaf| format!("/{name}{leaf}")).collect::<Vec<_>>()
            };
            fields.iter().flat_map(inner).collect()
        }
        Value::Null => Vec::new(),
        Value::String(_) | Value::Number(_) | Value::Bool(_) => vec![String::new()],
    }
}

/// `json` with a reference at `place`, and the text of what stood there.
fn referring(json: &Value, place: &str) -> (Value, String) {
    let mut referring = json.clone();
    let stood = std::mem::replace(referring.pointer_mut(place).unwrap(), REFERENCE.into());
    let text = stood.as_str().map_or_else(|| stood.to_string(), str::to_owned);
    (referring, text)
}

/// What `written` becomes with `value` in the place of its reference.
fn filled(written: &Value, value: &str, schema: fn() -> Value) -> Result<Value, Invalid> {
    typed::fill(written, &[value.into()], schema).map(|filled| Value::clone(&filled))
}

/// What went wrong, and where: a test tells all of it.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn unless_ok<T, E: std::fmt::Display>(&mut self, place: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.0.push(format!("{place}: {error}"))).ok()
    }
}

impl Drop for Wrong {
    fn drop(&mut self) {
        assert!(self.0.is_empty() || std::thread::panicking(), "{}", self.0.join("\n"));
    }
}

/// The schemas in `schema` of a text, a number or a boolean that are met on the way to each leaf of `json`.
fn met(schema: &Value, json: &Value, found: &mut HashSet<*const Value>) {
    for part in ["anyOf", "oneOf", "allOf"] {
        schema[part].as_array().into_iter().flatten().for_each(|part| met(part, json, found));
    }
    match json {
        Value::Array(elements) => elements.iter().for_each(|element| met(&schema["items"], element, found)),
        Value::Object(fields) => {
            for (name, field) in fields {
                let named = schema["properties"].get(name);
                let own = named.or_else(|| schema.get("additionalProperties")).unwrap_or(&Value::Null);
                met(own, field, found);
            }
        }
        _ => drop(found.insert(std::ptr::from_ref(schema))),
    }
}

/// The schemas of texts in `schema`, with the way to each.
fn texts_of<'s>(schema: &'s Value, path: &str, found: &mut Vec<(String, &'s Value)>) {
    if schema["type"] == "string" {
        found.push((path.to_owned(), schema));
    }
    for part in ["anyOf", "oneOf", "allOf"] {
        schema[part].as_array().into_iter().flatten().for_each(|part| texts_of(part, path, found));
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        texts_of(field, &format!("{path}.{name}"), found);
    }
    for (mark, part) in [("[]", "items"), (".*", "additionalProperties")] {
        if let Some(inner) = schema.get(part).filter(|inner| inner.is_object()) {
            texts_of(inner, &format!("{path}{mark}"), found);
        }
    }
}

/// Sees that each text of `schema` is met by one of `configurations`.
#[track_caller]
fn is_whole(name: &str, schema: &Value, configurations: &[Value]) {
    let (mut known, mut texts) = (HashSet::new(), Vec::new());
    configurations.iter().for_each(|json| met(schema, json, &mut known));
    texts_of(schema, name, &mut texts);
    for (path, schema) in texts {
        assert!(known.contains(&std::ptr::from_ref(schema)), "{path} is in none of the configurations here");
    }
}

/// Of each plugin configurations that together have all its fields.
fn plugins(name: &str) -> Vec<Value> {
    match name {
        "aws-lambda" => vec![
            json!({
                "function_uri": "https://abc.lambda-url.eu-west-1.on.aws/", "timeout": 3000, "ssl_verify": true,
                "keepalive": true, "keepalive_pool": 5, "keepalive_timeout": 60000, "max_req_body_size": 1000,
                "concurrency": 3,
                "authorization": {"apikey": "k", "iam": {
                    "accesskey": "AKIA", "secretkey": "s$1", "session_token": "t", "aws_region": "eu-west-1",
                    "service": "lambda", "assume_role_arn": "arn:aws:iam::123456789012:role/r",
                    "role_session_name": "kong", "role_external_id": "ext",
                    "sts_endpoint_url": "https://sts.eu-west-1.amazonaws.com",
                }},
            }),
            json!({
                "function_name": "orders", "qualifier": "live", "invocation_type": "RequestResponse",
                "invoke_mode": "BUFFERED", "log_type": "None", "forward_log_result": false, "aws_key": "AKIA",
                "aws_secret": "s", "aws_session_token": "t", "aws_region": "eu-west-1",
                "aws_assume_role_arn": "arn:aws:iam::123456789012:role/r", "aws_role_session_name": "kong",
                "aws_role_external_id": "ext", "aws_sts_endpoint_url": "https://sts.eu-west-1.amazonaws.com",
                "host": "lambda.example", "port": 443, "proxy_url": "http://user:pass@proxy.example:3128", "disable_https": false, "forward_request_method": true,
                "forward_request_uri": true, "forward_request_headers": true, "forward_request_body": true,
                "base64_encode_body": true, "is_proxy_integration": false, "unhandled_status": 500,
                "preserve_lambda_api_error_code": false, "skip_large_bodies": false, "empty_arrays_mode": "correct",
                "aws_imds_protocol_version": "v2",
            }),
            json!({
                "function_name": "orders", "aws_region": "eu-west-1", "awsgateway_compatible": true,
                "awsgateway_compatible_payload_version": "1.0",
            }),
            json!({"function_name": "orders", "aws_region": "eu-west-1", "payload_version": "2.0"}),
        ],
        "cors" => vec![
            json!({
                "allow_origins": "https://a.example", "allow_methods": "GET,PUT", "allow_headers": "x-a",
                "expose_headers": "x-b", "max_age": 60, "allow_credential": true,
                "timing_allow_origins": "https://a.example",
            }),
            json!({
                "allow_origins_by_regex": ["^https://.*$"], "timing_allow_origins_by_regex": ["^https://.*$"],
                "allow_origins_by_metadata": ["partners"],
            }),
        ],
        "fault-injection" => vec![json!({
            "abort": {"http_status": 418, "body": "a $5 note", "headers": {"x-a": "$1", "x-b": 2}, "percentage": 50},
            "delay": {"duration": 0.5, "percentage": 50},
        })],
        "ip-restriction" => vec![
            json!({"whitelist": ["10.0.0.0/8"], "message": "no", "response_code": 404}),
            json!({"blacklist": ["::1"]}),
        ],
        "jwt-auth" => vec![json!({
            "header": "authorization", "query": "jwt", "cookie": "jwt", "hide_credentials": true,
            "key_claim_name": "key", "store_in_ctx": true, "realm": "here", "anonymous_consumer": "nobody",
            "claims_to_verify": ["exp"],
        })],
        "key-auth" => vec![json!({
            "header": "apikey", "query": "apikey", "hide_credentials": true, "realm": "here",
            "anonymous_consumer": "nobody",
        })],
        "limit-count" => vec![
            json!({
                "count": 5, "time_window": "60", "window_type": "sliding", "group": "g", "key": "$arg_a $http_b",
                "key_type": "var_combination", "rejected_code": 429, "rejected_msg": "no", "policy": "local",
                "allow_degradation": false, "show_limit_quota_header": true, "sync_interval": -1,
            }),
            json!({"count": "$arg_count", "time_window": 60, "key": "remote_addr", "key_type": "var"}),
            json!({"rules": [{"count": "5", "time_window": "$arg_window", "key": "$arg_a", "header_prefix": "one"}]}),
        ],
        "opentelemetry" => vec![json!({
            "sampler": {"name": "parent_base", "options": {
                "fraction": 0.5, "root": {"name": "trace_id_ratio", "options": {"fraction": 0.5}},
            }},
            "additional_attributes": ["http_x_a"], "additional_header_prefix_attributes": ["x-"],
        })],
        "prometheus" => vec![json!({"prefer_name": true})],
        "proxy-rewrite" => vec![
            json!({
                "uri": "/a/$arg_a", "method": "PUT", "host": "b.example:81", "use_real_request_uri_unsafe": false,
                "headers": {
                    "add": {"x-a": "$1", "x-b": ["a$", 2]}, "set": {"x-c": "Bearer $x", "x-d": ["$y"]}, "remove": ["x-e"],
                },
            }),
            json!({"regex_uri": ["^/a/(.*)$", "/b/$1"], "headers": {"x-a": "a$1", "x-b": 2}}),
        ],
        "real-ip" => vec![
            json!({"source": "http_x_forwarded_for", "trusted_addresses": ["10.0.0.0/8"], "recursive": true}),
        ],
        "request-id" => vec![json!({
            "header_name": "x-id", "include_in_response": true, "algorithm": "range_id",
            "range_id": {"length": 8, "char_set": "abcdef"},
        })],
        other => panic!("{other} has no configuration here"),
    }
}

#[tokio::test]
async fn a_reference_may_stand_in_every_field_of_every_plugin() {
    let (shared, mut wrong) = (Shared::new(Arc::new(SystemClock), Handle::current()), Wrong::default());
    for kind in gateward_plugins::kinds() {
        let configurations = plugins(kind.name);
        is_whole(kind.name, &(kind.schema)(), &configurations);
        for whole in &configurations {
            for place in leaves(whole) {
                let (written, value) = referring(whole, &place);
                let name = kind.name;
                let route = json!({"uri": "/x", "plugins": { name: written }});
                if name == "limit-count" && (value == "$arg_count" || value == "$arg_window") {
                    // A value is no variable, and neither is a number.
                    let filled = filled(&written, &value, kind.schema).unwrap();
                    assert!((kind.check)(&filled).is_err(), "{place}");
                    continue;
                }
                let place = format!("{name}{place}");
                wrong.unless_ok(&place, check(Kind::Routes, "r", &route));
                let filled = filled(&written, &value, kind.schema);
                let site = Site { owner: "route/r", metadata: None, shared: &shared };
                wrong.unless_ok(&place, filled.and_then(|filled| (kind.build)(&filled, &site)));
            }
        }
    }
}

#[test]
fn a_reference_may_stand_in_every_field_of_what_consumers_show_and_of_metadata() {
    let mut wrong = Wrong::default();
    let key = rcgen::KeyPair::generate().unwrap().public_key_pem();
    for (name, whole) in [
        ("key-auth", json!({"key": "k"})),
        (
            "jwt-auth",
            json!({
                "key": "k", "secret": "0123456789abcdef0123456789abcdef", "algorithm": "HS256", "exp": 60,
                "base64_secret": false, "lifetime_grace_period": 5,
            }),
        ),
        ("jwt-auth", json!({"key": "k", "public_key": key, "algorithm": "ES256"})),
    ] {
        let shown = gateward_plugins::kind(name).unwrap().consumer.as_ref().unwrap();
        for place in leaves(&whole) {
            let (written, value) = referring(&whole, &place);
            let consumer = json!({"username": "jack", "plugins": { name: written }});
            let place = format!("{name}{place}");
            wrong.unless_ok(&place, check(Kind::Consumers, "jack", &consumer));
            let filled = filled(&written, &value, shown.schema);
            wrong.unless_ok(&place, filled.and_then(|filled| (shown.build)(&filled).map(drop)));
        }
    }
    for (name, whole) in [
        ("cors", json!({"allow_origins": {"partners": "https://a.example"}})),
        ("limit-count", json!({"limit_header": "x-a", "remaining_header": "x-b", "reset_header": "x-c"})),
        (
            "prometheus",
            json!({"disabled_labels": {"http_status": ["route"], "http_latency": ["node"], "bandwidth": ["node"]}}),
        ),
        (
            "opentelemetry",
            json!({
                "trace_id_source": "random", "resource": {"service.name": "a"}, "set_ngx_var": false,
                "collector": {"address": "127.0.0.1:4318", "request_timeout": 3, "request_headers": {"authorization": "t"}},
                "batch_span_processor": {
                    "drop_on_queue_full": false, "max_queue_size": 10, "batch_timeout": 2.5, "inactive_timeout": 1.5,
                    "max_export_batch_size": 5,
                },
            }),
        ),
    ] {
        let metadata = gateward_plugins::kind(name).unwrap().metadata.as_ref().unwrap();
        is_whole(name, &(metadata.schema)(), std::slice::from_ref(&whole));
        for place in leaves(&whole) {
            let (written, value) = referring(&whole, &place);
            let place = format!("{name}{place}");
            wrong.unless_ok(&place, check(Kind::PluginMetadata, name, &written));
            let filled = filled(&written, &value, metadata.schema);
            wrong.unless_ok(&place, filled.and_then(|filled| (metadata.check)(&filled)));
        }
    }
}

/// Upstreams that together have all fields.
fn upstreams() -> [Value; 3] {
    let identity = gateward_testkit::Authority::root("the company").identity("here", &[]);
    [
        json!({
            "nodes": {"a.example:80": 1}, "type": "chash", "hash_on": "vars_combinations", "key": "$arg_a",
            "scheme": "https", "timeout": {"connect": 1, "send": 2.5, "read": 3}, "retries": 2, "retry_timeout": 4,
            "pass_host": "rewrite", "upstream_host": "b.example",
            "keepalive_pool": {"size": 5, "idle_timeout": 6, "requests": 7},
            "tls": {"verify": true, "client_cert": identity.chain, "client_key": identity.key, "ca": identity.chain},
            "checks": {
                "active": {
                    "type": "https", "timeout": 1.5, "concurrency": 2, "host": "c.example", "port": 81,
                    "http_method": "HEAD", "http_path": "/up", "http_req_body": "", "https_verify_certificate": true,
                    "req_headers": ["x-a: b"],
                    "healthy": {"interval": 1, "http_statuses": [200], "successes": 1},
                    "unhealthy": {
                        "interval": 1, "http_statuses": [500], "http_failures": 1, "tcp_failures": 2, "timeouts": 3,
                    },
                },
                "passive": {
                    "type": "http", "healthy": {"http_statuses": [200], "successes": 1},
                    "unhealthy": {"http_statuses": [500], "http_failures": 1, "tcp_failures": 2, "timeouts": 3},
                },
            },
        }),
        json!({"nodes": {"a.example:80": 1}, "type": "chash", "key": "remote_addr"}),
        json!({"nodes": {"a.example:80": 1}, "type": "chash", "hash_on": "header", "key": "x-tenant"}),
    ]
}

#[test]
fn a_reference_may_stand_in_every_field_of_an_upstream_wherever_that_stands_but_its_nodes_and_ids() {
    let (mut schema, mut wrong) = (typed::upstream(), Wrong::default());
    let fields = schema["properties"].as_object_mut().unwrap();
    fields.shift_remove("nodes").unwrap();
    fields["tls"]["properties"].as_object_mut().unwrap().shift_remove("client_cert_id").unwrap();
    is_whole("upstream", &schema, &upstreams());
    for whole in upstreams() {
        for place in leaves(&whole) {
            let (written, value) = referring(&whole, &place);
            let owners = [
                (Kind::Upstreams, written.clone()),
                (Kind::Routes, json!({"uri": "/x", "upstream": written})),
                (Kind::Services, json!({"upstream": written})),
            ];
            for (kind, json) in owners {
                let checked = check(kind, "1", &json);
                match place.starts_with("/nodes") {
                    // The nodes are what requests are sent by.
                    true => assert!(checked.is_err(), "{place}"),
                    false => drop(wrong.unless_ok(&format!("{kind:?} {place}"), checked)),
                }
            }
            if place.starts_with("/nodes") {
                continue;
            }
            let filled = filled(&written, &value, typed::upstream);
            let parsed = filled.and_then(|filled| Upstream::parse(&filled));
            let Some(upstream) = wrong.unless_ok(&place, parsed) else { continue };
            wrong.unless_ok(&place, gateward_upstreams::check(&upstream));
            let plain = |upstream: &Upstream| {
                gateward_vars::plain(
                    &format!("{upstream:?}")
                        .replace(r"\u{10fffe}", "\u{10FFFE}")
                        .replace(r"\u{10ffff}", "\u{10FFFF}"),
                )
                .into_owned()
            };
            assert_eq!(plain(&upstream), plain(&Upstream::parse(&whole).unwrap()), "{place}");
        }
    }
    let by_id = json!({"nodes": {}, "tls": {"client_cert_id": REFERENCE}});
    assert!(check(Kind::Upstreams, "1", &by_id).is_err());
}

#[test]
fn a_reference_may_stand_in_certificates_and_keys_and_nowhere_else_in_an_ssl() {
    let identity = gateward_testkit::Authority::root("the company").identity("a.example", &[]);
    let whole = json!({
        "type": "server", "cert": identity.chain, "key": identity.key, "certs": [identity.chain], "keys": [identity.key],
        "snis": ["a.example"], "ssl_protocols": ["TLSv1.3"],
        "client": {"ca": identity.chain, "depth": 1, "skip_mtls_uri_regex": ["^/a"]},
    });
    assert!(check(Kind::Ssls, "1", &whole).is_ok());
    for place in leaves(&whole) {
        let (written, _) = referring(&whole, &place);
        let secret = ["/cert", "/key", "/client/ca"].iter().any(|field| place.starts_with(field));
        let checked = check(Kind::Ssls, "1", &written);
        assert_eq!(checked.is_ok(), secret, "{place}: {:?}", checked.err());
        if let Err(fault) = checked.as_ref().map_err(ToString::to_string)
            && !place.ends_with("depth")
        {
            assert!(fault.contains("a reference to a vault cannot stand in"), "{place}: {fault}");
        }
    }
}

#[test]
fn what_is_matched_on_and_what_names_something_is_no_place_for_a_reference() {
    let route = json!({
        "uri": "/a", "host": "a.example", "methods": ["GET"], "remote_addr": "10.0.0.1", "vars": [["arg_a", "==", "1"]],
        "name": "a", "service_id": "s", "plugin_config_id": "p", "priority": 1, "status": 1,
        "enable_websocket": true, "timeout": {"connect": 1, "send": 1, "read": 1}, "upstream_id": "u",
    });
    for place in leaves(&route) {
        let fault = check(Kind::Routes, "r", &referring(&route, &place).0).unwrap_err().to_string();
        assert!(fault.contains("a reference to a vault cannot stand in"), "{place}: {fault}");
    }
    for (kind, id, whole) in [
        (
            Kind::Routes,
            "r",
            json!({"uris": ["/a"], "hosts": ["a.example"], "remote_addrs": ["::1"], "upstream_id": "u"}),
        ),
        (
            Kind::Services,
            "s",
            json!({"hosts": ["a.example"], "name": "s", "upstream_id": "u", "enable_websocket": true}),
        ),
        (Kind::Consumers, "jack", json!({"username": "jack", "group_id": "g"})),
    ] {
        assert!(check(kind, id, &whole).is_ok());
        for place in leaves(&whole) {
            assert!(check(kind, id, &referring(&whole, &place).0).is_err(), "{kind:?} {place}");
        }
    }
    // What is for people is what it is.
    let told = json!({"uri": "/a", "upstream_id": "u", "desc": REFERENCE, "labels": {"a": REFERENCE}});
    assert!(check(Kind::Routes, "r", &told).unwrap().vaults.is_empty());
}
