//! The life of a token, with a real server that gives it, renews it and takes it away.

use std::sync::Arc;
use std::time::Duration;

use gateward_testkit::{OpenBao, eventually};
use gateward_vaults::MissKind;
use serde_json::{Value, json};

use crate::hcv::{config, put};
use crate::hcv_logins::{approle, secret_id};
use crate::world::World;

/// The tokens that were given by `path`, as the server sees them.
fn tokens(bao: &OpenBao, path: &str) -> Vec<Value> {
    let accessors = bao.read("auth/token/accessors?list=true");
    let accessors = accessors["data"]["keys"].as_array().unwrap().clone();
    let look = |accessor: &Value| {
        let answer = bao.send("POST", "auth/token/lookup-accessor", &[], &json!({ "accessor": accessor }));
        (answer.status == 200).then(|| answer.json()["data"].clone())
    };
    accessors.iter().filter_map(look).filter(|token| token["path"] == path).collect()
}

/// Waits until the server has renewed a token that was given by `path`; the gateway goes on meanwhile.
async fn until_renewed(bao: &Arc<OpenBao>, path: &'static str) -> Value {
    let bao = Arc::clone(bao);
    let looking = tokio::task::spawn_blocking(move || {
        eventually(Duration::from_secs(30), || {
            tokens(&bao, path).into_iter().find(|token| token["last_renewal"].is_string())
        })
    });
    looking.await.unwrap().expect("a token is renewed")
}

#[tokio::test]
async fn a_logins_token_is_renewed_before_it_ends() {
    let bao = Arc::new(OpenBao::start());
    put(&bao, "db", &json!({"p": "one"}));
    let role_id = approle(&bao, "approle", &json!({"token_ttl": "100s", "token_max_ttl": "1000s"}));
    let more = json!({
        "auth_method": "approle", "approle_role_id": role_id, "approle_secret_id": secret_id(&bao),
    });
    let world = World::new(&[]);
    world.has(&[("kv", "hcv", config(&bao, &more))]);
    assert_eq!(world.get("kv/db/p").await.as_deref(), Ok("one"));
    world.clock.advance(Duration::from_secs(59));
    tokio::task::yield_now().await;
    assert!(tokens(&bao, "auth/approle/login")[0]["last_renewal"].is_null());
    world.clock.advance(Duration::from_secs(15));
    until_renewed(&bao, "auth/approle/login").await;
    assert_eq!(tokens(&bao, "auth/approle/login").len(), 1);
}

#[tokio::test]
async fn a_token_that_is_set_is_renewed_too_and_never_replaced() {
    let bao = Arc::new(OpenBao::start());
    put(&bao, "db", &json!({"p": "one"}));
    put(&bao, "other", &json!({"p": "two"}));
    bao.write_policy("reader", &[("secret/data/*", &["read"])]);
    let made = bao.write("auth/token/create", &json!({"policies": ["reader"], "period": "100s"}));
    let token = made["auth"]["client_token"].as_str().unwrap();
    let world = World::new(&[]);
    world.has(&[("kv", "hcv", config(&bao, &json!({ "token": token })))]);
    assert_eq!(world.get("kv/db/p").await.as_deref(), Ok("one"));
    world.clock.advance(Duration::from_secs(75));
    until_renewed(&bao, "auth/token/create").await;

    bao.write("auth/token/revoke", &json!({ "token": token }));
    let unresolved = world.get("kv/other/p").await.unwrap_err();
    assert_eq!(unresolved.kind, MissKind::Denied, "{unresolved}");
    world.did_not_say(token);
}

#[tokio::test]
async fn a_token_that_was_revoked_is_replaced_by_another_login_and_the_secret_is_read() {
    let bao = Arc::new(OpenBao::start());
    for secret in ["one", "two", "three"] {
        put(&bao, secret, &json!({"p": secret}));
    }
    let role_id = approle(&bao, "approle", &json!({"token_ttl": "100s"}));
    let more = json!({
        "auth_method": "approle", "approle_role_id": role_id, "approle_secret_id": secret_id(&bao),
    });
    let world = World::new(&[]);
    world.has(&[("kv", "hcv", config(&bao, &more))]);
    assert_eq!(world.get("kv/one/p").await.as_deref(), Ok("one"));
    let first = tokens(&bao, "auth/approle/login")[0]["accessor"].clone();
    bao.write("auth/token/revoke-accessor", &json!({ "accessor": first }));
    let both = tokio::join!(world.get("kv/two/p"), world.get("kv/three/p"));
    assert_eq!((both.0.as_deref(), both.1.as_deref()), (Ok("two"), Ok("three")));
    let given = tokens(&bao, "auth/approle/login");
    assert_eq!(given.len(), 1, "one login for both: {given:?}");
    assert_ne!(given[0]["accessor"], first);
}

#[tokio::test]
async fn a_secret_that_may_not_be_read_costs_no_login() {
    let bao = Arc::new(OpenBao::start());
    put(&bao, "db", &json!({"p": "one"}));
    let role_id = approle(&bao, "approle", &json!({"token_ttl": "100s", "secret_id_num_uses": 1}));
    let more = json!({
        "auth_method": "approle", "approle_role_id": role_id, "approle_secret_id": secret_id(&bao),
        "mount": "elsewhere",
    });
    let world = World::new(&[]);
    world.has(&[("kv", "hcv", config(&bao, &more))]);
    for secret in ["a", "b", "c"] {
        assert_eq!(world.kind(&format!("kv/{secret}")).await, Err(MissKind::Denied));
    }
    assert_eq!(tokens(&bao, "auth/approle/login").len(), 1);
}

#[tokio::test]
async fn many_secrets_at_once_cost_one_login() {
    let bao = Arc::new(OpenBao::start());
    for number in 0..40 {
        put(&bao, &format!("s{number}"), &json!({"p": number}));
    }
    let role_id = approle(&bao, "approle", &json!({"token_ttl": "100s"}));
    let more = json!({
        "auth_method": "approle", "approle_role_id": role_id, "approle_secret_id": secret_id(&bao),
    });
    let world = World::new(&[]);
    world.has(&[("kv", "hcv", config(&bao, &more))]);
    let names: Vec<String> = (0..40).map(|number| format!("kv/s{number}/p")).collect();
    let all = futures_util::future::join_all(names.iter().map(|name| world.get(name))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(tokens(&bao, "auth/approle/login").len(), 1);
}
