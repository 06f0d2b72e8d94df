//! The commands about items: what each sends, and what it says of the answer.

use super::*;

#[tokio::test]
async fn commands_about_items_send_what_the_vendors_clients_send_and_say_what_came_of_it() {
    let cases: &[(&[&str], &str, Value, &str, &str)] = &[
        (
            &["create-secret", "-n", "/s", "--value", "-v", "-t", "a", "--max-versions", "3"],
            "create-secret",
            json!({"name": "/s", "value": "-v", "type": "generic", "format": "text", "tags": ["a"], "max-versions": "3"}),
            r#"{"name":"/s"}"#,
            "The secret /s was created.",
        ),
        (
            &["get-secret-value", "-n", "a/b", "--ignore-cache", "true"],
            "get-secret-value",
            json!({"names": ["a/b"]}),
            r#"{"a/b":"the value"}"#,
            "the value",
        ),
        (
            &["get-secret-value", "-n", "/s", "--json", "--version", "-2"],
            "get-secret-value",
            json!({"names": ["/s"], "version": -2}),
            r#"{"/s":[]}"#,
            r#"{"/s":[]}"#,
        ),
        (
            &["update-secret-val", "-n", "/s", "--value", "v", "--keep-prev-version", "false"],
            "update-secret-val",
            json!({"name": "/s", "value": "v", "keep-prev-version": "false"}),
            r#"{"name":"/s","version":2}"#,
            "The secret /s has a new value, version 2.",
        ),
        (
            &["rollback-secret", "-n", "/s", "--old-version", "1"],
            "rollback-secret",
            json!({"name": "/s", "old-version": 1}),
            r#"{"name":"/s","version":3}"#,
            "The secret /s has the value of version 1 again, as version 3.",
        ),
        (
            &["list-items", "--type", "static-secret", "--path", "/a"],
            "list-items",
            json!({"type": ["static-secret"], "path": "/a", "current-folder": false, "auto-pagination": "enabled"}),
            r#"{"items":[]}"#,
            "{\n  \"items\": []\n}",
        ),
        (
            &["delete-item", "-n", "/s", "--delete-in-days", "-1", "--delete-immediately"],
            "delete-item",
            json!({"name": "/s", "version": -1}),
            r#"{"item_name":"/s"}"#,
            "The item /s was deleted.",
        ),
        (
            &["delete-item", "-n", "/s", "--version", "0"],
            "delete-item",
            json!({"name": "/s", "version": 0}),
            r#"{"item_name":"/s","version_deleted":3}"#,
            "Version 3 of the item /s was deleted.",
        ),
        (
            &["delete-item", "-n", "/s", "--version", "1"],
            "delete-item",
            json!({"name": "/s", "version": 1}),
            r#"{"item_name":"/s","version_deleted":-1}"#,
            "The item /s was deleted with its only version.",
        ),
        (
            &["set-item-state", "-n", "/s", "-s", "disabled"],
            "set-item-state",
            json!({"name": "/s", "desired-state": "disabled"}),
            "{}",
            "The item /s is disabled now.",
        ),
        (
            &[
                "dynamic-secret",
                "update",
                "custom",
                "-n",
                "/d",
                "--enable_admin_rotation",
                "--admin_rotation_interval_days",
                "9",
            ],
            "dynamic-secret-update-custom",
            json!({"name": "/d", "enable-admin-rotation": true, "admin-rotation-interval-days": 9}),
            "{}",
            "The dynamic secret /d was changed.",
        ),
        (
            &["dynamic-secret", "tmp-creds", "update", "-n", "/d", "-i", "l-1", "-t", "7"],
            "dynamic-secret-tmp-creds-update",
            json!({"name": "/d", "tmp-creds-id": "l-1", "new-ttl-min": 7, "host": ""}),
            r#"{"expires_at":"2026-11-21T00:00:00Z"}"#,
            "The credential l-1 of /d lives until 2026-11-21T00:00:00Z.",
        ),
        (
            &["target", "create", "web", "-n", "/t", "--url", "http://h/r"],
            "target-create-web",
            json!({"name": "/t", "url": "http://h/r"}),
            r#"{"target_id":1}"#,
            "The target /t was created.",
        ),
        (
            &[
                "rotated-secret",
                "create",
                "custom",
                "-n",
                "/r",
                "--target-name",
                "/t",
                "--auto-rotate",
                "--rotation-interval",
                "60",
            ],
            "rotated-secret-create-custom",
            json!({
                "name": "/r", "target-name": "/t", "authentication-credentials": "use-user-creds", "auto-rotate": "true",
                "rotation-interval": "60",
            }),
            r#"{"name":"/r"}"#,
            "The rotated secret /r was created.",
        ),
        (
            &["get-rotated-secret-value", "-n", "/r"],
            "get-rotated-secret-value",
            json!({"names": "/r", "version": 0}),
            r#"{"value":{"payload":"p"}}"#,
            "p",
        ),
        (
            &["rotate-secret", "-n", "/r"],
            "gateway-rotate-secret",
            json!({"name": "/r"}),
            r#"{"name":"/r"}"#,
            "/r was rotated.",
        ),
        (
            &[
                "dynamic-secret",
                "create",
                "postgresql",
                "-n",
                "/p",
                "--postgresql-host",
                "db",
                "--postgresql-password",
                "-p",
                "--ssl",
                "--creation-statements",
                "CREATE USER {{name}}",
                "--user-ttl",
                "5m",
            ],
            "dynamic-secret-create-postgresql",
            json!({
                "name": "/p", "postgresql-host": "db", "postgresql-password": "-p", "ssl": true,
                "creation-statements": "CREATE USER {{name}}", "user-ttl": "5m",
            }),
            "{}",
            "The dynamic secret /p was created.",
        ),
        (
            &[
                "dynamic-secret",
                "update",
                "postgresql",
                "-n",
                "/p",
                "--new-name",
                "/q",
                "--postgresql-port",
                "1",
            ],
            "dynamic-secret-update-postgresql",
            json!({"name": "/p", "new-name": "/q", "postgresql-port": "1"}),
            "{}",
            "The dynamic secret /p was changed.",
        ),
        (
            &[
                "dynamic-secret",
                "create",
                "aws",
                "-n",
                "/a",
                "--aws-role-arns",
                "arn:a,arn:b",
                "-t",
                "x",
                "-t",
                "y",
            ],
            "dynamic-secret-create-aws",
            json!({"name": "/a", "access-mode": "assume_role", "aws-role-arns": "arn:a,arn:b", "tags": ["x", "y"]}),
            "{}",
            "The dynamic secret /a was created.",
        ),
        (
            &["dynamic-secret", "update", "aws", "-n", "/a", "--session-tags", "team=blue", "--skip-dry-run"],
            "dynamic-secret-update-aws",
            json!({"name": "/a", "access-mode": "assume_role", "session-tags": "team=blue", "skip-dry-run": true}),
            "{}",
            "The dynamic secret /a was changed.",
        ),
    ];
    for (words, operation, body, answer, printed) in cases {
        let (asked, told) = asked_for(words, answer).await;
        assert_eq!(asked.line, format!("POST /api/v2/{operation} HTTP/1.1"));
        let mut expected = body.clone();
        expected["json"] = false.into();
        expected["token"] = "t-123".into();
        assert_eq!(asked.body, expected, "{words:?}");
        assert_eq!(told, *printed, "{words:?}");
    }
}
