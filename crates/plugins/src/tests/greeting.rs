//! `greeting`: says hello in a header of every answer.

use std::sync::Arc;

use gateward_net::Body;
use http::{HeaderValue, Response};
use serde_json::json;

use crate::{Exchange, Kind, Phases, Plugin};

pub(crate) const KIND: Kind = Kind {
    name: "greeting",
    priority: 900,
    secrets: &[],
    phases: Phases { rewrite: false, access: false, respond: true, log: false },
    check: |json| gateward_model::parse::<Greeting>(json).map(drop),
    build: |json, _site| Ok(Arc::new(gateward_model::parse::<Greeting>(json)?)),
    schema: || json!({"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}),
    consumer: None,
    metadata: None,
};

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Greeting {
    text: String,
}

impl Plugin for Greeting {
    fn respond(&self, _exchange: &mut Exchange<'_>, response: &mut Response<Body>) {
        if let Ok(text) = HeaderValue::try_from(&self.text) {
            response.headers_mut().insert("x-greeting", text);
        }
    }
}
