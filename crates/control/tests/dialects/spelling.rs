//! Names of fields: what is spelt otherwise, stands twice or is not known must not take a restriction away in silence.

use gateward_control::Surface;
use http::StatusCode;
use serde_json::json;

use crate::akeyless_items::Api;
use crate::{JSON, Plane};

#[tokio::test]
async fn a_field_is_read_with_a_hyphen_and_with_an_underscore() {
    let api = Api::new().await;
    let bounded = json!({
        "name": "bounded", "access_id": "p-abc", "permissions": "admin", "sub_claims": {"role_name": ["x"]},
        "case_sensitive": "false",
    });
    let entry = api.done("gateway-create-allowed-access", bounded).await;
    assert_eq!(entry["sub_claims"], json!({"role_name": ["x"]}));
    assert_eq!(entry["sub_claims_case_insensitive"], true);
    let entry = json!({"name": "bounded", "sub_claims": {"role_name": ["y"]}});
    let entry = api.done("gateway-update-allowed-access", entry).await;
    assert_eq!(entry["sub_claims"], json!({"role_name": ["y"]}));

    let deploy =
        json!({"name": "deploy", "bound_aws_account_id": ["123456789012"], "bound_role_name": ["deploy"]});
    api.done("auth-method-create-aws-iam", deploy).await;
    let method = api.done("auth-method-get", json!({"name": "deploy"})).await;
    assert_eq!(method["access_info"]["aws_iam_access_rules"]["role_name"], json!(["deploy"]));
    let (status, says) =
        api.refused("auth-method-create-api-key", json!({"name": "k", "bound_ips": "1.2.3.4"})).await;
    assert!(status == 400 && says.contains("bound-ips"), "{says}");

    for (name, spelling) in [("/a", "delete-protection"), ("/b", "delete_protection")] {
        api.done("create-secret", json!({"name": name, "value": "v", spelling: true})).await;
        let item = api.done("describe-item", json!({"name": name})).await;
        assert_eq!(item["delete_protection"], true, "{spelling}");
        api.done("update-item", json!({"name": name, spelling: "false"})).await;
        let item = api.done("describe-item", json!({"name": name})).await;
        assert_eq!(item["delete_protection"], false, "{spelling}");
    }
}

#[tokio::test]
async fn the_key_that_something_is_to_be_sealed_with_is_read_by_each_of_its_names() {
    let api = Api::new().await;
    api.done("target-create-web", json!({"name": "/web", "url": "http://127.0.0.1:1/rotate"})).await;
    api.done("create-secret", json!({"name": "/standing", "value": "v"})).await;
    let names = ["protection-key", "protection_key", "key"];
    let calls = [
        ("create-secret", json!({"name": "/x", "value": "v"})),
        ("update-secret-val", json!({"name": "/standing", "value": "w"})),
        ("rotated-secret-create-custom", json!({"name": "/x", "target-name": "/web", "custom-payload": "p"})),
        ("target-create-web", json!({"name": "/x", "url": "http://127.0.0.1:1/rotate"})),
        (
            "dynamic-secret-create-custom",
            json!({
                "name": "/x", "create-sync-url": "http://127.0.0.1:1/", "revoke-sync-url": "http://127.0.0.1:1/",
                "skip-dry-run": true,
            }),
        ),
        (
            "dynamic-secret-create-postgresql",
            json!({
                "name": "/x", "postgresql-db-name": "d", "postgresql-username": "u", "postgresql-password": "p",
                "skip-dry-run": true,
            }),
        ),
    ];
    for (call, body) in calls {
        for name in names {
            let mut body = body.clone();
            body[name] = "/keys/missing".into();
            let (status, says) = api.refused(call, body).await;
            assert!(status == 400 && says.contains("key"), "{call} with {name}: {status} {says}");
        }
    }
}

#[tokio::test]
async fn a_field_in_both_spellings_is_refused_by_its_name() {
    let api = Api::new().await;
    let both = json!({
        "name": "x", "access-id": "p-abc", "permissions": "admin", "sub-claims": {"a": ["b"]}, "sub_claims": {},
    });
    let (status, says) = api.refused("gateway-create-allowed-access", both).await;
    assert!(status == 400 && says.contains("\"sub-claims\"") && says.contains("twice"), "{says}");
    let both = json!({"name": "/x", "value": "v", "protection-key": "cf-a", "key": "cf-b"});
    let (status, says) = api.refused("create-secret", both).await;
    assert!(status == 400 && says.contains("protection-key"), "{says}");
}

