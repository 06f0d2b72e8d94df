//! JSON schemas of the resources, for people and programs that ask for them.
//!
//! What is checked on a write is the model's code, which says more than a schema can; these tell the fields and types.

use gateward_model::apisix::{Timeout, Upstream};
use serde_json::{Map, Value, json};

/// The schema of `resource`, by its singular or its plural.
pub(super) fn of(resource: &str) -> Option<Value> {
    match resource {
        "route" | "routes" => Some(route()),
        "service" | "services" => Some(service()),
        "upstream" | "upstreams" => Some(upstream()),
        "consumer" | "consumers" => Some(consumer()),
        "credential" | "credentials" => Some(described(json!({"plugins": plugins()}), &["plugins"])),
        "consumer_group" | "consumer_groups" | "global_rule" | "global_rules" | "plugin_config"
        | "plugin_configs" => Some(described(json!({"plugins": plugins()}), &["plugins"])),
        "ssl" | "ssls" => Some(ssl()),
        "plugins" => Some(plugins()),
        _ => None,
    }
}

fn route() -> Value {
    let mut schema = described(
        json!({
            "uri": {"type": "string", "minLength": 1, "maxLength": 4096},
            "uris": texts(),
            "host": host(),
            "hosts": {"type": "array", "items": host(), "minItems": 1, "uniqueItems": true},
            "methods": {"type": "array", "items": {"type": "string", "enum": METHODS}, "uniqueItems": true},
            "remote_addr": {"type": "string", "description": "an address, or CIDR"},
            "remote_addrs": texts(),
            "vars": {"type": "array"},
            "priority": {"type": "integer", "default": 0},
            "plugins": plugins(),
            "plugin_config_id": id(),
            "service_id": id(),
            "upstream": upstream(),
            "upstream_id": id(),
            "timeout": Timeout::schema(),
            "enable_websocket": {"type": "boolean"},
            "status": {"type": "integer", "enum": [1, 0], "default": 1},
        }),
        &[],
    );
    schema["allOf"] = json!([
        {"oneOf": [{"required": ["uri"]}, {"required": ["uris"]}]},
        {"anyOf": [
            {"required": ["plugins"]}, {"required": ["upstream"]}, {"required": ["upstream_id"]},
            {"required": ["service_id"]}, {"required": ["plugin_config_id"]},
        ]},
        {"not": {"required": ["host", "hosts"]}},
        {"not": {"required": ["remote_addr", "remote_addrs"]}},
        {"not": {"required": ["upstream", "upstream_id"]}},
    ]);
    schema
}

fn service() -> Value {
    described(
        json!({
            "hosts": {"type": "array", "items": host(), "uniqueItems": true},
            "plugins": plugins(),
            "upstream": upstream(),
            "upstream_id": id(),
            "enable_websocket": {"type": "boolean"},
        }),
        &[],
    )
}

fn upstream() -> Value {
    described(Upstream::schema_of_fields(), &["nodes"])
}

fn consumer() -> Value {
    described(
        json!({
            "username": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9_.\\-]+$"},
            "plugins": plugins(),
            "group_id": id(),
        }),
        &["username"],
    )
}

fn ssl() -> Value {
    described(
        json!({
            "type": {"type": "string", "enum": ["server", "client"], "default": "server"},
            "cert": {"type": "string"},
            "key": {"type": "string"},
            "certs": {"type": "array", "items": {"type": "string"}},
            "keys": {"type": "array", "items": {"type": "string"}},
            "sni": {"type": "string"},
            "snis": texts(),
            "client": {"type": "object", "required": ["ca"], "properties": {
                "ca": {"type": "string"},
                "depth": {"type": "integer", "minimum": 0, "default": 1},
                "skip_mtls_uri_regex": texts(),
            }},
            "status": {"type": "integer", "enum": [1, 0], "default": 1},
            "ssl_protocols": {"type": "array", "items": {"type": "string", "enum": ["TLSv1.1", "TLSv1.2", "TLSv1.3"]}},
        }),
        &["cert", "key"],
    )
}

/// The schema of an object with these fields and those that every resource has, and no others.
fn described(fields: Value, required: &[&str]) -> Value {
    let mut properties = match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let time = json!({"type": "integer"});
    for (name, schema) in [
        ("id", id()),
        ("name", json!({"type": "string", "maxLength": 100})),
        ("desc", json!({"type": "string", "maxLength": 256})),
        ("labels", json!({"type": "object", "additionalProperties": {"type": "string"}})),
        ("create_time", time.clone()),
        ("update_time", time),
    ] {
        properties.insert(name.to_owned(), schema);
    }
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn plugins() -> Value {
    let of = |plugin: &gateward_plugins::Kind| (plugin.name.to_owned(), (plugin.schema)());
    let plugins: Map<String, Value> = gateward_plugins::kinds().iter().map(of).collect();
    json!({"type": "object", "properties": plugins, "additionalProperties": false})
}

fn id() -> Value {
    json!({"anyOf": [
        {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9-_.]+$"},
        {"type": "integer", "minimum": 1},
    ]})
}

fn host() -> Value {
    json!({"type": "string", "pattern": "^\\*$|^\\*?[0-9a-zA-Z-._\\[\\]:]+$"})
}

fn texts() -> Value {
    json!({"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": true})
}

const METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE"];
