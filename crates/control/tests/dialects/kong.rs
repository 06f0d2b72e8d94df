//! Vault entities, by Kong's Admin API.

use std::sync::Arc;

use gateward_control::Surface;
use gateward_model::Vault;
use gateward_proxy::declarative::Declared;
use gateward_vaults::Resolver;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{Answer, JSON, Plane};

pub(crate) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// Asks Kong's API with a JSON body, or none.
pub(crate) async fn ask(plane: &Plane, method: &str, path: &str, body: Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    plane.ask(Surface::KongOpen, method, path, &[JSON], &body).await
}

#[tokio::test]
async fn the_documents_vault_is_created_from_a_form_and_replaced_as_json() {
    let plane = Plane::new().await;
    let form = "name=aws&description=Storing secrets in AWS Secrets Manager&config.region=us-east-1";
    let created = plane.ask(Surface::KongOpen, "PUT", "/vaults/aws-sm-vault", &[FORM], form).await;
    assert_eq!(created.status, StatusCode::OK);
    let id = created.json["id"].clone();
    assert_eq!(
        (&created.json["prefix"], &created.json["name"], &created.json["tags"]),
        (&json!("aws-sm-vault"), &json!("aws"), &json!(null))
    );
    assert_eq!(
        (&created.json["created_at"], &created.json["updated_at"]),
        (&json!(1_700_000_000), &json!(1_700_000_000))
    );
    assert_eq!(created.json["config"]["region"], "us-east-1");
    // What is unset is there, and null.
    for unset in ["endpoint_url", "ttl", "neg_ttl", "resurrect_ttl"] {
        assert_eq!(created.json["config"].get(unset), Some(&json!(null)), "{unset}");
    }

    let by_id = format!("/vaults/{}", id.as_str().unwrap());
    let body = r#"{"name": "aws", "config": {"region": "eu-central-1", "ttl": 60}, }"#;
    let replaced = plane.ask(Surface::KongOpen, "PUT", &by_id, &[JSON], body).await;
    assert_eq!(replaced.json["id"], id);
    assert_eq!(replaced.json["description"], json!(null));
    let read = ask(&plane, "GET", "/vaults/aws-sm-vault", json!(null)).await;
    assert_eq!(
        (&read.json["config"]["region"], &read.json["config"]["ttl"]),
        (&json!("eu-central-1"), &json!(60))
    );
    assert_eq!(ask(&plane, "GET", &by_id, json!(null)).await.json, read.json);
    let list = ask(&plane, "GET", "/vaults", json!(null)).await;
    assert_eq!(list.json, json!({"data": [read.json], "next": null}));

    for _ in 0..2 {
        let deleted = ask(&plane, "DELETE", "/vaults/aws-sm-vault", json!(null)).await;
        assert_eq!(deleted.status, StatusCode::NO_CONTENT);
    }
    let missing = ask(&plane, "GET", "/vaults/aws-sm-vault", json!(null)).await;
    assert_eq!((missing.status, missing.json), (StatusCode::NOT_FOUND, json!({"message": "Not found"})));
}

