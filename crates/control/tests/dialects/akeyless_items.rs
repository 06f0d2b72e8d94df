//! Static secrets, lists, targets and rotated secrets by the Akeyless API, with the bodies that its clients send.
//!
//! What is a canary here must come back from nothing: every answer is searched for it.

use gateward_control::Surface;
use http::StatusCode;
use serde_json::{Value, json};

use crate::{Answer, Plane};

/// A plane and a token for it.
pub(crate) struct Api {
    plane: Plane,
    token: String,
}

impl Api {
    pub(crate) async fn new() -> Self {
        let plane = Plane::new().await;
        let token = plane.token().await;
        Self { plane, token }
    }

    async fn post(&self, operation: &str, mut body: Value) -> Answer {
        body["token"] = self.token.clone().into();
        self.plane.ask(Surface::Akeyless, "POST", &format!("/{operation}"), &[], &body.to_string()).await
    }

    /// The body of a success.
    #[track_caller]
    pub(crate) fn done(&self, operation: &str, body: Value) -> impl Future<Output = Value> {
        let asked = self.post(operation, body);
        let operation = operation.to_owned();
        async move {
            let answer = asked.await;
            assert_eq!(answer.status, StatusCode::OK, "{operation}: {answer:?}");
            answer.json
        }
    }

    /// The status and the sentence of a refusal.
    pub(crate) async fn refused(&self, operation: &str, body: Value) -> (u16, String) {
        let answer = self.post(operation, body).await;
        assert!(!answer.status.is_success(), "{operation}: {answer:?}");
        let sentence = answer.json["error"].as_str().unwrap_or_else(|| panic!("{answer:?} has no error"));
        (answer.status.as_u16(), sentence.to_owned())
    }

    async fn names(&self, list: Value) -> Vec<String> {
        let listed = self.done("list-items", list).await;
        let items = listed["items"].as_array().unwrap();
        items.iter().map(|item| item["item_name"].as_str().unwrap().to_owned()).collect()
    }
}

/// What the vendor's Python client sends, defaults and all.
fn secret(name: &str, value: &str) -> Value {
    json!({
        "accessibility": "regular", "format": "text", "json": false, "name": name, "type": "generic", "value": value,
        "delete_protection": "false", "tags": ["a"], "description": "d",
    })
}

fn dynamic(name: &str) -> Value {
    json!({
        "name": name, "create-sync-url": "http://127.0.0.1:9/c", "revoke-sync-url": "http://127.0.0.1:9/r",
        "payload": "canary", "skip-dry-run": true,
    })
}

#[tokio::test]
async fn a_static_secret_is_read_by_the_name_as_it_was_asked_for() {
    let api = Api::new().await;
    assert_eq!(api.done("create-secret", secret("a/b", "one")).await, json!({"name": "/a/b"}));
    for name in ["/a/b", "a/b"] {
        let got = api.done("get-secret-value", json!({"names": [name], "version": 0})).await;
        assert_eq!(got, json!({name: "one"}));
    }
    let got = api.done("get-secret-value", json!({"names": "/a/b", "ignore-cache": "false"})).await;
    assert_eq!(got, json!({"/a/b": "one"}));
    let updated = json!({"name": "/a/b", "value": "two", "keep-prev-version": "true", "last-version": 1});
    assert_eq!(api.done("update-secret-val", updated.clone()).await["name"], "/a/b");
    assert_eq!(api.refused("update-secret-val", updated).await.0, 409, "its last version is 2 by now");
    let got = api.done("get-secret-value", json!({"names": ["/a/b"], "version": 1})).await;
    assert_eq!(got, json!({"/a/b": "one"}));
    let last = api.done("get-secret-value", json!({"names": ["/a/b"], "version": -5})).await;
    let versions: Vec<_> = last["/a/b"].as_array().unwrap().iter().map(|v| v["value"].clone()).collect();
    assert_eq!(versions, ["two", "one"]);
    let back = api.done("rollback-secret", json!({"name": "/a/b", "old-version": 1})).await;
    assert_eq!(back, json!({"name": "/a/b", "version": 3}));
    let got = api.done("get-secret-value", json!({"names": ["/a/b"]})).await;
    assert_eq!(got, json!({"/a/b": "one"}));
    let json_secret = json!({"name": "/json", "value": "{\"a\":1}", "format": "json"});
    api.done("create-secret", json_secret).await;
    let got = api.done("get-secret-value", json!({"names": ["/json", "/a/b"]})).await;
    assert_eq!(got, json!({"/json": "{\"a\":1}", "/a/b": "one"}));
}

