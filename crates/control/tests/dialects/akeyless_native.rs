//! Dynamic secrets with native producers by the Akeyless API, with the bodies that the vendor's clients send.

use gateward_testkit::Postgres;
use serde_json::{Value, json};

use crate::akeyless_items::Api;

/// What the vendor's Python client sends, defaults and all.
fn postgresql(name: &str, server: &Postgres) -> Value {
    json!({
        "json": false, "name": name, "postgresql-host": "127.0.0.1", "postgresql-port": server.port().to_string(),
        "postgresql-db-name": "postgres", "postgresql-username": "admin", "postgresql-password": server.password(),
        "secure-access-web": false, "ssl": false, "user-ttl": "60m", "tags": ["t"],
    })
}

fn aws(name: &str) -> Value {
    json!({
        "json": false, "name": name, "access-mode": "assume_role", "region": "us-east-2", "user-ttl": "60m",
        "aws-role-arns": "arn:aws:iam::123456789012:role/a, arn:aws:iam::123456789012:role/b",
        "aws-access-key-id": "AKIDEXAMPLE", "aws-access-secret-key": "canary-secret", "aws-external-id": "canary-partner",
        "session-tags": "team=blue", "skip-dry-run": "true", "admin-rotation-interval-days": 0,
        "aws-user-programmatic-access": true, "enable-admin-rotation": false, "secure-access-web": true,
    })
}

#[tokio::test]
async fn a_user_of_postgresql_is_made_renewed_and_revoked_and_no_answer_has_the_administrators_password() {
    let Some(server) = Postgres::start() else { return };
    let api = Api::new().await;
    let created = api.done("gateway-create-producer-postgresql", postgresql("/db", &server)).await;
    let details = &created["producer_details"];
    assert_eq!(
        (&details["dynamic_secret_type"], &details["revocation"]),
        (&json!("postgresql"), &json!("on demand"))
    );
    assert_eq!(details["capabilities"], json!({"request_id": true, "list": true}));
    let users = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'gw%'";
    assert_eq!(server.query(users), "");

    let credential = api.done("get-dynamic-secret-value", json!({"name": "/db"})).await;
    assert_eq!((&credential["id"], &credential["ttl_in_minutes"]), (&credential["user"], &json!("60")));
    assert_eq!(credential["user"], server.query(users));
    let leases = api.done("dynamic-secret-tmp-creds-get", json!({"name": "/db"})).await;
    assert_eq!(
        (&leases[0]["dynamic_secret_type"], &leases[0]["producer_id"]),
        (&json!("postgresql"), &credential["id"])
    );
    let until = "SELECT extract(epoch FROM rolvaliduntil)::bigint FROM pg_roles WHERE rolname LIKE 'gw%'";
    let renewal = json!({"name": "/db", "tmp-creds-id": leases[0]["id"], "new-ttl-min": 10, "host": ""});
    let before = server.query(until);
    api.done("dynamic-secret-tmp-creds-update", renewal).await;
    assert!(server.query(until) < before);

    let mut encrypted = postgresql("/encrypted", &server);
    (encrypted["ssl"], encrypted["skip-dry-run"]) = (json!(true), json!("true"));
    api.done("dynamic-secret-create-postgresql", encrypted).await;
    for exposed in [
        json!({"name": "/db", "postgresql-host": "localhost"}),
        json!({"name": "/db", "postgresql-port": "1"}),
        json!({"name": "/encrypted", "ssl": false, "skip-dry-run": "true"}),
    ] {
        let (status, why) = api.refused("dynamic-secret-update-postgresql", exposed).await;
        assert!(status == 400 && why.contains("postgresql-password"), "{why}");
    }
    let changed =
        api.done("dynamic-secret-update-postgresql", json!({"name": "/db", "password-length": "32"})).await;
    assert_eq!(changed["dynamic_secret_details"]["password_length"], 32);
    let listed = api.done("dynamic-secret-list", json!({})).await;
    assert_eq!(listed["producers"][0]["type"], "postgresql");
    for answer in [&created, &leases, &changed, &listed] {
        assert!(!answer.to_string().contains(server.password()), "{answer}");
    }
    api.done("dynamic-secret-delete", json!({"name": "/db"})).await;
    assert_eq!(server.query(users), "");
}

#[tokio::test]
async fn roles_of_aws_are_described_without_their_key() {
    let api = Api::new().await;
    let created = api.done("dynamic-secret-create-aws", aws("/role")).await;
    let details = &created["dynamic_secret_details"];
    assert_eq!(
        (&details["aws_access_mode"], &details["revocation"]),
        (&json!("assume_role"), &json!("by expiry alone"))
    );
    assert_eq!(details["aws_session_tags"], "team=blue");
    let changed = api.done(
        "gateway-update-producer-aws",
        json!({"name": "/role", "region": "eu-west-1", "skip-dry-run": true}),
    );
    let changed = changed.await;
    assert_eq!(changed["producer_details"]["aws_region"], "eu-west-1");
    // A key alone: what is kept beside it stays.
    let key = json!({
        "name": "/role", "aws-access-key-id": "AKIDOTHER", "aws-access-secret-key": "canary-other", "skip-dry-run": true,
    });
    api.done("dynamic-secret-update-aws", key).await;
    for answer in [&created, &changed] {
        assert!(!answer.to_string().contains("canary"), "{answer}");
    }
}

#[tokio::test]
async fn what_a_native_producer_cannot_do_is_refused_by_its_field_and_nothing_is_made() {
    let Some(server) = Postgres::start() else { return };
    let api = Api::new().await;
    let without = |mut body: Value, field: &str, value: Value| {
        body[field] = value;
        body
    };
    for (operation, body, field) in [
        (
            "postgresql",
            without(postgresql("/x", &server), "creation-statements", json!("CREATE USER x")),
            "creation-statements",
        ),
        (
            "postgresql",
            without(postgresql("/x", &server), "postgresql-username", json!("")),
            "postgresql-username",
        ),
        (
            "postgresql",
            without(postgresql("/x", &server), "postgresql-port", json!(70_000)),
            "postgresql-port",
        ),
        ("postgresql", without(postgresql("/x", &server), "password-length", json!("8")), "password-length"),
        (
            "postgresql",
            without(postgresql("/x", &server), "custom-username-template", json!("{{.X}}")),
            "custom-username-template",
        ),
        (
            "postgresql",
            without(postgresql("/x", &server), "postgresql-password", json!("canary-wrong")),
            "password authentication",
        ),
        ("aws", without(aws("/x"), "access-mode", json!("iam_user")), "access-mode"),
        ("aws", without(aws("/x"), "user-ttl", json!("5m")), "user-ttl"),
        ("aws", without(aws("/x"), "aws-role-arns", json!("reader")), "aws-role-arns"),
        ("aws", without(aws("/x"), "aws-access-secret-key", Value::Null), "aws-access-secret-key"),
    ] {
        let (status, why) = api.refused(&format!("dynamic-secret-create-{operation}"), body).await;
        assert!(status == 400 && why.contains(field) && !why.contains("canary"), "{field}: {status} {why}");
    }
    assert_eq!(api.refused("dynamic-secret-get", json!({"name": "/x"})).await.0, 404);
    api.done("dynamic-secret-create-aws", aws("/role")).await;
    let other = json!({"name": "/role", "postgresql-host": "h"});
    assert_eq!(api.refused("dynamic-secret-update-postgresql", other).await.0, 400);
}
