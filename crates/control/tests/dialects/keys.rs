//! Items that are sealed with a customer fragment that somebody chose, and what is left of them without it.

use std::sync::Arc;

use gateward_control::Surface;
use gateward_seal::Fragments;
use gateward_store::{MemoryStore, Store};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{Answer, Plane};

/// A gateway with the fragments of these ids and values.
async fn gateway(store: &Arc<dyn Store>, fragments: &[(&str, &str)]) -> (Plane, String) {
    let value = |byte: &str| format!("{}=", byte.repeat(43));
    let list: Vec<Value> =
        fragments.iter().map(|(id, byte)| json!({"id": id, "value": value(byte)})).collect();
    let fragments = Fragments::parse(&Value::from(list).to_string()).unwrap();
    let plane = Plane::with_fragments(Arc::clone(store), fragments).await;
    let token = plane.token().await;
    (plane, token)
}

async fn post((plane, token): &(Plane, String), path: &str, mut body: Value) -> Answer {
    body["token"] = token.as_str().into();
    plane.ask(Surface::All, "POST", path, &[], &body.to_string()).await
}

async fn done(gateway: &(Plane, String), path: &str, body: Value) -> Value {
    let answer = post(gateway, path, body).await;
    assert_eq!(answer.status, StatusCode::OK, "{path} {answer:?}");
    answer.json
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

const URLS: (&str, &str) = ("http://127.0.0.1:1/create", "http://127.0.0.1:1/revoke");

/// Secrets of each kind, sealed by the key `/keys/a`, by the fragment `cf-b`, and as everything is.
async fn filled(gateway: &(Plane, String)) {
    done(
        gateway,
        "/create-dfc-key",
        json!({"name": "/keys/a", "alg": "AES256GCM", "customer-frg-id": "cf-a"}),
    )
    .await;
    for (name, key) in [("/s/a", "/keys/a"), ("/s/b", "cf-b"), ("/s/none", "")] {
        done(gateway, "/create-secret", json!({"name": name, "value": "one", "protection_key": key})).await;
    }
    done(gateway, "/target-create-web", json!({"name": "/t", "url": "http://127.0.0.1:1/rotate"})).await;
    let rotated = json!({"name": "/r/a", "target-name": "/t", "custom-payload": "p", "key": "/keys/a"});
    done(gateway, "/rotated-secret-create-custom", rotated).await;
    let dynamic = |name: &str, key: &str| {
        json!({
            "name": name, "create-sync-url": URLS.0, "revoke-sync-url": URLS.1, "payload": "p",
            "skip-dry-run": true, "producer-encryption-key-name": key,
        })
    };
    done(gateway, "/dynamic-secret-create-custom", dynamic("/d/a", "/keys/a")).await;
    done(gateway, "/dynamic-secret-create-custom", dynamic("/d/none", "")).await;
}

#[tokio::test]
async fn an_item_says_which_fragment_somebody_chose_for_it() {
    let gateway = gateway(&memory(), &[("cf-a", "A"), ("cf-b", "E")]).await;
    filled(&gateway).await;
    for (name, fragment, key) in [
        ("/s/a", "cf-a", "/keys/a"),
        ("/s/b", "cf-b", ""),
        ("/s/none", "", ""),
        ("/r/a", "cf-a", "/keys/a"),
        ("/d/a", "cf-a", "/keys/a"),
        ("/keys/a", "cf-a", ""),
    ] {
        let shown = done(&gateway, "/describe-item", json!({"name": name})).await;
        assert_eq!(shown["customer_fragment_id"], fragment, "{name}");
        assert_eq!(shown["with_customer_fragment"], !fragment.is_empty(), "{name}");
        assert_eq!(shown["protection_key_name"], key, "{name}");
    }
    let keys = done(&gateway, "/list-items", json!({"type": ["key"]})).await;
    assert_eq!(keys["items"][0]["item_name"], "/keys/a");
    assert_eq!(keys["items"].as_array().unwrap().len(), 1);
    for name in ["/s/a", "/s/b"] {
        let value = done(&gateway, "/get-secret-value", json!({"names": [name]})).await;
        assert_eq!(value[name], "one");
    }
    // The key is a name; what was sealed by it opens without it.
    done(&gateway, "/delete-item", json!({"name": "/keys/a"})).await;
    let value = done(&gateway, "/get-secret-value", json!({"names": ["/s/a"]})).await;
    assert_eq!(value["/s/a"], "one");
}

#[tokio::test]
async fn without_the_right_fragment_nothing_of_it_opens_and_all_else_goes_on() {
    let store = memory();
    filled(&gateway(&store, &[("cf-a", "A"), ("cf-b", "E")]).await).await;
    for others in [&[("cf-b", "E")][..], &[("cf-b", "E"), ("cf-a", "I")]] {
        let gateway = gateway(&store, others).await;
        let about = |name: &str| json!({"name": name, "names": [name], "value": "two", "user-ttl": "5m", "skip-dry-run": true});
        for (path, name) in [
            ("/get-secret-value", "/s/a"),
            ("/get-rotated-secret-value", "/r/a"),
            ("/dynamic-secret-get", "/d/a"),
            ("/get-dynamic-secret-value", "/d/a"),
            ("/dynamic-secret-update-custom", "/d/a"),
        ] {
            let mut body = about(name);
            if path == "/get-rotated-secret-value" {
                body = json!({"names": name});
            }
            let refused = post(&gateway, path, body).await;
            assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{path} {refused:?}");
            let error = refused.json["error"].as_str().unwrap();
            assert!(error.contains("customer fragment cf-a"), "{path} {error}");
        }
        let value = done(&gateway, "/get-secret-value", about("/s/b")).await;
        assert_eq!(value["/s/b"], "one");
        assert_eq!(done(&gateway, "/get-secret-value", about("/s/none")).await["/s/none"], "one");
        done(&gateway, "/dynamic-secret-get", about("/d/none")).await;
        let listed = done(&gateway, "/dynamic-secret-list", json!({})).await;
        assert!(listed.to_string().contains("/d/none"), "{listed}");
    }
    // Nothing may be sealed with what could not open it again, and nothing was changed.
    let gateway = gateway(&store, &[("cf-b", "E")]).await;
    let update = json!({"name": "/s/a", "value": "two"});
    let refused = post(&gateway, "/update-secret-val", update).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
    for key in ["cf-a", "/keys/a"] {
        let refused =
            post(&gateway, "/create-secret", json!({"name": "/s/new", "value": "x", "protection_key": key}))
                .await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{key}");
        assert!(refused.json["error"].as_str().unwrap().contains("was not given the customer fragment cf-a"));
    }
    let again = self::gateway(&store, &[("cf-a", "A"), ("cf-b", "E")]).await;
    let value = done(&again, "/get-secret-value", json!({"names": ["/s/a"]})).await;
    assert_eq!(value["/s/a"], "one");
}

#[tokio::test]
async fn another_key_seals_from_the_next_value_on() {
    let store = memory();
    let all = gateway(&store, &[("cf-a", "A"), ("cf-b", "E")]).await;
    filled(&all).await;
    done(&all, "/update-secret-val", json!({"name": "/s/a", "value": "two", "key": "cf-b"})).await;
    let update = json!({"name": "/d/a", "producer-encryption-key-name": "cf-b", "skip-dry-run": true});
    done(&all, "/dynamic-secret-update-custom", update).await;
    let without = gateway(&store, &[("cf-b", "E")]).await;
    let value = done(&without, "/get-secret-value", json!({"names": ["/s/a"]})).await;
    assert_eq!(value["/s/a"], "two");
    done(&without, "/dynamic-secret-get", json!({"name": "/d/a"})).await;
    let old = post(&without, "/get-secret-value", json!({"names": ["/s/a"], "version": 1})).await;
    assert_eq!(old.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn keys_that_stand_for_nothing_are_refused_by_the_field() {
    let gateway = gateway(&memory(), &[("cf-a", "A")]).await;
    let cases = [
        ("/create-dfc-key", json!({"name": "/k", "alg": "RSA2048", "customer-frg-id": "cf-a"}), "alg"),
        ("/create-dfc-key", json!({"name": "/k", "alg": "AES256GCM"}), "customer-frg-id"),
        ("/create-dfc-key", json!({"name": "/k", "customer-frg-id": "cf-z"}), "cf-z"),
        ("/create-dfc-key", json!({"name": "/k", "customer-frg-id": "a"}), "customer-frg-id"),
        ("/create-secret", json!({"name": "/s", "value": "v", "protection_key": "/k"}), "protection_key"),
        ("/create-secret", json!({"name": "/s", "value": "v", "protection_key": "cf-"}), "protection_key"),
    ];
    for (path, body, field) in cases {
        let refused = post(&gateway, path, body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{path} {refused:?}");
        assert!(refused.json["error"].as_str().unwrap().contains(field), "{refused:?}");
    }
    done(&gateway, "/create-dfc-key", json!({"name": "/k", "customer-frg-id": "cf-a"})).await;
    let again = post(&gateway, "/create-dfc-key", json!({"name": "/k", "customer-frg-id": "cf-a"})).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    done(&gateway, "/set-item-state", json!({"name": "/k", "desired-state": "Disabled"})).await;
    let refused =
        post(&gateway, "/create-secret", json!({"name": "/s", "value": "v", "protection_key": "/k"})).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}