#[tokio::test]
async fn refusals_have_the_right_status_and_a_sentence_and_change_nothing() {
    let api = Api::new().await;
    api.done("create-secret", secret("/s", "canary")).await;
    api.done("dynamic-secret-create-custom", dynamic("/d")).await;
    let cases = [
        ("create-secret", secret("/s", "canary"), 409, "already exists"),
        ("create-secret", json!({"name": "/x", "value": ""}), 400, "empty"),
        ("create-secret", json!({"name": "/x", "value": "canary", "format": "json"}), 400, "not JSON"),
        ("create-secret", json!({"name": "/x", "value": "canary", "format": "canary"}), 400, "format"),
        ("create-secret", json!({"name": "/x", "value": {"canary": 1}}), 400, "value"),
        ("create-secret", json!({"name": "/x", "value": "v", "accessibility": "personal"}), 400, "personal"),
        ("create-secret", json!({"name": "/x", "value": "v", "protection_key": "k"}), 400, "protection_key"),
        ("create-secret", json!({"name": "/x", "value": "v", "type": "password"}), 400, "type"),
        ("create-secret", json!({"name": "/x", "value": "v", "max-versions": "21"}), 400, "max-versions"),
        ("create-secret", json!({"value": "canary"}), 400, "name"),
        ("get-secret-value", json!({"names": ["/none"]}), 404, "/none"),
        ("get-secret-value", json!({"names": []}), 400, "names"),
        ("get-secret-value", json!({"names": ["/s"], "version": 7}), 404, "version 7"),
        ("get-secret-value", json!({"names": ["/d"]}), 400, "dynamic secret"),
        ("update-secret-val", json!({"name": "/none", "value": "canary"}), 404, "/none"),
        ("rollback-secret", json!({"name": "/s"}), 400, "old-version"),
        ("rollback-secret", json!({"name": "/s", "old-version": 9}), 404, "version 9"),
        ("describe-item", json!({"name": "/none"}), 404, "/none"),
        ("describe-item", json!({"item-id": 12}), 404, "12"),
        ("describe-item", json!({}), 400, "name"),
        ("delete-item", json!({"name": "/none"}), 404, "/none"),
        ("delete-item", json!({"name": "/s", "version": -7}), 400, "version"),
        ("update-item", json!({"name": "/s", "new-name": "/d"}), 409, "/d"),
        ("update-item", json!({"name": "/d", "new-name": "/s"}), 409, "/s"),
        ("set-item-state", json!({"name": "/s", "desired-state": "canary"}), 400, "desired-state"),
        ("list-items", json!({"auto-pagination": "canary"}), 400, "auto-pagination"),
        ("dynamic-secret-get", json!({"name": "/s"}), 400, "static secret"),
        ("dynamic-secret-update-custom", json!({"name": "/none"}), 404, "/none"),
        ("dynamic-secret-update-custom", json!({"name": "/d", "user-ttl": "canary"}), 400, "user-ttl"),
        (
            "dynamic-secret-update-custom",
            json!({"name": "/d", "payload": "canary"}),
            400,
            "nothing was changed",
        ),
        ("get-dynamic-secret-value", json!({"name": "/d", "target": "t"}), 400, "target"),
        ("target-create-web", json!({"name": "/t"}), 400, "url"),
        ("target-create-web", json!({"name": "/t", "url": "ftp://canary"}), 400, "url"),
        ("target-get", json!({"name": "/s"}), 400, "static secret"),
        ("rotated-secret-create-custom", json!({"name": "/r"}), 400, "target-name"),
        ("rotated-secret-create-custom", json!({"name": "/r", "target-name": "/none"}), 404, "/none"),
        ("get-rotated-secret-value", json!({"names": ["/a", "/b"]}), 400, "names"),
        ("gateway-rotate-secret", json!({"name": "/none"}), 404, "/none"),
        ("gateway-rotate-secret", json!({"name": "/s"}), 400, "static secret"),
        ("gateway-rotate-secret", json!({"name": "/d"}), 400, "rotate-sync-url"),
    ];
    for (operation, body, status, says) in cases {
        let (refused, sentence) = api.refused(operation, body.clone()).await;
        assert_eq!(refused, status, "{operation} {body}: {sentence}");
        assert!(sentence.contains(says), "{operation} {body}: {sentence}");
        assert_eq!(sentence.lines().count(), 1);
    }
    assert_eq!(api.names(json!({})).await, ["/d", "/s"]);
    let item = api.done("describe-item", json!({"name": "/s"})).await;
    assert_eq!((&item["last_version"], &item["item_state"]), (&json!(1), &json!("Enabled")));
}

