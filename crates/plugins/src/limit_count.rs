//! `limit-count`: so many requests in so much time, for each address, consumer or whatever else tells them apart.
//!
//! The counters belong to the process, not to a configuration: a change of the route does not give anybody a new
//! window, unless it changes what is counted or for how long.

mod counters;
mod settings;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use gateward_model::{ErrorStatus, Failure, Origin};
use gateward_net::Body;
use gateward_vars::{Facts, Template, Variable};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::answer::{bare, error_msg};
use crate::{Exchange, Kind, MetadataKind, Phases, Plugin, Step};
use counters::{Count, Counters};
use settings::{Metadata, Settings};

pub(crate) const KIND: Kind = Kind {
    name: "limit-count",
    priority: 1002,
    secrets: &["/redis_password", "/sentinel_password"],
    phases: Phases { rewrite: false, access: true, respond: true, log: false },
    check: |json| Settings::read(json)?.check(),
    build: |json, site| Ok(Arc::new(Settings::read(json)?.build(site)?)),
    schema: settings::schema,
    consumer: None,
    metadata: Some(MetadataKind {
        secrets: &[],
        check: |json| Metadata::read(Some(json)).map(drop),
        schema: settings::metadata_schema,
    }),
};

/// How many requests may pass.
#[derive(Debug)]
struct LimitCount {
    counters: Arc<Counters>,
    rules: Box<[Rule]>,
    slides: bool,
    rejected: Rejected,
    /// Whether requests pass if nobody can say what their limit is.
    degrades: bool,
    tells: bool,
}

/// One limit.
#[derive(Debug)]
struct Rule {
    /// What sets its counters apart from those of others.
    base: u64,
    key: Key,
    limit: Number,
    /// In seconds.
    window: Number,
    names: Names,
    /// The limit as a header says it, if it is always the same.
    told: Option<HeaderValue>,
}

/// What requests are told apart by.
#[derive(Debug)]
enum Key {
    /// The client's address.
    Client,
    /// A variable; the client's address where it has no value.
    Variable(Variable),
    /// A text with variables; the client's address where none of them has a value.
    Combination(Template),
    /// The same; where none has a value there is no limit.
    IfAny(Template),
    /// Nothing: all are counted together.
    Constant(Box<str>),
}

/// A number, or where the request has it.
#[derive(Debug)]
enum Number {
    Known(u64),
    Computed(Template),
}

/// The headers that tell of a limit.
#[derive(Clone, Debug)]
struct Names {
    limit: HeaderName,
    remaining: HeaderName,
    reset: HeaderName,
}

/// What those hear who are over the limit.
#[derive(Debug)]
struct Rejected {
    status: StatusCode,
    message: Option<Box<str>>,
}

/// What the answer will say of the limits.
struct Told {
    /// Whose limits they are, by the first one's base.
    of: u64,
    first: (usize, u64, Count),
    more: Vec<(usize, u64, Count)>,
}

impl LimitCount {
    /// Counts the request by every rule, until one rejects it. None: no rule applies.
    fn count(&self, exchange: &Exchange<'_>) -> Result<Option<Told>, Failure> {
        let now = exchange.clock.now().millis();
        let mut told: Option<Told> = None;
        for (index, rule) in self.rules.iter().enumerate() {
            let Some(key) = self.key(rule, exchange) else { continue };
            let (limit, window) = match (&rule.limit, &rule.window) {
                (Number::Known(limit), Number::Known(window)) => (*limit, *window),
                (limit, window) => {
                    let facts = exchange.facts();
                    (limit.get("count", &facts)?, window.get("time_window", &facts)?)
                }
            };
            let span = window.min(LONGEST_WINDOW) * 1000;
            let key = match rule.window {
                Number::Known(_) => key,
                Number::Computed(_) => self.counters.key_of(key, 0, &window.to_ne_bytes()),
            };
            let count = match self.slides {
                false => self.counters.fixed(key, limit, span, now),
                true => self.counters.sliding(key, limit, span, now),
            };
            match &mut told {
                None => told = Some(Told { of: self.base(), first: (index, limit, count), more: Vec::new() }),
                Some(told) => told.more.push((index, limit, count)),
            }
            if !count.admitted {
                break;
            }
        }
        Ok(told)
    }