#[tokio::test]
async fn what_might_be_a_bound_and_is_not_known_is_refused_by_its_name() {
    let api = Api::new().await;
    for field in ["bound-role-names", "bound_arns", "gw-bound-ips", "force-sub-claims"] {
        let mut body = json!({"name": "m", "bound-aws-account-id": "123456789012"});
        body[field] = "x".into();
        let (status, says) = api.refused("auth-method-create-aws-iam", body).await;
        assert!(status == 400 && says.contains(&field.replace('_', "-")), "{field}: {says}");
    }
    for field in ["bound-ip", "gw_bound_ips", "bound-arn"] {
        let mut body = json!({"name": "m"});
        body[field] = "x".into();
        let (status, says) = api.refused("auth-method-create-api-key", body).await;
        assert!(status == 400 && says.contains(&field.replace('_', "-")), "{field}: {says}");
    }
    for field in ["sub-claim", "subclaims", "bounds"] {
        let mut body = json!({"name": "m", "access-id": "p-abc", "permissions": "admin"});
        body[field] = json!({"role_name": ["x"]});
        let (status, says) = api.refused("gateway-create-allowed-access", body.clone()).await;
        assert!(status == 400 && says.contains(field), "{field}: {says}");
        let (status, says) = api.refused("gateway-update-allowed-access", body).await;
        assert!(status == 400 && says.contains(field), "{field}: {says}");
    }
    // What clients send without having been told anything.
    let quiet =
        json!({"name": "m", "gw-bound-ips": [], "force-sub-claims": false, "jwt-ttl": 0, "json": false});
    api.done("auth-method-create-api-key", quiet).await;
}

#[tokio::test]
async fn a_filter_that_means_nothing_is_refused_and_gives_no_empty_list() {
    let api = Api::new().await;
    for (call, filter, named) in [
        ("list-items", json!({"type": "secret"}), "type"),
        ("list-items", json!({"type": ["static-secret", "dynamic"]}), "type"),
        ("list-items", json!({"pagination-token": "garbage"}), "pagination-token"),
        ("list-targets", json!({"type": ["wbe"]}), "type"),
        ("list-targets", json!({"pagination_token": "garbage"}), "pagination-token"),
        ("lease-report", json!({"list": "failing", "after": "garbage"}), "after"),
        ("lease-report", json!({"list": "parked", "after": "1/l-1"}), "after"),
        ("lease-report", json!({"list": "failed"}), "list"),
    ] {
        let (status, says) = api.refused(call, filter.clone()).await;
        assert!(status == 400 && says.contains(&format!("\"{named}\"")), "{call} {filter}: {status} {says}");
    }
    // What the vendor has and this gateway has not is truly none.
    let none = api
        .done("list-items", json!({"type": ["classic-key", "SSH_CERT_ISSUER"], "pagination-token": "/a"}))
        .await;
    assert_eq!(none["items"], json!([]));
    assert_eq!(api.done("list-targets", json!({"type": "aws"})).await["targets"], json!([]));
    let after = format!("7/l-{}", "a".repeat(32));
    api.done("lease-report", json!({"list": "failing", "after": after})).await;
    api.done("lease-report", json!({"list": "quarantined", "after": "whatever"})).await;
}

#[tokio::test]
async fn an_argument_that_a_producer_of_the_gateways_own_would_leave_aside_is_refused_by_its_name() {
    let api = Api::new().await;
    let role = "arn:aws:iam::123456789012:role/reader";
    let aws =
        json!({"name": "/aws", "access-mode": "assume_role", "aws-role-arns": role, "skip-dry-run": true});
    api.done("dynamic-secret-create-aws", aws).await;
    let postgresql = json!({
        "name": "/db", "postgresql-db-name": "d", "postgresql-username": "u", "postgresql-password": "p",
        "skip-dry-run": true,
    });
    api.done("dynamic-secret-create-postgresql", postgresql).await;
    for (name, args, says) in [
        ("/aws", json!(["rol_arn=x"]), "\"rol_arn\" is no argument"),
        ("/aws", json!(["{\"role_arn\": \"x\", \"session\": 1}"]), "\"session\" is no argument"),
        ("/aws", json!(["role_arn=x", "role_arn=y"]), "\"role_arn\" is given twice"),
        ("/aws", json!(["role_arn=x", "role-arn=y"]), "role_arn is given twice"),
        ("/db", json!("user=ann"), "\"user\" is no argument"),
    ] {
        let (status, told) =
            api.refused("get-dynamic-secret-value", json!({"name": name, "args": args})).await;
        assert!(status == 400 && told.contains("args") && told.contains(says), "{args}: {status} {told}");
    }
}

