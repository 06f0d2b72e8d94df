//! The JSON schema of an upstream: for people and programs that ask for it, and for whoever has to know which type a field
//! is to be of before its value is there.

use serde_json::{Value, json};

use crate::apisix::{Timeout, Upstream};

impl Upstream {
    /// The schemas of an upstream's own fields, by name.
    pub fn schema_of_fields() -> Value {
        json!({
            "nodes": {"anyOf": [
                {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}},
                {"type": "array", "items": {
                    "type": "object",
                    "required": ["host", "weight"],
                    "properties": {
                        "host": {"type": "string"},
                        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
                        "weight": {"type": "integer", "minimum": 0},
                        "priority": {"type": "integer", "default": 0},
                        "metadata": {"type": "object"},
                    },
                }},
            ]},
            "type": {"type": "string", "enum": ["roundrobin", "chash", "least_conn", "ewma"], "default": "roundrobin"},
            "hash_on": {
                "type": "string",
                "enum": ["vars", "header", "cookie", "consumer", "vars_combinations"],
                "default": "vars",
            },
            "key": {"type": "string", "x-variables": true},
            "scheme": {"type": "string", "enum": ["http", "https", "grpc", "grpcs"], "default": "http"},
            "timeout": Timeout::schema(),
            "retries": {"type": "integer", "minimum": 0},
            "retry_timeout": span(0.0),
            "pass_host": {"type": "string", "enum": ["pass", "node", "rewrite"], "default": "pass"},
            "upstream_host": {"type": "string"},
            "keepalive_pool": {"type": "object", "additionalProperties": false, "properties": {
                "size": {"type": "integer", "minimum": 1, "default": 320},
                "idle_timeout": span(60.0),
                "requests": {"type": "integer", "minimum": 1, "default": 1000},
            }},
            "tls": {"type": "object", "additionalProperties": false, "properties": {
                "verify": {"type": "boolean", "default": true},
                "ca": {"type": "string"},
                "client_cert": {"type": "string"},
                "client_key": {"type": "string"},
                "client_cert_id": {"anyOf": [
                    {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9-_.]+$"},
                    {"type": "integer", "minimum": 1},
                ]},
            }},
            "checks": {"type": "object", "required": ["active"], "additionalProperties": false, "properties": {
                "active": active(),
                "passive": passive(),
            }},
        })
    }
}

impl Timeout {
    /// The schema of how long each phase may take.
    pub fn schema() -> Value {
        let span = json!({"type": "number", "exclusiveMinimum": 0});
        json!({
            "type": "object",
            "required": ["connect", "send", "read"],
            "properties": {"connect": span, "send": span, "read": span},
        })
    }
}

fn active() -> Value {
    let interval = json!({"type": "integer", "minimum": 1, "maximum": 86400, "default": 1});
    json!({"type": "object", "additionalProperties": false, "properties": {
        "type": check_type(),
        "timeout": {"type": "number", "exclusiveMinimum": 0, "default": 1},
        "concurrency": {"type": "integer", "minimum": 1, "default": 10},
        "host": {"type": "string"},
        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
        "http_method": {
            "type": "string",
            "enum": ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE"],
            "default": "GET",
        },
        "http_path": {"type": "string", "default": "/"},
        "http_req_body": {"type": "string", "default": ""},
        "https_verify_certificate": {"type": "boolean"},
        "req_headers": {"type": "array", "items": {"type": "string"}},
        "healthy": {"type": "object", "additionalProperties": false, "properties": {
            "interval": interval,
            "http_statuses": statuses(),
            "successes": count(1, 2),
        }},
        "unhealthy": {"type": "object", "additionalProperties": false, "properties": {
            "interval": interval,
            "http_statuses": statuses(),
            "http_failures": count(1, 5),
            "tcp_failures": count(1, 2),
            "timeouts": count(1, 3),
        }},
    }})
}

fn passive() -> Value {
    json!({"type": "object", "additionalProperties": false, "properties": {
        "type": check_type(),
        "healthy": {"type": "object", "additionalProperties": false, "properties": {
            "http_statuses": statuses(),
            "successes": count(0, 5),
        }},
        "unhealthy": {"type": "object", "additionalProperties": false, "properties": {
            "http_statuses": statuses(),
            "http_failures": count(0, 5),
            "tcp_failures": count(0, 2),
            "timeouts": count(0, 7),
        }},
    }})
}

fn check_type() -> Value {
    json!({"type": "string", "enum": ["http", "https", "tcp"], "default": "http"})
}

fn statuses() -> Value {
    json!({
        "type": "array", "minItems": 1, "uniqueItems": true,
        "items": {"type": "integer", "minimum": 200, "maximum": 599},
    })
}

fn count(least: u8, usual: u8) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": 254, "default": usual})
}

fn span(usual: f64) -> Value {
    json!({"type": "number", "minimum": 0, "default": usual})
}
