//! What vaults are set to, and what becomes of values when that changes.

use super::*;
use crate::backend::KINDS;

fn vault(prefix: &str, name: &str, config: &serde_json::Value) -> Vault {
    serde_json::from_value(json!({
        "id": "1", "prefix": prefix, "name": name, "config": config, "created_at": 1, "updated_at": 1,
    }))
    .unwrap()
}

#[tokio::test]
async fn an_edited_vault_is_asked_again_and_a_removed_one_gives_nothing() {
    let world = world(&[("A_KEY", "first"), ("B_KEY", "second"), ("C_OTHER", "x")]);
    let entity = |prefix| vault("my-env", "env", &json!({ "prefix": prefix }));
    let (_binding, mut told) = world.bind(&["{vault://my-env/key}"]);
    assert_eq!(told.next().await, None);
    world.resolver.set_vaults(vec![entity("A_")]);
    assert_eq!(told.next().await, Some(vec!["first".to_owned()]));
    world.resolver.set_vaults(vec![entity("A_")]);
    world.resolver.set_vaults(vec![entity("B_")]);
    assert_eq!(told.next().await, Some(vec!["second".to_owned()]));
    world.resolver.set_vaults(vec![entity("C_")]);
    assert_eq!(told.next().await, None);
    world.resolver.set_vaults(vec![entity("B_")]);
    assert_eq!(told.next().await, Some(vec!["second".to_owned()]));
    world.resolver.set_vaults(Vec::new());
    assert_eq!(told.next().await, None);
    assert_eq!(world.resolve("{vault://my-env/key}").await, Err(MissKind::Misconfigured));
}

