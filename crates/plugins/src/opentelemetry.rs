//! `opentelemetry`: a span for each request, told to a collector by OTLP over HTTP.
//!
//! Where the request comes with a trace (`traceparent` of W3C Trace Context) the span is a part of it, and the upstream
//! hears of the span in turn. A request costs the ids and the handing over of the span; everything else is done on the
//! control runtime (see [`exporter`]).

mod exporter;
mod protobuf;
mod settings;
mod span;
mod trace;

use std::sync::Arc;

use gateward_vars::Variable;
use http::{HeaderMap, HeaderName};

use crate::confidential::says_secret;
use crate::{Exchange, Kind, MetadataKind, Phases, Plugin, Record, Step};
use exporter::Exporter;
pub use exporter::Spans;
use settings::{Metadata, Settings, TraceIdSource};
use span::Span;
use trace::{Parent, Sampler};
pub use trace::{SpanId, TraceId};

pub(crate) const KIND: Kind = Kind {
    name: NAME,
    priority: 12_009,
    secrets: &[],
    phases: Phases { rewrite: true, access: false, respond: false, log: true },
    check: |json| Settings::read(json)?.sampler().map(drop),
    build: |json, site| {
        let settings = Settings::read(json)?;
        let metadata = site.metadata.map(Metadata::read).transpose()?.unwrap_or_default();
        Ok(Arc::new(OpenTelemetry {
            sampler: settings.sampler()?,
            attributes: settings.additional_attributes.iter().map(|name| Attribute::of(name)).collect(),
            headers: settings.additional_header_prefix_attributes.into(),
            from_request_id: metadata.trace_id_source == TraceIdSource::RequestId,
            tells: metadata.set_ngx_var,
            exporter: Spans::of(site.shared).exporter(&metadata, site.shared)?,
        }))
    },
    schema: settings::schema,
    consumer: None,
    metadata: Some(MetadataKind {
        secrets: &["/collector/request_headers/*"],
        check: |json| Metadata::read(json)?.check(),
        schema: settings::metadata_schema,
    }),
};

const NAME: &str = "opentelemetry";

/// Makes a span of each request.
#[derive(Debug)]
struct OpenTelemetry {
    sampler: Sampler,
    attributes: Vec<Attribute>,
    /// The header fields that spans tell of: names, or what names begin with and `*`.
    headers: Box<[String]>,
    from_request_id: bool,
    /// Whether the access log is told the ids.
    tells: bool,
    exporter: Arc<Exporter>,
}

/// A variable that spans tell of.
#[derive(Debug)]
struct Attribute {
    name: Arc<str>,
    variable: Variable,
}

/// The ids of a request's span: a note for those who write down what became of the request.
#[derive(Clone, Copy, Debug)]
pub struct TraceNote {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
}

/// A span that has begun.
struct Begun {
    /// The plugin that began it: it may stand in a global rule and in a route.
    of: usize,
    trace_id: TraceId,
    span_id: SpanId,
    parent: Option<SpanId>,
    attributes: Vec<(Arc<str>, String)>,
}

impl Plugin for OpenTelemetry {
    fn rewrite<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        if exchange.notes.get::<Begun>().is_some() {
            return Step::CONTINUE;
        }
        let parent = Parent::read(exchange.request.headers());
        let trace_id = parent.map_or_else(|| self.new_trace_id(exchange), |parent| parent.trace_id);
        let span_id = SpanId::random();
        let is_sampled = self.sampler.takes(trace_id, parent.as_ref());
        let attributes = if is_sampled { self.attributes_of(exchange) } else { Vec::new() };
        let headers = exchange.request.headers_mut();
        headers.insert(&TRACEPARENT, trace::traceparent(trace_id, span_id, is_sampled));
        if parent.is_none() {
            // It belongs to a trace that nobody knows.
            headers.remove(&TRACESTATE);
        }
        if self.tells {
            exchange.notes.put(TraceNote { trace_id, span_id });
        }
        if is_sampled {
            let parent = parent.map(|parent| parent.span_id);
            exchange.notes.put(Begun { of: self.address(), trace_id, span_id, parent, attributes });
        }
        Step::CONTINUE
    }

    fn log(&self, record: &Record) {
        let Some(begun) = record.notes.get::<Begun>().filter(|begun| begun.of == self.address()) else {
            return;
        };
        self.exporter.hand_over(Box::new(Span {
            trace_id: begun.trace_id,
            span_id: begun.span_id,
            parent: begun.parent,
            method: record.method.clone(),
            target: record.target.clone(),
            scheme: record.conn.scheme,
            host: record.host.clone(),
            user_agent: record.user_agent.clone(),
            route: record.route.clone(),
            matched: record.matched.clone(),
            status: record.status,
            started: record.started,
            latency: record.latency,
            attributes: begun.attributes.clone(),
        }));
    }
}

impl OpenTelemetry {
    fn new_trace_id(&self, exchange: &Exchange<'_>) -> TraceId {
        let given = self.from_request_id.then(|| TraceId::parse(exchange.request_id.to_str().ok()?));
        given.flatten().unwrap_or_else(TraceId::random)
    }

    fn attributes_of(&self, exchange: &Exchange<'_>) -> Vec<(Arc<str>, String)> {
        if self.attributes.is_empty() && self.headers.is_empty() {
            return Vec::new();
        }
        let facts = exchange.facts();
        let of_variables = self.attributes.iter().filter_map(|Attribute { name, variable }| {
            Some((Arc::clone(name), facts.get(variable)?.into_owned()))
        });
        let mut attributes: Vec<_> = of_variables.collect();
        self.add_headers(exchange.request.headers(), &mut attributes);
        attributes
    }

    fn add_headers(&self, headers: &HeaderMap, attributes: &mut Vec<(Arc<str>, String)>) {
        for wanted in &self.headers {
            for (name, value) in headers {
                let is_wanted = match wanted.strip_suffix('*') {
                    Some(prefix) => name.as_str().starts_with(prefix),
                    None => name.as_str() == wanted,
                };
                if is_wanted && !says_secret(name.as_str()) {
                    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    attributes.push((name.as_str().into(), value));
                }
            }
        }
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl Attribute {
    fn of(name: &str) -> Self {
        Self { name: name.into(), variable: Variable::parse(name) }
    }
}

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

#[cfg(test)]
mod tests;
