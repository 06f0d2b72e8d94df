//! One request as a line of JSON, in the words of nginx's and APISIX's logs.

use std::borrow::Cow;

use gateward_net::{Peer, Scheme};
use gateward_plugins::{Confidential, Record, TraceNote};
use http::{HeaderValue, Version};
use serde::Serialize;

/// A line; what is not known is left out.
#[derive(Serialize)]
struct Line<'r> {
    time: String,
    request_id: Cow<'r, str>,
    client_ip: String,
    method: &'r str,
    scheme: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Cow<'r, str>>,
    uri: Cow<'r, str>,
    protocol: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
    request_time: Seconds,
    request_body_bytes: u64,
    body_bytes_sent: u64,
    /// Whether the answer was sent to its end.
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_addr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_response_time: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route_id: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route_name: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_id: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<Cow<'r, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referer: Option<Cow<'r, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opentelemetry_trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opentelemetry_span_id: Option<String>,
}

/// A span of time, in seconds with three places, as nginx writes it.
#[derive(Serialize)]
#[serde(transparent)]
struct Seconds(f64);

impl From<std::time::Duration> for Seconds {
    fn from(span: std::time::Duration) -> Self {
        Self((span.as_secs_f64() * 1000.0).round() / 1000.0)
    }
}

/// Writes the line of `record`, and its end.
pub(super) fn write(record: &Record, confidential: &Confidential, out: &mut Vec<u8>) {
    let route = record.route.as_deref();
    let target = record.target.path_and_query().map_or("", |target| target.as_str());
    let referer = record.referer.as_ref().map(text);
    let trace = record.notes.get::<TraceNote>();
    let line = Line {
        time: record.started.rfc3339_millis(),
        request_id: text(&record.request_id),
        client_ip: record.client.to_canonical().to_string(),
        method: record.method.as_str(),
        scheme: match record.conn.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        },
        host: record.host.as_ref().map(text),
        uri: confidential.redact(target),
        protocol: protocol(record.version),
        status: record.status.as_u16(),
        error_code: record.code,
        request_time: record.latency.into(),
        request_body_bytes: record.request_bytes,
        body_bytes_sent: record.response_bytes,
        complete: record.complete,
        upstream_addr: record.node.as_ref().map(address),
        upstream_status: record.upstream_status.map(|status| status.as_u16()),
        upstream_response_time: record.upstream_latency.map(Seconds::from),
        route_id: route.map(|route| &*route.id),
        route_name: route.and_then(|route| route.name.as_deref()),
        service_id: route.and_then(|route| route.service_id.as_deref()),
        consumer: record.consumer.as_ref().map(|consumer| &*consumer.username),
        user_agent: record.user_agent.as_ref().map(text),
        referer: referer.as_ref().map(|referer| confidential.redact(referer)),
        opentelemetry_trace_id: trace.map(|trace| trace.trace_id.to_string()),
        opentelemetry_span_id: trace.map(|trace| trace.span_id.to_string()),
    };
    let before = out.len();
    if serde_json::to_writer(&mut *out, &line).is_err() {
        // Texts and numbers always have a JSON form.
        out.truncate(before);
        return;
    }
    out.push(b'\n');
}

fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

fn address(node: &Peer) -> String {
    let (host, port) = (node.host(), node.port());
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}
