//! `proxy-rewrite`: changes the path, the Host, the method and the header fields that an upstream gets.
//!
//! What is not rewritten stays as the client wrote it, escapes and all. What is, keeps the meaning of each part: a value
//! that stands in a path is escaped, so that it cannot end the path or begin a query, and a path that would climb with
//! dot segments is refused.

mod headers;
mod target;

use std::sync::Arc;

use gateward_model::{Failure, Invalid};
use http::{HeaderValue, Method};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Exchange, Kind, Phases, Plugin, Step, holds_reference};
use headers::HeaderRewrite;
use target::{Captures, TargetRewrite};

pub(crate) const KIND: Kind = Kind {
    name: "proxy-rewrite",
    priority: 1008,
    secrets: &[],
    phases: Phases { rewrite: true, access: false, respond: false, log: false },
    check: |json| Settings::read(json)?.check(),
    build: |json, _site| Ok(Arc::new(ProxyRewrite::build(json)?)),
    schema,
    consumer: None,
    metadata: None,
};

/// What is changed.
#[derive(Debug)]
struct ProxyRewrite {
    target: TargetRewrite,
    host: Option<HeaderValue>,
    method: Option<Method>,
    headers: HeaderRewrite,
}

impl ProxyRewrite {
    fn build(json: &Value) -> Result<Self, Invalid> {
        let settings = Settings::read(json)?;
        let host = settings.host.as_deref().map(|host| host_value("host", host)).transpose()?;
        Ok(Self {
            target: settings.target()?,
            host,
            method: settings.method.as_deref().map(method).transpose()?,
            headers: HeaderRewrite::read(settings.headers.as_ref())?,
        })
    }

    fn apply(&self, exchange: &mut Exchange<'_>) -> Result<(), Failure> {
        let mut captures = Captures::default();
        if let Some(target) = self.target.apply(exchange, &mut captures)? {
            crate::query::with_target(exchange.request.uri_mut(), target);
        }
        if let Some(host) = &self.host {
            exchange.upstream_host = Some(host.clone());
        }
        self.headers.apply(exchange, &captures)?;
        if let Some(method) = &self.method {
            *exchange.request.method_mut() = method.clone();
        }
        Ok(())
    }
}

impl Plugin for ProxyRewrite {
    fn rewrite<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        match self.apply(exchange) {
            Ok(()) => Step::CONTINUE,
            Err(failure) => failure.into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Settings {
    uri: Option<String>,
    method: Option<String>,
    regex_uri: Option<Vec<String>>,
    host: Option<String>,
    headers: Option<Value>,
    use_real_request_uri_unsafe: Option<bool>,
}

impl Settings {
    fn read(json: &Value) -> Result<Self, Invalid> {
        if json.as_object().is_some_and(serde_json::Map::is_empty) {
            return Err(Invalid::new("", "needs at least one thing to rewrite"));
        }
        gateward_model::parse(json)
    }

    fn check(&self) -> Result<(), Invalid> {
        self.target()?;
        let literal = |text: &&str| !holds_reference(text);
        if let Some(host) = self.host.as_deref().filter(literal) {
            host_value("host", host)?;
        }
        if let Some(name) = self.method.as_deref().filter(literal) {
            method(name)?;
        }
        HeaderRewrite::check(self.headers.as_ref())
    }

    fn target(&self) -> Result<TargetRewrite, Invalid> {
        let as_written = self.use_real_request_uri_unsafe.unwrap_or_default();
        TargetRewrite::read(self.uri.as_deref(), self.regex_uri.as_deref(), as_written)
    }
}

/// A host with an optional port, as it is sent.
fn host_value(field: &str, host: &str) -> Result<HeaderValue, Invalid> {
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let is_host = !name.is_empty() && name.bytes().all(fits) && port.parse::<u16>().is_ok();
    let value = HeaderValue::try_from(host).ok().filter(|_| is_host);
    value.ok_or_else(|| Invalid::new(field, "is a host name or address, with a port if need be"))
}

fn method(name: &str) -> Result<Method, Invalid> {
    let method = METHODS.contains(&name).then(|| Method::from_bytes(name.as_bytes()).ok()).flatten();
    method.ok_or_else(|| Invalid::new("method", format!("is one of {}", METHODS.join(", "))))
}

const METHODS: &[&str] = &[
    "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "MKCOL", "COPY", "MOVE", "PROPFIND", "PATCH", "LOCK",
    "UNLOCK", "TRACE",
];

fn schema() -> Value {
    let text = json!({"type": "string", "x-variables": true});
    let value = json!({"oneOf": [text, {"type": "number"}]});
    let values = json!({
        "type": "object", "minProperties": 1,
        "additionalProperties": {
            "oneOf": [text, {"type": "number"}, {"type": "array", "minItems": 1, "items": value}],
        },
    });
    json!({
        "type": "object",
        "minProperties": 1,
        "properties": {
            "uri": {
                "type": "string", "minLength": 1, "maxLength": 4096, "pattern": "^\\/.*", "x-variables": true,
            },
            "method": {"type": "string", "enum": METHODS},
            "regex_uri": {"type": "array", "minItems": 2, "items": text},
            "host": {"type": "string", "pattern": "^[0-9a-zA-Z-.]+(:\\d{1,5})?$"},
            "headers": {
                "oneOf": [
                    {
                        "type": "object", "minProperties": 1, "additionalProperties": false,
                        "properties": {
                            "add": values,
                            "set": values,
                            "remove": {"type": "array", "minItems": 1, "items": {"type": "string"}},
                        },
                    },
                    {"type": "object", "minProperties": 1, "additionalProperties": value},
                ],
            },
            "use_real_request_uri_unsafe": {"type": "boolean", "default": false},
        },
    })
}

#[cfg(test)]
mod tests;
