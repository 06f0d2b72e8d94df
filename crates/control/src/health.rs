//! Whether the process lives, and whether it is ready to serve.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use gateward_access::Need;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::request::json_answer;
use crate::{ControlParts, authenticate, references};

/// Not ready any more once the process is `draining`.
pub(crate) fn router(draining: &Arc<AtomicBool>) -> Router<Arc<ControlParts>> {
    let draining = Arc::clone(draining);
    let ready = async move |parts: State<Arc<ControlParts>>, headers: HeaderMap| {
        if draining.load(Ordering::Relaxed) {
            return json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "draining"}));
        }
        ready(parts, &headers).await
    };
    Router::new().route("/health", get(health)).route("/ready", get(ready))
}

async fn health() -> Response {
    json_answer(StatusCode::OK, &json!({"status": "ok"}))
}

/// 200 once the configuration is served and each of its references has been asked for once. What of it is not in force
/// is counted, and so is each reference without a good value; a store that cannot be written any more is told. It makes
/// nobody unready, because what was in force before serves on. Whoever has a token hears their names too: addresses,
/// files and secrets are called by them.
async fn ready(State(parts): State<Arc<ControlParts>>, headers: &HeaderMap) -> Response {
    if parts.configuration.ready() {
        let mut answer = json!({"status": "ready"});
        let current = parts.configuration.current();
        let snapshot = current.load();
        let refused = parts.configuration.refused();
        let in_files = refused.iter().flat_map(|refused| refused.errors()).map(ToString::to_string);
        let broken = snapshot.broken().iter().map(ToString::to_string);
        let mut not_in_force: Vec<String> = in_files.chain(broken).collect();
        let names = parts.local_only || authenticate::identity(&parts, headers, None, Need::Login).is_ok();
        if !not_in_force.is_empty() {
            answer["not_in_force_total"] = not_in_force.len().into();
            if names {
                not_in_force.truncate(MOST_NAMED);
                answer["not_in_force"] = not_in_force.into();
            }
        }
        answer["references"] = references::summary(&parts, names);
        if let Some(why) = parts.store.failure() {
            answer["store"] =
                if names { why } else { "nothing can be written; see the log".to_owned() }.into();
        }
        return json_answer(StatusCode::OK, &answer);
    }
    json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "starting"}))
}

/// More errors than these nobody reads at once.
const MOST_NAMED: usize = 100;
