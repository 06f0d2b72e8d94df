//! Where a resource stands: its kind, its id, and for a credential its consumer. And what may be done there.

use gateward_model::apisix::{Kind, ResourceId};
use http::Method;
use serde_json::Value;

use super::problem::Problem;
use crate::ControlParts;

/// Where a resource stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) kind: Kind,
    /// Whose it is, if it is a credential.
    pub(super) consumer: Option<ResourceId>,
    pub(super) id: ResourceId,
}

impl Place {
    pub(super) fn new(kind: Kind, consumer: Option<ResourceId>, id: ResourceId) -> Self {
        Self { kind, consumer, id }
    }

    /// Its place among those of its kind.
    pub(super) fn sort(&self) -> String {
        match &self.consumer {
            Some(consumer) => format!("{consumer}/{}", self.id),
            None => self.id.as_str().to_owned(),
        }
    }

    /// What APISIX's envelope calls it.
    pub(super) fn key(&self) -> String {
        key(self.kind, &self.sort())
    }

    /// Refuses a body that names another resource than the path does.
    pub(super) fn check_body(&self, json: &Value) -> Result<(), Problem> {
        match id_in_body(self.kind, json)? {
            Some(other) if other != self.id => {
                let what = if self.kind == Kind::Consumers { "username" } else { "id" };
                let noun = if self.kind == Kind::Consumers {
                    String::new()
                } else {
                    format!("{} ", self.kind.singular())
                };
                Err(Problem::bad(format!("wrong {noun}{what}")))
            }
            _ => Ok(()),
        }
    }

    /// Writes its id into the resource, for the kinds that show one.
    pub(super) fn write_id(&self, json: &mut Value) {
        match self.kind {
            Kind::Consumers => {}
            Kind::PluginMetadata => {
                if let Some(fields) = json.as_object_mut() {
                    fields.shift_remove("id");
                }
            }
            _ => {
                json["id"] = match json.get("id") {
                    // An id that came as a number stays one.
                    Some(id @ Value::Number(_)) => id.clone(),
                    _ => Value::from(self.id.as_str()),
                };
            }
        }
    }
}

/// What APISIX's envelope calls the resource that stands at `sort` among those of `kind`.
pub(super) fn key(kind: Kind, sort: &str) -> String {
    match (kind, sort.split_once('/')) {
        (Kind::Credentials, Some((consumer, id))) => format!("/apisix/consumers/{consumer}/credentials/{id}"),
        _ => format!("/apisix/{}/{sort}", kind.plural()),
    }
}

/// The id that a body gives itself.
pub(super) fn id_in_body(kind: Kind, json: &Value) -> Result<Option<ResourceId>, Problem> {
    let id = given_id("id", json)?;
    if kind != Kind::Consumers {
        return Ok(id);
    }
    let username = given_id("username", json)?;
    if id.is_some() && id != username {
        return Err(Problem::bad("wrong consumer id; a consumer's id is its username"));
    }
    Ok(username)
}

fn given_id(field: &str, json: &Value) -> Result<Option<ResourceId>, Problem> {
    let text = match json.get(field) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) if field == "id" && id.as_u64().is_some_and(|id| id > 0) => id.to_string(),
        Some(_) => {
            let problem =
                if field == "id" { "is a string, or a whole number from 1 on" } else { "is a string" };
            return Err(Problem::bad(format!("invalid configuration: property \"{field}\": {problem}")));
        }
    };
    ResourceId::parse(&text).map(Some).map_err(|error| {
        Problem::bad(format!("invalid configuration: property \"{field}\": {}", error.problem))
    })
}

/// What is wrong with a write that names no resource.
pub(super) fn missing_id(kind: Kind) -> Problem {
    match kind {
        Kind::Consumers => Problem::bad("invalid configuration: property \"username\": is required"),
        kind => Problem::bad(format!("missing {} id", kind.singular())),
    }
}

/// Refuses a method that resources of this kind do not have.
pub(super) fn check_method(kind: Kind, method: &Method) -> Result<(), Problem> {
    let has_patch = !matches!(kind, Kind::Consumers | Kind::Credentials | Kind::PluginMetadata);
    let has_post = matches!(kind, Kind::Routes | Kind::Services | Kind::Upstreams | Kind::Ssls);
    let allowed = match *method {
        Method::GET | Method::HEAD | Method::PUT | Method::DELETE => true,
        Method::PATCH => has_patch,
        Method::POST => has_post,
        _ => false,
    };
    if allowed {
        return Ok(());
    }
    Err(Problem::not_allowed(format!("not supported `{method}` method for {}", kind.singular())))
}

/// Refuses to write what a declarative file holds.
pub(super) fn check_writable(parts: &ControlParts, kind: Kind) -> Result<(), Problem> {
    if !parts.is_declared(kind.plural()) {
        return Ok(());
    }
    let kind = kind.plural();
    Err(Problem::not_allowed(format!(
        "{kind} stand in the declarative file, and can only be read here; change the file"
    )))
}
