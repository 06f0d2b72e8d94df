//! Slips that people make, each of which must be told and none of which may pass in silence; and that the audit says of
//! what a call was.

use std::io;
use std::sync::{Arc, Mutex};

use gateward_control::Surface;
use http::StatusCode;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::Plane;
use crate::akeyless_items::Api;
use crate::kong::FORM;

fn dynamic(name: &str) -> serde_json::Value {
    json!({
        "name": name, "create-sync-url": "http://127.0.0.1:9/c", "revoke-sync-url": "http://127.0.0.1:9/r",
        "skip-dry-run": true, "tags": ["a"],
    })
}

#[tokio::test]
async fn a_time_to_live_is_seconds_as_a_number_or_in_quotes() {
    let api = Api::new().await;
    for (name, ttl) in [("/n", json!(90)), ("/q", json!("90")), ("/u", json!("1m30s"))] {
        let mut new = dynamic(name);
        new["user-ttl"] = ttl.clone();
        api.done("dynamic-secret-create-custom", new).await;
        let details = api.done("dynamic-secret-get", json!({"name": name})).await;
        assert!(["90s", "1m30s"].contains(&details["user_ttl"].as_str().unwrap()), "{ttl}: {details}");
    }
    for ttl in [json!(30), json!("30"), json!("30s")] {
        // Nobody answers there: what was read is asked for.
        let wanted = json!({"name": "/n", "ttl": ttl});
        assert_eq!(api.refused("get-dynamic-secret-value", wanted).await.0, 502, "{ttl}");
    }
    for ttl in [json!(0), json!("soon"), json!(-1), json!([30])] {
        let (status, says) = api.refused("get-dynamic-secret-value", json!({"name": "/n", "ttl": ttl})).await;
        assert!(status == 400 && says.contains("ttl") && !says.contains("invalid type"), "{ttl}: {says}");
    }
}

#[tokio::test]
async fn tags_are_emptied_by_an_empty_one() {
    let api = Api::new().await;
    api.done("dynamic-secret-create-custom", dynamic("/d")).await;
    for (sent, left) in [(json!([]), json!(["a"])), (json!(""), json!(["a"])), (json!([""]), json!([]))] {
        let change = json!({"name": "/d", "tags": sent, "skip-dry-run": true});
        api.done("dynamic-secret-update-custom", change).await;
        assert_eq!(api.done("get-tags", json!({"name": "/d"})).await, left, "{sent}");
    }
}

#[tokio::test]
async fn an_interval_that_would_not_be_used_is_refused_and_a_secret_without_a_value_says_so() {
    let api = Api::new().await;
    api.done("target-create-web", json!({"name": "/t", "url": "http://127.0.0.1:9/rotate"})).await;
    let new = json!({"name": "/r", "target-name": "/t", "custom-payload": "p"});
    for (field, value, says) in [
        ("rotation-interval", json!("60"), "auto-rotate"),
        ("rotation-hour", json!(5), "auto-rotate"),
        ("rotation-interval", json!("0"), "from 1 to"),
        ("rotation-interval", json!(525_601), "from 1 to"),
        ("rotation-hour", json!(24), "from 0 to 23"),
    ] {
        let mut new = new.clone();
        new[field] = value;
        let (status, sentence) = api.refused("rotated-secret-create-custom", new).await;
        assert!(status == 400 && sentence.contains(field) && sentence.contains(says), "{sentence}");
    }
    let off = json!({
        "name": "/off", "target-name": "/t", "custom-payload": "p", "auto-rotate": "false", "rotation-interval": "60",
    });
    api.done("rotated-secret-create-custom", off).await;
    assert_eq!(api.done("describe-item", json!({"name": "/off"})).await["auto_rotate"], false);

    api.done("rotated-secret-create-custom", json!({"name": "/none", "target-name": "/t"})).await;
    let (status, says) = api.refused("get-rotated-secret-value", json!({"names": "/none"})).await;
    assert!(status == 404 && says.contains("/none has no value yet"), "{says}");
}

#[tokio::test]
async fn what_was_deleted_is_told_by_its_number_and_no_other_version_has_that_again() {
    let api = Api::new().await;
    api.done("create-secret", json!({"name": "/s", "value": "one"})).await;
    api.done("update-secret-val", json!({"name": "/s", "value": "two"})).await;
    let deleted = api.done("delete-item", json!({"name": "/s", "version": 0})).await;
    assert_eq!(deleted["version_deleted"], 2, "0 is the newest");
    let updated = api.done("update-secret-val", json!({"name": "/s", "value": "three"})).await;
    assert_eq!(updated["version"], 3);
    api.done("delete-item", json!({"name": "/s", "version": 3})).await;
    let deleted = api.done("delete-item", json!({"name": "/s", "version": 1})).await;
    assert_eq!(deleted["version_deleted"], -1, "the item has gone with its only version");
    assert_eq!(api.refused("describe-item", json!({"name": "/s"})).await.0, 404);
}

