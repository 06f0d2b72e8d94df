//! The settings of `opentelemetry`, and its metadata: whom to tell, and how.

use std::collections::BTreeMap;
use std::time::Duration;

use gateward_model::Invalid;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::trace::{Root, Sampler};
use crate::holds_reference;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    sampler: SamplerSettings,
    pub(super) additional_attributes: Vec<String>,
    pub(super) additional_header_prefix_attributes: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SamplerSettings {
    name: SamplerName,
    options: SamplerOptions,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SamplerName {
    AlwaysOn,
    #[default]
    AlwaysOff,
    TraceIdRatio,
    ParentBase,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SamplerOptions {
    fraction: f64,
    root: RootSettings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RootSettings {
    name: SamplerName,
    options: RootOptions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RootOptions {
    fraction: f64,
}

/// What all instances have in common.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Metadata {
    pub(super) trace_id_source: TraceIdSource,
    resource: BTreeMap<String, Scalar>,
    collector: CollectorSettings,
    batch_span_processor: Batching,
    pub(super) set_ngx_var: bool,
}

/// Tells metadata apart.
pub(super) type Identity = [u8; 32];

/// Where the id of a trace that begins here comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) enum TraceIdSource {
    #[default]
    #[serde(rename = "random")]
    Random,
    #[serde(rename = "x-request-id")]
    RequestId,
}

/// A value of an attribute, or of a header field.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    Bool(bool),
    Number(f64),
    Text(String),
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct CollectorSettings {
    address: String,
    request_timeout: u32,
    request_headers: BTreeMap<String, Scalar>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Batching {
    /// There is no other way here: nobody waits for a collector.
    drop_on_queue_full: bool,
    max_queue_size: u32,
    batch_timeout: f64,
    inactive_timeout: f64,
    max_export_batch_size: u32,
}

/// Whom to tell, and how.
#[derive(Clone, Debug)]
pub(super) struct Collector {
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) timeout: Duration,
    pub(super) resource: Vec<(String, Scalar)>,
    /// How many spans may wait.
    pub(super) queue: usize,
    /// How many are told at once, at most.
    pub(super) batch: usize,
    /// How long the first of a batch waits for others.
    pub(super) batch_timeout: Duration,
    /// After how long without another one a batch is told.
    pub(super) inactive_timeout: Duration,
}

impl Default for CollectorSettings {
    fn default() -> Self {
        let request_headers = BTreeMap::new();
        Self { address: "127.0.0.1:4318".to_owned(), request_timeout: 3, request_headers }
    }
}

impl Default for Batching {
    fn default() -> Self {
        Self {
            drop_on_queue_full: true,
            max_queue_size: 2048,
            batch_timeout: 5.0,
            inactive_timeout: 2.0,
            max_export_batch_size: 256,
        }
    }
}

impl Settings {
    pub(super) fn read(json: &Value) -> Result<Self, Invalid> {
        let mut settings: Self = gateward_model::parse(json)?;
        for (field, names) in [
            ("additional_attributes", &settings.additional_attributes),
            ("additional_header_prefix_attributes", &settings.additional_header_prefix_attributes),
        ] {
            if let Some(at) = names.iter().position(String::is_empty) {
                return Err(Invalid::new(format!("{field}[{at}]"), "is empty"));
            }
        }
        for name in &mut settings.additional_header_prefix_attributes {
            name.make_ascii_lowercase();
        }
        Ok(settings)
    }

    pub(super) fn sampler(&self) -> Result<Sampler, Invalid> {
        let SamplerOptions { fraction, root } = &self.sampler.options;
        let share = share("sampler.options.fraction", *fraction)?;
        let root_share = self::share("sampler.options.root.options.fraction", root.options.fraction)?;
        let root = match root.name {
            SamplerName::AlwaysOn => Root::All,
            SamplerName::AlwaysOff => Root::None,
            SamplerName::TraceIdRatio => Root::Share(root_share),
            SamplerName::ParentBase => {
                let problem = "is always_on, always_off or trace_id_ratio";
                return Err(Invalid::new("sampler.options.root.name", problem));
            }
        };
        Ok(match self.sampler.name {
            SamplerName::AlwaysOn => Sampler::All,
            SamplerName::AlwaysOff => Sampler::None,
            SamplerName::TraceIdRatio => Sampler::Share(share),
            SamplerName::ParentBase => Sampler::Parent(root),
        })
    }
}

fn share(field: &str, fraction: f64) -> Result<f64, Invalid> {
    match (0.0..=1.0).contains(&fraction) {
        true => Ok(fraction),
        false => Err(Invalid::new(field, "is a number from 0 to 1")),
    }
}

impl Metadata {
    pub(super) fn read(json: &Value) -> Result<Self, Invalid> {
        gateward_model::parse(json)
    }

    /// Whether there can be such a collector. Where it is may be a reference, and not known yet.
    pub(super) fn check(mut self) -> Result<(), Invalid> {
        if holds_reference(&self.collector.address) {
            self.collector.address = CollectorSettings::default().address;
        }
        self.collector().map(drop)
    }

    /// The same for the same metadata, which may hold a collector's key.
    pub(super) fn identity(&self) -> Identity {
        // Texts, numbers and maps of them always have a JSON form.
        let text = zeroize::Zeroizing::new(serde_json::to_vec(self).unwrap_or_default());
        let mut identity = Identity::default();
        identity.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, &text).as_ref());
        identity
    }

    pub(super) fn collector(&self) -> Result<Collector, Invalid> {
        let CollectorSettings { address, request_timeout, request_headers } = &self.collector;
        let Batching { max_queue_size, batch_timeout, inactive_timeout, max_export_batch_size, .. } =
            self.batch_span_processor;
        let mut headers = HeaderMap::new();
        for (name, value) in request_headers {
            let field = || format!("collector.request_headers.{name}");
            let text = match value {
                Scalar::Bool(flag) => flag.to_string(),
                Scalar::Number(number) => number.to_string(),
                Scalar::Text(text) => text.clone(),
            };
            let wrong = || Invalid::new(field(), "is no header field");
            let name = HeaderName::try_from(name.as_str()).map_err(|_| wrong())?;
            let mut value = HeaderValue::try_from(text).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut resource: Vec<(String, Scalar)> =
            self.resource.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        if !self.resource.contains_key(SERVICE_NAME) {
            resource.push((SERVICE_NAME.to_owned(), Scalar::Text("gateward".to_owned())));
        }
        Ok(Collector {
            uri: uri(address)?,
            headers,
            timeout: Duration::from_secs(u64::from(at_least_one(
                "collector.request_timeout",
                *request_timeout,
            )?)),
            resource,
            queue: at_least_one("batch_span_processor.max_queue_size", max_queue_size)?.min(MOST_SPANS)
                as usize,
            batch: at_least_one("batch_span_processor.max_export_batch_size", max_export_batch_size)?
                as usize,
            batch_timeout: span("batch_span_processor.batch_timeout", batch_timeout)?,
            inactive_timeout: span("batch_span_processor.inactive_timeout", inactive_timeout)?,
        })
    }
}

fn at_least_one(field: &str, number: u32) -> Result<u32, Invalid> {
    if number == 0 { Err(Invalid::new(field, "is 1 at least")) } else { Ok(number) }
}

fn span(field: &str, seconds: f64) -> Result<Duration, Invalid> {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|span| *span <= LONGEST)
        .ok_or_else(|| Invalid::new(field, "is a number of seconds, an hour at most"))
}

