//! References that are in use: how it stands with each, and the value of any for whoever may have it.
//!
//! Values go out by one way only, `POST /v1/references/value`, which needs a permission of its own and leaves a line in
//! the log each time.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use gateward_clock::Timestamp;
use gateward_vaults::{MissKind, Reference, ReferenceState, ValueState};
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};

use crate::request::json_answer;
use crate::{ControlParts, audit, authenticate, permissions, request};

pub(crate) fn router() -> Router<Arc<ControlParts>> {
    Router::new().route("/v1/references", get(list)).route("/v1/references/value", post(value))
}

/// How it stands with all references together, and, if it `names` any, those without a good value, as `/ready` tells it.
pub(crate) fn summary(parts: &ControlParts, names: bool) -> Value {
    let states = parts.resolver.references();
    let mut counts: BTreeMap<&str, usize> = STATES.into_iter().map(|state| (state.word(), 0)).collect();
    for state in &states {
        *counts.entry(state.state.word()).or_default() += 1;
    }
    let not_fresh = states.iter().filter(|state| state.state != ValueState::Fresh);
    let named: Vec<Value> = not_fresh.take(MOST_NAMED).map(shown).collect();
    let mut summary = json!({"total": states.len(), "by_state": counts});
    if names && !named.is_empty() {
        summary["not_fresh"] = named.into();
    }
    summary
}

/// All states that a reference can be in.
pub(crate) const STATES: [ValueState; 5] =
    [ValueState::Asking, ValueState::Fresh, ValueState::Stale, ValueState::Missing, ValueState::Gone];

#[derive(serde::Deserialize)]
struct Page {
    vault: Option<String>,
    state: Option<String>,
    size: Option<String>,
    offset: Option<String>,
}

async fn list(
    State(parts): State<Arc<ControlParts>>,
    Query(page): Query<Page>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = authenticate::identity(&parts, &headers, None, permissions::REFERENCES) {
        return refused(refusal.status(), &refusal.to_string());
    }
    let size = page.size.as_ref().map_or(Some(USUAL_SIZE), |size| size.parse().ok());
    let Some(size) = size.filter(|size| (1..=LARGEST_SIZE).contains(size)) else {
        return refused(StatusCode::BAD_REQUEST, "size: is a whole number from 1 to 1000");
    };
    let Some(from) = page.offset.as_ref().map_or(Some(0), |offset| offset.parse::<usize>().ok()) else {
        return refused(
            StatusCode::BAD_REQUEST,
            "offset: is a whole number, the next_offset of the page before",
        );
    };
    if let Some(state) = &page.state
        && !STATES.iter().any(|known| known.word() == state)
    {
        let words = STATES.map(ValueState::word).join(", ");
        return refused(StatusCode::BAD_REQUEST, &format!("state: is one of {words}"));
    }
    let mut states = parts.resolver.references();
    states.retain(|state| {
        page.vault.as_ref().is_none_or(|vault| *vault == state.vault)
            && page.state.as_ref().is_none_or(|word| word == state.state.word())
    });
    states.sort_by(|one, other| one.reference.cmp(&other.reference));
    let data: Vec<Value> = states.iter().skip(from).take(size).map(shown).collect();
    let after = from.saturating_add(data.len());
    let next = (after < states.len()).then_some(after);
    json_answer(StatusCode::OK, &json!({"data": data, "total": states.len(), "next_offset": next}))
}

fn shown(state: &ReferenceState) -> Value {
    json!({
        "reference": state.reference, "vault": state.vault, "state": state.state.word(),
        "kind": state.kind.map(MissKind::word), "problem": state.problem,
        "since": state.since.map(Timestamp::secs),
    })
}

async fn value(State(parts): State<Arc<ControlParts>>, request: Request<Body>) -> Response {
    let reader = match authenticate::identity(&parts, request.headers(), None, permissions::VAULT_VALUES) {
        Ok(identity) => identity.access_id,
        Err(refusal) => return refused(refusal.status(), &refusal.to_string()),
    };
    let body = match request::read(request.into_body()).await {
        Ok(body) => body,
        Err(error) => return refused(error.status(), &error.to_string()),
    };
    let json = match gateward_model::from_admin(&body) {
        Ok(json) => json,
        Err(error) => {
            return refused(StatusCode::BAD_REQUEST, &format!("the body is no JSON object: {error}"));
        }
    };
    audit::note_subject(audit::REFERENCE_VALUE, &json);
    let Some(text) = json.get("reference").and_then(Value::as_str) else {
        let problem = "the body is {\"reference\": \"{vault://the-vault/the-secret}\"}";
        return refused(StatusCode::BAD_REQUEST, problem);
    };
    let reference = match Reference::parse(text) {
        Ok(Some(reference)) => reference,
        Ok(None) => return refused(StatusCode::BAD_REQUEST, "a reference is {vault://the-vault/the-secret}"),
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match parts.resolver.ask(&reference).await {
        Ok(value) => {
            tracing::info!(%reader, %reference, "the value of a reference was given out");
            json_answer(StatusCode::OK, &json!({"reference": text, "value": value.expose()}))
        }
        Err(unresolved) => {
            let kind = unresolved.kind.word();
            tracing::info!(%reader, %reference, kind, "the value of a reference was asked for, and there is none");
            let error = json!({"error": unresolved.to_string(), "kind": kind});
            json_answer(status_of(unresolved.kind), &error)
        }
    }
}

fn status_of(kind: MissKind) -> StatusCode {
    match kind {
        MissKind::NotFound => StatusCode::NOT_FOUND,
        MissKind::Misconfigured => StatusCode::BAD_REQUEST,
        MissKind::Denied | MissKind::Garbage => StatusCode::BAD_GATEWAY,
        MissKind::Throttled | MissKind::Unavailable | MissKind::Expired => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn refused(status: StatusCode, problem: &str) -> Response {
    json_answer(status, &json!({"error": problem}))
}

/// More of them nobody reads at once.
const MOST_NAMED: usize = 100;
const USUAL_SIZE: usize = 100;
const LARGEST_SIZE: usize = 1000;
