//! What Prometheus asks for: `/metrics` for what is Gateward's own, `/apisix/prometheus/metrics` for what APISIX tells, in
//! APISIX's words.
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
use gateward_plugins::{Exposition, MetricKind, Requests, Spans};
use gateward_upstreams::Health;
use gateward_vaults::VaultCounts;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde_json::json;

use crate::references::STATES;
use crate::request::json_answer;
use crate::{ControlParts, authenticate, permissions};

pub(crate) fn router() -> Router<Arc<ControlParts>> {
    Router::new().route("/metrics", get(own))
}

pub(crate) fn apisix_router() -> Router<Arc<ControlParts>> {
    Router::new().route("/apisix/prometheus/metrics", get(apisix))
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
        let help = "Whether nothing can be written to the store; /ready says why.";
        let failed = u8::from(parts.store.failure().is_some());
        exposition.one("gateward_store_failed", MetricKind::Gauge, help, failed);
        traffic(&parts, &mut exposition);
        records(&parts, &mut exposition);
        vaults(&parts, &mut exposition);
        exposition
    })
}

async fn apisix(State(parts): State<Arc<ControlParts>>, key: Query<Key>, headers: HeaderMap) -> Response {
    told(&parts, &key, &headers, || {
        let mut exposition = Exposition::default();
        Requests::of(&parts.shared).write(&mut exposition);
        node(&parts, &mut exposition);
        upstreams(&parts, &mut exposition);
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
        && let Err(refusal) =
            authenticate::apisix(parts, headers, key.api_key.as_deref(), permissions::METRICS)
    {
        return json_answer(refusal.status(), &json!({"error": refusal.to_string()}));
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

fn traffic(parts: &ControlParts, exposition: &mut Exposition) {
    let totals = parts.traffic.totals();
    let help = "Requests that came.";
    exposition.one("gateward_requests_total", MetricKind::Counter, help, totals.requests);
    let help = "Requests that have no answer yet.";
    exposition.one("gateward_requests_under_way", MetricKind::Gauge, help, totals.under_way);
    let help = "Answers by the class of their status.";
    let mut family = exposition.family("gateward_answers_total", MetricKind::Counter, help);
    for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(&totals.answers[1..]) {
        family.sample(&[("class", class)], count);
    }
    let help = "What the gateway itself refused or could not do, by the code that the client was told.";
    let mut family = exposition.family("gateward_refusals_total", MetricKind::Counter, help);
    for (code, count) in totals.refusals {
        family.sample(&[("code", code)], count);
    }
    let help = "Connections that were taken.";
    exposition.one("gateward_connections_total", MetricKind::Counter, help, totals.accepted);
    let help = "Connections that there was no room for.";
    exposition.one("gateward_connections_turned_away_total", MetricKind::Counter, help, totals.turned_away);
    let help = "Connections that are open.";
    exposition.one("gateward_connections_open", MetricKind::Gauge, help, totals.connections);
}

fn records(parts: &ControlParts, exposition: &mut Exposition) {
    if let Some(log) = &parts.access_log {
        let (written, dropped) = log();
        let help = "Records of the access log, by what has become of them.";
        let mut family = exposition.family("gateward_access_log_records_total", MetricKind::Counter, help);
        family.sample(&[("outcome", "written")], written);
        family.sample(&[("outcome", "dropped")], dropped);
    }
    let help = "Lines of the log that could not be written.";
    exposition.one("gateward_log_lines_lost_total", MetricKind::Counter, help, (parts.log_lost)());
    let (exported, dropped, failed) = Spans::of(&parts.shared).counts();
    let help = "Spans, by what has become of them: dropped where the queue was full, failed where no collector took them.";
    let mut family = exposition.family("gateward_spans_total", MetricKind::Counter, help);
    for (outcome, count) in [("exported", exported), ("dropped", dropped), ("failed", failed)] {
        family.sample(&[("outcome", outcome)], count);
    }
}

/// Of each vault, and never of a value: who can see metrics need not know what secrets are called.
fn vaults(parts: &ControlParts, exposition: &mut Exposition) {
    let counts = parts.resolver.counts();
    let now = parts.clock.now();
    let labels =
        |counts: &'_ VaultCounts| [("vault", counts.vault.clone()), ("backend", counts.kind.clone())];
    let mut each = |name, kind, help, value: &dyn Fn(&VaultCounts) -> Option<f64>| {
        let mut family = exposition.family(name, kind, help);
        for counts in &counts {
            let labels = labels(counts);
            let labels: Vec<(&str, &str)> =
                labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
            if let Some(value) = value(counts) {
                family.sample(&labels, value);
            }
        }
    };
    let (counter, gauge) = (MetricKind::Counter, MetricKind::Gauge);
    let help = "Values of secrets that were there when they were wanted.";
    each("gateward_vault_hits_total", counter, help, &|counts| Some(counts.hits as f64));
    let help = "Answers of vaults that gave a value.";
    each("gateward_vault_refreshes_total", counter, help, &|counts| Some(counts.refreshes as f64));
    let help = "Secrets that are kept.";
    each("gateward_vault_values", gauge, help, &|counts| Some(counts.values as f64));
    let help = "Secrets that are kept and could not be refreshed when that was last tried.";
    each("gateward_vault_stale_values", gauge, help, &|counts| Some(counts.stale as f64));
    let help = "How long the oldest secret is kept since its vault gave it.";
    each("gateward_vault_oldest_value_age_seconds", gauge, help, &|counts| {
        counts.oldest.map(|oldest| now.saturating_since(oldest).as_secs_f64())
    });
    let help = "Whether nothing can be had of the vault now; /ready and the log say why.";
    each("gateward_vault_out_of_order", gauge, help, &|counts| {
        Some(f64::from(u8::from(counts.problem.is_some())))
    });
    let help = "Answers of vaults that gave no value, by the reason.";
    let mut family = exposition.family("gateward_vault_errors_total", counter, help);
    for counts in &counts {
        for (reason, count) in &counts.errors {
            let labels = [("vault", &*counts.vault), ("backend", &*counts.kind), ("reason", reason.word())];
            family.sample(&labels, *count);
        }
    }
    let help = "References in the configuration, by how it stands with their values.";
    let mut family = exposition.family("gateward_references", gauge, help);
    let states = parts.resolver.references();
    for state in STATES {
        let count = states.iter().filter(|reference| reference.state == state).count();
        family.sample(&[("state", state.word())], count);
    }
}

fn node(parts: &ControlParts, exposition: &mut Exposition) {
    let totals = parts.traffic.totals();
    let help = "Connections, by what they are doing.";
    let mut family = exposition.family("apisix_nginx_http_current_connections", MetricKind::Gauge, help);
    let waiting = totals.connections.saturating_sub(totals.under_way);
    for (state, count) in [
        ("active", totals.connections),
        ("accepted", totals.accepted + totals.turned_away),
        ("handled", totals.accepted),
        ("reading", 0),
        ("writing", totals.under_way),
        ("waiting", waiting),
    ] {
        family.sample(&[("state", state)], count);
    }
    let help = "Requests since the start.";
    exposition.one("apisix_http_requests_total", MetricKind::Counter, help, totals.requests);
    let labels = [("hostname", &*parts.shared.host_name), ("version", env!("CARGO_PKG_VERSION"))];
    let help = "The node that tells.";
    exposition.family("apisix_node_info", MetricKind::Gauge, help).sample(&labels, 1);
}

fn upstreams(parts: &ControlParts, exposition: &mut Exposition) {
    let help = "Whether the nodes that are checked are up.";
    let mut family = exposition.family("apisix_upstream_status", MetricKind::Gauge, help);
    for upstream in parts.registry.health() {
        for node in &upstream.nodes {
            let port = node.port.to_string();
            let labels = [("name", upstream.name.as_str()), ("ip", &node.ip), ("port", &port)];
            let is_up = matches!(node.status, Health::Healthy | Health::MostlyHealthy);
            family.sample(&labels, u8::from(is_up));
        }
    }
}
