//! A line in the log for each call that changes something or shows a secret: who, what, of which item, and how it ended.

use std::cell::RefCell;

use axum::response::Response;
use gateward_access::AccessId;
use http::{HeaderValue, Method};
use serde_json::Value;

use crate::permissions::{Does, of_call};

tokio::task_local! {
    static NOTED: RefCell<Noted>;
}

/// What is known of a call while it is answered.
#[derive(Debug, Default, PartialEq)]
struct Noted {
    who: Option<String>,
    /// What it is about: an item, an auth method, an entry of allowed access, a reference.
    subject: Option<String>,
    /// What that is called from now on, where it is renamed.
    to: Option<String>,
    lease: Option<String>,
}

/// Notes who makes the call that is answered just now.
pub(crate) fn note(who: &str) {
    // There is none in a call that the gateway makes of itself.
    let _ = NOTED.try_with(|noted| noted.borrow_mut().who = Some(who.to_owned()));
}

/// Notes what the call with this body is about, whether it is allowed or not.
pub(crate) fn note_subject(body: &Value) {
    let text = |fields: &[&str]| fields.iter().find_map(|field| named(body.get(field)?));
    let (subject, to) = (text(SUBJECTS), text(&["new-name", "target"]));
    let lease = text(&["tmp-creds-id", "id"]);
    let _ = NOTED.try_with(|noted| {
        let mut noted = noted.borrow_mut();
        (noted.subject, noted.to, noted.lease) = (subject, to, lease);
    });
}

/// A name as it was sent, or several; cut where it is longer than any may be.
fn named(value: &Value) -> Option<String> {
    let mut text = match value {
        Value::String(name) => name.clone(),
        Value::Number(number) => number.to_string(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        _ => return None,
    };
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    // A line of the log is one line.
    Some(text.replace(char::is_control, "?")).filter(|text| !text.is_empty())
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
    NOTED
        .scope(RefCell::default(), async {
            let response = answer.await;
            let Noted { who, subject, to, lease } = NOTED.with(RefCell::take);
            // What somebody sends who has shown nobody's token is no more than noise.
            let known = |text: Option<String>| text.filter(|_| who.is_some());
            let (item, to, lease) = (known(subject), known(to), known(lease));
            let (item, to, lease) = (item.as_deref(), to.as_deref(), lease.as_deref());
            let access_id = who.as_deref().unwrap_or("-");
            let (status, request_id) = (response.status().as_u16(), id.to_str().unwrap_or("-"));
            tracing::info!(target: "audit", access_id, action, item, to, lease, status, request_id, "control call");
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

/// The fields in which calls name what they are about, the first that there is.
const SUBJECTS: &[&str] = &["name", "names", "source", "item-id", "display-id", "reference"];

/// A name has no more characters; a call may have a hundred names.
const LONGEST: usize = 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_names_what_the_call_is_about_and_is_one_line() {
        assert_eq!(named(&json!("/a/b")).as_deref(), Some("/a/b"));
        assert_eq!(named(&json!(["/a", "/b"])).as_deref(), Some("/a, /b"));
        assert_eq!(named(&json!(17)).as_deref(), Some("17"));
        assert_eq!(named(&json!("/a\nb")).as_deref(), Some("/a?b"));
        assert_eq!(named(&json!("ä".repeat(2000))).unwrap().chars().count(), LONGEST / 2 + 1);
        for nothing in [json!(""), json!([]), json!({"a": 1}), json!(null)] {
            assert_eq!(named(&nothing), None);
        }
    }

    #[tokio::test]
    async fn what_is_noted_is_the_item_what_it_becomes_and_the_lease() {
        let noted = |body: Value| {
            NOTED.sync_scope(RefCell::default(), || {
                note_subject(&body);
                let Noted { subject, to, lease, .. } = NOTED.with(RefCell::take);
                [subject, to, lease].map(Option::unwrap_or_default)
            })
        };
        assert_eq!(noted(json!({"name": "/a", "value": "canary"})), ["/a", "", ""]);
        assert_eq!(noted(json!({"names": ["/a", "/b"]})), ["/a, /b", "", ""]);
        assert_eq!(noted(json!({"name": "/a", "new-name": "/b"})), ["/a", "/b", ""]);
        assert_eq!(noted(json!({"source": "/a", "target": "/f/"})), ["/a", "/f/", ""]);
        assert_eq!(noted(json!({"name": "/a", "tmp-creds-id": "l-1"})), ["/a", "", "l-1"]);
    }

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