#[tokio::test]
async fn the_environment_gives_variables_but_never_the_gateways_own() {
    let world = world(&[
        ("DB_PASSWORD", "p"),
        ("JSON", r#"{"a": "b"}"#),
        ("EMPTY", ""),
        ("AWS_SECRET_ACCESS_KEY", "canary"),
        ("GATEWARD_ROOT_KEY", "canary"),
        ("CUSTOMER_FRAGMENTS", "canary"),
        ("KONG_VAULT_HCV_TOKEN", "canary"),
        ("GCP_SERVICE_ACCOUNT", "canary"),
        ("AZURE_CLIENT_SECRET", "canary"),
        ("IDENTITY_HEADER", "canary"),
    ]);
    assert_eq!(world.resolve("{vault://env/db-password}").await.as_deref(), Ok("p"));
    assert_eq!(world.resolve("{vault://env/json/a}").await.as_deref(), Ok("b"));
    assert_eq!(world.resolve("{vault://env/empty}").await, Err(MissKind::NotFound));
    for name in [
        "aws-secret-access-key",
        "gateward_root_key",
        "Gateward-Root-Key",
        "customer-fragments",
        "kong-vault-hcv-token",
        "gcp-service-account",
        "azure-client-secret",
        "identity-header",
    ] {
        assert_eq!(world.resolve(&format!("{{vault://env/{name}}}")).await, Err(MissKind::Denied), "{name}");
    }
    world.resolver.set_vaults(vec![
        vault("sly", "env", &json!({"prefix": "gateward"})),
        vault("slyer", "env", &json!({"prefix": "aws_secret"})),
    ]);
    assert_eq!(world.resolve("{vault://sly/-root-key}").await, Err(MissKind::Denied));
    assert_eq!(world.resolve("{vault://slyer/_access_key}").await, Err(MissKind::Denied));
    let missing = world.resolver.resolve(&reference("{vault://env/db-pasword}")).await.unwrap_err();
    assert!(missing.problem.contains("DB_PASWORD"), "{missing}");
}

#[tokio::test]
async fn an_aws_vault_without_region_or_credentials_says_so() {
    let world = world(&[("KONG_VAULT_AWS_REGION", "eu-west-1")]);
    let missing = world.resolver.resolve(&reference("{vault://aws/x}")).await.unwrap_err();
    assert!(missing.problem.contains("no AWS credentials"), "{missing}");
    let world = self::world(&[]);
    let missing = world.resolver.resolve(&reference("{vault://aws/x}")).await.unwrap_err();
    assert!(missing.problem.contains("region"), "{missing}");
    assert_eq!(missing.kind, MissKind::Misconfigured);
}

#[tokio::test]
async fn a_deleted_secret_is_kept_or_taken_away_as_the_vault_says() {
    for (fails_when_deleted, left) in [(false, Some("one")), (true, None)] {
        let world = world(&[]);
        world.set("other", Rules { fails_when_deleted, ..Rules::default() });
        world.double.put("db", Ok("one"));
        let (_binding, mut told) = world.bind(&["{vault://double/db?ttl=60}"]);
        assert!(told.next().await.is_some());
        world.double.put("db", Err(MissKind::Unavailable));
        world.advance(60).await;
        assert!(told.nothing(), "an outage is no deletion");
        world.double.put("db", Err(MissKind::NotFound));
        for _ in 0..10 {
            world.advance(10).await;
        }
        match left {
            Some(_) => assert!(told.nothing()),
            None => assert_eq!(told.next().await, None),
        }
        let states = world.resolver.references();
        assert_eq!(states[0].state.word(), if fails_when_deleted { "gone" } else { "stale" });
        assert_eq!(states[0].kind, Some(MissKind::NotFound));
    }
}

#[tokio::test]
async fn a_vault_gives_no_more_than_its_allow_names_and_asks_for_nothing_else() {
    let world = world(&[]);
    let allow = |patterns: &[&str]| Rules {
        allow: Some(patterns.iter().map(|pattern| (*pattern).to_owned()).collect()),
        ..Rules::default()
    };
    world.set("narrow", allow(&["team/*"]));
    world.double.put("team/db", Ok(r#"{"user": "u"}"#));
    world.double.put("team/plain", Ok("p"));
    world.double.put("team", Ok(r#"{"canary": "canary"}"#));
    world.double.put("admin/root", Ok("canary"));
    assert_eq!(world.resolve("{vault://double/team/db/user}").await.as_deref(), Ok("u"));
    assert_eq!(world.resolve("{vault://double/team/plain}").await.as_deref(), Ok("p"));
    assert_eq!(world.double.calls(), 2);
    for text in ["admin/root/", "admin/root", "team/", "team/canary/", "team/../admin/root/"] {
        let denied = world.resolver.resolve(&reference(&format!("{{vault://double/{text}}}"))).await;
        let denied = denied.unwrap_err();
        let expected = if text == "team/canary/" { MissKind::NotFound } else { MissKind::Denied };
        assert_eq!(denied.kind, expected, "{denied}");
        assert!(expected == MissKind::NotFound || denied.problem.contains("does not give it"), "{denied}");
    }
    assert_eq!(world.double.calls(), 3, "what is not given is not asked for");
    // An edit that gives less takes away what it no longer gives.
    let (_binding, mut told) = world.bind(&["{vault://double/team/plain/}"]);
    assert!(told.next().await.is_some());
    world.set("narrower", allow(&["team/db"]));
    assert_eq!(told.next().await, None);
}

#[tokio::test]
async fn values_that_are_written_in_base64_are_decoded() {
    let world = world(&[]);
    world.set("encoded", Rules { is_base64: true, ..Rules::default() });
    world.double.put("whole", Ok("c2VjcmV0IQ=="));
    world.double.put("fields", Ok(r#"{"a": "c2VjcmV0IQ", "b": "canary!"}"#));
    assert_eq!(world.resolve("{vault://double/whole}").await.as_deref(), Ok("secret!"));
    assert_eq!(world.resolve("{vault://double/fields/a}").await.as_deref(), Ok("secret!"));
    let wrong = world.resolver.resolve(&reference("{vault://double/fields/b}")).await.unwrap_err();
    assert!(wrong.kind == MissKind::Garbage && !format!("{wrong:?}").contains("canary"), "{wrong}");
}

#[tokio::test]
async fn a_vault_whose_settings_refer_to_another_is_opened_with_its_values_and_anew_when_they_change() {
    let world = world(&[("A_KEY", "first"), ("B_KEY", "second")]);
    world.double.put("prefix", Ok("A"));
    world.double.put("db", Ok(r#"{"a": "c2VjcmV0IQ"}"#));
    let double = |resolver: &Resolver| {
        let entity = vault("my-env", "env", &json!({"prefix": "{vault://double/prefix?ttl=60}_"}));
        let mut vaults = vault::open_all(vec![entity], &resolver.surroundings);
        let backend = Arc::clone(&world.double) as Arc<dyn Backend>;
        vaults.insert(Arc::from("double"), OpenVault::of("double", backend, Rules::default()));
        resolver.take(vaults);
    };
    let (_binding, mut told) = world.bind(&["{vault://my-env/key}"]);
    assert_eq!(told.next().await, None);
    // Nothing is told, and nobody is answered, before the setting's value is there.
    let permit = world.double.gate.acquire().await.unwrap();
    double(&world.resolver);
    world.quiet().await;
    assert!(told.nothing());
    drop(permit);
    assert_eq!(told.next().await, Some(vec!["first".to_owned()]));
    assert_eq!(world.resolve("{vault://my-env/key}").await.as_deref(), Ok("first"));
    world.double.put("prefix", Ok("B"));
    world.advance(60).await;
    assert_eq!(told.next().await, Some(vec!["second".to_owned()]));
    // Without the setting's value, what was had serves on, and what was not is not to be had.
    world.double.put("prefix", Err(MissKind::NotFound));
    world.clock.advance(Duration::from_secs(100_000_100));
    world.quiet().await;
    assert!(told.nothing());
    let missing = world.resolver.resolve(&reference("{vault://my-env/other}")).await.unwrap_err();
    assert_eq!(missing.kind, MissKind::Misconfigured, "{missing}");
    assert!(
        missing.problem.contains("config.prefix") && missing.problem.contains("{vault://double/prefix"),
        "{missing}"
    );
}

#[tokio::test]
async fn vaults_that_need_each_other_say_so_and_keep_nobody_waiting() {
    let world = world(&[]);
    world.resolver.set_vaults(vec![
        vault("one", "env", &json!({"prefix": "{vault://two/a}"})),
        vault("two", "env", &json!({"prefix": "{vault://one/b}"})),
        vault("three", "env", &json!({"prefix": "{vault://one/b}"})),
    ]);
    for vault in ["one", "two", "three"] {
        let missing =
            world.resolver.resolve(&reference(&format!("{{vault://{vault}/x}}"))).await.unwrap_err();
        assert_eq!(missing.kind, MissKind::Misconfigured);
        assert!(missing.problem.contains("needs itself"), "{missing}");
    }
}

#[tokio::test]
async fn a_file_that_changes_is_told_without_any_ttl() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(&[]);
    world.resolver.set_vaults(vec![vault("files", "fs", &json!({"prefix": folder.path()}))]);
    std::fs::write(folder.path().join("key"), "one\n").unwrap();
    let (_binding, mut told) = world.bind(&["{vault://files/key}"]);
    assert_eq!(told.next().await, Some(vec!["one".to_owned()]));
    std::fs::write(folder.path().join("key"), "three\n").unwrap();
    let told = loop {
        world.clock.advance(Duration::from_millis(250));
        if let Ok(told) = tokio::time::timeout(Duration::from_millis(20), told.next()).await {
            break told;
        }
    };
    assert_eq!(told, Some(vec!["three".to_owned()]));
}

#[tokio::test]
async fn an_answer_of_a_vault_that_was_removed_meanwhile_counts_for_nothing() {
    let world = world(&[]);
    let other = self::world(&[]).double;
    world.double.put("db", Ok("old"));
    other.put("db", Ok("new"));
    let (old_permit, new_permit) =
        (world.double.gate.acquire().await.unwrap(), other.gate.acquire().await.unwrap());
    let (_binding, mut told) = world.bind(&["{vault://double/db}"]);
    world.quiet().await;
    world.resolver.set_vaults(Vec::new());
    assert_eq!(told.next().await, None);
    world.set_backend("again", Arc::clone(&other) as Arc<dyn Backend>, Rules::default());
    world.quiet().await;
    drop(old_permit);
    world.quiet().await;
    assert!(told.nothing());
    drop(new_permit);
    assert_eq!(told.next().await, Some(vec!["new".to_owned()]));
}

#[test]
fn a_kind_shows_its_settings_as_kong_does_and_which_are_secret() {
    assert!(Resolver::kinds().contains(&"aws") && Resolver::schema("nothing").is_none());
    let schema = Resolver::schema("aws").unwrap();
    let fields = schema["fields"][0]["config"]["fields"].as_array().unwrap();
    assert!(fields.contains(&json!({"region": {"type": "string", "referenceable": true}})));
    assert!(fields.contains(&json!({"on_deleted": {"type": "string", "one_of": ["keep", "fail"]}})));
    assert!(Resolver::secret_fields("env").is_empty());
}

#[test]
fn an_entity_is_checked_in_kongs_words() {
    let refused = |prefix, name, config: serde_json::Value| {
        Resolver::check_vault(&vault(prefix, name, &config)).unwrap_err().to_string()
    };
    let ok = |config: serde_json::Value| Resolver::check_vault(&vault("my-vault", "aws", &config)).unwrap();
    ok(json!({}));
    ok(json!({"region": "us-east-1", "endpoint_url": "http://127.0.0.1:5000", "ttl": 60, "neg_ttl": 0.5}));
    ok(json!({"allow": ["team/*"], "base64_decode": true, "on_deleted": "fail"}));
    ok(json!({"region": null, "ttl": null, "resurrect_ttl": 1e8}));
    for (config, message) in [
        (json!({"assume_role": "arn"}), "property \"config.assume_role\": unknown field"),
        (json!({"region": 1}), "property \"config.region\": expected a string"),
        (json!({"ttl": "soon"}), "property \"config.ttl\": expected a number"),
        (json!({"ttl": "300"}), "property \"config.ttl\": expected a number"),
        (json!({"base64_decode": "true"}), "property \"config.base64_decode\": expected a boolean"),
        (json!({"allow": "team/*"}), "property \"config.allow\": expected an array"),
        (json!({"ttl": -1}), "property \"config.ttl\": value should be between 0 and 100000000"),
        (json!({"ttl": [1]}), "property \"config.ttl\": expected a number"),
    ] {
        assert_eq!(refused("my-vault", "aws", config), message);
    }
    let port = refused("my-vault", "hcv", json!({"port": "8200"}));
    assert_eq!(port, "property \"config.port\": expected an integer");
    for below in ["/proc", "//proc/self", "/proc/./self", "/sys/class", "/dev/shm"] {
        let fence = refused("my-files", "fs", json!({"prefix": below}));
        assert!(fence.contains("config.prefix") && fence.contains("no vault reads it"), "{fence}");
    }
    assert_eq!(refused("my-vault", "nil", json!({})), "property \"name\": vault 'nil' is not installed");
    let taken = format!("property \"prefix\": must not be one of: {}", Resolver::kinds().join(", "));
    assert_eq!(refused("env", "env", json!({})), taken);
    assert!(refused("a_b", "env", json!({})).contains("begins with a letter"));
    assert!(refused("my-env", "env", json!({"prefix": "1X"})).contains("config.prefix"));
    assert!(refused("my-env", "env", json!({"ttl": 1})).contains("config.ttl\": unknown field"));
}

/// Of each kind of vault settings that together are all that it has of its own.
fn settings(kind: &str) -> Vec<serde_json::Value> {
    let identity = gateward_testkit::Authority::root("the company").identity("gateway", &[]);
    match kind {
        "env" => vec![json!({"prefix": "SECRETS_"})],
        "aws" => vec![json!({
            "region": "eu-west-1", "endpoint_url": "https://vpce.example", "role_session_name": "session",
            "assume_role_arn": "arn:aws:iam::123456789012:role/r", "sts_endpoint_url": "https://sts.example",
        })],
        "azure" => vec![json!({
            "vault_uri": "https://my-vault.vault.azure.net", "tenant_id": "t", "client_id": "c", "type": "secrets",
            "credentials_prefix": "AZURE", "location": "here",
        })],
        "conjur" => vec![json!({
            "endpoint_url": "https://conjur.example", "account": "a", "login": "host/a", "api_key": "k",
            "auth_method": "api_key",
        })],
        "fs" => vec![json!({"prefix": "/run/secrets"})],
        "gateward" => vec![json!({"prefix": "/team"})],
        "gcp" => vec![json!({"project_id": "my-project-1"})],
        "hcv" => vec![
            json!({
                "protocol": "https", "host": "vault.example", "port": 8200, "ssl_verify": true, "namespace": "n",
                "mount": "secret", "kv": "v2", "auth_method": "token", "token": "t",
            }),
            json!({
                "auth_method": "kubernetes", "kube_role": "r", "kube_auth_path": "p", "kube_api_token_file": "/f",
            }),
            json!({
                "auth_method": "approle", "approle_auth_path": "p", "approle_role_id": "i", "approle_secret_id": "s",
                "approle_response_wrapping": true,
            }),
            json!({"auth_method": "approle", "approle_role_id": "i", "approle_secret_id_file": "/f"}),
            json!({
                "auth_method": "cert", "protocol": "https", "cert_auth_cert": identity.chain, "cert_auth_cert_key": identity.key,
                "cert_auth_role_name": "r",
            }),
            json!({
                "auth_method": "jwt", "oauth2_token_endpoint": "https://idp.example", "oauth2_client_id": "i",
                "oauth2_client_secret": "s", "oauth2_audiences": "a", "oauth2_role_name": "r",
            }),
        ],
        other => panic!("{other} has no settings here"),
    }
}

#[test]
fn a_reference_may_stand_in_every_setting_but_those_that_say_how_values_are_kept() {
    let common = json!({
        "ttl": 60, "neg_ttl": 1, "resurrect_ttl": 300, "on_deleted": "fail", "base64_decode": true, "allow": ["a/*"],
    });
    for kind in KINDS {
        let whole = settings(kind.name);
        let known = |name: &str| whole.iter().any(|settings| settings.get(name).is_some());
        for field in kind.fields {
            assert!(known(field.name), "{}.{} is in none of the settings here", kind.name, field.name);
        }
        for settings in &whole {
            for name in settings.as_object().unwrap().keys() {
                let mut settings = settings.clone();
                settings[name] = "{vault://env/value}".into();
                let checked = Resolver::check_vault(&vault("my-vault", kind.name, &settings));
                assert_eq!(checked, Ok(()), "{}.{name}", kind.name);
                settings[name] = "{vault://env".into();
                assert!(Resolver::check_vault(&vault("my-vault", kind.name, &settings)).is_err());
            }
        }
        let changing = common.as_object().unwrap().keys();
        for name in changing.filter(|name| kind.all_fields().any(|field| field.name == **name)) {
            for value in [json!("{vault://env/value}"), json!(["{vault://env/value}"])] {
                let mut settings = whole[0].clone();
                settings[name] = value;
                let invalid = Resolver::check_vault(&vault("my-vault", kind.name, &settings)).unwrap_err();
                assert_eq!(invalid.field, format!("config.{name}"), "{}", kind.name);
            }
        }
    }
}