#[tokio::test]
async fn lists_show_every_kind_with_folders_pages_and_filters_and_no_value() {
    let api = Api::new().await;
    for name in ["/app/db/one", "/app/two", "/zoo"] {
        api.done("create-secret", secret(name, "canary")).await;
    }
    api.done("dynamic-secret-create-custom", dynamic("/app/login")).await;
    api.done("target-create-web", json!({"name": "/app/target", "url": "http://127.0.0.1:9/r"})).await;
    // As the vendor's Python client and the External Secrets Operator ask.
    let defaults = json!({
        "accessibility": "regular", "ara-only": false, "auto-pagination": "enabled", "current-folder": false,
        "json": false, "sra-only": false,
    });
    assert_eq!(api.names(defaults).await, ["/app/db/one", "/app/login", "/app/two", "/zoo"]);
    let operator = json!({
        "filter": "/app/", "minimal-view": true, "tag": "",
        "type": ["static-secret", "dynamic-secret", "rotated-secret"],
    });
    assert_eq!(api.names(operator).await, ["/app/db/one", "/app/login", "/app/two"]);
    let folder = api.done("list-items", json!({"path": "/app", "current-folder": true})).await;
    assert_eq!(folder["folders"], json!(["/app/db/"]));
    assert_eq!(
        api.names(json!({"path": "/app/", "current-folder": "true"})).await,
        ["/app/login", "/app/two"]
    );
    assert_eq!(api.names(json!({"type": "dynamic-secret"})).await, ["/app/login"]);
    assert_eq!(api.names(json!({"type": ["target"]})).await, ["/app/target"]);
    assert_eq!(api.names(json!({"type": ["key"]})).await, Vec::<String>::new());
    assert_eq!(api.names(json!({"tag": "a"})).await, ["/app/db/one", "/app/two", "/zoo"]);
    let later = gateward_clock::Clock::now(&api.plane.clock).secs() + 1;
    assert_eq!(api.names(json!({"modified-after": later})).await, Vec::<String>::new());
    assert_eq!(
        api.names(json!({"auto-pagination": "disabled", "pagination-token": "/app/two"})).await,
        ["/zoo"]
    );
    assert_eq!(api.done("list-items", json!({})).await["has_next"], false);
}

#[tokio::test]
async fn pages_of_a_thousand_end_where_the_next_begins() {
    let api = Api::new().await;
    for number in 0..1001 {
        api.done("create-secret", secret(&format!("/many/{number:04}"), "canary")).await;
    }
    let page = api.done("list-items", json!({"auto-pagination": "disabled"})).await;
    assert_eq!((page["items"].as_array().unwrap().len(), &page["has_next"]), (1000, &json!(true)));
    let next = json!({"auto-pagination": "disabled", "pagination-token": page["next_page"]});
    assert_eq!(api.names(next).await, ["/many/1000"]);
    assert_eq!(api.names(json!({})).await.len(), 1001);
}

