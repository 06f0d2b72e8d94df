//! Vault entities, by Kong's Admin API.

use gateward_control::Surface;
use gateward_vaults::Resolver;
use http::StatusCode;
use serde_json::json;

use crate::{JSON, Plane};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn the_documents_vault_is_created_from_a_form_and_replaced_as_json() {
    let plane = Plane::new().await;
    let form = "name=aws&description=Storing secrets in AWS Secrets Manager&config.region=us-east-1";
    let created = plane.ask(Surface::KongOpen, "PUT", "/vaults/aws-sm-vault", &[FORM], form).await;
    assert_eq!(created.status, StatusCode::OK);
    let id = created.json["id"].clone();
    let expected = json!({
        "id": id, "prefix": "aws-sm-vault", "name": "aws", "tags": null,
        "description": "Storing secrets in AWS Secrets Manager", "config": {"region": "us-east-1"},
        "created_at": 1_700_000_000, "updated_at": 1_700_000_000,
    });
    assert_eq!(created.json, expected);

    let by_id = format!("/vaults/{}", id.as_str().unwrap());
    let body = r#"{"name": "aws", "config": {"region": "eu-central-1", "ttl": 60}, }"#;
    let replaced = plane.ask(Surface::KongOpen, "PUT", &by_id, &[JSON], body).await;
    assert_eq!(replaced.json["id"], id);
    assert_eq!(replaced.json["description"], json!(null));
    let read = plane.ask(Surface::KongOpen, "GET", "/vaults/aws-sm-vault", &[], "").await;
    assert_eq!(read.json["config"], json!({"region": "eu-central-1", "ttl": 60}));
    let list = plane.ask(Surface::KongOpen, "GET", "/vaults", &[], "").await;
    assert_eq!(list.json, json!({"data": [read.json], "next": null}));

    for _ in 0..2 {
        let deleted = plane.ask(Surface::KongOpen, "DELETE", "/vaults/aws-sm-vault", &[], "").await;
        assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    }
    let missing = plane.ask(Surface::KongOpen, "GET", "/vaults/aws-sm-vault", &[], "").await;
    assert_eq!((missing.status, missing.json), (StatusCode::NOT_FOUND, json!({"message": "Not found"})));
}

#[tokio::test]
async fn what_is_wrong_is_named_in_kongs_words() {
    let plane = Plane::new().await;
    let taken = format!("must not be one of: {}", Resolver::kinds().join(", "));
    let cases = [
        ("/vaults/my-vault", "", json!({"name": "required field missing"})),
        ("/vaults/my-vault", "name=canary", json!({"name": "vault 'x' is not installed"})),
        ("/vaults/my-vault", "name=aws&config.regoin=x", json!({"config": {"regoin": "unknown field"}})),
        ("/vaults/env", "name=env", json!({"prefix": taken})),
        ("/vaults/my-vault", "name=aws&nope=1", json!(null)),
        ("/vaults/Bad_", "name=aws", json!(null)),
    ];
    for (path, form, fields) in cases {
        let form = form.replace("canary", "x");
        let answer = plane.ask(Surface::KongOpen, "PUT", path, &[FORM], &form).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {form}");
        assert_eq!((&answer.json["code"], &answer.json["name"]), (&json!(2), &json!("schema violation")));
        if !fields.is_null() {
            assert_eq!(answer.json["fields"], fields, "{path} {form}");
        }
    }
    let not_json = plane.ask(Surface::KongOpen, "PUT", "/vaults/my-vault", &[JSON], "canary").await;
    assert_eq!(not_json.json, json!({"message": "Cannot parse JSON body"}));
    let text =
        plane.ask(Surface::KongOpen, "PUT", "/vaults/my-vault", &[("content-type", "text/plain")], "").await;
    assert_eq!(text.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(
        plane.ask(Surface::KongOpen, "PATCH", "/vaults/my-vault", &[], "").await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert_eq!(plane.ask(Surface::KongOpen, "GET", "/vaults", &[], "").await.json["data"], json!([]));
}

#[tokio::test]
async fn kongs_own_header_carries_a_token_too() {
    let plane = Plane::new().await;
    let token = plane.token().await;
    let admitted = plane.ask(Surface::All, "GET", "/vaults", &[("kong-admin-token", &token)], "").await;
    assert_eq!(admitted.status, StatusCode::OK);
}
