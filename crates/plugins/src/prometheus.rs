//! `prometheus`: counts requests, for whoever scrapes the metrics.
//!
//! What is counted stands in [`Requests`], which outlives every configuration. The labels of a request are told apart
//! by its data thread alone: it looks them up in a table of its own, and what it finds there is a place to add to that
//! no other thread writes. Only a set of labels that a thread has not met costs more than additions.

mod labels;
mod requests;
mod series;

use std::collections::BTreeMap;
use std::sync::Arc;

use gateward_model::Invalid;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Kind, MetadataKind, Phases, Plugin, Record};
use labels::{Disabled, FAMILIES, Labels};
pub use requests::Requests;

pub(crate) const KIND: Kind = Kind {
    name: NAME,
    priority: 500,
    secrets: &[],
    phases: Phases { rewrite: false, access: false, respond: false, log: true },
    check: |json| gateward_model::parse::<Settings>(json).map(drop),
    build: |json, site| {
        let Settings { prefer_name } = gateward_model::parse(json)?;
        let disabled = site.metadata.map(|metadata| Metadata::read(metadata)?.disabled()).transpose()?;
        let requests = Requests::of(site.shared);
        requests.disable(disabled.unwrap_or_default());
        Ok(Arc::new(Prometheus { prefer_name, requests }))
    },
    schema,
    consumer: None,
    metadata: Some(MetadataKind {
        secrets: &[],
        check: |json| Metadata::read(json)?.disabled().map(drop),
        schema: metadata_schema,
    }),
};

const NAME: &str = "prometheus";

/// Counts requests.
#[derive(Debug)]
struct Prometheus {
    /// Whether routes and services are called by their names, where they have some.
    prefer_name: bool,
    requests: Arc<Requests>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    prefer_name: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Metadata {
    /// The labels that are left empty, by metric.
    disabled_labels: BTreeMap<String, Vec<String>>,
}

impl Plugin for Prometheus {
    fn log(&self, record: &Record) {
        let route = record.route.as_deref();
        let labels = Labels {
            route: route.map_or("", |route| self.prefer(&route.id, route.name.as_deref())),
            service: route.map_or("", |route| {
                route.service_id.as_deref().map_or("", |id| self.prefer(id, route.service_name.as_deref()))
            }),
            uri: record.matched.as_ref().map_or("", |matched| matched.uri()),
            host: record.matched.as_ref().map_or("", |matched| matched.host()),
            consumer: record.consumer.as_ref().map_or("", |consumer| &consumer.username),
            node: record.node.as_ref().map_or("", |node| node.host()),
        };
        self.requests.count(labels, record);
    }
}

impl Prometheus {
    fn prefer<'n>(&self, id: &'n str, name: Option<&'n str>) -> &'n str {
        name.filter(|_| self.prefer_name).unwrap_or(id)
    }
}

impl Metadata {
    /// Reads them, without what every resource has.
    fn read(json: &Value) -> Result<Self, Invalid> {
        gateward_model::parse(json)
    }

    fn disabled(&self) -> Result<Disabled, Invalid> {
        let mut disabled = Disabled::default();
        for (metric, labels) in &self.disabled_labels {
            let field = || format!("disabled_labels.{metric}");
            let Some(family) = FAMILIES.iter().find(|family| family.name == metric) else {
                let known: Vec<&str> = FAMILIES.iter().map(|family| family.name).collect();
                return Err(Invalid::new(field(), format!("the metrics are {}", known.join(", "))));
            };
            for label in labels {
                if !family.labels.contains(&label.as_str()) {
                    let problem =
                        format!("the labels that can be left empty are {}", family.labels.join(", "));
                    return Err(Invalid::new(field(), problem));
                }
                disabled.add(family.name, label);
            }
        }
        Ok(disabled)
    }
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {"prefer_name": {"type": "boolean", "default": false}},
        "additionalProperties": false,
    })
}

fn metadata_schema() -> Value {
    let families = FAMILIES.iter().map(|family| {
        let labels = json!({"type": "array", "items": {"type": "string", "enum": family.labels}});
        (family.name.to_owned(), labels)
    });
    json!({
        "type": "object",
        "properties": {"disabled_labels": {
            "type": "object",
            "properties": families.collect::<serde_json::Map<_, _>>(),
            "additionalProperties": false,
        }},
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests;
