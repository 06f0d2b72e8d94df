//! AWS Secrets Manager and STS, as moto plays them with its authentication switched on, and a double where they are out of
//! order.

use std::time::Duration;

use gateward_testkit::{Canary, Double, Moto, Reply};
use gateward_vaults::MissKind;
use serde_json::{Value, json};

use crate::faults::{Fault, go_through};
use crate::world::{World, refused};

/// The documents' two regions.
const EU: &str = "eu-central-1";
const US: &str = "us-west-1";

fn environment<'a>(key: &'a str, secret: &'a str) -> [(&'a str, &'a str); 2] {
    [("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", secret)]
}

#[tokio::test]
async fn secrets_of_two_regions_of_both_versions_and_by_their_arns_are_found() {
    let moto = Moto::start();
    let (key, secret) = moto.create_access_key("gateway", &["secretsmanager:GetSecretValue"]);
    moto.create_secret(EU, "secret-name", r#"{"foo": "bar eu"}"#);
    moto.create_secret(US, "secret-name", r#"{"snip": "snap old"}"#);
    moto.put_secret_value(US, "secret-name", r#"{"snip": "snap us"}"#);
    let described = moto.secrets_manager(US, "DescribeSecret", &json!({"SecretId": "secret-name"}));
    let arn = described["ARN"].as_str().unwrap().to_owned();
    moto.check_signatures();
    let url = moto.url().to_owned();
    let settings = |region: &str| json!({"region": region, "endpoint_url": url});
    let world = World::new(&environment(&key, &secret));
    world.has(&[
        ("aws-eu-central-vault", "aws", settings(EU)),
        ("aws-us-west-vault", "aws", settings(US)),
        ("no-region", "aws", json!({"endpoint_url": url})),
    ]);
    for (text, value) in [
        ("aws-eu-central-vault/secret-name/foo".to_owned(), "bar eu"),
        ("aws-us-west-vault/secret-name/snip".to_owned(), "snap us"),
        ("aws-us-west-vault/secret-name/snip#1".to_owned(), "snap us"),
        ("aws-us-west-vault/secret-name/snip#2".to_owned(), "snap old"),
        // Signed for the region of the ARN, which is where moto looks for it.
        (format!("aws-eu-central-vault/{arn}/snip"), "snap us"),
        (format!("aws-eu-central-vault/{arn}/snip#2"), "snap old"),
        (format!("no-region/{arn}/snip"), "snap us"),
    ] {
        assert_eq!(world.get(&text).await.as_deref(), Ok(value), "{text}");
    }
    assert_eq!(world.kind("aws-eu-central-vault/secret-name/foo#2").await, Err(MissKind::NotFound));
    let unresolved = world.get("no-region/secret-name/snip").await.unwrap_err();
    assert_eq!(unresolved.kind, MissKind::Misconfigured);
    assert!(unresolved.problem.contains("no region is set"), "{unresolved}");
    world.did_not_say("bar eu");
    world.did_not_say("snap old");
    world.did_not_say(&secret);
}

#[tokio::test]
async fn a_deleted_secret_is_not_there_whether_or_not_it_can_be_restored() {
    let moto = Moto::start();
    let (key, secret) = moto.create_access_key("gateway", &["secretsmanager:GetSecretValue"]);
    for name in ["marked", "gone"] {
        moto.create_secret(EU, name, "value");
    }
    moto.secrets_manager(EU, "DeleteSecret", &json!({"SecretId": "marked", "RecoveryWindowInDays": 7}));
    moto.delete_secret(EU, "gone");
    moto.check_signatures();
    let world = World::new(&environment(&key, &secret));
    world.has(&[("my-aws", "aws", json!({"region": EU, "endpoint_url": moto.url()}))]);
    for (name, error) in [
        ("marked", "InvalidRequestException"),
        ("gone", "ResourceNotFoundException"),
        ("never-there", "ResourceNotFoundException"),
    ] {
        let unresolved = world.get(&format!("my-aws/{name}")).await.unwrap_err();
        assert_eq!(unresolved.kind, MissKind::NotFound, "{unresolved}");
        assert!(unresolved.problem.contains(error), "{unresolved}");
    }
}

#[tokio::test]
async fn bytes_that_are_text_are_text_and_others_are_given_in_base64() {
    let moto = Moto::start();
    let (key, secret) = moto.create_access_key("gateway", &["secretsmanager:GetSecretValue"]);
    for (name, bytes) in [("text", "eyJhIjogImIifQ=="), ("key", "AAEC/w==")] {
        moto.secrets_manager(EU, "CreateSecret", &json!({"Name": name, "SecretBinary": bytes}));
    }
    moto.check_signatures();
    let world = World::new(&environment(&key, &secret));
    world.has(&[("my-aws", "aws", json!({"region": EU, "endpoint_url": moto.url()}))]);
    assert_eq!(world.get("my-aws/text/a").await.as_deref(), Ok("b"));
    assert_eq!(world.get("my-aws/key").await.as_deref(), Ok("AAEC/w=="));
}

#[tokio::test]
async fn a_role_that_a_vault_names_is_assumed_and_reads_what_the_process_may_not() {
    let moto = Moto::start();
    let (key, secret) = moto.create_access_key("gateway", &["sts:AssumeRole"]);
    let reader = moto.create_role("reader", &["secretsmanager:GetSecretValue"]);
    let idler = moto.create_role("idler", &["s3:GetObject"]);
    moto.create_secret(EU, "db", "value");
    moto.check_signatures();
    let with = |role: Option<&str>| {
        let mut settings = json!({"region": EU, "endpoint_url": moto.url(), "sts_endpoint_url": moto.url()});
        if let Some(role) = role {
            settings["assume_role_arn"] = role.into();
            settings["role_session_name"] = "gateway-1".into();
        }
        settings
    };
    let world = World::new(&environment(&key, &secret));
    world.has(&[
        ("by-itself", "aws", with(None)),
        ("as-reader", "aws", with(Some(&reader))),
        ("as-idler", "aws", with(Some(&idler))),
        ("as-nobody", "aws", with(Some("arn:aws:iam::123456789012:role/absent"))),
    ]);
    assert_eq!(world.kind("by-itself/db").await, Err(MissKind::Denied));
    assert_eq!(world.get("as-reader/db").await.as_deref(), Ok("value"));
    assert_eq!(world.kind("as-idler/db").await, Err(MissKind::Denied));
    world.did_not_say(&secret);

    // The same from the environment, as the documents have it.
    let variables = [
        ("AWS_REGION", EU),
        ("KONG_VAULT_AWS_ASSUME_ROLE_ARN", reader.as_str()),
        ("KONG_VAULT_AWS_ROLE_SESSION_NAME", "kong-1"),
        ("KONG_VAULT_AWS_STS_ENDPOINT_URL", moto.url()),
        ("KONG_VAULT_AWS_ENDPOINT_URL", moto.url()),
    ];
    let world = World::new(&[&environment(&key, &secret)[..], &variables].concat());
    assert_eq!(world.get("aws/db").await.as_deref(), Ok("value"));
}

#[tokio::test]
async fn the_session_is_called_as_kong_calls_it_and_sts_is_asked_in_the_vaults_region() {
    let double = Double::start(|_| Reply::text(403, ""));
    let world = World::new(&environment("AKIA", "secret"));
    let role = "arn:aws:iam::123456789012:role/reader";
    let settings = json!({"region": EU, "sts_endpoint_url": double.url(), "assume_role_arn": role});
    world.has(&[("my-aws", "aws", settings)]);
    assert_eq!(world.kind("my-aws/db").await, Err(MissKind::Misconfigured));
    let asked = &double.asked()[0];
    assert!(asked.body.contains("RoleSessionName=KongVault"), "{}", asked.body);
    let authorization = asked.header("authorization").unwrap();
    assert!(authorization.contains("/eu-central-1/sts/aws4_request"), "{authorization}");
}

#[tokio::test]
async fn credentials_that_have_expired_are_asked_for_anew_and_the_call_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let keys = |key: &str| format!("[default]\naws_access_key_id={key}\naws_secret_access_key=canary{key}\n");
    std::fs::write(&file, keys("AKIAOLD")).unwrap();
    let double = Double::start(|asked| {
        let is_new = asked.header("authorization").unwrap().contains("AKIANEW");
        match is_new || asked.body.contains("first") {
            true => Reply::json(200, &json!({"Name": "db", "SecretString": "value"})),
            false => Reply::json(400, &json!({"__type": "ExpiredTokenException", "message": "expired"})),
        }
    });
    let world = World::new(&[("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap())]);
    world.has(&[("my-aws", "aws", json!({"region": EU, "endpoint_url": double.url()}))]);
    assert_eq!(world.get("my-aws/first").await.as_deref(), Ok("value"));
    // The file was read just now, so there is nothing better to be had.
    assert_eq!(world.kind("my-aws/db").await, Err(MissKind::Denied));
    assert_eq!(double.asked().len(), 2);
    // Nobody has looked at the file for a minute, and it has other keys now; the old ones are good for ever, as far as it says.
    std::fs::write(&file, keys("AKIANEW")).unwrap();
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.get("my-aws/db").await.as_deref(), Ok("value"));
    world.did_not_say("canaryAKIA");
}

#[tokio::test]
async fn whatever_goes_wrong_has_its_kind_and_its_sentence() {
    let (value, key, answer) = (Canary::new("value"), Canary::new("key"), Canary::new("answer"));
    let fault = Fault::default();
    let (now, secret) = (fault.clone(), value.text().to_owned());
    let double = Double::start(move |_| {
        now.now().unwrap_or_else(|| Reply::json(200, &json!({"SecretString": secret})))
    });
    let ask = |url: &str| {
        let world = World::new(&environment("AKIA", key.text()));
        world.has(&[("my-aws", "aws", json!({"region": EU, "endpoint_url": url}))]);
        world
    };
    go_through(&double, &fault, &ask, "my-aws/db", &answer, &[&value, &key]).await;
    for (error, kind) in [
        ("ThrottlingException", MissKind::Throttled),
        ("RequestLimitExceeded", MissKind::Throttled),
        ("AccessDeniedException", MissKind::Denied),
        ("DecryptionFailure", MissKind::Denied),
        ("InternalServiceError", MissKind::Unavailable),
        ("ResourceNotFoundException", MissKind::NotFound),
        ("InvalidRequestException", MissKind::NotFound),
    ] {
        fault.set(Some(Reply::json(400, &json!({"__type": error, "Message": answer.text()}))));
        let world = ask(&double.url());
        assert_eq!(world.kind("my-aws/db").await, Err(kind), "{error}");
        world.kept_to_itself([&value, &key, &answer]);
    }
}

#[test]
fn what_is_wrong_with_an_entity_is_said_of_its_field() {
    let cases: &[(Value, &str)] = &[
        (json!({"assume_role_arn": "reader"}), "config.assume_role_arn"),
        (json!({"role_session_name": "a b"}), "config.role_session_name"),
        (json!({"sts_endpoint_url": "sts.example"}), "config.sts_endpoint_url"),
        (json!({"endpoint_url": "example"}), "config.endpoint_url"),
        (json!({"region": "EU!"}), "config.region"),
    ];
    for (config, field) in cases {
        let problem = refused("aws", config);
        assert!(problem.contains(field), "{problem}");
    }
}
