//! APISIX's Admin API, for routes and upstreams: its paths, its envelope, its codes.

mod check;
mod masks;
mod timestamps;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::any;
use gateward_model::apisix::ResourceId;
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::authenticate::{self, Refusal};
use crate::request::{BodyRefused, json_answer};
use crate::resources::{Document, ResourceError};
use crate::{ControlParts, request};

pub(crate) fn router() -> Router<Arc<ControlParts>> {
    Router::new()
        .route("/apisix/admin/{kind}", any(collection))
        .route("/apisix/admin/{kind}/", any(collection))
        .route("/apisix/admin/{kind}/{id}", any(resource))
}

/// The kinds of resources that there are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Routes,
    Upstreams,
}

impl Kind {
    fn of(name: &str) -> Result<Self, Problem> {
        match name {
            "routes" => Ok(Self::Routes),
            "upstreams" => Ok(Self::Upstreams),
            _ => Err(Problem::status(StatusCode::NOT_FOUND, format!("Unsupported resource type: {name}"))),
        }
    }

    /// In paths, and in the store.
    fn plural(self) -> &'static str {
        match self {
            Self::Routes => "routes",
            Self::Upstreams => "upstreams",
        }
    }

    fn singular(self) -> &'static str {
        self.plural().trim_end_matches('s')
    }
}

/// What goes back instead of the resource.
pub(crate) struct Problem {
    status: StatusCode,
    body: Value,
}

impl Problem {
    fn status(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, body: json!({"error_msg": text.into()}) }
    }

    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::status(StatusCode::BAD_REQUEST, text)
    }

    fn missing() -> Self {
        Self { status: StatusCode::NOT_FOUND, body: json!({"message": "Key not found"}) }
    }
}

