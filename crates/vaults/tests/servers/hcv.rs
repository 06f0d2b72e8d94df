//! KV secrets of a real server, OpenBao: both versions of the engine, versions of secrets, and what is no secret.

use gateward_testkit::{Canary, OpenBao};
use gateward_vaults::MissKind;
use serde_json::{Value, json};

use crate::world::World;

/// An entity's settings for `bao`, KV version 2 at `secret`, changed by `more`.
pub(crate) fn config(bao: &OpenBao, more: &Value) -> Value {
    let mut config = json!({"host": "127.0.0.1", "port": bao.port(), "kv": "v2"});
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

/// A token that may read the data of KV secrets below `secret/`, and nothing else of them.
pub(crate) fn reader(bao: &OpenBao) -> String {
    bao.write_policy("reader", &[("secret/data/*", &["read"])]);
    let made = bao.write("auth/token/create", &json!({"policies": ["reader"], "ttl": "1h"}));
    made["auth"]["client_token"].as_str().unwrap().to_owned()
}

pub(crate) fn put(bao: &OpenBao, path: &str, secret: &Value) {
    bao.write(&format!("secret/data/{path}"), &json!({"data": secret}));
}

#[tokio::test]
async fn secrets_of_both_versions_of_the_engine_are_found_whole_and_by_field() {
    let (bao, canary) = (OpenBao::start(), Canary::new("secret"));
    put(
        &bao,
        "team/db",
        &json!({"user": "u", "password": canary.text(), "port": 5432, "on": true, "price": 1.5}),
    );
    put(&bao, "odd%20name%2B%3Fx", &json!({"a": "odd"}));
    bao.write("sys/mounts/team/kv1", &json!({"type": "kv", "options": {"version": "1"}}));
    bao.write("team/kv1/deep/db", &json!({"password": canary.text(), "data": {"no": "field"}}));
    bao.write("sys/namespaces/tenant", &json!({}));
    let tenant = [("X-Vault-Namespace", "tenant")];
    bao.send("POST", "sys/mounts/secret", &tenant, &json!({"type": "kv", "options": {"version": "2"}}));
    let written = bao.send("POST", "secret/data/db", &tenant, &json!({"data": {"password": "the tenant's"}}));
    assert_eq!(written.status, 200, "{}", written.text());

    let port = bao.port().to_string();
    let world = World::new(&[
        ("GATEWARD_VAULT_HCV_PORT", &port),
        ("GATEWARD_VAULT_HCV_KV", "v2"),
        ("KONG_VAULT_HCV_TOKEN", bao.root_token()),
        ("BAO_TOKEN", bao.root_token()),
        ("BAO_HOST", "127.0.0.1"),
        ("BAO_KV", "v2"),
        ("BAO_VERIFY", "true"),
        ("BAO_PORT", &port),
    ]);
    world.has(&[
        ("kv-two", "hcv", config(&bao, &json!({"token": reader(&bao)}))),
        (
            "kv-one",
            "hcv",
            config(&bao, &json!({"token": bao.root_token(), "kv": "v1", "mount": "/team/kv1/"})),
        ),
        (
            "referring",
            "hcv",
            json!({
                "token": "{vault://env/bao-token}", "host": "{vault://env/bao-host}", "port": "{vault://env/bao-port}",
                "kv": "{vault://env/bao-kv}", "ssl_verify": "{vault://env/bao-verify}",
            }),
        ),
        ("tenant", "hcv", config(&bao, &json!({"token": bao.root_token(), "namespace": "tenant"}))),
    ]);
    for (text, value) in [
        ("kv-two/team/db/password", canary.text()),
        ("kv-two/team/db/port", "5432"),
        ("kv-two/team/db/on", "true"),
        ("kv-two/team/db/price", "1.5"),
        ("kv-two/odd name+%3Fx/a", "odd"),
        ("hcv/team/db/password", canary.text()),
        ("kv-one/deep/db/password", canary.text()),
        ("referring/team/db/user", "u"),
        ("tenant/db/password", "the tenant's"),
    ] {
        assert_eq!(world.get(text).await.as_deref(), Ok(value), "{text}");
    }
    for whole in ["kv-two/team/db/", "kv-one/deep/db/"] {
        let whole: Value = serde_json::from_str(&world.get(whole).await.unwrap()).unwrap();
        assert_eq!(whole["password"], canary.text());
    }
    assert_eq!(world.kind("kv-one/deep/db/data").await, Err(MissKind::NotFound));
    world.kept_to_itself([&canary]);
    world.did_not_say(bao.root_token());
}

#[tokio::test]
async fn the_version_before_is_that_one_or_none() {
    let bao = OpenBao::start();
    let world = World::new(&[]);
    let token = reader(&bao);
    // Each reading is by an entity of its own, so that nothing is known from before.
    let mut readings = 0;
    let mut read = async |text: &str| {
        readings += 1;
        let prefix = format!("kv-{readings}");
        world.has(&[(&prefix, "hcv", config(&bao, &json!({"token": token})))]);
        world
            .get(&format!("{prefix}/{text}"))
            .await
            .map_err(|unresolved| (unresolved.kind, unresolved.problem))
    };
    let not_found = |read: Result<String, (MissKind, String)>, words: &str| {
        let (kind, problem) = read.unwrap_err();
        assert_eq!(kind, MissKind::NotFound, "{problem}");
        assert!(problem.contains(words), "{problem}");
    };
    put(&bao, "db", &json!({"p": "one"}));
    assert_eq!(read("db/p#1").await.as_deref(), Ok("one"));
    not_found(read("db/p#2").await, "one version only");
    put(&bao, "db", &json!({"p": "two"}));
    assert_eq!(read("db/p").await.as_deref(), Ok("two"));
    assert_eq!(read("db/p#2").await.as_deref(), Ok("one"));
    // The current one is deleted: there is none, and the one before it is still the one before it.
    bao.delete("secret/data/db");
    not_found(read("db/p").await, "version 2 of the secret, the one meant, was deleted");
    assert_eq!(read("db/p#2").await.as_deref(), Ok("one"));
    // The one before is destroyed, or deleted: no older one takes its place.
    put(&bao, "db", &json!({"p": "three"}));
    put(&bao, "db", &json!({"p": "four"}));
    assert_eq!(read("db/p#2").await.as_deref(), Ok("three"));
    bao.write("secret/destroy/db", &json!({"versions": [3]}));
    not_found(read("db/p#2").await, "version 3 of the secret, the one meant, was destroyed");
    assert_eq!(read("db/p").await.as_deref(), Ok("four"));
    bao.delete("secret/metadata/db");
    not_found(read("db/p").await, "no such secret");
    not_found(read("db/p#2").await, "no such secret");

    bao.write("sys/mounts/kv1", &json!({"type": "kv"}));
    bao.write("kv1/db", &json!({"p": "one"}));
    let more = json!({"token": bao.root_token(), "kv": "v1", "mount": "kv1"});
    world.has(&[("kv-one", "hcv", config(&bao, &more))]);
    assert_eq!(world.get("kv-one/db/p").await.as_deref(), Ok("one"));
    let unresolved = world.get("kv-one/db/p#2").await.unwrap_err();
    assert!(unresolved.problem.contains("keeps one version"), "{unresolved}");
}

#[tokio::test]
async fn what_is_no_deletion_is_not_taken_for_one() {
    let mut bao = OpenBao::start();
    put(&bao, "db", &json!({"p": "one"}));
    put(&bao, "other/db", &json!({"p": "two"}));
    bao.write_policy("narrow", &[("secret/data/db", &["read"])]);
    let made = bao.write("auth/token/create", &json!({"policies": ["narrow"]}));
    let narrow = made["auth"]["client_token"].as_str().unwrap();
    let root = bao.root_token().to_owned();
    let world = World::new(&[]);
    let unseal = bao.port();
    world.has(&[
        ("good", "hcv", config(&bao, &json!({"token": root}))),
        ("no-mount", "hcv", config(&bao, &json!({"token": root, "mount": "absent"}))),
        ("no-engine", "hcv", config(&bao, &json!({"token": root, "mount": "sys"}))),
        ("wrong-engine", "hcv", config(&bao, &json!({"token": root, "kv": "v1"}))),
        ("no-tenant", "hcv", config(&bao, &json!({"token": root, "namespace": "absent"}))),
        ("narrow", "hcv", config(&bao, &json!({"token": narrow}))),
        ("stranger", "hcv", config(&bao, &json!({"token": "s.canary"}))),
        ("no-token", "hcv", json!({"host": "127.0.0.1", "port": unseal})),
        ("odd-token", "hcv", config(&bao, &json!({"token": "canary\u{7f}"}))),
    ]);
    for (text, kind, words) in [
        ("good/absent/p", MissKind::NotFound, "no such secret"),
        ("good/db/absent", MissKind::NotFound, "no field"),
        ("good/a%2F..%2F..%2Fsys/mounts", MissKind::NotFound, "empty, . or .."),
        ("no-mount/db/p", MissKind::Misconfigured, "see that mount is right"),
        ("no-engine/db/p", MissKind::Misconfigured, "see that mount is right"),
        ("wrong-engine/db/p", MissKind::Misconfigured, "set kv to v2"),
        ("no-tenant/db/p", MissKind::Misconfigured, "namespace"),
        ("narrow/other/db/p", MissKind::Denied, "policies"),
        ("stranger/db/p", MissKind::Denied, "token"),
        ("no-token/db/p", MissKind::Misconfigured, "auth_method token needs it"),
        ("odd-token/db/p", MissKind::Misconfigured, "character"),
    ] {
        let unresolved = world.get(text).await.unwrap_err();
        assert_eq!(unresolved.kind, kind, "{text}: {unresolved}");
        assert!(unresolved.problem.contains(words), "{text}: {unresolved}");
    }
    assert_eq!(world.get("narrow/db/p").await.as_deref(), Ok("one"));
    world.did_not_say("canary");
    world.did_not_say(narrow);

    bao.write("sys/seal", &json!({}));
    let unresolved = world.get("good/other/db/p").await.unwrap_err();
    assert_eq!(unresolved.kind, MissKind::Unavailable);
    assert!(unresolved.problem.contains("sealed"), "{unresolved}");
    bao.process().kill9();
    assert_eq!(world.kind("good/more/db/p").await, Err(MissKind::Unavailable));
    world.did_not_say(&root);
}
