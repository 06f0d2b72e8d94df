//! What is told of one request, and how OTLP (`opentelemetry/proto/collector/trace/v1`) writes it.

use std::sync::Arc;
use std::time::Duration;

use gateward_clock::Timestamp;
use gateward_net::Scheme;
use gateward_router::Matched;
use http::{HeaderValue, Method, StatusCode, Uri};

use super::protobuf::Message;
use super::settings::Scalar;
use super::trace::{SpanId, TraceId};
use crate::{Confidential, RouteFacts};

/// What is told of one request.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) method: Method,
    pub(super) target: Uri,
    pub(super) scheme: Scheme,
    pub(super) host: Option<HeaderValue>,
    pub(super) user_agent: Option<HeaderValue>,
    pub(super) route: Option<Arc<RouteFacts>>,
    pub(super) matched: Option<Matched>,
    pub(super) status: StatusCode,
    pub(super) started: Timestamp,
    pub(super) latency: Duration,
    pub(super) attributes: Vec<(Arc<str>, String)>,
}

/// The request that tells a collector of `spans`. What is `confidential` is not told.
pub(super) fn export(resource: &[(String, Scalar)], spans: &[Span], confidential: &Confidential) -> Vec<u8> {
    let mut request = Message::default();
    request.message(1, |resource_spans| {
        resource_spans.message(1, |message| {
            for (name, value) in resource {
                attribute(message, 1, name, value);
            }
        });
        resource_spans.message(2, |scope_spans| {
            scope_spans.message(1, |scope| {
                scope.bytes(1, b"gateward");
                scope.bytes(2, env!("CARGO_PKG_VERSION").as_bytes());
            });
            for span in spans {
                scope_spans.message(2, |message| span.write(message, confidential));
            }
        });
    });
    request.into_bytes()
}

impl Span {
    fn write(&self, message: &mut Message, confidential: &Confidential) {
        message.bytes(1, &self.trace_id.bytes());
        message.bytes(2, &self.span_id.bytes());
        if let Some(parent) = self.parent {
            message.bytes(4, &parent.bytes());
        }
        message.bytes(5, self.name().as_bytes());
        message.number(6, SERVER);
        let started = Duration::from_millis(self.started.millis());
        message.fixed(7, nanos(started));
        message.fixed(8, nanos(started + self.latency));
        self.write_attributes(message, confidential);
        if self.status.is_server_error() {
            message.message(15, |status| status.number(3, ERROR));
        }
    }

    fn name(&self) -> String {
        match &self.matched {
            Some(matched) => format!("{} {}", self.method, matched.uri()),
            None => self.method.to_string(),
        }
    }

    fn write_attributes(&self, message: &mut Message, confidential: &Confidential) {
        let mut text = |name: &str, value: &str| attribute_text(message, ATTRIBUTES, name, value);
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let target = self.target.path_and_query().map_or("/", |target| target.as_str());
        let target = confidential.redact(target);
        for name in ["http.method", "http.request.method"] {
            text(name, self.method.as_str());
        }
        for name in ["http.scheme", "url.scheme"] {
            text(name, scheme);
        }
        text("http.target", &target);
        text("url.path", self.target.path());
        if let Some(host) = &self.host {
            text("net.host.name", without_port(&String::from_utf8_lossy(host.as_bytes())));
        }
        if let Some(agent) = &self.user_agent {
            let agent = String::from_utf8_lossy(agent.as_bytes());
            for name in ["http.user_agent", "user_agent.original"] {
                text(name, &agent);
            }
        }
        if let Some(matched) = &self.matched {
            text("http.route", matched.uri());
        }
        if let Some(route) = &self.route {
            let known = [
                ("apisix.route_id", Some(&route.id)),
                ("apisix.route_name", route.name.as_ref()),
                ("apisix.service_id", route.service_id.as_ref()),
                ("apisix.service_name", route.service_name.as_ref()),
            ];
            for (name, value) in known.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                text(name, value);
            }
        }
        for (name, value) in &self.attributes {
            text(name, value);
        }
        let status = u64::from(self.status.as_u16());
        for name in ["http.status_code", "http.response.status_code"] {
            key_value(message, ATTRIBUTES, name, |value| value.number(3, status));
        }
    }
}

fn attribute(message: &mut Message, field: u32, name: &str, value: &Scalar) {
    match value {
        Scalar::Text(text) => attribute_text(message, field, name, text),
        Scalar::Bool(flag) => key_value(message, field, name, |value| value.number(2, u64::from(*flag))),
        Scalar::Number(number) => key_value(message, field, name, |value| value.fixed(4, number.to_bits())),
    }
}

fn attribute_text(message: &mut Message, field: u32, name: &str, text: &str) {
    key_value(message, field, name, |value| value.bytes(1, text.as_bytes()));
}

fn key_value(message: &mut Message, field: u32, name: &str, value: impl FnOnce(&mut Message)) {
    message.message(field, |pair| {
        pair.bytes(1, name.as_bytes());
        pair.message(2, value);
    });
}

fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host.ends_with(']') => &host[..colon],
        _ => host,
    }
}

fn nanos(since_epoch: Duration) -> u64 {
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

/// The attributes of a span.
const ATTRIBUTES: u32 = 9;

/// The kind of span that answers.
const SERVER: u64 = 2;

/// The status of a span that failed.
const ERROR: u64 = 2;
