//! Who may: auth methods, entries of allowed access, and what each gives.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use gateward_control::Surface;
use gateward_store::{Call, MemoryStore, Watched};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{Answer, JSON, Plane};

async fn post(plane: &Plane, path: &str, token: &str, body: Value) -> Answer {
    let mut body = body;
    body["token"] = token.into();
    plane.ask(Surface::All, "POST", path, &[], &body.to_string()).await
}

/// An access id and key of somebody new, and a token.
pub(crate) async fn somebody(plane: &Plane, admin: &str, name: &str) -> (String, String, String) {
    let made = post(plane, "/auth-method-create-api-key", admin, json!({"name": name})).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let text = |field: &str| made.json[field].as_str().unwrap().to_owned();
    let (id, key) = (text("access_id"), text("access_key"));
    let token = log_in(plane, &id, &key).await.json["token"].as_str().unwrap().to_owned();
    (id, key, token)
}

async fn log_in(plane: &Plane, id: &str, key: &str) -> Answer {
    let body = json!({"access-id": id, "access-key": key, "access-type": "access_key"});
    plane.ask(Surface::All, "POST", "/auth", &[], &body.to_string()).await
}

#[tokio::test]
async fn whom_nobody_allowed_anything_may_nothing() {
    let plane = Plane::guarded().await;
    let admin = plane.token().await;
    let (_, _, token) = somebody(&plane, &admin, "ann").await;
    let calls = [
        "/dynamic-secret-create-custom",
        "/dynamic-secret-create-postgresql",
        "/gateway-create-producer-postgresql",
        "/dynamic-secret-update-postgresql",
        "/dynamic-secret-create-aws",
        "/gateway-create-producer-aws",
        "/dynamic-secret-update-aws",
        "/gen-customer-fragment",
        "/gateway-download-customer-fragments",
        "/auth-method-create-aws-iam",
        "/auth-method-delete",
        "/dynamic-secret-list",
        "/get-dynamic-secret-value",
        "/create-secret",
        "/get-secret-value",
        "/list-items",
        "/describe-item",
        "/delete-item",
        "/target-get-details",
        "/gateway-rotate-secret",
        "/gateway-get-config",
        "/gateway-list-customer-fragments",
        "/gateway-create-allowed-access",
        "/gateway-delete-allowed-access",
        "/auth-method-create-api-key",
        "/auth-method-list",
        "/reset-access-key",
        "/v1/references/value",
    ];
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), JSON];
    for path in calls {
        let answer = plane.ask(Surface::All, "POST", path, &headers, r#"{"name": "/x"}"#).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {answer:?}");
    }
    for (method, path) in [
        ("GET", "/vaults"),
        ("PUT", "/vaults/a"),
        ("GET", "/apisix/admin/routes"),
        ("PUT", "/apisix/admin/routes/1"),
        ("GET", "/v1/references"),
        ("GET", "/metrics"),
    ] {
        let answer = plane.ask(Surface::All, method, path, &headers, "{}").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path} {answer:?}");
    }
    let mine = post(&plane, "/describe-permissions", &token, json!({})).await;
    assert_eq!(mine.json["permissions"], json!([]));
}