    /// The counter that a request goes into; none if the rule does not apply to it.
    fn key(&self, rule: &Rule, exchange: &Exchange<'_>) -> Option<u64> {
        let by_text = |text: &str| self.counters.key_of(rule.base, BY_TEXT, text.as_bytes());
        let text: Option<Cow<'_, str>> = match &rule.key {
            Key::Client => None,
            Key::Constant(text) => Some(Cow::Borrowed(text)),
            Key::Variable(variable) => return Some(self.by(rule, exchange.facts().get(variable), exchange)),
            Key::Combination(template) => {
                return Some(self.by(rule, template.render_if_any(&exchange.facts()), exchange));
            }
            Key::IfAny(template) => {
                return template.render_if_any(&exchange.facts()).map(|text| by_text(&text));
            }
        };
        Some(self.by(rule, text, exchange))
    }

    /// An address is no text here: nobody can use up another one's limit by naming that one's address somewhere.
    fn by(&self, rule: &Rule, text: Option<Cow<'_, str>>, exchange: &Exchange<'_>) -> u64 {
        match (text, exchange.client.to_canonical()) {
            (Some(text), _) => self.counters.key_of(rule.base, BY_TEXT, text.as_bytes()),
            (None, IpAddr::V4(address)) => self.counters.key_of(rule.base, BY_ADDRESS, &address.octets()),
            (None, IpAddr::V6(address)) => self.counters.key_of(rule.base, BY_ADDRESS, &address.octets()),
        }
    }

    fn base(&self) -> u64 {
        self.rules.first().map_or(0, |rule| rule.base)
    }
}

impl Plugin for LimitCount {
    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let told = match self.count(exchange) {
            Ok(Some(told)) => told,
            Ok(None) | Err(_) if self.degrades => return Step::CONTINUE,
            Ok(None) => return unlimited("no rule has a key that the request has a value for").into(),
            Err(failure) => return failure.into(),
        };
        let last = told.more.last().unwrap_or(&told.first);
        let admitted = last.2.admitted;
        if self.tells {
            exchange.notes.put(told);
        }
        match admitted {
            true => Step::CONTINUE,
            false => self.rejected.step(),
        }
    }

    fn respond(&self, exchange: &mut Exchange<'_>, response: &mut Response<Body>) {
        let Some(told) = exchange.notes.get::<Told>().filter(|told| told.of == self.base()) else { return };
        for (index, limit, count) in std::iter::once(&told.first).chain(&told.more) {
            let Some(rule) = self.rules.get(*index) else { continue };
            let headers = response.headers_mut();
            let limit = rule.told.clone().unwrap_or_else(|| HeaderValue::from(*limit));
            headers.insert(&rule.names.limit, limit);
            headers.insert(&rule.names.remaining, HeaderValue::from(count.remaining));
            headers.insert(&rule.names.reset, HeaderValue::from(count.reset.div_ceil(1000)));
        }
    }
}

impl Number {
    fn get(&self, field: &str, facts: &Facts<'_>) -> Result<u64, Failure> {
        match self {
            Self::Known(number) => Ok(*number),
            Self::Computed(template) => {
                let number = template.render(facts).trim().parse::<u64>().ok().filter(|number| *number > 0);
                number
                    .ok_or_else(|| unlimited(&format!("the value of {field} is not a whole number above 0")))
            }
        }
    }
}

impl Rejected {
    fn step<'s>(&self) -> Step<'s> {
        match (&self.message, ErrorStatus::new(self.status)) {
            (Some(message), _) => error_msg(self.status, message).into(),
            (None, Some(status)) => {
                let message = "too many requests; the answer's headers tell when there is room again";
                Failure::new(status, Origin::Client, "limit_exceeded", message).into()
            }
            (None, None) => bare(self.status).into(),
        }
    }
}

/// Nobody can say what the request's limit is.
fn unlimited(why: &str) -> Failure {
    Failure::new(ErrorStatus::INTERNAL, Origin::Gateway, "limit_unknown", "failed to limit count")
        .with_detail(why)
}

/// A century, in seconds: whoever says more means for ever.
const LONGEST_WINDOW: u64 = 100 * 366 * 24 * 60 * 60;

/// What kind of thing a counter is for, so that an address and a text that reads like it are two.
const BY_ADDRESS: u8 = 1;
const BY_TEXT: u8 = 2;

#[cfg(test)]
mod tests;
