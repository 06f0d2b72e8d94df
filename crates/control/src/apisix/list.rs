//! Lists of resources: what is in them, in which order, and which part is shown.

use std::ops::Bound;

use gateward_model::apisix::{Kind, ResourceId};
use http::StatusCode;
use regex::Regex;
use serde_json::{Value, json};

use super::arguments::Arguments;
use super::problem::Problem;
use super::{Answer, Reply, delete, masks, place};
use crate::ControlParts;
use crate::resources::Document;

/// The resources of `kind` that `arguments` ask for, oldest first.
pub(super) async fn list(
    parts: &ControlParts,
    kind: Kind,
    consumer: Option<&ResourceId>,
    arguments: &Arguments,
) -> Answer {
    let window = arguments.window()?;
    let filter = Filter::of(arguments)?;
    let range = match consumer {
        Some(consumer) => delete::of_consumer(consumer),
        None => (Bound::Unbounded, Bound::Unbounded),
    };
    let mut documents = Vec::new();
    parts
        .each(kind.plural(), range, |document| {
            if filter.takes(&document.json) {
                documents.push(document);
            }
            true
        })
        .await?;
    // Sorted by id already, so those of the same second stay in that order.
    documents.sort_by_key(|document| created_index(&document.json));
    let total = documents.len();
    let shown: Vec<Value> = match window {
        None => documents.into_iter().map(|document| entry(kind, document)).collect(),
        Some(window) => {
            let shown = documents.into_iter().skip(window.skipped).take(window.size);
            shown.map(|document| entry(kind, document)).collect()
        }
    };
    Ok(Reply::Json(StatusCode::OK, json!({"total": total, "list": shown})))
}

/// A resource as it is shown, in APISIX's envelope.
pub(super) fn entry(kind: Kind, document: Document) -> Value {
    let Document { id, mut json, version } = document;
    masks::hide(kind, &id, &mut json);
    let created = created_index(&json);
    json!({
        "key": place::key(kind, &id), "value": json,
        "createdIndex": created, "modifiedIndex": created + version - 1,
    })
}

/// APISIX's clients want an index that only grows; the time of creation and the number of changes since give one.
fn created_index(json: &Value) -> u64 {
    json["create_time"].as_u64().unwrap_or(1)
}

/// Which resources are asked for. Each condition that is given must hold.
#[derive(Default)]
struct Filter {
    name: Option<Regex>,
    uri: Option<Regex>,
    label: Option<String>,
    /// Fields with ids of others, and the ids.
    refers: Vec<(String, String)>,
}

impl Filter {
    fn of(arguments: &Arguments) -> Result<Self, Problem> {
        let pattern = |name: &str| match arguments.get(name) {
            None => Ok(None),
            Some(text) => Regex::new(text).map(Some).map_err(|_| {
                Problem::bad(format!("invalid argument {name}: should be a regular expression"))
            }),
        };
        Ok(Self {
            name: pattern("name")?,
            uri: pattern("uri")?,
            label: arguments.get("label").map(str::to_owned),
            refers: refers(arguments.get("filter").unwrap_or_default())?,
        })
    }

    fn takes(&self, json: &Value) -> bool {
        let text = |field: &str| json[field].as_str();
        let name = self.name.as_ref().is_none_or(|name| text("name").is_some_and(|own| name.is_match(own)));
        let uri = self.uri.as_ref().is_none_or(|uri| {
            let several = json["uris"].as_array().into_iter().flatten().filter_map(Value::as_str);
            text("uri").into_iter().chain(several).any(|own| uri.is_match(own))
        });
        let label = self.label.as_ref().is_none_or(|label| json["labels"].get(label).is_some());
        let refers = self.refers.iter().all(|(field, id)| match &json[field] {
            Value::String(own) => own == id,
            Value::Number(own) => own.to_string() == *id,
            _ => false,
        });
        name && uri && label && refers
    }
}

/// Reads `filter=service_id%3D1%26upstream_id%3D2`, decoded once already.
fn refers(text: &str) -> Result<Vec<(String, String)>, Problem> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| match pair.split_once('=') {
            Some((field, id)) if REFERRING.contains(&field) => Ok((field.to_owned(), id.to_owned())),
            _ => Err(Problem::bad(format!(
                "invalid argument filter: should be FIELD=ID, percent-encoded, with a FIELD of {}",
                REFERRING.join(", ")
            ))),
        })
        .collect()
}

const REFERRING: [&str; 4] = ["service_id", "upstream_id", "plugin_config_id", "group_id"];