#[tokio::test]
async fn a_slash_at_the_end_says_folder() {
    let api = Api::new().await;
    let made = async |name: &str| api.done("create-secret", json!({"name": name, "value": "v"})).await;
    for name in ["/from/x", "/to/y", "/to"] {
        made(name).await;
    }
    let names = async || {
        let listed = api.done("list-items", json!({})).await;
        let items = listed["items"].as_array().unwrap();
        items.iter().map(|item| item["item_name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    api.done("move-objects", json!({"source": "/from/x", "target": "/to/"})).await;
    assert_eq!(names().await, ["/to", "/to/x", "/to/y"]);
    made("/from/y").await;
    let (status, says) = api.refused("move-objects", json!({"source": "/from/y", "target": "/to/"})).await;
    assert!(status == 409 && says.contains("/to/y"), "{status} {says}");
    // The folder, and not the item of its name; into another folder, and out to the top.
    api.done("move-objects", json!({"source": "/to/", "target": "/deep/er/"})).await;
    assert_eq!(names().await, ["/deep/er/to/x", "/deep/er/to/y", "/from/y", "/to"]);
    api.done("move-objects", json!({"source": "/deep/er/to/x", "target": "/"})).await;
    assert_eq!(names().await, ["/deep/er/to/y", "/from/y", "/to", "/x"]);
    let (status, says) = api.refused("move-objects", json!({"source": "/x", "target": "/a//"})).await;
    assert!(status == 400 && says.contains("target"), "{status} {says}");
    let (status, says) = api.refused("move-objects", json!({"source": "/deep/", "target": "/deep/"})).await;
    assert!(status == 400 && says.contains("target"), "{status} {says}");
}

#[tokio::test]
async fn a_key_that_stands_twice_is_refused_by_its_name_on_all_three_apis() {
    let plane = Plane::new().await;
    let token = plane.token().await;
    let twice = "stands twice";
    let route = r#"{"uri": "/dup", "plugins": {"key-auth": {}}, "plugins": {}, "upstream": {"nodes": {"127.0.0.1:1": 1}}}"#;
    let key = [("x-api-key", "canary-admin")];
    for (method, path) in [
        ("PUT", "/apisix/admin/routes/dup"),
        ("POST", "/apisix/admin/routes"),
        ("POST", "/apisix/admin/schema/validate/routes"),
    ] {
        let answer = plane.ask(Surface::Apisix, method, path, &key, route).await;
        let says = answer.json["error_msg"].as_str().unwrap_or_else(|| panic!("{path}: {answer:?}"));
        assert!(
            answer.status == StatusCode::BAD_REQUEST && says.contains("\"plugins\"") && says.contains(twice),
            "{says}"
        );
    }
    let vault = r#"{"name": "aws", "name": "env"}"#;
    let answer = plane.ask(Surface::KongOpen, "PUT", "/vaults/dup", &[JSON], vault).await;
    let says = answer.json["message"].as_str().unwrap();
    assert!(
        answer.status == StatusCode::BAD_REQUEST && says.contains("\"name\"") && says.contains(twice),
        "{says}"
    );

    let entry = format!(
        r#"{{"token": "{token}", "name": "x", "access-id": "p-a", "permissions": "targets", "permissions": "admin"}}"#
    );
    let answer = plane.ask(Surface::Akeyless, "POST", "/gateway-create-allowed-access", &[], &entry).await;
    let says = answer.json["error"].as_str().unwrap();
    assert!(
        answer.status == StatusCode::BAD_REQUEST && says.contains("\"permissions\"") && says.contains(twice),
        "{says}"
    );
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str())];
    let asked = r#"{"reference": "{vault://env/PLAIN}", "reference": "{vault://env/SECRET}"}"#;
    let answer = plane.ask(Surface::All, "POST", "/v1/references/value", &headers, asked).await;
    assert!(
        answer.status == StatusCode::BAD_REQUEST && answer.json.to_string().contains(twice),
        "{answer:?}"
    );
}
