//! `key-auth`: a consumer is recognised by a key, which it sends in a header field or in the query.

use std::sync::Arc;

use gateward_model::Invalid;
use gateward_seal::SecretValue;
use http::HeaderName;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::authentication::{Challenge, check_name, header_name};
use crate::{ConsumerKind, Credential, Exchange, Kind, Phases, Plugin, Step, query};

pub(crate) const KIND: Kind = Kind {
    name: NAME,
    priority: 2500,
    secrets: &[],
    phases: Phases { rewrite: true, access: false, respond: false, log: false },
    check: |json| Settings::read(json)?.check(),
    build: |json, site| {
        let plugin = KeyAuth::build(json)?;
        site.shared.confidential.add(&plugin.query);
        Ok(Arc::new(plugin))
    },
    schema,
    consumer: Some(ConsumerKind {
        secrets: &["/key"],
        check: |json| Shown::read(json).map(drop),
        build: |json| Ok(Credential { key: Shown::read(json)?.key, details: Box::new(()) }),
        schema: consumer_schema,
    }),
    metadata: None,
};

const NAME: &str = "key-auth";

/// Lets those pass who show the key of a consumer.
#[derive(Debug)]
struct KeyAuth {
    header: HeaderName,
    query: Box<str>,
    hide: bool,
    challenge: Challenge,
}

impl KeyAuth {
    fn build(json: &Value) -> Result<Self, Invalid> {
        let settings = Settings::read(json)?;
        Ok(Self {
            header: header_name("header", &settings.header)?,
            query: settings.query.into(),
            hide: settings.hide_credentials,
            challenge: Challenge::build("apikey", &settings.realm, settings.anonymous_consumer)?,
        })
    }

    /// Whether somebody is recognised; else what is wrong.
    fn recognise(&self, exchange: &mut Exchange<'_>) -> Result<(), &'static str> {
        let request = &exchange.request;
        let caller = match request.headers().get(&self.header) {
            // Keys are compared byte by byte, so one that is no text is nobody's.
            Some(key) => {
                str::from_utf8(key.as_bytes()).ok().and_then(|key| exchange.consumers.find::<()>(NAME, key))
            }
            None => {
                let key = query::argument(request.uri(), &self.query);
                exchange.consumers.find::<()>(NAME, &key.ok_or("Missing API key in request")?)
            }
        };
        let (caller, ()) = caller.ok_or("Invalid API key in request")?;
        caller.enter(exchange);
        Ok(())
    }
}

impl Plugin for KeyAuth {
    fn rewrite<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let recognised = self.recognise(exchange);
        if self.hide {
            exchange.request.headers_mut().remove(&self.header);
            query::remove(exchange.request.uri_mut(), &self.query);
        }
        match recognised {
            Ok(()) => Step::CONTINUE,
            Err(problem) => self.challenge.meet(problem, exchange),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Settings {
    #[serde(default = "default_name")]
    header: String,
    #[serde(default = "default_name")]
    query: String,
    #[serde(default)]
    hide_credentials: bool,
    #[serde(default = "default_realm")]
    realm: String,
    anonymous_consumer: Option<String>,
}

impl Settings {
    fn read(json: &Value) -> Result<Self, Invalid> {
        gateward_model::parse(json)
    }

    fn check(&self) -> Result<(), Invalid> {
        check_name("header", &self.header)?;
        Challenge::check(&self.realm, self.anonymous_consumer.as_deref())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Shown {
    key: SecretValue,
}

impl Shown {
    fn read(json: &Value) -> Result<Self, Invalid> {
        let shown: Self = gateward_model::parse(json)?;
        match shown.key.is_empty() {
            true => Err(Invalid::new("key", "must not be empty")),
            false => Ok(shown),
        }
    }
}

fn default_name() -> String {
    "apikey".to_owned()
}

fn default_realm() -> String {
    "key".to_owned()
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "header": {"type": "string", "default": "apikey"},
            "query": {"type": "string", "default": "apikey"},
            "hide_credentials": {"type": "boolean", "default": false},
            "realm": {"type": "string", "minLength": 1, "maxLength": 128, "default": "key"},
            "anonymous_consumer": {"type": "string", "minLength": 1},
        },
    })
}

fn consumer_schema() -> Value {
    json!({"type": "object", "required": ["key"], "properties": {"key": {"type": "string", "minLength": 1}}})
}

#[cfg(test)]
mod tests;