#[tokio::test]
async fn a_new_name_has_no_blanks_at_its_ends_and_no_way_through_folders() {
    let api = Api::new().await;
    let secret = |name: &str| json!({"name": name, "value": "v"});
    api.done("create-secret", secret("/a b/c..d")).await;
    for name in ["/a ", " /a", "/m/ x", "/m /x", "/m/../x", "/./x", ".."] {
        for (call, body, field) in [
            ("create-secret", secret(name), "name"),
            ("dynamic-secret-create-custom", dynamic(name), "name"),
            ("update-item", json!({"name": "/a b/c..d", "new-name": name}), "new-name"),
            ("move-objects", json!({"source": "/a b/c..d", "target": name}), "target"),
        ] {
            let (status, says) = api.refused(call, body).await;
            assert!(status == 400 && says.contains(&format!("\"{field}\"")), "{call} {name}: {says}");
        }
        // One that stands from before would be found by it.
        assert_eq!(api.refused("describe-item", json!({"name": name})).await.0, 404, "{name}");
    }
    api.done("update-item", json!({"name": "/a b/c..d", "new-name": "/a b/c..d"})).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_host_a_port_or_a_key_is_said_of_it() {
    let api = Api::new().await;
    let postgresql = |field: &str, value: serde_json::Value| {
        let mut body = json!({
            "name": "/p", "postgresql-db-name": "d", "postgresql-username": "u", "postgresql-password": "canary",
            "skip-dry-run": true,
        });
        body[field] = value;
        body
    };
    for (field, value, says) in [
        ("postgresql-host", json!("127.0.0.1:5432"), "the port is postgresql-port"),
        ("postgresql-port", json!(0), "from 1 to 65535"),
        ("password-length", json!("three"), "expected a whole number"),
        ("ssl", json!(7), "true or false"),
    ] {
        let (status, sentence) =
            api.refused("dynamic-secret-create-postgresql", postgresql(field, value)).await;
        assert!(status == 400 && sentence.contains(field) && sentence.contains(says), "{sentence}");
    }
    let role = json!({"name": "deploy", "bound-aws-account-id": ["123456789012"]});
    api.done("auth-method-create-aws-iam", role.clone()).await;
    let (status, says) = api.refused("reset-access-key", json!({"name": "deploy"})).await;
    assert!(status == 400 && says.contains("has no access key"), "{says}");
    let (status, says) = api.refused("auth-method-create-aws-iam", role).await;
    assert!(status == 409 && !says.contains("a auth"), "{says}");
}

#[tokio::test]
async fn json_that_is_sent_as_a_form_is_not_repeated_and_its_content_type_is_named() {
    let plane = Plane::new().await;
    let body = r#" {"name": "hcv", "config": {"token": "canary"}}"#;
    let answer = plane.ask(Surface::KongOpen, "PUT", "/vaults/team", &[FORM], body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(
        answer.json["message"].as_str().unwrap().contains("content-type: application/json"),
        "{answer:?}"
    );
    let answer =
        plane.ask(Surface::KongOpen, "PUT", "/vaults/team", &[FORM], "name=env&hvs.canary%20x=1").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_line_of_the_audit_names_the_item_and_never_a_value() {
    let api = Api::new().await;
    let log = Log::default();
    let _collecting = {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone());
        tracing::subscriber::set_default(subscriber.finish())
    };
    api.done("create-secret", json!({"name": "/s", "value": "canary"})).await;
    api.done("update-item", json!({"name": "/s", "new-name": "/x/y"})).await;
    api.done("create-secret", json!({"name": "/z", "value": "seen"})).await;
    api.done("get-secret-value", json!({"names": ["/z"]})).await;
    api.done(
        "auth-method-create-aws-iam",
        json!({"name": "deploy", "bound-aws-account-id": ["123456789012"]}),
    )
    .await;
    let revoke = json!({"name": "/none", "tmp-creds-id": "l-7"});
    api.refused("dynamic-secret-tmp-creds-delete", revoke).await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!log.contains("canary") && !log.contains("seen"), "{log}");
    for line in [
        "action=\"create_secret\" item=\"/s\" status=200",
        "action=\"update_item\" item=\"/s\" to=\"/x/y\" status=200",
        "action=\"get_secret_value\" item=\"/z\" status=200",
        "action=\"auth_method_create_aws_iam\" item=\"deploy\" status=200",
        "action=\"dynamic_secret_tmp_creds_delete\" item=\"/none\" lease=\"l-7\" status=404",
    ] {
        assert!(log.contains(line), "{line} is not in\n{log}");
    }
}

/// What this thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
