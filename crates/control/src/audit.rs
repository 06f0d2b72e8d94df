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

/// Notes what this call with this body is about, whether it is allowed or not.
pub(crate) fn note_subject(call: &str, body: &Value) {
    let text = |fields: &[&str]| fields.iter().find_map(|field| named(body.get(field)?));
    let Said { subject, to, lease } = Said::by(call);
    let (subject, to, lease) = (text(subject), text(to), text(lease));
    let _ = NOTED.try_with(|noted| {
        let mut noted = noted.borrow_mut();
        (noted.subject, noted.to, noted.lease) = (subject, to, lease);
    });
}

/// In which fields a call says what it is about. In no others: what a call does not look at, its caller may write into it.
struct Said {
    subject: &'static [&'static str],
    to: &'static [&'static str],
    lease: &'static [&'static str],
}

impl Said {
    fn by(call: &str) -> Self {
        let of_subject = |subject| Self { subject, to: &[], lease: &[] };
        match call {
            "get-secret-value" => of_subject(&["names"]),
            // One of the two: with both it is refused.
            "get-rotated-secret-value" | "rotated-secret-get-value" => of_subject(&["name", "names"]),
            "move-objects" => Self { subject: &["source"], to: &["target"], lease: &[] },
            "lease-abandon" | "lease-settle" => Self { subject: &[], to: &[], lease: &["id"] },
            REFERENCE_VALUE => of_subject(&["reference"]),
            _ => Self { subject: &["name"], to: &["new-name"], lease: &["tmp-creds-id"] },
        }
    }
}

/// A name as it was sent, or several as JSON; cut where it is longer than any may be.
fn named(value: &Value) -> Option<String> {
    let mut text = match value {
        Value::String(name) => name.clone(),
        Value::Number(number) => number.to_string(),
        Value::Array(names) => match names.as_slice() {
            [] => return None,
            [Value::String(name)] => name.clone(),
            _ => value.to_string(),
        },
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
    if path.trim_start_matches('/') == REFERENCE_VALUE {
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

/// The path of the call that gives the value of a reference.
pub(crate) const REFERENCE_VALUE: &str = "v1/references/value";

/// A call may have a hundred names of 255 characters.
const LONGEST: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_names_what_the_call_is_about_and_is_one_line() {
        assert_eq!(named(&json!("/a/b")).as_deref(), Some("/a/b"));
        assert_eq!(named(&json!(["/a"])).as_deref(), Some("/a"));
        assert_eq!(named(&json!(["/a, b", "/c"])).as_deref(), Some(r#"["/a, b","/c"]"#));
        assert_eq!(named(&json!(17)).as_deref(), Some("17"));
        assert_eq!(named(&json!("/a\nb")).as_deref(), Some("/a?b"));
        assert_eq!(named(&json!("ä".repeat(LONGEST))).unwrap().chars().count(), LONGEST / 2 + 1);
        for nothing in [json!(""), json!([]), json!({"a": 1}), json!(null)] {
            assert_eq!(named(&nothing), None);
        }
    }

    #[tokio::test]
    async fn what_is_noted_is_the_item_what_it_becomes_and_the_lease() {
        let noted = |call: &str, body: Value| {
            NOTED.sync_scope(RefCell::default(), || {
                note_subject(call, &body);
                let Noted { subject, to, lease, .. } = NOTED.with(RefCell::take);
                [subject, to, lease].map(Option::unwrap_or_default)
            })
        };
        assert_eq!(noted("create-secret", json!({"name": "/a", "value": "canary"})), ["/a", "", ""]);
        assert_eq!(noted("update-item", json!({"name": "/a", "new-name": "/b"})), ["/a", "/b", ""]);
        assert_eq!(noted("move-objects", json!({"source": "/a", "target": "/f/"})), ["/a", "/f/", ""]);
        let deleted = json!({"name": "/a", "tmp-creds-id": "l-1"});
        assert_eq!(noted("dynamic-secret-tmp-creds-delete", deleted), ["/a", "", "l-1"]);
    }

    #[tokio::test]
    async fn what_a_call_does_not_look_at_is_not_what_it_is_about() {
        let body = json!({
            "name": "/harmless", "names": ["/prod/db"], "source": "/from", "target": "/to", "id": "l-1", "tmp-creds-id": "l-2",
            "reference": "{vault://a/b}",
        });
        for (call, expected) in [
            ("get-secret-value", ["/prod/db", "", ""]),
            ("move-objects", ["/from", "/to", ""]),
            ("lease-abandon", ["", "", "l-1"]),
            ("lease-settle", ["", "", "l-1"]),
            (REFERENCE_VALUE, ["{vault://a/b}", "", ""]),
            ("delete-item", ["/harmless", "", "l-2"]),
        ] {
            let noted = NOTED.sync_scope(RefCell::default(), || {
                note_subject(call, &body);
                let Noted { subject, to, lease, .. } = NOTED.with(RefCell::take);
                [subject, to, lease].map(Option::unwrap_or_default)
            });
            assert_eq!(noted, expected, "{call}");
        }
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
