//! A line in the log for each call that changes something or shows a secret: who, what, and how it ended.

use std::cell::RefCell;

use axum::response::Response;
use gateward_access::AccessId;
use http::{HeaderValue, Method};

use crate::permissions::{Does, of_call};

tokio::task_local! {
    static WHO: RefCell<Option<String>>;
}

/// Notes who makes the call that is answered just now.
pub(crate) fn note(who: &str) {
    // There is none in a call that the gateway makes of itself.
    let _ = WHO.try_with(|noted| *noted.borrow_mut() = Some(who.to_owned()));
}

/// The same for whoever says so and has not shown it; only what has the form of an access id is noted.
pub(crate) fn note_claimed(access_id: &str) {
    if let Ok(access_id) = access_id.parse::<AccessId>() {
        note(access_id.as_str());
    }
}

/// Answers a call, and writes its line.
pub(crate) async fn audited(
    method: Method,
    path: String,
    id: &HeaderValue,
    answer: impl Future<Output = Response>,
) -> Response {
    let Some(action) = action(&method, &path) else { return answer.await };
    WHO.scope(RefCell::default(), async {
        let response = answer.await;
        let who = WHO.with(|noted| noted.borrow_mut().take());
        let access_id = who.as_deref().unwrap_or("-");
        let (status, request_id) = (response.status().as_u16(), id.to_str().unwrap_or("-"));
        tracing::info!(target: "audit", access_id, action, status, request_id, "control call");
        response
    })
    .await
}

/// What an auditor calls it; `None` where nothing is changed and nothing secret shown.
fn action(method: &Method, path: &str) -> Option<String> {
    if path == "/v1/references/value" {
        return Some("read_vault_value".to_owned());
    }
    if path.starts_with("/apisix/") || path.starts_with("/vaults") || path.starts_with("/schemas/") {
        let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        return (changes && !path.starts_with("/schemas/")).then(|| format!("{method} {path}"));
    }
    if *method != Method::POST {
        return None;
    }
    let call = path.rsplit('/').next().unwrap_or_default();
    let (_, does) = of_call(call);
    (does != Does::Look && crate::akeyless::has(call)).then(|| call.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_something_or_shows_a_secret_is_an_action() {
        let cases = [
            (Method::POST, "/get-secret-value", Some("get_secret_value")),
            (Method::POST, "/api/v2/create-secret", Some("create_secret")),
            (Method::POST, "/auth", Some("auth")),
            (Method::POST, "/v1/references/value", Some("read_vault_value")),
            (Method::PUT, "/apisix/admin/routes/1", Some("PUT /apisix/admin/routes/1")),
            (Method::DELETE, "/vaults/a", Some("DELETE /vaults/a")),
            (Method::GET, "/apisix/admin/routes/1", None),
            (Method::POST, "/lease-abandon", Some("lease_abandon")),
            (Method::POST, "/lease-settle", Some("lease_settle")),
            (Method::POST, "/lease-let-go", Some("lease_let_go")),
            (Method::POST, "/dynamic-secret-tmp-creds-delete", Some("dynamic_secret_tmp_creds_delete")),
            (Method::POST, "/dynamic-secret-tmp-creds-update", Some("dynamic_secret_tmp_creds_update")),
            (Method::POST, "/lease-report", None),
            (Method::POST, "/list-items", None),
            (Method::GET, "/health", None),
            (Method::POST, "/nothing", None),
        ];
        for (method, path, expected) in cases {
            assert_eq!(action(&method, path).as_deref(), expected, "{method} {path}");
        }
    }
}