/// `host:port`, or a whole address; without a path, OTLP's own.
fn uri(address: &str) -> Result<Uri, Invalid> {
    let wrong = || Invalid::new("collector.address", "is a host and a port, such as 127.0.0.1:4318");
    let address = match address.contains("://") {
        true => address.to_owned(),
        false => format!("http://{address}"),
    };
    let uri: Uri = address.parse().map_err(|_| wrong())?;
    let is_known = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.host().filter(|host| is_known && !host.is_empty()).ok_or_else(wrong)?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) || host.contains('{') {
        return Err(wrong());
    }
    if uri.path_and_query().is_some_and(|target| target.as_str() != "/") {
        return Ok(uri);
    }
    format!("{}/v1/traces", address.trim_end_matches('/')).parse().map_err(|_| wrong())
}

pub(super) fn schema() -> Value {
    let fraction = json!({"type": "number", "minimum": 0, "maximum": 1, "default": 0});
    let names = |names: &[&str]| json!({"type": "string", "enum": names, "default": "always_off"});
    let texts = json!({"type": "array", "items": {"type": "string", "minLength": 1}});
    let closed = |properties: Value| json!({"type": "object", "properties": properties, "additionalProperties": false});
    let root = closed(json!({
        "name": names(&["always_on", "always_off", "trace_id_ratio"]),
        "options": closed(json!({"fraction": fraction})),
    }));
    closed(json!({
        "sampler": closed(json!({
            "name": names(&["always_on", "always_off", "trace_id_ratio", "parent_base"]),
            "options": closed(json!({"fraction": fraction, "root": root})),
        })),
        "additional_attributes": texts,
        "additional_header_prefix_attributes": texts,
    }))
}

pub(super) fn metadata_schema() -> Value {
    let scalars = json!({"type": "object", "additionalProperties": {"anyOf": [
        {"type": "boolean"}, {"type": "number"}, {"type": "string"},
    ]}});
    let count = |default: u32| json!({"type": "integer", "minimum": 1, "default": default});
    let seconds = |default: u32| json!({"type": "number", "minimum": 0, "default": default});
    let closed = |properties: Value| json!({"type": "object", "properties": properties, "additionalProperties": false});
    closed(json!({
        "trace_id_source": {"type": "string", "enum": ["x-request-id", "random"], "default": "random"},
        "resource": scalars,
        "collector": closed(json!({
            "address": {"type": "string", "description": "host:port", "default": "127.0.0.1:4318"},
            "request_timeout": count(3),
            "request_headers": scalars,
        })),
        "batch_span_processor": closed(json!({
            "drop_on_queue_full": {"type": "boolean", "default": true},
            "max_queue_size": count(2048),
            "batch_timeout": seconds(5),
            "inactive_timeout": seconds(2),
            "max_export_batch_size": count(256),
        })),
        "set_ngx_var": {"type": "boolean", "default": false},
    }))
}

const SERVICE_NAME: &str = "service.name";

/// More than these must not wait, whatever the settings say.
const MOST_SPANS: u32 = 1 << 20;

const LONGEST: Duration = Duration::from_secs(3600);