#[tokio::test]
async fn an_entry_gives_its_permissions_and_no_others() {
    let plane = Plane::guarded().await;
    let admin = plane.token().await;
    let (id, _, token) = somebody(&plane, &admin, "ann").await;
    // What the vendor's client sends.
    let sent = json!({"access-id": id, "case-sensitive": "true", "json": false, "name": "n", "permissions": "static_secret,defaults"});
    let made = post(&plane, "/gateway-create-allowed-access", &admin, sent.clone()).await;
    assert_eq!(
        (&made.json["permissions"], &made.json["editable"]),
        (&json!(["defaults", "static_secret"]), &json!(true))
    );
    let again = post(&plane, "/gateway-create-allowed-access", &admin, sent).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let secret = json!({"name": "/s", "value": "v"});
    assert_eq!(post(&plane, "/create-secret", &token, secret).await.status, StatusCode::OK);
    assert_eq!(post(&plane, "/gateway-get-config", &token, json!({})).await.status, StatusCode::OK);
    let seen = post(&plane, "/gateway-get-config", &token, json!({})).await;
    assert_eq!(seen.json["admins"]["allowed_access"], json!({}));
    for path in ["/dynamic-secret-list", "/delete-item", "/gateway-create-allowed-access", "/target-list"] {
        let answer = post(&plane, path, &token, json!({"name": "/s"})).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
    let claims = json!({"name": "n", "sub-claims": {"group": "a,b"}});
    post(&plane, "/gateway-update-allowed-access", &admin, claims).await;
    let answer = post(&plane, "/get-secret-value", &token, json!({"names": ["/s"]})).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let config = post(&plane, "/gateway-get-config", &admin, json!({})).await;
    let allowed = &config.json["admins"]["allowed_access"];
    assert_eq!((&allowed["deployed"]["editable"], &allowed["n"]["acc_id"]), (&json!(false), &json!(id)));
    assert_eq!(allowed["n"]["sub_claims"], json!({"group": ["a", "b"]}));
    let gone = post(&plane, "/gateway-delete-allowed-access", &admin, json!({"name": "n"})).await;
    assert_eq!(gone.json, json!({"allowed_access_name": "n"}));
    let missing = post(&plane, "/gateway-get-allowed-access", &admin, json!({"name": "n"})).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn entries_of_the_deployment_are_not_changed_here() {
    let plane = Plane::guarded().await;
    let admin = plane.token().await;
    let body = json!({"name": "deployed", "access-id": "p-x", "permissions": "admin"});
    for path in
        ["/gateway-create-allowed-access", "/gateway-update-allowed-access", "/gateway-delete-allowed-access"]
    {
        let answer = post(&plane, path, &admin, body.clone()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        assert!(answer.json["error"].as_str().unwrap().contains("set by the deployment"));
    }
    let shown = post(&plane, "/gateway-get-allowed-access", &admin, json!({"name": "deployed"})).await;
    assert_eq!((&shown.json["access_id"], &shown.json["editable"]), (&json!("p-deployed"), &json!(false)));
}

#[tokio::test]
async fn a_key_that_was_reset_and_a_method_that_was_deleted_let_nobody_in() {
    let plane = Plane::guarded().await;
    let admin = plane.token().await;
    let (id, key, token) = somebody(&plane, &admin, "ann").await;
    let reset = post(&plane, "/reset-access-key", &admin, json!({"name": "ann"})).await;
    let new_key = reset.json["access_key"].as_str().unwrap().to_owned();
    assert_eq!(log_in(&plane, &id, &key).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        post(&plane, "/describe-permissions", &token, json!({})).await.status,
        StatusCode::UNAUTHORIZED
    );
    plane.clock.advance(Duration::from_millis(1));
    let fresh = log_in(&plane, &id, &new_key).await;
    let token = fresh.json["token"].as_str().unwrap().to_owned();
    assert_eq!(post(&plane, "/describe-permissions", &token, json!({})).await.status, StatusCode::OK);
    assert_eq!(post(&plane, "/validate-token", &token, json!({})).await.json["is_valid"], true);
    let listed = post(&plane, "/auth-method-list", &admin, json!({})).await;
    assert!(!listed.json.to_string().contains(&new_key));
    assert_eq!(listed.json["auth_methods"][0]["auth_method_access_id"], id);
    post(&plane, "/auth-method-delete", &admin, json!({"name": "ann"})).await;
    assert_eq!(log_in(&plane, &id, &new_key).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        post(&plane, "/describe-permissions", &token, json!({})).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(post(&plane, "/validate-token", &token, json!({})).await.json["is_valid"], false);
}

#[tokio::test]
async fn nobody_logs_in_by_a_method_whose_time_is_over() {
    let plane = Plane::guarded().await;
    let admin = plane.token().await;
    let expires = 1_700_000_010;
    let body = json!({"name": "ann", "access-expires": expires});
    let made = post(&plane, "/auth-method-create-api-key", &admin, body).await;
    let (id, key) = (made.json["access_id"].as_str().unwrap(), made.json["access_key"].as_str().unwrap());
    assert_eq!(log_in(&plane, id, key).await.status, StatusCode::OK);
    plane.clock.advance(Duration::from_secs(10));
    assert_eq!(log_in(&plane, id, key).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_method_of_aws_wants_an_account_and_shows_its_bounds() {
    let plane = Plane::guarded().await;
    let admin = plane.token().await;
    let refused = post(
        &plane,
        "/auth-method-create-aws-iam",
        &admin,
        json!({"name": "aws", "bound-aws-account-id": ["1"]}),
    )
    .await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    let body = json!({"name": "aws", "bound-aws-account-id": ["123456789012"], "bound-role-name": "gateway"});
    let made = post(&plane, "/auth-method-create-aws-iam", &admin, body).await;
    assert!(made.json.get("access_key").is_none());
    let shown = post(&plane, "/auth-method-get", &admin, json!({"name": "aws"})).await;
    assert_eq!(shown.json["access_info"]["aws_iam_access_rules"]["role_name"], json!(["gateway"]));
    let id = made.json["access_id"].as_str().unwrap();
    assert_eq!(log_in(&plane, id, "").await.status, StatusCode::UNAUTHORIZED);
    let body = json!({"access-id": id, "access-type": "aws_iam", "cloud-id": "canary"});
    let answer = plane.ask(Surface::All, "POST", "/auth", &[], &body.to_string()).await;
    let expected = json!({"error": "the access id or the cloud id is wrong"});
    assert_eq!((answer.status, answer.json), (StatusCode::UNAUTHORIZED, expected));
}

#[tokio::test]
async fn fragments_are_listed_and_never_given_out() {
    let plane = Plane::guarded().await;
    let admin = plane.token().await;
    let listed = post(&plane, "/gateway-list-customer-fragments", &admin, json!({})).await;
    assert_eq!(listed.json["customer_fragments"], json!([]));
    let refused = post(&plane, "/gateway-download-customer-fragments", &admin, json!({})).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_gateways_own_roles_are_the_administrators_to_hand_out() {
    let plane = Plane::guarded().await;
    let admin = plane.token().await;
    let (id, _, token) = somebody(&plane, &admin, "ann").await;
    let entry = json!({"name": "n", "access-id": id, "permissions": "dynamic_secret"});
    assert_eq!(post(&plane, "/gateway-create-allowed-access", &admin, entry).await.status, StatusCode::OK);
    let role = "arn:aws:iam::123456789012:role/r";
    let own =
        json!({"name": "/own", "access-mode": "assume_role", "aws-role-arns": role, "skip-dry-run": true});
    for path in ["/dynamic-secret-create-aws", "/gateway-create-producer-aws"] {
        let refused = post(&plane, path, &token, own.clone()).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path} {refused:?}");
    }
    assert_eq!(post(&plane, "/dynamic-secret-create-aws", &admin, own).await.status, StatusCode::OK);
    // What an administrator has set up, others may look after, but not point at another role.
    let longer = json!({"name": "/own", "user-ttl": "30m", "skip-dry-run": true});
    assert_eq!(post(&plane, "/dynamic-secret-update-aws", &token, longer).await.status, StatusCode::OK);
    let other =
        json!({"name": "/own", "aws-role-arns": "arn:aws:iam::123456789012:role/x", "skip-dry-run": true});
    assert_eq!(post(&plane, "/dynamic-secret-update-aws", &token, other).await.status, StatusCode::FORBIDDEN);
    let keyed = json!({
        "name": "/keyed", "access-mode": "assume_role", "aws-role-arns": role, "skip-dry-run": true,
        "aws-access-key-id": "AKID", "aws-access-secret-key": "secret",
    });
    assert_eq!(post(&plane, "/dynamic-secret-create-aws", &token, keyed).await.status, StatusCode::OK);
    let database = json!({
        "name": "/db", "postgresql-host": "127.0.0.1", "postgresql-db-name": "d", "postgresql-username": "u",
        "postgresql-password": "p", "skip-dry-run": true,
    });
    let made = post(&plane, "/dynamic-secret-create-postgresql", &token, database).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
}

#[tokio::test]
async fn configure_is_a_login_and_fragments_are_made_elsewhere() {
    let plane = Plane::guarded().await;
    let admin = plane.token().await;
    let (id, key, _) = somebody(&plane, &admin, "ann").await;
    let ask = async |key: &str| {
        let body =
            json!({"access-id": id, "access-key": key, "access-type": "access_key", "profile": "work"});
        plane.ask(Surface::All, "POST", "/v2/configure", &[], &body.to_string()).await
    };
    let configured = ask(&key).await;
    assert_eq!(configured.json["profile"], "work");
    let token = configured.json["token"].as_str().unwrap();
    assert_eq!(post(&plane, "/describe-permissions", token, json!({})).await.status, StatusCode::OK);
    assert_eq!(ask("wrong").await.status, StatusCode::UNAUTHORIZED);
    let refused = post(&plane, "/gen-customer-fragment", &admin, json!({})).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.json["error"].as_str().unwrap().contains("gateward gen-customer-fragment"));
}

#[tokio::test]
async fn where_the_store_cannot_be_read_nobody_hears_that_they_or_what_they_made_is_not_there() {
    let is_out = Arc::new(AtomicBool::new(false));
    let is_refused = Arc::clone(&is_out);
    let store = Watched::new(Arc::new(MemoryStore::new()), move |call| {
        if call == Call::Get && is_refused.load(Relaxed) { Err("out of order".to_owned()) } else { Ok(()) }
    });
    let plane = Plane::on(store, None).await;
    let admin = plane.token().await;
    let (id, key, ann) = somebody(&plane, &admin, "ann").await;
    let nobody = json!({"name": "nobody"});
    for is_there in [true, false, true] {
        is_out.store(!is_there, Relaxed);
        plane.clock.advance(Duration::from_secs(3));
        let wrong = log_in(&plane, &id, "not the key").await.status;
        let right = log_in(&plane, &id, &key).await.status;
        let call = post(&plane, "/list-items", &ann, json!({})).await.status;
        let valid = post(&plane, "/validate-token", &ann, json!({})).await.status;
        let list = post(&plane, "/auth-method-list", &admin, json!({})).await.status;
        let get = post(&plane, "/auth-method-get", &admin, nobody.clone()).await.status;
        let entry = post(&plane, "/gateway-get-allowed-access", &admin, nobody.clone()).await.status;
        let answers = [wrong, right, call, valid, list, get, entry].map(|status| status.as_u16());
        let expected = if is_there { [401, 200, 403, 200, 200, 404, 404] } else { [503; 7] };
        assert_eq!(answers, expected, "is there: {is_there}");
        assert_eq!(post(&plane, "/list-items", "made up", json!({})).await.status, StatusCode::UNAUTHORIZED);
        let of_admin = log_in(&plane, "p-admin", "canary-key").await;
        assert_eq!(of_admin.status, StatusCode::OK, "the administrator needs no store");
    }
}
