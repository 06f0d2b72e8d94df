//! Kong's Admin API, for vaults: its paths, its two kinds of bodies, its errors.

mod error;
mod form;
mod uuid;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use gateward_model::Vault;
use gateward_vaults::Resolver;
use http::{HeaderMap, Request, StatusCode, header};
use serde_json::{Map, Value, json};

use self::error::KongError;
use crate::request::json_answer;
use crate::resources::{Document, Standing, VAULTS};
use crate::{ControlParts, authenticate, request};

/// Who may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Those with a token.
    Authenticated,
    /// Everybody who can reach the port.
    Open,
}

pub(crate) fn router(access: Access) -> Router<Arc<ControlParts>> {
    let list = move |State(parts): State<Arc<ControlParts>>, headers: HeaderMap| async move {
        answer(list(&parts, access, &headers).await)
    };
    let read = move |State(parts): State<Arc<ControlParts>>, Path(name): Path<String>, headers: HeaderMap| async move {
        answer(read(&parts, access, &headers, &name).await)
    };
    let put = move |State(parts): State<Arc<ControlParts>>,
                    Path(name): Path<String>,
                    request: Request<Body>| async move {
        answer(put(&parts, access, &name, request).await)
    };
    let delete = move |State(parts): State<Arc<ControlParts>>,
                       Path(name): Path<String>,
                       headers: HeaderMap| async move {
        answer(delete(&parts, access, &headers, &name).await)
    };
    Router::new()
        .route("/vaults", get(list).fallback(not_allowed))
        .route("/vaults/{name}", get(read).put(put).delete(delete).fallback(not_allowed))
}

type Answer = Result<(StatusCode, Value), KongError>;

fn answer(answer: Answer) -> Response {
    match answer {
        Ok((StatusCode::NO_CONTENT, _)) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Ok((status, body)) => json_answer(status, &body),
        Err(error) => error.answer(),
    }
}

async fn not_allowed() -> Response {
    KongError::MethodNotAllowed.answer()
}

async fn list(parts: &ControlParts, access: Access, headers: &HeaderMap) -> Answer {
    admit(parts, access, headers)?;
    let vaults: Vec<Value> =
        parts.documents(VAULTS).await?.into_iter().map(|document| document.json).collect();
    Ok((StatusCode::OK, json!({"data": vaults, "next": null})))
}

async fn read(parts: &ControlParts, access: Access, headers: &HeaderMap, name: &str) -> Answer {
    admit(parts, access, headers)?;
    let (_, standing) = find(parts, name).await?.ok_or(KongError::NotFound)?;
    Ok((StatusCode::OK, standing.json?))
}

async fn put(parts: &ControlParts, access: Access, name: &str, request: Request<Body>) -> Answer {
    admit(parts, access, request.headers())?;
    check_writable(parts)?;
    let mut fields = body(request).await?;
    let before = find(parts, name).await?;
    // The prefix is what the URL says, be it by the prefix itself or by the id of one that stands.
    let prefix = before.as_ref().map_or(name, |(prefix, _)| prefix.as_str()).to_owned();
    if fields.get("prefix").is_some_and(|given| given.as_str() != Some(prefix.as_str())) {
        return Err(KongError::field("prefix", "must be the prefix in the URL"));
    }
    for ours in ["id", "created_at", "updated_at"] {
        fields.remove(ours);
    }
    let now = parts.clock.now().secs();
    let version = before.as_ref().map(|(_, standing)| standing.version);
    let standing = |field: &str| Some(before.as_ref()?.1.json()?[field].clone());
    fields.insert("prefix".to_owned(), Value::from(prefix.as_str()));
    fields.insert("id".to_owned(), standing("id").unwrap_or_else(|| Value::from(uuid::random())));
    fields.insert("created_at".to_owned(), standing("created_at").unwrap_or_else(|| Value::from(now)));
    fields.insert("updated_at".to_owned(), Value::from(now));
    let vault = check(fields)?;
    let json = serde_json::to_value(&vault).map_err(|_| KongError::NotFound)?;
    parts.write_document(VAULTS, &prefix, &json, version).await?;
    Ok((StatusCode::OK, json))
}

async fn delete(parts: &ControlParts, access: Access, headers: &HeaderMap, name: &str) -> Answer {
    admit(parts, access, headers)?;
    check_writable(parts)?;
    if let Some((prefix, standing)) = find(parts, name).await? {
        parts.delete_document(VAULTS, &prefix, standing.version).await?;
    }
    Ok((StatusCode::NO_CONTENT, Value::Null))
}

/// Reads the vault out of its fields, every wrong one named.
fn check(fields: Map<String, Value>) -> Result<Vault, KongError> {
    if !fields.contains_key("name") {
        return Err(KongError::field("name", "required field missing"));
    }
    let vault: Vault = gateward_model::parse(&Value::Object(fields))?;
    Vault::check_prefix(&vault.prefix)?;
    Resolver::check_vault(&vault)?;
    Ok(vault)
}

fn admit(parts: &ControlParts, access: Access, headers: &HeaderMap) -> Result<(), KongError> {
    match access {
        Access::Open => Ok(()),
        Access::Authenticated => {
            authenticate::identity(parts, headers, None).map(|_| ()).map_err(KongError::Refused)
        }
    }
}

/// Refuses to write what a declarative file holds.
fn check_writable(parts: &ControlParts) -> Result<(), KongError> {
    if parts.is_declared(VAULTS) { Err(KongError::Declared) } else { Ok(()) }
}

/// The prefix of the vault with this prefix, or else with this id, and what stands there.
async fn find(parts: &ControlParts, name: &str) -> Result<Option<(String, Standing)>, KongError> {
    if let Some(standing) = parts.standing(VAULTS, name).await? {
        return Ok(Some((name.to_owned(), standing)));
    }
    if !uuid::is_one(name) {
        return Ok(None);
    }
    let mut documents = parts.documents(VAULTS).await?.into_iter();
    let found = documents.find(|document| document.json["id"] == name);
    Ok(found.map(|Document { id, json, version }| (id, Standing { version, json: Ok(json) })))
}

async fn body(request: Request<Body>) -> Result<Map<String, Value>, KongError> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.unwrap_or("application/json").split(';').next().unwrap_or_default();
    let kind = media_type.trim().to_ascii_lowercase();
    let bytes = request::read(request.into_body()).await?;
    match kind.as_str() {
        "application/json" => match gateward_model::from_admin(&bytes) {
            Ok(Value::Object(fields)) => Ok(fields),
            _ => Err(KongError::Unreadable("Cannot parse JSON body")),
        },
        "application/x-www-form-urlencoded" => form::fields(&bytes),
        _ => Err(KongError::MediaType),
    }
}
