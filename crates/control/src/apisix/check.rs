//! Whether a route or an upstream can be taken: its schema, its plugins, its references, what it refers to.

use gateward_model::Invalid;
use gateward_model::apisix::{ResourceId, Route, RouteUpstream, Upstream};
use gateward_vaults::Reference;
use serde_json::Value;

use super::{Kind, Problem};
use crate::ControlParts;

/// Checks a route.
pub(super) async fn route(parts: &ControlParts, id: ResourceId, json: &Value) -> Result<(), Problem> {
    let route = Route::parse(id, json).map_err(|error| schema(&error))?;
    for entry in route.plugins.iter() {
        let (name, configuration) = (&entry.name, &entry.settings);
        let kind =
            gateward_plugins::kind(name).ok_or_else(|| Problem::bad(format!("unknown plugin [{name}]")))?;
        let wrong = |error: Invalid| {
            Problem::bad(format!("failed to check the configuration of plugin {name} err: {error}"))
        };
        references(configuration, "").map_err(wrong)?;
        (kind.check)(configuration).map_err(wrong)?;
    }
    if let Some(RouteUpstream::Id(upstream)) = &route.upstream
        && parts.document(Kind::Upstreams.plural(), upstream.as_str()).await?.is_none()
    {
        return Err(Problem::bad(format!(
            "failed to fetch upstream info by upstream id [{upstream}], response code: 404; \
             create the upstream first, or drop upstream_id"
        )));
    }
    Ok(())
}

/// Checks an upstream.
pub(super) fn upstream(json: &Value) -> Result<(), Problem> {
    Upstream::parse(json).map(|_| ()).map_err(|error| schema(&error))
}

/// Refuses to let go of an upstream that a route still uses.
pub(super) async fn unused(parts: &ControlParts, id: &ResourceId) -> Result<(), Problem> {
    for document in parts.documents(Kind::Routes.plural()).await? {
        let uses = match &document.json["upstream_id"] {
            Value::String(upstream) => upstream == id.as_str(),
            Value::Number(upstream) => upstream.to_string() == id.as_str(),
            _ => false,
        };
        if uses {
            let route = document.id;
            return Err(Problem::bad(format!(
                "can not delete this upstream, route [{route}] is still using it now"
            )));
        }
    }
    Ok(())
}

fn schema(error: &Invalid) -> Problem {
    Problem::bad(format!("invalid configuration: {error}"))
}

/// How many references stand in `json`; each must be one that can be parsed.
fn references(json: &Value, path: &str) -> Result<usize, Invalid> {
    let inner = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match json {
        Value::String(text) => match Reference::parse(text) {
            Ok(found) => Ok(usize::from(found.is_some())),
            // What cannot be read as a reference may be anything, a secret too.
            Err(error) => {
                Err(Invalid::new(path, format!("the reference cannot be read: {}", error.problem())))
            }
        },
        Value::Array(elements) => {
            let mut count = 0;
            for (index, element) in elements.iter().enumerate() {
                count += references(element, &inner(&index.to_string()))?;
            }
            Ok(count)
        }
        Value::Object(fields) => {
            let mut count = 0;
            for (name, field) in fields {
                count += references(field, &inner(name))?;
            }
            Ok(count)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(0),
    }
}
