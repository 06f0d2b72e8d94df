//! APISIX's Admin API: its paths, its envelope, its codes.
//!
//! A request is authenticated, its path read into an [`Address`](address::Address), and answered by the module for what
//! the address names. What a write needs to know of other resources is looked up by their keys, so that the time for it
//! does not grow with the number of resources; only a deletion of what others may refer to looks at all of those.

mod address;
mod arguments;
mod catalogue;
mod delete;
mod expiry;
mod healthcheck;
mod keys;
mod list;
mod masks;
mod patch;
mod place;
mod problem;
mod schemas;
mod timestamps;
mod trial;
mod usage;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use gateward_model::apisix::{Kind, ResourceId};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use serde_json::{Value, json};

use self::address::Address;
use self::arguments::Arguments;
use self::place::Place;
use self::problem::Problem;
use crate::authenticate::{self, Role};
use crate::request::json_answer;
use crate::{ControlParts, request};

pub(crate) use self::expiry::{expire, expire_due};

pub(crate) fn router() -> Router<Arc<ControlParts>> {
    Router::new()
        .route(ROOT, any(admin))
        .route(&format!("{ROOT}/"), any(admin))
        .route(&format!("{ROOT}/{{*path}}"), any(admin))
        .merge(healthcheck::router())
}

/// An answer before it is written down.
#[derive(Debug)]
enum Reply {
    Json(StatusCode, Value),
    Text(StatusCode, &'static str),
    Empty(StatusCode),
}

type Answer = Result<Reply, Problem>;

async fn admin(State(parts): State<Arc<ControlParts>>, request: Request<Body>) -> Response {
    write_down(respond(&parts, request).await)
}

fn write_down(answer: Answer) -> Response {
    let mut response = match answer.unwrap_or_else(Problem::into_reply) {
        Reply::Json(status, body) => json_answer(status, &body),
        Reply::Text(status, text) => (status, format!("{text}\n")).into_response(),
        Reply::Empty(status) => status.into_response(),
    };
    response.headers_mut().insert(API_VERSION, HeaderValue::from_static("v3"));
    response
}

async fn respond(parts: &ControlParts, request: Request<Body>) -> Answer {
    let path = request.uri().path().strip_prefix(ROOT).unwrap_or_default().to_owned();
    match *request.method() {
        // Says that the Admin API is here, and nothing else. There are no CORS headers: no page of another place is
        // to call it.
        Method::OPTIONS => return Ok(Reply::Empty(StatusCode::OK)),
        Method::HEAD if path.trim_end_matches('/').is_empty() => return Ok(Reply::Empty(StatusCode::OK)),
        _ => {}
    }
    let arguments = Arguments::of(request.uri())?;
    let role = authenticate::apisix(
        parts,
        request.headers(),
        arguments.get("api_key"),
        crate::permissions::RESOURCES,
    )?;
    if role == Role::Viewer && !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Problem::unauthorized("invalid method for role viewer"));
    }
    match Address::read(&path)? {
        Address::Collection { kind, consumer } => {
            on_collection(parts, kind, consumer, &arguments, request).await
        }
        Address::Resource { place, inside } => on_resource(parts, place, inside, &arguments, request).await,
        Address::Catalogue(page) => catalogue::answer(&page, &arguments, request.method()),
        Address::Trial(trial) if request.method() == Method::POST => {
            let body = body(request).await?;
            trial::answer(&trial, &body)
        }
        Address::Trial(_) => Err(Problem::not_allowed("only POST checks what it is sent")),
    }
}

async fn on_collection(
    parts: &ControlParts,
    kind: Kind,
    consumer: Option<ResourceId>,
    arguments: &Arguments,
    request: Request<Body>,
) -> Answer {
    let method = request.method().clone();
    place::check_method(kind, &method)?;
    if let Some(consumer) = &consumer {
        require_consumer(parts, consumer).await?;
    }
    match method {
        Method::GET | Method::HEAD => list::list(parts, kind, consumer.as_ref(), arguments).await,
        Method::PUT => {
            place::check_writable(parts, kind)?;
            let ttl = arguments.ttl()?;
            let json = body(request).await?;
            let id = place::id_in_body(kind, &json)?.ok_or_else(|| place::missing_id(kind))?;
            write::put(parts, &Place::new(kind, consumer, id), json, ttl).await
        }
        Method::POST => {
            place::check_writable(parts, kind)?;
            let ttl = arguments.ttl()?;
            let json = body(request).await?;
            write::post(parts, kind, json, ttl).await
        }
        _ => Err(place::missing_id(kind)),
    }
}

async fn on_resource(
    parts: &ControlParts,
    place: Place,
    inside: Vec<String>,
    arguments: &Arguments,
    request: Request<Body>,
) -> Answer {
    let method = request.method().clone();
    place::check_method(place.kind, &method)?;
    if !inside.is_empty() && method != Method::PATCH {
        return Err(Problem::not_found(
            "there is nothing at this path; only PATCH takes a path inside a resource",
        ));
    }
    if let Some(consumer) = &place.consumer {
        require_consumer(parts, consumer).await?;
    }
    if matches!(method, Method::GET | Method::HEAD) {
        return get(parts, &place).await;
    }
    place::check_writable(parts, place.kind)?;
    match method {
        Method::PUT => {
            let ttl = arguments.ttl()?;
            let json = body(request).await?;
            place.check_body(&json)?;
            write::put(parts, &place, json, ttl).await
        }
        Method::PATCH => {
            let ttl = arguments.ttl()?;
            let change = any_body(request).await?;
            patch::patch(parts, &place, &inside, &change, ttl).await
        }
        Method::DELETE => delete::delete(parts, &place, arguments.forced()).await,
        _ => Err(Problem::bad(format!("wrong {} id, do not need it", place.kind.singular()))),
    }
}

async fn get(parts: &ControlParts, place: &Place) -> Answer {
    let document = parts.document(place.kind.plural(), &place.sort()).await?.ok_or_else(Problem::missing)?;
    Ok(Reply::Json(StatusCode::OK, list::entry(place.kind, document)))
}

async fn require_consumer(parts: &ControlParts, consumer: &ResourceId) -> Result<(), Problem> {
    match parts.standing(Kind::Consumers.plural(), consumer.as_str()).await? {
        Some(_) => Ok(()),
        None => Err(Problem::not_found("consumer not found")),
    }
}

/// The body, which is a JSON object.
async fn body(request: Request<Body>) -> Result<Value, Problem> {
    let json = any_body(request).await?;
    if !json.is_object() {
        return Err(Problem::bad("invalid request body: it must be a JSON object"));
    }
    Ok(json)
}

/// The body, whatever its content type says: `curl -d` calls everything a form.
async fn any_body(request: Request<Body>) -> Result<Value, Problem> {
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if let Some(size) = announced.filter(|size| *size > request::MAX_BODY as u64) {
        return Err(Problem::bad(format!(
            "invalid request body: request size {size} is greater than the maximum size {} allowed",
            request::MAX_BODY
        )));
    }
    let bytes = request::read(request.into_body()).await?;
    if bytes.is_empty() {
        return Err(Problem::bad("missing configurations"));
    }
    gateward_model::from_admin(&bytes).map_err(|error| Problem::bad(format!("invalid request body: {error}")))
}

fn written(place: &Place, is_new: bool, mut json: Value) -> Reply {
    masks::hide(place.kind, place.id.as_str(), &mut json);
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Reply::Json(status, json!({"key": place.key(), "value": json}))
}

const ROOT: &str = "/apisix/admin";
const API_VERSION: HeaderName = HeaderName::from_static("x-api-version");
