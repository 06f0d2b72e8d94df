//! Kong's Admin API, for vaults: its paths, its three kinds of bodies, its errors.

mod body;
mod entity;
mod error;
mod form;
mod page;
mod trial;
mod uuid;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use gateward_model::{Invalid, Vault};
use gateward_vaults::Resolver;
use http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::{Value, json};

use self::body::Fields;
use self::entity::Stamp;
use self::error::KongError;
use crate::request::json_answer;
use crate::resources::VAULTS;
use crate::{ControlParts, authenticate, permissions};

/// Who may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Those with a token.
    Authenticated,
    /// Everybody who can reach the port.
    Open,
}

pub(crate) fn router(access: Access) -> Router<Arc<ControlParts>> {
    type Parts = State<Arc<ControlParts>>;
    let list = move |State(parts): Parts, query: Query<page::Query>, headers: HeaderMap| async move {
        answer(list(&parts, access, &headers, &query).await)
    };
    let insert = move |State(parts): Parts, request: Request<Body>| async move {
        answer(insert(&parts, access, request).await)
    };
    let read = move |State(parts): Parts, Path(name): Path<String>, headers: HeaderMap| async move {
        answer(read(&parts, access, &headers, &name).await)
    };
    let put = move |State(parts): Parts, Path(name): Path<String>, request: Request<Body>| async move {
        answer(replace(&parts, access, &name, request).await)
    };
    let patch = move |State(parts): Parts, Path(name): Path<String>, request: Request<Body>| async move {
        answer(change(&parts, access, &name, request).await)
    };
    let delete = move |State(parts): Parts,
                       Path(name): Path<String>,
                       query: Query<Force>,
                       headers: HeaderMap| async move {
        answer(delete(&parts, access, &headers, &name, query.0).await)
    };
    let test = move |State(parts): Parts, Path(name): Path<String>, request: Request<Body>| async move {
        answer(test(&parts, access, &name, request).await)
    };
    let schema = move |State(parts): Parts, Path(kind): Path<String>, headers: HeaderMap| async move {
        answer(schema(&parts, access, &headers, &kind))
    };
    let validate = move |State(parts): Parts, request: Request<Body>| async move {
        answer(validate(&parts, access, request).await)
    };
    Router::new()
        .route("/vaults", only("GET, HEAD, OPTIONS, POST", get(list).post(insert)))
        .route(
            "/vaults/{name}",
            only("DELETE, GET, HEAD, OPTIONS, PATCH, PUT", get(read).put(put).patch(patch).delete(delete)),
        )
        .route("/vaults/{name}/test", only("OPTIONS, POST", post(test)))
        .route("/schemas/vaults/validate", only("OPTIONS, POST", post(validate)))
        .route("/schemas/vaults/{kind}", only("GET, HEAD, OPTIONS", get(schema)))
}

/// `methods`, OPTIONS among them, and 405 for the others.
fn only(allowed: &'static str, methods: MethodRouter<Arc<ControlParts>>) -> MethodRouter<Arc<ControlParts>> {
    methods.fallback(move |method: Method| async move {
        match method {
            Method::OPTIONS => (StatusCode::NO_CONTENT, [(header::ALLOW, allowed)]).into_response(),
            _ => {
                let mut response = KongError::MethodNotAllowed.answer();
                response.headers_mut().insert(header::ALLOW, http::HeaderValue::from_static(allowed));
                response
            }
        }
    })
}

/// Whether a deletion is not to mind who refers to the vault.
#[derive(serde::Deserialize)]
struct Force {
    force: Option<String>,
}

type Answer = Result<(StatusCode, Value), KongError>;

fn answer(answer: Answer) -> Response {
    match answer {
        Ok((StatusCode::NO_CONTENT, _)) => StatusCode::NO_CONTENT.into_response(),
        Ok((status, body)) => json_answer(status, &body),
        Err(error) => error.answer(),
    }
}

async fn list(parts: &ControlParts, access: Access, headers: &HeaderMap, query: &page::Query) -> Answer {
    admit(parts, access, headers)?;
    Ok((StatusCode::OK, page::list(parts, query).await?))
}

async fn read(parts: &ControlParts, access: Access, headers: &HeaderMap, name: &str) -> Answer {
    admit(parts, access, headers)?;
    let found = find(parts, name).await?.ok_or(KongError::NotFound)?;
    let vault = match found.vault {
        Some(vault) => vault,
        None => {
            let standing = parts.standing(VAULTS, &found.prefix).await?.ok_or(KongError::NotFound)?;
            vault(&standing.json?).map_err(|_| KongError::NotFound)?
        }
    };
    Ok((StatusCode::OK, entity::shown(&vault)))
}

