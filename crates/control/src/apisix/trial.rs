//! Tries configuration out: says what a write would say, and writes nothing.

use gateward_model::apisix::Kind;
use gateward_proxy::validation::{self, Resource};
use http::StatusCode;
use serde_json::{Value, json};

use super::address::Trial;
use super::problem::Problem;
use super::{Answer, Reply, place};

pub(super) fn answer(trial: &Trial, json: &Value) -> Answer {
    match trial {
        Trial::Resource(kind) => resource(*kind, json),
        Trial::Everything => everything(json),
    }
}

/// One resource by itself. What it refers to need not exist: it may be about to be written.
fn resource(kind: Kind, json: &Value) -> Answer {
    let id = match kind {
        // Plugin metadata say by `id` which plugin they are for.
        Kind::PluginMetadata | Kind::Consumers => {
            place::id_in_body(kind, json)?.ok_or_else(|| place::missing_id(kind))?.as_str().to_owned()
        }
        Kind::Credentials => "consumer/credential".to_owned(),
        _ => place::id_in_body(kind, json)?.map_or("new".to_owned(), |id| id.as_str().to_owned()),
    };
    validation::check(kind, &id, json)?;
    Ok(Reply::Empty(StatusCode::OK))
}

/// A whole configuration: a list of resources for each kind, as a declarative file has it.
fn everything(json: &Value) -> Answer {
    let mut named: Vec<(Kind, usize, String, &Value)> = Vec::new();
    let mut faults = Vec::new();
    let fault = |kind: &str, at: usize, id: &str, problem: &str| {
        let message = format!("invalid {kind} at index {at}, err: {problem}");
        json!({"resource_type": kind, "resource_id": id, "index": at, "error": message})
    };
    for (name, list) in json.as_object().into_iter().flatten() {
        if name.ends_with("_conf_version") {
            continue;
        }
        let Some(kind) = Kind::of(name) else {
            faults
                .push(json!({"resource_type": name, "error": format!("Unsupported resource type: {name}")}));
            continue;
        };
        let Some(list) = list.as_array() else {
            faults.push(json!({"resource_type": name, "error": format!("{name} is a list")}));
            continue;
        };
        for (at, resource) in list.iter().enumerate() {
            match place_of(kind, resource) {
                Ok((kind, id)) => match validation::check(kind, &id, resource) {
                    Ok(_) => named.push((kind, at, id, resource)),
                    Err(error) => faults.push(fault(name, at, &id, &error.to_string())),
                },
                Err(problem) => faults.push(fault(name, at, "", &problem)),
            }
        }
    }
    if faults.is_empty() {
        let resources: Vec<Resource<'_>> =
            named.iter().map(|(kind, _, id, json)| Resource { kind: *kind, id, json }).collect();
        for (at, error) in validation::check_all(&resources, None) {
            let (kind, at, id, _) = &named[at];
            faults.push(fault(kind.plural(), *at, id, &error.to_string()));
        }
    }
    if faults.is_empty() {
        return Ok(Reply::Empty(StatusCode::OK));
    }
    let body = json!({"error_msg": "Configuration validation failed", "errors": faults});
    Err(Problem::body(StatusCode::BAD_REQUEST, body))
}

/// What a resource in a list is, and by which id. A credential stands among the consumers, or by itself, and says in its
/// id whose it is: `ann/credentials/1`.
fn place_of(kind: Kind, json: &Value) -> Result<(Kind, String), String> {
    if !json.is_object() {
        return Err("it is a JSON object".to_owned());
    }
    let text = |field: &str| match json.get(field) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let id = text("id");
    if matches!(kind, Kind::Consumers | Kind::Credentials)
        && let Some((consumer, own)) = id.as_deref().and_then(|id| id.split_once("/credentials/"))
    {
        return Ok((Kind::Credentials, format!("{consumer}/{own}")));
    }
    match kind {
        Kind::Consumers => text("username").map(|name| (kind, name)).ok_or("username is required".to_owned()),
        Kind::Credentials => Err("a credential's id is CONSUMER/credentials/ID".to_owned()),
        _ => id.map(|id| (kind, id)).ok_or("id is required".to_owned()),
    }
}
