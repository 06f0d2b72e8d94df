//! `fault-injection`: lets some requests wait, and answers some as if something were wrong.

use std::sync::Arc;
use std::time::Duration;

use gateward_model::Invalid;
use gateward_model::apisix::Expression;
use gateward_net::Body;
use gateward_vars::{Condition, Template, plain};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::answer::status;
use crate::authentication::header_name;
use crate::{Exchange, Flow, Kind, Phases, Plugin, Step};

pub(crate) const KIND: Kind = Kind {
    name: "fault-injection",
    priority: 11_000,
    secrets: &[],
    phases: Phases { rewrite: true, access: false, respond: false, log: false },
    check: |json| FaultInjection::read(json).map(drop),
    build: |json, _site| Ok(Arc::new(FaultInjection::read(json)?)),
    schema,
    consumer: None,
    metadata: None,
};

/// What goes wrong, and how often.
#[derive(Debug)]
struct FaultInjection {
    delay: Option<(Duration, Occasion)>,
    abort: Option<(Abort, Occasion)>,
}

/// When something goes wrong.
#[derive(Debug)]
struct Occasion {
    /// Of a hundred requests so many.
    percentage: u8,
    /// One of these must hold, if there are any.
    conditions: Option<Box<[Condition]>>,
}

#[derive(Debug)]
struct Abort {
    status: StatusCode,
    body: Option<Template>,
    headers: Box<[(HeaderName, Template)]>,
}

impl Plugin for FaultInjection {
    fn rewrite<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let delay = self.delay.as_ref().filter(|(_, occasion)| occasion.is_there(exchange));
        let abort = self.abort.as_ref().filter(|(_, occasion)| occasion.is_there(exchange));
        let answer = abort.map(|(abort, _)| Flow::Answer(Box::new(abort.answer(exchange))));
        let flow = answer.unwrap_or(Flow::Continue);
        match delay {
            None => Step::Now(flow),
            Some((span, _)) => Step::Later(Box::pin(async move {
                tokio::time::sleep(*span).await;
                flow
            })),
        }
    }
}

impl Occasion {
    fn is_there(&self, exchange: &Exchange<'_>) -> bool {
        let holds = |condition: &Condition| condition.holds(&exchange.facts());
        let conditions = self.conditions.as_ref();
        conditions.is_none_or(|any| any.iter().any(holds)) && fastrand::u8(1..=100) <= self.percentage
    }
}

impl Abort {
    fn answer(&self, exchange: &Exchange<'_>) -> Response<Body> {
        let facts = exchange.facts();
        let body =
            self.body.as_ref().map_or(Body::empty(), |body| Body::full(body.render(&facts).into_owned()));
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        if self.body.is_some() {
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        }
        for (name, value) in &self.headers {
            // A value that a client could break the answer with is left out.
            if let Ok(value) = HeaderValue::try_from(&*value.render(&facts)) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Settings {
    abort: Option<AbortSettings>,
    delay: Option<DelaySettings>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct AbortSettings {
    http_status: u16,
    body: Option<String>,
    headers: Option<Map<String, Value>>,
    percentage: Option<u8>,
    vars: Option<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct DelaySettings {
    duration: f64,
    percentage: Option<u8>,
    vars: Option<Vec<Value>>,
}

impl FaultInjection {
    fn read(json: &Value) -> Result<Self, Invalid> {
        let settings: Settings = gateward_model::parse(json)?;
        if settings.abort.is_none() && settings.delay.is_none() {
            return Err(Invalid::new("", "needs abort or delay"));
        }
        Ok(Self {
            delay: settings
                .delay
                .map(DelaySettings::build)
                .transpose()
                .map_err(|error| error.within("delay"))?,
            abort: settings
                .abort
                .map(AbortSettings::build)
                .transpose()
                .map_err(|error| error.within("abort"))?,
        })
    }
}

impl AbortSettings {
    fn build(self) -> Result<(Abort, Occasion), Invalid> {
        if self.headers.as_ref().is_some_and(Map::is_empty) {
            return Err(Invalid::new("headers", "must not be empty"));
        }
        let headers = self.headers.iter().flatten().map(|(name, value)| {
            let field = format!("headers.{name}");
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return Err(Invalid::new(field, "must be a string or a number")),
            };
            if HeaderValue::try_from(&*plain(&text)).is_err() {
                return Err(Invalid::new(field, "holds characters that cannot stand in a header"));
            }
            Ok((header_name(&field, name)?, Template::parse(&text)))
        });
        let abort = Abort {
            status: status("http_status", self.http_status, 200, 599)?,
            body: self.body.as_deref().map(Template::parse),
            headers: headers.collect::<Result<_, _>>()?,
        };
        Ok((abort, occasion(self.percentage, self.vars.as_deref())?))
    }
}

impl DelaySettings {
    fn build(self) -> Result<(Duration, Occasion), Invalid> {
        let span = Duration::try_from_secs_f64(self.duration).ok().filter(|span| *span <= LONGEST);
        let span = span.ok_or_else(|| Invalid::new("duration", "is in seconds, from 0 to 3600"))?;
        Ok((span, occasion(self.percentage, self.vars.as_deref())?))
    }
}

fn occasion(percentage: Option<u8>, vars: Option<&[Value]>) -> Result<Occasion, Invalid> {
    let percentage = percentage.unwrap_or(100);
    if percentage > 100 {
        return Err(Invalid::new("percentage", "must be from 0 to 100"));
    }
    if vars.is_some_and(|vars| vars.len() > 20) {
        return Err(Invalid::new("vars", "holds at most 20 expressions"));
    }
    let compile = |(index, json): (usize, &Value)| {
        let expression = Expression::parse(json).map_err(|error| error.within(&format!("vars[{index}]")))?;
        Ok(Condition::compile(&expression))
    };
    let conditions = vars.map(|vars| vars.iter().enumerate().map(compile).collect::<Result<_, Invalid>>());
    Ok(Occasion { percentage, conditions: conditions.transpose()? })
}

/// A delay holds a connection and its memory.
const LONGEST: Duration = Duration::from_secs(3600);

fn schema() -> Value {
    let text = json!({"type": "string", "x-variables": true});
    let percentage = json!({"type": "integer", "minimum": 0, "maximum": 100});
    let vars = json!({"type": "array", "maxItems": 20, "items": {"type": "array"}});
    json!({
        "type": "object",
        "minProperties": 1,
        "properties": {
            "abort": {
                "type": "object",
                "required": ["http_status"],
                "properties": {
                    "http_status": {"type": "integer", "minimum": 200, "maximum": 599},
                    "body": text,
                    "headers": {
                        "type": "object", "minProperties": 1,
                        "additionalProperties": {"oneOf": [text, {"type": "number"}]},
                    },
                    "percentage": percentage,
                    "vars": vars,
                },
            },
            "delay": {
                "type": "object",
                "required": ["duration"],
                "properties": {
                    "duration": {"type": "number", "minimum": 0, "maximum": 3600},
                    "percentage": percentage,
                    "vars": vars,
                },
            },
        },
    })
}

#[cfg(test)]
mod tests;