async fn insert(parts: &ControlParts, access: Access, request: Request<Body>) -> Answer {
    check_writable(parts, access, request.headers())?;
    let vault = write::insert(parts, Fields::read(request).await?).await?;
    Ok((StatusCode::CREATED, entity::shown(&vault)))
}

async fn replace(parts: &ControlParts, access: Access, name: &str, request: Request<Body>) -> Answer {
    check_writable(parts, access, request.headers())?;
    let vault = write::replace(parts, name, Fields::read(request).await?).await?;
    Ok((StatusCode::OK, entity::shown(&vault)))
}

async fn change(parts: &ControlParts, access: Access, name: &str, request: Request<Body>) -> Answer {
    check_writable(parts, access, request.headers())?;
    let vault = write::change(parts, name, Fields::read(request).await?).await?;
    Ok((StatusCode::OK, entity::shown(&vault)))
}

async fn delete(
    parts: &ControlParts,
    access: Access,
    headers: &HeaderMap,
    name: &str,
    Force { force }: Force,
) -> Answer {
    check_writable(parts, access, headers)?;
    write::delete(parts, name, force.as_deref() == Some("true")).await?;
    Ok((StatusCode::NO_CONTENT, Value::Null))
}

async fn test(parts: &ControlParts, access: Access, name: &str, request: Request<Body>) -> Answer {
    admit(parts, access, request.headers())?;
    Ok((StatusCode::OK, trial::test(parts, name, &Fields::read(request).await?).await?))
}

fn schema(parts: &ControlParts, access: Access, headers: &HeaderMap, kind: &str) -> Answer {
    admit(parts, access, headers)?;
    let schema = Resolver::schema(kind).ok_or_else(|| KongError::NoKind(kind.to_owned()))?;
    Ok((StatusCode::OK, schema))
}

/// Checks a vault by itself, and writes nothing.
async fn validate(parts: &ControlParts, access: Access, request: Request<Body>) -> Answer {
    admit(parts, access, request.headers())?;
    let fields = Fields::read(request).await?;
    let kind = fields.text("name").map(str::to_owned);
    let stamp = Stamp { id: uuid::random(), created_at: 0, updated_at: 0 };
    entity::read(fields.typed(kind.as_deref()), None, stamp)?;
    Ok((StatusCode::OK, json!({"message": "schema validation successful"})))
}

fn admit(parts: &ControlParts, access: Access, headers: &HeaderMap) -> Result<(), KongError> {
    match access {
        Access::Open => Ok(()),
        Access::Authenticated => {
            let admitted = authenticate::identity(parts, headers, None, permissions::RESOURCES);
            admitted.map(|_| ()).map_err(KongError::Refused)
        }
    }
}

/// Refuses to write what a declarative file holds.
fn check_writable(parts: &ControlParts, access: Access, headers: &HeaderMap) -> Result<(), KongError> {
    admit(parts, access, headers)?;
    if parts.is_declared(VAULTS) { Err(KongError::Declared) } else { Ok(()) }
}

/// A vault that stands.
struct Found {
    prefix: String,
    version: u64,
    /// None if what is stored cannot be opened or read.
    vault: Option<Vault>,
}

/// The vault with this prefix, or else with this id.
async fn find(parts: &ControlParts, name: &str) -> Result<Option<Found>, KongError> {
    if let Some(standing) = parts.standing(VAULTS, name).await? {
        let vault = standing.json().and_then(|json| vault(json).ok());
        return Ok(Some(Found { prefix: name.to_owned(), version: standing.version, vault }));
    }
    if !uuid::is_one(name) {
        return Ok(None);
    }
    let mut documents = parts.documents(VAULTS).await?.into_iter();
    let found = documents.find(|document| document.json["id"] == name);
    Ok(found.map(|document| Found {
        version: document.version,
        vault: vault(&document.json).ok(),
        prefix: document.id,
    }))
}

/// All vaults that can be read.
async fn vaults(parts: &ControlParts) -> Result<Vec<Vault>, KongError> {
    let documents = parts.documents(VAULTS).await?;
    Ok(documents.iter().filter_map(|document| vault(&document.json).ok()).collect())
}

fn vault(json: &Value) -> Result<Vault, Invalid> {
    gateward_model::parse(json)
}