#[tokio::test]
async fn what_is_wrong_is_named_in_kongs_words() {
    let plane = Plane::new().await;
    let taken = format!("must not be one of: {}", Resolver::kinds().join(", "));
    let cases = [
        ("/vaults/my-vault", "", "schema violation (name: required field missing)"),
        ("/vaults/my-vault", "name=canary", "schema violation (name: vault 'canary' is not installed)"),
        ("/vaults/my-vault", "name=aws&config.regoin=x", "schema violation (config.regoin: unknown field)"),
        ("/vaults/my-vault", "name=aws&nope=1", "schema violation (nope: unknown field)"),
        ("/vaults/my-vault", "name=aws&config.ttl=soon", "schema violation (config.ttl: expected a number)"),
        ("/vaults/my-vault", "name=aws&config=x", "schema violation (config: expected a record)"),
        (
            "/vaults/my-vault",
            "name=aws&tags[]=a/b&config.ttl=-1&nope=1",
            "3 schema violations (config.ttl: value should be between 0 and 100000000; nope: unknown field; \
             tags: invalid tag: expected printable ascii (except `,` and `/`) or valid utf-8 sequences)",
        ),
    ];
    for (path, form, message) in cases {
        let (form, message) = (form.replace("canary", "x"), message.replace("canary", "x"));
        let answer = plane.ask(Surface::KongOpen, "PUT", path, &[FORM], &form).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {form}");
        assert_eq!((&answer.json["code"], &answer.json["name"]), (&json!(2), &json!("schema violation")));
        assert_eq!(answer.json["message"], message, "{path} {form}");
    }
    let nested =
        plane.ask(Surface::KongOpen, "PUT", "/vaults/my-vault", &[FORM], "name=aws&config.regoin=x").await;
    assert_eq!(nested.json["fields"], json!({"config": {"regoin": "unknown field"}}));
    for (path, start) in [("/vaults/env", taken.as_str()), ("/vaults/Bad_", "a prefix is two or more")] {
        let answer = plane.ask(Surface::KongOpen, "PUT", path, &[FORM], "name=env").await;
        assert_eq!((answer.status, &answer.json["code"]), (StatusCode::BAD_REQUEST, &json!(10)));
        assert_eq!(answer.json["name"], "invalid unique prefix");
        assert!(answer.json["message"].as_str().unwrap().starts_with(start), "{:?}", answer.json);
    }
    let by_id = "/vaults/f4aecadc-05c7-11e6-8d41-1f3b3d5fa15c";
    let answer = ask(&plane, "PUT", by_id, json!({"name": "env", "prefix": "env"})).await;
    let message = answer.json["message"].as_str().unwrap();
    assert!(message == format!("schema violation (prefix: {taken})"), "{message}");

    let not_json = plane.ask(Surface::KongOpen, "PUT", "/vaults/my-vault", &[JSON], "canary").await;
    let says = not_json.json["message"].as_str().unwrap();
    assert!(says.starts_with("Cannot parse JSON body: it"), "{says}");
    let text =
        plane.ask(Surface::KongOpen, "PUT", "/vaults/my-vault", &[("content-type", "text/plain")], "").await;
    assert_eq!(text.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for (method, path) in
        [("DELETE", "/vaults"), ("PATCH", "/vaults"), ("PUT", "/vaults"), ("POST", "/vaults/my-vault")]
    {
        let answer = ask(&plane, method, path, json!({})).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        assert_eq!(answer.json, json!({"message": "Method not allowed"}));
    }
    assert_eq!(
        ask(&plane, "GET", "/vaults", json!(null)).await.json["data"],
        json!([]),
        "nothing was written"
    );
}

#[tokio::test]
async fn a_vault_is_posted_once_and_patched_field_by_field() {
    let plane = Plane::new().await;
    let missing = ask(&plane, "POST", "/vaults", json!(null)).await;
    assert_eq!(
        missing.json["message"],
        "2 schema violations (name: required field missing; prefix: required field missing)"
    );
    let body = json!({"name": "aws", "prefix": "team", "tags": ["a", "b", "a"],
        "config": {"region": "us-east-1", "ttl": 60}});
    let posted = ask(&plane, "POST", "/vaults", body.clone()).await;
    assert_eq!((posted.status, &posted.json["tags"]), (StatusCode::CREATED, &json!(["a", "b"])));
    let taken = ask(&plane, "POST", "/vaults", body).await;
    assert_eq!(taken.status, StatusCode::CONFLICT);
    assert_eq!(
        taken.json,
        json!({"code": 5, "name": "unique constraint violation", "fields": {"prefix": "team"},
            "message": "UNIQUE violation detected on '{prefix=\"team\"}'"})
    );
    let id = posted.json["id"].as_str().unwrap();
    let same_id = ask(&plane, "POST", "/vaults", json!({"id": id, "name": "env", "prefix": "other"})).await;
    assert_eq!((same_id.status, &same_id.json["code"]), (StatusCode::BAD_REQUEST, &json!(3)));
    let no_id = ask(&plane, "POST", "/vaults", json!({"id": "x", "name": "env", "prefix": "other"})).await;
    assert_eq!(no_id.json["fields"], json!({"id": "expected a valid UUID"}));

    plane.clock.advance(std::time::Duration::from_secs(5));
    let changes = json!({"config": {"ttl": null, "neg_ttl": 5}, "tags": ["c"], "description": "d"});
    let patched = ask(&plane, "PATCH", "/vaults/team", changes).await;
    assert_eq!(patched.status, StatusCode::OK);
    let config = &patched.json["config"];
    assert_eq!(
        (&config["region"], &config["ttl"], &config["neg_ttl"]),
        (&json!("us-east-1"), &json!(null), &json!(5)),
        "records are merged, and null empties"
    );
    assert_eq!(patched.json["tags"], json!(["c"]), "lists are replaced");
    assert_eq!(
        (&patched.json["created_at"], &patched.json["updated_at"], &patched.json["id"]),
        (&json!(1_700_000_000), &json!(1_700_000_005), &json!(id))
    );
    let by_form =
        plane.ask(Surface::KongOpen, "PATCH", &format!("/vaults/{id}"), &[FORM], "config.ttl=30").await;
    assert_eq!((&by_form.json["config"]["ttl"], &by_form.json["config"]["neg_ttl"]), (&json!(30), &json!(5)));
    let wrong = ask(&plane, "PATCH", "/vaults/team", json!({"prefix": "env", "config": {"x": 1}})).await;
    assert!(wrong.json["message"].as_str().unwrap().starts_with("2 schema violations"), "{:?}", wrong.json);
    assert_eq!(ask(&plane, "PATCH", "/vaults/absent", json!({})).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ask(&plane, "GET", "/vaults/team", json!(null)).await.json, by_form.json, "nothing changed");

    let renamed = ask(&plane, "PATCH", "/vaults/team", json!({"prefix": "crew"})).await;
    assert_eq!((&renamed.json["prefix"], &renamed.json["id"]), (&json!("crew"), &json!(id)));
    assert_eq!(ask(&plane, "GET", "/vaults/team", json!(null)).await.status, StatusCode::NOT_FOUND);
    let made = "f4aecadc-05c7-41e6-8d41-1f3b3d5fa15c";
    let put =
        ask(&plane, "PUT", &format!("/vaults/{made}"), json!({"name": "env", "prefix": "put-id"})).await;
    assert_eq!((put.status, &put.json["id"]), (StatusCode::OK, &json!(made)));
    let onto = ask(&plane, "PATCH", &format!("/vaults/{made}"), json!({"prefix": "crew"})).await;
    assert_eq!(onto.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn lists_come_in_pages_and_by_tags() {
    let plane = Plane::new().await;
    for (prefix, tags) in
        [("v1", json!(["a"])), ("v2", json!(["a", "b"])), ("v3", json!(["b"])), ("v4", json!(null))]
    {
        let answer =
            ask(&plane, "POST", "/vaults", json!({"name": "env", "prefix": prefix, "tags": tags})).await;
        assert_eq!(answer.status, StatusCode::CREATED);
    }
    let prefixes = |answer: &Answer| -> Vec<String> {
        answer.json["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|vault| vault["prefix"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut next = "/vaults?size=3".to_owned();
    let mut pages = Vec::new();
    loop {
        let page = ask(&plane, "GET", &next, json!(null)).await;
        pages.push(prefixes(&page));
        match page.json["next"].as_str() {
            Some(more) => {
                assert!(more.contains("size=3") && page.json["offset"].is_string(), "{more}");
                next = more.to_owned();
            }
            None => break,
        }
    }
    assert_eq!(pages, [vec!["v1", "v2", "v3"], vec!["v4"]]);
    for (tags, expected) in
        [("a,b", vec!["v2"]), ("a/b", vec!["v1", "v2", "v3"]), ("b", vec!["v2", "v3"]), ("c", vec![])]
    {
        let list = ask(&plane, "GET", &format!("/vaults?tags={tags}"), json!(null)).await;
        assert_eq!(prefixes(&list), expected, "{tags}");
    }
    let paged = ask(&plane, "GET", "/vaults?tags=a/b&size=2", json!(null)).await;
    let more = ask(&plane, "GET", paged.json["next"].as_str().unwrap(), json!(null)).await;
    assert_eq!((prefixes(&paged), prefixes(&more)), (vec!["v1".into(), "v2".into()], vec!["v3".into()]));
    for (query, code, message) in [
        ("size=0", 9, "size must be an integer between 1 and 1000"),
        ("size=1001", 9, "size must be an integer between 1 and 1000"),
        ("size=x", 9, "size must be a number"),
        ("offset=!", 7, "'!' is not a valid offset: bad base64 encoding"),
        ("tags=a,b/c", 11, "invalid option (tags: invalid filter syntax)"),
    ] {
        let answer = ask(&plane, "GET", &format!("/vaults?{query}"), json!(null)).await;
        assert_eq!((answer.status, &answer.json["code"]), (StatusCode::BAD_REQUEST, &json!(code)), "{query}");
        assert_eq!(answer.json["message"], message, "{query}");
    }
    let head = ask(&plane, "HEAD", "/vaults/v1", json!(null)).await;
    assert_eq!((head.status, head.json), (StatusCode::OK, json!(null)));
    let options = ask(&plane, "OPTIONS", "/vaults", json!(null)).await;
    assert_eq!(
        (options.status, &options.headers["allow"]),
        (StatusCode::NO_CONTENT, &"GET, HEAD, OPTIONS, POST".parse().unwrap())
    );
}

#[tokio::test]
async fn a_multipart_body_is_read_as_a_form_is() {
    let plane = Plane::new().await;
    let kind = ("content-type", "multipart/form-data; boundary=\"xyz\"");
    let part = |name: &str, value: &str| {
        format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = [
        part("name", "aws"),
        part("config.region", "us-east-1"),
        part("config.ttl", "60"),
        part("tags[]", "a"),
        "--xyz--\r\n".to_owned(),
    ]
    .concat();
    let put = plane.ask(Surface::KongOpen, "PUT", "/vaults/team", &[kind], &body).await;
    assert_eq!(
        (put.status, &put.json["config"]["ttl"], &put.json["tags"]),
        (StatusCode::OK, &json!(60), &json!(["a"]))
    );
    for broken in ["--xyz\r\ncanary", "", "--xyz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\ncanary"]
    {
        let answer = plane.ask(Surface::KongOpen, "PUT", "/vaults/team", &[kind], broken).await;
        assert_eq!(
            (answer.status, &answer.json["message"]),
            (StatusCode::BAD_REQUEST, &json!("Cannot parse multipart body")),
            "{broken:?}"
        );
    }
    let no_boundary = ("content-type", "multipart/form-data");
    let answer = plane.ask(Surface::KongOpen, "PUT", "/vaults/team", &[no_boundary], &body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn schemas_are_told_and_a_vault_is_validated_without_being_written() {
    let plane = Plane::new().await;
    let schema = ask(&plane, "GET", "/schemas/vaults/aws", json!(null)).await;
    let fields = schema.json["fields"][0]["config"]["fields"].as_array().unwrap().clone();
    assert!(fields.iter().any(|field| field["region"]["type"] == "string"), "{fields:?}");
    let none = ask(&plane, "GET", "/schemas/vaults/nope", json!(null)).await;
    assert_eq!(
        (none.status, none.json),
        (StatusCode::NOT_FOUND, json!({"message": "No vault named 'nope'"}))
    );
    let good =
        ask(&plane, "POST", "/schemas/vaults/validate", json!({"name": "env", "prefix": "team"})).await;
    assert_eq!(
        (good.status, good.json),
        (StatusCode::OK, json!({"message": "schema validation successful"}))
    );
    let bad = ask(&plane, "POST", "/schemas/vaults/validate", json!({"name": "env", "prefix": "x"})).await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);
    assert_eq!(ask(&plane, "GET", "/vaults", json!(null)).await.json["data"], json!([]));
}

#[tokio::test]
async fn a_vault_that_a_resource_refers_to_must_exist_and_cannot_be_deleted_or_renamed() {
    let plane = Plane::new().await;
    let key = [("x-api-key", "canary-admin"), JSON];
    let route = json!({"uri": "/a", "plugins": {"key-auth": {"realm": "x {vault://team/realm}"}},
        "upstream": {"nodes": {"a.example:80": 1}}});
    let put = async |route: &Value| {
        plane.ask(Surface::Apisix, "PUT", "/apisix/admin/routes/1", &key, &route.to_string()).await
    };
    let refused = put(&route).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        refused.json["error_msg"],
        "the vault \"team\" that a reference names does not exist; create it first, or mend the reference"
    );
    ask(&plane, "PUT", "/vaults/team", json!({"name": "env"})).await;
    assert_eq!(put(&route).await.status, StatusCode::CREATED);
    for (method, path, body) in
        [("DELETE", "/vaults/team", json!(null)), ("PATCH", "/vaults/team", json!({"prefix": "crew"}))]
    {
        let answer = ask(&plane, method, path, body).await;
        assert_eq!((answer.status, &answer.json["code"]), (StatusCode::BAD_REQUEST, &json!(4)), "{method}");
        assert_eq!(answer.json["fields"], json!({"@referenced_by": "routes"}));
        let message = answer.json["message"].as_str().unwrap();
        assert!(
            message.starts_with("an existing 'routes' entity references this 'vaults' entity: 1;"),
            "{message}"
        );
    }
    // The settings may be changed all the same.
    assert_eq!(
        ask(&plane, "PATCH", "/vaults/team", json!({"config": {"prefix": "X_"}})).await.status,
        StatusCode::OK
    );
    let forced = ask(&plane, "DELETE", "/vaults/team?force=true", json!(null)).await;
    assert_eq!(forced.status, StatusCode::NO_CONTENT);

    let literal =
        json!({"uri": "/a", "desc": "{vault://team/x}", "upstream": {"nodes": {"a.example:80": 1}}});
    ask(&plane, "PUT", "/vaults/team", json!({"name": "env"})).await;
    assert_eq!(put(&literal).await.status, StatusCode::OK);
    let deleted = ask(&plane, "DELETE", "/vaults/team", json!(null)).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT, "nothing refers to it any more");
}

#[tokio::test]
async fn vaults_in_a_file_are_read_and_not_written() {
    let vault: Vault = serde_json::from_value(json!({
        "id": "team", "prefix": "team", "name": "env", "created_at": 0, "updated_at": 0}))
    .unwrap();
    let declared = Declared { vaults: Some(vec![vault]), ..Declared::default() };
    let (_keep, declared) = watch::channel(Arc::new(declared));
    let plane = Plane::with(declared).await;
    assert_eq!(ask(&plane, "GET", "/vaults/team", json!(null)).await.status, StatusCode::OK);
    for (method, path) in
        [("PUT", "/vaults/team"), ("POST", "/vaults"), ("PATCH", "/vaults/team"), ("DELETE", "/vaults/team")]
    {
        let answer = ask(&plane, method, path, json!({"name": "env", "prefix": "team"})).await;
        assert_eq!(
            (answer.status, &answer.json["code"]),
            (StatusCode::METHOD_NOT_ALLOWED, &json!(12)),
            "{method}"
        );
    }
}

#[tokio::test]
async fn a_reference_is_tried_without_its_value() {
    let plane = Plane::new().await;
    ask(&plane, "PUT", "/vaults/team", json!({"name": "env"})).await;
    for (path, reference) in [
        ("/vaults/team/test", "secret"),
        ("/vaults/team/test", "{vault://team/secret}"),
        ("/vaults/env/test", "secret"),
    ] {
        let tried = ask(&plane, "POST", path, json!({"reference": reference})).await;
        assert_eq!(
            (tried.status, &tried.json["result"]),
            (StatusCode::OK, &json!("ok")),
            "{path} {reference}"
        );
    }
    let absent = ask(&plane, "POST", "/vaults/team/test", json!({"reference": "absent"})).await;
    assert_eq!(
        absent.json,
        json!({"result": "failed", "reference": "{vault://team/absent}", "vault": "team", "kind": "not_found",
            "problem": absent.json["problem"]})
    );
    assert!(absent.json["problem"].as_str().unwrap().contains("no variable ABSENT"), "{:?}", absent.json);
    for (body, problem) in [
        (json!({}), "required field missing"),
        (json!({"reference": "{vault://env/secret}"}), "names another vault than the URL"),
        (
            json!({"reference": "a?host=x"}),
            "the option \"host\" cannot be set here; only ttl, neg_ttl and resurrect_ttl can",
        ),
    ] {
        let answer = ask(&plane, "POST", "/vaults/team/test", body).await;
        assert_eq!(answer.json["fields"]["reference"], problem);
    }
    assert_eq!(
        ask(&plane, "POST", "/vaults/absent/test", json!({"reference": "a"})).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn kongs_own_header_carries_a_token_too() {
    let plane = Plane::new().await;
    let token = plane.token().await;
    let admitted = plane.ask(Surface::All, "GET", "/vaults", &[("kong-admin-token", &token)], "").await;
    assert_eq!(admitted.status, StatusCode::OK);
    for (method, path) in [
        ("GET", "/vaults/a"),
        ("PUT", "/vaults/aa"),
        ("PATCH", "/vaults/aa"),
        ("POST", "/vaults"),
        ("DELETE", "/vaults/aa"),
        ("POST", "/vaults/env/test"),
        ("GET", "/schemas/vaults/aws"),
        ("POST", "/schemas/vaults/validate"),
        ("GET", "/v1/references"),
        ("POST", "/v1/references/value"),
    ] {
        let refused = plane.ask(Surface::All, method, path, &[JSON], r#"{"name": "env"}"#).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{method} {path}");
    }
}

#[tokio::test]
async fn a_vault_may_refer_to_others_that_exist_and_never_to_itself() {
    let plane = Plane::new().await;
    let hcv = |token: &str| json!({"name": "hcv", "config": {"host": "vault.example", "token": token}});
    let missing = ask(&plane, "PUT", "/vaults/one", hcv("{vault://two/t}")).await;
    assert_eq!(missing.status, StatusCode::BAD_REQUEST);
    assert!(missing.json["message"].as_str().unwrap().contains("no vault \"two\""), "{:?}", missing.json);
    assert_eq!(ask(&plane, "PUT", "/vaults/two", hcv("{vault://env/secret}")).await.status, StatusCode::OK);
    assert_eq!(ask(&plane, "PUT", "/vaults/one", hcv("{vault://two/t}")).await.status, StatusCode::OK);
    let circle = ask(&plane, "PATCH", "/vaults/two", json!({"config": {"token": "{vault://one/t}"}})).await;
    assert!(
        circle.json["message"].as_str().unwrap().contains("two refers to one refers to two"),
        "{:?}",
        circle.json
    );
    let used = ask(&plane, "DELETE", "/vaults/two", json!(null)).await;
    assert_eq!(used.json["fields"], json!({"@referenced_by": "vaults"}));
}