#[tokio::test]
async fn an_item_is_described_changed_switched_off_and_deleted() {
    let api = Api::new().await;
    api.done("create-secret", secret("/s", "canary")).await;
    let item = api.done("describe-item", json!({"name": "s", "show-versions": true})).await;
    assert_eq!((&item["item_type"], &item["item_metadata"]), (&json!("STATIC_SECRET"), &json!("d")));
    assert_eq!(item["item_versions"].as_array().unwrap().len(), 1);
    for by in [json!({"item-id": item["item_id"]}), json!({"display-id": item["display_id"]})] {
        assert_eq!(api.done("describe-item", by).await["item_name"], "/s");
    }
    api.plane.clock.advance(std::time::Duration::from_secs(5));
    let change = json!({
        "name": "/s", "new-name": "/moved/s", "description": "default_metadata", "add-tag": ["b"], "rm-tag": ["a"],
        "delete_protection": "true", "max-versions": "3", "json": false,
    });
    api.done("update-item", change).await;
    let moved = api.done("describe-item", json!({"name": "/moved/s"})).await;
    assert_eq!((&moved["item_id"], &moved["item_metadata"]), (&item["item_id"], &json!("d")));
    assert!(moved["modification_date"].as_str() > item["modification_date"].as_str());
    assert_eq!(api.done("get-tags", json!({"name": "/moved/s"})).await, json!(["b"]));
    assert_eq!(api.refused("delete-item", json!({"name": "/moved/s"})).await.0, 403);
    api.done("set-item-state", json!({"name": "/moved/s", "desired-state": "Disabled"})).await;
    let (status, sentence) = api.refused("get-secret-value", json!({"names": ["/moved/s"]})).await;
    assert!(status == 403 && sentence.contains("disabled"), "{status} {sentence}");
    api.done("set-item-state", json!({"name": "/moved/s", "desired-state": "Enabled", "version": 0})).await;
    api.done("update-item", json!({"name": "/moved/s", "delete_protection": false})).await;
    api.done("move-objects", json!({"source": "/moved/", "target": "/elsewhere/deep"})).await;
    let (status, sentence) =
        api.refused("move-objects", json!({"source": "/elsewhere", "target": "/elsewhere/deep"})).await;
    assert!(status == 400 && sentence.contains("target"), "{status} {sentence}");
    // Out of itself: each goes where another stood.
    api.done("create-secret", secret("/elsewhere/deep/deep/s", "canary-deep")).await;
    api.done("move-objects", json!({"source": "/elsewhere/deep", "target": "/elsewhere"})).await;
    assert_eq!(api.names(json!({})).await, ["/elsewhere/deep/s", "/elsewhere/s"]);
    api.done("move-objects", json!({"source": "/elsewhere/s", "target": "/s"})).await;
    let (status, sentence) =
        api.refused("move-objects", json!({"source": "/elsewhere/deep/s", "target": "/s"})).await;
    assert!(status == 409 && sentence.contains("/s"), "{status} {sentence}");
    api.done("delete-item", json!({"name": "/elsewhere/deep/s"})).await;
    api.done("move-objects", json!({"source": "/s", "target": "/elsewhere/deep/s"})).await;
    let gone = json!({
        "accessibility": "regular", "delete-immediately": false, "delete-in-days": 7, "json": false,
        "name": "/elsewhere/deep/s", "version": -1,
    });
    let deleted = api.done("delete-item", gone).await;
    assert_eq!(
        (&deleted["item_name"], &deleted["version_deleted"]),
        (&json!("/elsewhere/deep/s"), &json!(-1))
    );
    assert_eq!(api.names(json!({})).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_dynamic_secret_is_an_item_like_others() {
    let api = Api::new().await;
    let mut body = dynamic("/d");
    body["tags"] = json!(["t"]);
    body["delete_protection"] = json!("true");
    let created = api.done("gateway-create-producer-custom", body).await;
    let details = created["producer_details"].clone();
    assert_eq!((&details["tags"], &details["active"]), (&json!(["t"]), &json!(true)));
    assert_eq!(api.done("dynamic-secret-get", json!({"name": "/d"})).await, details);
    let described = api.done("describe-item", json!({"name": "/d"})).await;
    let info = &described["item_general_info"]["dynamic_secret_producer_details"];
    assert_eq!((&info["producer_type"], &info["user_ttl"]), (&json!("custom"), &json!("60m")));
    assert_eq!(described["item_id"], details["dynamic_secret_id"]);

    let change = json!({
        "name": "/d", "new-name": "/e", "create-sync-url": "http://127.0.0.1:9/c2", "revoke-sync-url": "http://127.0.0.1:9/r",
        "rotate-sync-url": "http://127.0.0.1:9/o", "user-ttl": "5m", "enable-admin-rotation": true,
        "admin-rotation-interval-days": 30, "skip-dry-run": "true", "tags": ["u"],
    });
    let changed = api.done("dynamic-secret-update-custom", change).await;
    let details = &changed["dynamic_secret_details"];
    assert_eq!(details["create_sync_url"], "http://127.0.0.1:9/c2");
    assert_eq!((&details["user_ttl"], &details["tags"]), (&json!("5m"), &json!(["u"])));
    assert_eq!((&details["timeout_seconds"], &details["delete_protection"]), (&json!(60), &json!(true)));
    assert_eq!(details["admin_rotation_interval_days"], 30);
    assert!(details["next_admin_rotation"].is_string(), "{details}");
    assert_eq!(api.refused("dynamic-secret-get", json!({"name": "/d"})).await.0, 404);
    let listed = api.done("gateway-list-producers", json!({})).await;
    assert_eq!((&listed["producers"][0]["name"], &listed["producers_errors"]), (&json!("/e"), &json!([])));

    api.done("gateway-stop-producer", json!({"name": "/e"})).await;
    let (status, sentence) = api.refused("get-dynamic-secret-value", json!({"name": "/e"})).await;
    assert!(status == 403 && sentence.contains("disabled"), "{status} {sentence}");
    assert_eq!(api.done("describe-item", json!({"name": "/e"})).await["item_state"], "Disabled");
    api.done("gateway-start-producer", json!({"name": "/e"})).await;
    // Nobody answers there: the producer fails, which is no refusal of ours.
    assert_eq!(api.refused("get-dynamic-secret-value", json!({"name": "/e"})).await.0, 502);
    assert_eq!(api.refused("gateway-rotate-secret", json!({"name": "/e"})).await.0, 502);
    let failed = api.done("dynamic-secret-get", json!({"name": "/e"})).await;
    assert!(failed["failure_message"].as_str().is_some_and(|why| why.contains("rotate")), "{failed}");
    assert_eq!(api.refused("dynamic-secret-delete", json!({"name": "/e"})).await.0, 403);
    api.done("update-item", json!({"name": "/e", "delete_protection": "false"})).await;
    api.done("delete-item", json!({"name": "/e"})).await;
    assert_eq!(api.refused("describe-item", json!({"name": "/e"})).await.0, 404);
}

#[tokio::test]
async fn a_rotated_secret_has_a_target_and_versions() {
    let api = Api::new().await;
    let target = json!({"name": "/t", "url": "http://127.0.0.1:9/rotate", "description": "where"});
    assert!(api.done("create-web-target", target).await["target_id"].is_u64());
    let new = json!({
        "authentication-credentials": "use-user-creds", "auto-rotate": "true", "custom-payload": "first",
        "json": false, "name": "/r", "rotation-interval": "1440", "rotation-hour": 3, "target-name": "/t",
        "timeout-sec": 40, "tags": ["x"],
    });
    assert_eq!(api.done("rotated-secret-create-custom", new).await, json!({"name": "/r"}));
    for body in [json!({"names": "/r", "ignore-cache": "false"}), json!({"names": ["/r"], "version": 0})] {
        let value = api.done("get-rotated-secret-value", body).await;
        assert_eq!(value, json!({"value": {"payload": "first"}}));
    }
    let item = api.done("describe-item", json!({"name": "/r"})).await;
    assert_eq!((&item["item_type"], &item["auto_rotate"]), (&json!("ROTATED_SECRET"), &json!(true)));
    assert_eq!(item["item_targets_assoc"][0]["target_name"], "/t");
    assert!(item["next_rotation_date"].as_str().is_some_and(|next| next.ends_with("T03:00:00Z")), "{item}");
    assert_eq!(api.refused("target-delete", json!({"name": "/t"})).await.0, 409);
    api.done("target-update-web", json!({"name": "/t", "new-name": "/u", "url": "http://127.0.0.1:9/x"}))
        .await;
    let details = api.done("target-get-details", json!({"name": "/u"})).await;
    assert_eq!(details["value"]["web_target_details"]["url"], "http://127.0.0.1:9/x");
    assert_eq!(details["target"]["target_name"], "/u");
    assert_eq!(api.done("target-list", json!({})).await["targets"].as_array().unwrap().len(), 1);
    assert_eq!(api.done("target-list", json!({"type": ["aws"]})).await["targets"], json!([]));

    api.done("rotated-secret-update-custom", json!({"name": "/r", "custom-payload": "second"})).await;
    let value =
        |version: i64| api.done("rotated-secret-get-value", json!({"name": "/r", "version": version}));
    assert_eq!(value(0).await["value"]["payload"], "second");
    assert_eq!(value(1).await["value"]["payload"], "first");
    // Nobody answers at the target.
    assert_eq!(api.refused("gateway-rotate-secret", json!({"name": "/r"})).await.0, 502);
    let listed = api.done("rotated-secret-list", json!({})).await;
    let failure = listed["producers"][0]["failure_message"].as_str().unwrap();
    assert!(failure.contains("rotate") && listed["producers"][0]["target_name"] == "/u", "{listed}");
    api.done("update-item", json!({"name": "/r", "new-name": "/q", "add-tag": ["y"]})).await;
    assert_eq!(api.done("get-tags", json!({"name": "/q"})).await, json!(["x", "y"]));
    for (field, value, says) in [
        ("rotation-interval", json!("0"), "rotation-interval"),
        ("rotation-hour", json!(24), "rotation-hour"),
        ("timeout-sec", json!(901), "timeout-sec"),
        ("max-versions", json!(0), "max-versions"),
    ] {
        let (status, sentence) =
            api.refused("rotated-secret-update-custom", json!({"name": "/q", field: value})).await;
        assert!(status == 400 && sentence.contains(says), "{field}: {status} {sentence}");
    }
    let odd = json!({"name": "/q", "rotation-interval": 60, "rotation-hour": 3});
    assert!(api.refused("rotated-secret-update-custom", odd).await.1.contains("whole days"));
    api.done("rotated-secret-delete", json!({"name": "/q", "version": 1})).await;
    assert_eq!(api.refused("rotated-secret-get-value", json!({"name": "/q", "version": 1})).await.0, 404);
    api.done("rotated-secret-delete", json!({"name": "/q", "version": -1, "force-delete": false})).await;
    api.done("delete-target", json!({"name": "/u"})).await;
    assert_eq!(api.names(json!({"type": ["target", "rotated-secret"]})).await, Vec::<String>::new());
}

#[tokio::test]
async fn every_call_wants_a_token() {
    let plane = Plane::new().await;
    for operation in [
        "create-secret",
        "get-secret-value",
        "list-items",
        "describe-item",
        "delete-item",
        "dynamic-secret-list",
        "target-list",
        "get-rotated-secret-value",
        "gateway-rotate-secret",
    ] {
        let path = format!("/{operation}");
        let answer =
            plane.ask(Surface::Akeyless, "POST", &path, &[], r#"{"name": "/s", "names": "/s"}"#).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{operation}");
    }
}

/// The order of calls of Akeyless's Terraform provider; only 404 means to it that something is gone.
#[tokio::test]
async fn terraform_creates_reads_changes_and_finds_out_that_something_is_gone() {
    let api = Api::new().await;
    let new = json!({
        "name": "/tf", "value": "one", "description": "", "tags": [], "protection_key": "", "multiline_value": false,
        "format": "text", "max-versions": "", "delete_protection": "",
    });
    api.done("create-secret", new).await;
    let read = json!({"name": "/tf", "show-versions": false});
    assert_eq!(api.done("describe-item", read.clone()).await["item_metadata"], "");
    assert_eq!(api.done("get-secret-value", json!({"names": ["/tf"]})).await, json!({"/tf": "one"}));
    api.done("update-secret-val", json!({"name": "/tf", "value": "two", "key": "", "keep-prev-version": ""}))
        .await;
    let change =
        json!({"name": "/tf", "new-name": "/tf", "description": "text", "add-tag": ["t"], "rm-tag": []});
    api.done("update-item", change).await;
    let item = api.done("describe-item", read.clone()).await;
    assert_eq!((&item["item_metadata"], &item["item_tags"]), (&json!("text"), &json!(["t"])));
    let delete = json!({"name": "/tf", "delete-immediately": true, "delete-in-days": -1});
    api.done("delete-item", delete.clone()).await;
    assert_eq!(api.refused("describe-item", read).await.0, 404);
    assert_eq!(api.refused("delete-item", delete).await.0, 404);

    api.done("dynamic-secret-create-custom", dynamic("/tfd")).await;
    let details = api.done("dynamic-secret-get", json!({"name": "/tfd"})).await;
    assert!(details.get("payload").is_none(), "a payload is never told: {details}");
    api.done("dynamic-secret-delete", json!({"name": "/tfd"})).await;
    assert_eq!(api.refused("dynamic-secret-get", json!({"name": "/tfd"})).await.0, 404);
    // After a login that failed it goes on with an empty token, and takes any 2xx for the answer.
    let empty = json!({"name": "/tfd", "token": ""}).to_string();
    let answer = api.plane.ask(Surface::Akeyless, "POST", "/get-dynamic-secret-value", &[], &empty).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}
