//! What is known of nodes' health: `GET /v1/healthcheck` of APISIX's control API, here behind a key.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use gateward_upstreams::UpstreamHealth;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::problem::Problem;
use super::{Reply, write_down};
use crate::{ControlParts, authenticate};

pub(crate) fn router() -> Router<Arc<ControlParts>> {
    Router::new().route("/v1/healthcheck", get(all)).route("/v1/healthcheck/{kind}/{id}", get(one))
}

/// Where a key may stand besides the headers.
#[derive(serde::Deserialize)]
struct Key {
    api_key: Option<String>,
}

async fn all(State(parts): State<Arc<ControlParts>>, key: Query<Key>, headers: HeaderMap) -> Response {
    write_down(health(&parts, &key, &headers).map(|health| Reply::Json(StatusCode::OK, json!(health))))
}

async fn one(
    State(parts): State<Arc<ControlParts>>,
    Path((kind, id)): Path<(String, String)>,
    key: Query<Key>,
    headers: HeaderMap,
) -> Response {
    let name = format!("/apisix/{kind}/{id}");
    write_down(health(&parts, &key, &headers).and_then(|health| {
        let found = health.into_iter().find(|health| health.name == name);
        let problem =
            format!("nothing is checked for {kind}/{id}: it has no checks, or nothing refers to it");
        Ok(Reply::Json(StatusCode::OK, json!(found.ok_or_else(|| Problem::not_found(problem))?)))
    }))
}

fn health(parts: &ControlParts, key: &Key, headers: &HeaderMap) -> Result<Vec<UpstreamHealth>, Problem> {
    authenticate::apisix(parts, headers, key.api_key.as_deref(), crate::permissions::RESOURCES)?;
    Ok(parts.registry.health())
}
