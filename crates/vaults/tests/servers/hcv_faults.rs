//! Everything that can be wrong between the gateway and a Vault, and that it is told as what it is.

use std::sync::Arc;

use gateward_testkit::{Canary, Double, Reply};
use gateward_vaults::MissKind;
use serde_json::{Value, json};

use crate::faults::{Fault, go_through};
use crate::world::World;

/// A Vault of few words: one token, one secret of KV version 2. `spoilt` says which requests its fault spoils.
fn vault(token: &Canary, secret: &Canary, fault: &Fault, spoilt: &'static str) -> Double {
    let (token, secret, fault) = (token.text().to_owned(), secret.text().to_owned(), fault.clone());
    Double::start(move |asked| {
        if let Some(reply) = fault.now().filter(|_| asked.what.contains(spoilt)) {
            return reply;
        }
        if asked.header("x-vault-token") != Some(&token) || asked.header("x-vault-request") != Some("true") {
            return Reply::json(403, &json!({"errors": ["permission denied"]}));
        }
        match asked.what.as_str() {
            "GET /v1/auth/token/lookup-self" => {
                Reply::json(200, &json!({"data": {"ttl": 0, "renewable": false}}))
            }
            "GET /v1/secret/data/db" => {
                let data = json!({"data": {"p": secret}, "metadata": {"version": 1, "destroyed": false}});
                Reply::json(200, &json!({ "data": data }))
            }
            _ => Reply::json(404, &json!({"errors": []})),
        }
    })
}

/// The settings for the Vault at `url`.
fn config(url: &str, token: &str) -> Value {
    let (protocol, place) = url.split_once("://").unwrap();
    let (host, port) = place.rsplit_once(':').unwrap();
    json!({"protocol": protocol, "host": host, "port": port, "kv": "v2", "token": token})
}

#[tokio::test]
async fn each_fault_of_a_login_and_of_a_reading_is_told_as_what_it_is() {
    for spoilt in ["/v1/", "/v1/secret/"] {
        let (token, secret, told) = (Canary::new("token"), Canary::new("secret"), Canary::new("told"));
        let fault = Fault::default();
        let double = vault(&token, &secret, &fault, spoilt);
        let ask = |url: &str| {
            let world = World::new(&[]);
            world.has(&[("kv", "hcv", config(url, token.text()))]);
            world
        };
        go_through(&double, &fault, &ask, "kv/db/p", &told, &[&token, &secret]).await;
    }
}

#[tokio::test]
async fn each_status_of_vault_has_its_meaning() {
    let (token, secret, told) = (Canary::new("token"), Canary::new("secret"), Canary::new("told"));
    let fault = Fault::default();
    let double = vault(&token, &secret, &fault, "/v1/secret/");
    let errors = |status, text: &str| Reply::json(status, &json!({"errors": [text]}));
    let told_text = told.text();
    for (reply, kind, words) in [
        (errors(400, told_text), MissKind::Misconfigured, "mount, kv and namespace"),
        (errors(403, told_text), MissKind::Denied, "policies"),
        (errors(405, told_text), MissKind::Misconfigured, "mount, kv and namespace"),
        (errors(404, told_text), MissKind::Misconfigured, "mount, kv and namespace"),
        (Reply::json(404, &json!({"errors": []})), MissKind::NotFound, "no such secret"),
        (Reply::json(404, &json!({})), MissKind::Garbage, "not one of Vault's"),
        (errors(412, told_text), MissKind::Unavailable, "caught up"),
        (errors(429, told_text), MissKind::Throttled, "fewer calls"),
        (errors(472, told_text), MissKind::Unavailable, "standby"),
        (errors(473, told_text), MissKind::Unavailable, "standby"),
        (errors(500, told_text), MissKind::Unavailable, "out of order"),
        (errors(502, told_text), MissKind::Unavailable, "out of order"),
        (errors(503, "Vault is sealed"), MissKind::Unavailable, "unseal it"),
        (Reply::text(204, ""), MissKind::Garbage, "not one of Vault's"),
        (
            Reply::json(200, &json!({"data": {"data": told_text, "metadata": {"version": 1}}})),
            MissKind::Garbage,
            "",
        ),
        (
            Reply::json(200, &json!({"data": {"data": null, "metadata": {"version": 1}}})),
            MissKind::Garbage,
            "",
        ),
    ] {
        fault.set(Some(reply.clone()));
        let world = World::new(&[]);
        world.has(&[("kv", "hcv", config(&double.url(), token.text()))]);
        let unresolved = world.get("kv/db/").await.unwrap_err();
        assert_eq!(unresolved.kind, kind, "{unresolved} after {reply:?}");
        assert!(unresolved.problem.contains(words), "{unresolved} after {reply:?}");
        world.kept_to_itself([&token, &secret, &told]);
    }
}

#[tokio::test]
async fn of_faults_of_a_token_endpoint_nothing_reaches_vault() {
    let (client_secret, told) = (Canary::new("client"), Canary::new("told"));
    let vault = Double::start(|_| Reply::text(500, "nobody should ask"));
    let fault = Fault::default();
    let spoilt = fault.clone();
    let provider = Double::start(move |_| spoilt.now().unwrap());
    let thief = Arc::new(Double::start(|_| Reply::text(200, "{}")));
    let told_text = told.text();
    for (reply, kind) in [
        (Reply::text(200, told_text), MissKind::Garbage),
        (Reply::json(200, &json!({"access_token": ""})), MissKind::Garbage),
        (Reply::json(200, &json!({"id_token": told_text})), MissKind::Garbage),
        (Reply::json(400, &json!({"error": told_text})), MissKind::Denied),
        (Reply::text(307, told_text).with_header("Location", &thief.url()), MissKind::Garbage),
        (Reply::text(429, told_text), MissKind::Throttled),
        (Reply::text(503, told_text), MissKind::Unavailable),
        (Reply::Close, MissKind::Unavailable),
    ] {
        fault.set(Some(reply.clone()));
        let world = World::new(&[]);
        let mut config = config(&vault.url(), "");
        config.as_object_mut().unwrap().extend(
            json!({
                "auth_method": "jwt", "oauth2_role_name": "gateway", "oauth2_client_id": "gateway",
                "oauth2_token_endpoint": provider.url(), "oauth2_client_secret": client_secret.text(),
            })
            .as_object()
            .unwrap()
            .clone(),
        );
        world.has(&[("kv", "hcv", config)]);
        let unresolved = world.get("kv/db/p").await.unwrap_err();
        assert_eq!(unresolved.kind, kind, "{unresolved} after {reply:?}");
        assert!(unresolved.problem.contains("token endpoint"), "{unresolved}");
        world.kept_to_itself([&client_secret, &told]);
    }
    assert_eq!((vault.asked().len(), thief.asked().len()), (0, 0));
}
