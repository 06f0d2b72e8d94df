//! What Prometheus asks for: `/metrics` for what is Gateward's own.
//!
//! Whoever asks needs a key or a token, as for everything that is told about the configuration; the viewer's key is
//! made for this. Under `gateward dev` nobody needs one.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use gateward_model::apisix::Kind;
use gateward_plugins::{Exposition, MetricKind};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::request::json_answer;
use crate::{ControlParts, authenticate};

pub(crate) fn router() -> Router<Arc<ControlParts>> {
    Router::new().route("/metrics", get(own))
}

/// Where a key may stand besides the headers.
#[derive(serde::Deserialize)]
struct Key {
    api_key: Option<String>,
}

async fn own(State(parts): State<Arc<ControlParts>>, key: Query<Key>, headers: HeaderMap) -> Response {
    told(&parts, &key, &headers, || {
        let mut exposition = Exposition::default();
        process(&mut exposition);
        configuration(&parts, &mut exposition);
        exposition
    })
}

/// What `metrics` are, for whoever may know.
fn told(
    parts: &ControlParts,
    key: &Key,
    headers: &HeaderMap,
    metrics: impl FnOnce() -> Exposition,
) -> Response {
    if !parts.local_only
        && let Err(refusal) = authenticate::apisix(parts, headers, key.api_key.as_deref())
    {
        return json_answer(StatusCode::UNAUTHORIZED, &json!({"error": refusal.to_string()}));
    }
    ([(CONTENT_TYPE, Exposition::CONTENT_TYPE)], metrics().into_text()).into_response()
}

fn process(exposition: &mut Exposition) {
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    let help = "Which Gateward this is.";
    exposition.family("gateward_build_info", MetricKind::Gauge, help).sample(&version, 1);
}

fn configuration(parts: &ControlParts, exposition: &mut Exposition) {
    let current = parts.configuration.current();
    let snapshot = current.load();
    let revision = snapshot.revision().0;
    let help = "The revision of the store that is served.";
    exposition.one("gateward_snapshot_revision", MetricKind::Gauge, help, revision);
    let age = parts.clock.now().saturating_since(snapshot.compiled()).as_secs_f64();
    let help = "How long ago what is served was compiled.";
    exposition.one("gateward_snapshot_age_seconds", MetricKind::Gauge, help, age);
    // Those of which there are none are told too, so that an alarm can be set before there is one.
    let kinds = Kind::ALL.into_iter().map(Kind::plural).chain(["vaults", "files"]);
    let mut counts: BTreeMap<&str, usize> = kinds.map(|kind| (kind, 0)).collect();
    for broken in snapshot.broken() {
        *counts.entry(broken.kind).or_default() += 1;
    }
    if let Some(refused) = parts.configuration.refused() {
        counts.insert("files", refused.errors().len());
    }
    let help = "Resources that are not in force because they cannot be used; /ready names them.";
    let mut family = exposition.family("gateward_resources_not_in_force", MetricKind::Gauge, help);
    for (kind, count) in counts {
        family.sample(&[("kind", kind)], count);
    }
}