impl From<ResourceError> for Problem {
    fn from(error: ResourceError) -> Self {
        Self::status(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

impl From<BodyRefused> for Problem {
    fn from(refused: BodyRefused) -> Self {
        match refused {
            // APISIX's status and words, so far as the size is known.
            BodyRefused::TooLarge => Self::bad(format!(
                "invalid request body: request size is greater than the maximum size {} allowed",
                request::MAX_BODY
            )),
            BodyRefused::Broken => Self::bad(format!("invalid request body: {refused}")),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let description = match refusal {
            Refusal::Missing => "missing apikey",
            Refusal::Wrong => "wrong apikey",
        };
        let body = json!({"error_msg": "failed to check token", "description": description});
        Self { status: StatusCode::UNAUTHORIZED, body }
    }
}

type Answer = Result<(StatusCode, Value), Problem>;

async fn collection(
    State(parts): State<Arc<ControlParts>>,
    Path(kind): Path<String>,
    query: Query<HashMap<String, String>>,
    request: Request<Body>,
) -> Response {
    answer(on_collection(&parts, &kind, &query, request).await)
}

async fn resource(
    State(parts): State<Arc<ControlParts>>,
    Path((kind, id)): Path<(String, String)>,
    query: Query<HashMap<String, String>>,
    request: Request<Body>,
) -> Response {
    answer(on_resource(&parts, &kind, &id, &query, request).await)
}

async fn on_collection(
    parts: &ControlParts,
    kind: &str,
    query: &HashMap<String, String>,
    request: Request<Body>,
) -> Answer {
    check_key(parts, request.headers(), query)?;
    let kind = Kind::of(kind)?;
    match *request.method() {
        Method::GET | Method::HEAD => list(parts, kind).await,
        Method::PUT => {
            let json = body(request).await?;
            let id =
                body_id(&json)?.ok_or_else(|| Problem::bad(format!("missing {} id", kind.singular())))?;
            put(parts, kind, id, json).await
        }
        _ => Err(not_allowed(&request, kind)),
    }
}

async fn on_resource(
    parts: &ControlParts,
    kind: &str,
    id: &str,
    query: &HashMap<String, String>,
    request: Request<Body>,
) -> Answer {
    check_key(parts, request.headers(), query)?;
    let kind = Kind::of(kind)?;
    let id = ResourceId::parse(id).map_err(|error| Problem::bad(error.to_string()))?;
    match *request.method() {
        Method::GET | Method::HEAD => get(parts, kind, &id).await,
        Method::PUT => {
            let json = body(request).await?;
            if body_id(&json)?.is_some_and(|in_body| in_body != id) {
                return Err(Problem::bad(format!("wrong {} id", kind.singular())));
            }
            put(parts, kind, id, json).await
        }
        Method::DELETE => delete(parts, kind, &id, query).await,
        _ => Err(not_allowed(&request, kind)),
    }
}

async fn list(parts: &ControlParts, kind: Kind) -> Answer {
    let mut documents = parts.documents(kind.plural()).await?;
    documents.sort_by_key(|document| created_index(&document.json));
    let list: Vec<Value> = documents.into_iter().map(|document| entry(kind, document)).collect();
    Ok((StatusCode::OK, json!({"total": list.len(), "list": list})))
}

async fn get(parts: &ControlParts, kind: Kind, id: &ResourceId) -> Answer {
    let document = parts.document(kind.plural(), id.as_str()).await?.ok_or_else(Problem::missing)?;
    Ok((StatusCode::OK, entry(kind, document)))
}

async fn put(parts: &ControlParts, kind: Kind, id: ResourceId, mut json: Value) -> Answer {
    let before = parts.document(kind.plural(), id.as_str()).await?;
    timestamps::refuse(&json)?;
    if kind == Kind::Routes {
        masks::restore(&mut json, before.as_ref().map(|document| &document.json))?;
    }
    timestamps::write(&mut json, before.as_ref().map(|document| &document.json), parts.clock.now());
    json["id"] = match json.get("id") {
        // An id that came as a number stays one.
        Some(id @ Value::Number(_)) => id.clone(),
        _ => Value::from(id.as_str()),
    };
    match kind {
        Kind::Routes => check::route(parts, id.clone(), &json).await?,
        Kind::Upstreams => check::upstream(&json)?,
    }
    let version = before.map(|document| document.version);
    parts.write_document(kind.plural(), id.as_str(), &json, version).await?;
    let status = if version.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    masks::hide(&mut json);
    Ok((status, json!({"key": key(kind, id.as_str()), "value": json})))
}

async fn delete(
    parts: &ControlParts,
    kind: Kind,
    id: &ResourceId,
    query: &HashMap<String, String>,
) -> Answer {
    let document = parts.document(kind.plural(), id.as_str()).await?.ok_or_else(Problem::missing)?;
    let forced = query.get("force").is_some_and(|force| force == "true");
    if kind == Kind::Upstreams && !forced {
        check::unused(parts, id).await?;
    }
    parts.delete_document(kind.plural(), id.as_str(), document.version).await?;
    Ok((StatusCode::OK, json!({"deleted": "1", "key": key(kind, id.as_str())})))
}

fn check_key(
    parts: &ControlParts,
    headers: &HeaderMap,
    query: &HashMap<String, String>,
) -> Result<(), Problem> {
    Ok(authenticate::apisix(parts, headers, query.get("api_key").map(String::as_str))?)
}

async fn body(request: Request<Body>) -> Result<Value, Problem> {
    let bytes = request::read(request.into_body()).await?;
    if bytes.is_empty() {
        return Err(Problem::bad("missing configurations"));
    }
    let json = gateward_model::from_admin(&bytes)
        .map_err(|error| Problem::bad(format!("invalid request body: {error}")))?;
    if !json.is_object() {
        return Err(Problem::bad("invalid request body: it must be a JSON object"));
    }
    Ok(json)
}

fn body_id(json: &Value) -> Result<Option<ResourceId>, Problem> {
    let text = match json.get("id") {
        None => return Ok(None),
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) => id.to_string(),
        Some(_) => return Err(Problem::bad("property \"id\": an id is a string or a number")),
    };
    ResourceId::parse(&text).map(Some).map_err(|error| Problem::bad(error.to_string()))
}

fn entry(kind: Kind, document: Document) -> Value {
    let Document { id, mut json, version } = document;
    masks::hide(&mut json);
    let created = created_index(&json);
    json!({
        "key": key(kind, &id), "value": json,
        "createdIndex": created, "modifiedIndex": created + version - 1,
    })
}

/// APISIX's clients want an index that only grows; the time of creation and the number of changes since give one.
fn created_index(json: &Value) -> u64 {
    json["create_time"].as_u64().unwrap_or_default()
}

fn key(kind: Kind, id: &str) -> String {
    format!("/apisix/{}/{id}", kind.plural())
}

fn not_allowed(request: &Request<Body>, kind: Kind) -> Problem {
    let text = format!("not supported `{}` method for {}", request.method(), kind.singular());
    Problem::status(StatusCode::METHOD_NOT_ALLOWED, text)
}

fn answer(answer: Answer) -> Response {
    let (status, body) = answer.unwrap_or_else(|Problem { status, body }| (status, body));
    json_answer(status, &body)
}
