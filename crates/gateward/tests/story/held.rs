//! What the holder of a lease is told and may do: its name, its end, another end, and the same again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use gateward_clock::{Clock as _, SystemClock, Timestamp};
use gateward_testkit::eventually;
use gateward_testkit::http::Response;
use serde_json::{Value, json};

use crate::double::Double;
use crate::gateway::{Gateway, PATIENCE};
use crate::plot::Plot;

#[test]
fn who_holds_a_lease_knows_it_renews_it_and_is_given_it_again_for_the_same_key() {
    let plot = Plot::new();
    let (let_go, held_back) = mpsc::channel::<()>();
    let made = AtomicU64::new(0);
    let producer = Double::start(move |path, body| {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        if path == "/sync/revoke" {
            return json!({"revoked": body["ids"]}).to_string();
        }
        if body["input"]["how"] == "slow" {
            // Until the test lets it go, or has ended.
            let _ = held_back.recv();
        }
        let id = format!("made-{}", made.fetch_add(1, Ordering::Relaxed));
        json!({"id": id, "response": {"user": id}}).to_string()
    });
    let gateway = Gateway::start(&plot, &[]);
    let url = |call: &str| format!("http://{}/sync/{call}", producer.address());
    let item = json!({
        "name": "/held", "create-sync-url": url("create"), "revoke-sync-url": url("revoke"), "user-ttl": "10m",
        "payload": plot.plant("held"),
    });
    gateway.done("dynamic-secret-create-custom", item);
    let get = |more: Value| {
        let mut body = json!({"name": "/held", "token": gateway.token()});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        gateway.akeyless("/get-dynamic-secret-value", &body)
    };
    let lease = |answer: &Response| answer.header("x-gateward-lease-id").expect("its name").to_owned();

    // A time to live of its own, and no longer than the item's.
    for (ttl, most) in [("90s", 90), ("90", 90), ("24h", 600)] {
        let span = Duration::from_secs(most);
        let asked = SystemClock.now();
        let answer = get(json!({"ttl": ttl}));
        let answered = SystemClock.now();
        assert_eq!(answer.status, 200, "{}", answer.text());
        // It counts from the producer's answer, and is told in whole seconds.
        let (first, last) = (asked + span - Duration::from_secs(1), answered + span);
        let end = ends(&answer);
        assert!(first <= end && end <= last, "{ttl}: {first} to {last}, and not {end}");
    }
    for ttl in ["0", "canary", "0s"] {
        let answer = get(json!({"ttl": ttl}));
        assert!(answer.status == 400 && answer.text().contains("ttl"), "{ttl}: {}", answer.text());
    }

    // The same key is the same credential, and another wish with it is refused.
    let first = get(json!({"idempotency-key": "k", "args": ["a=b"]}));
    let again = get(json!({"idempotency-key": "k", "args": ["a=b"]}));
    assert_eq!((again.json(), lease(&again)), (first.json(), lease(&first)));
    assert_eq!(get(json!({"idempotency-key": "k", "args": ["a=c"]})).status, 409);

    // Another end, and an end at once.
    let id = lease(&first);
    let renew = |id: &str, minutes: u64| {
        let token = gateway.token();
        let body =
            json!({"name": "/held", "tmp-creds-id": id, "new-ttl-min": minutes, "host": "", "token": token});
        gateway.akeyless("/dynamic-secret-tmp-creds-update", &body)
    };
    let renewed = renew(&id, 2);
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    let listed = gateway.leases("/held");
    let listed = listed.iter().find(|lease| lease["id"] == id.as_str()).expect("it is listed");
    assert_eq!(listed["expires_at"], renewed.json()["expires_at"]);
    assert_eq!(renew(&id, 0).status, 400);
    gateway.done("dynamic-secret-tmp-creds-delete", json!({"name": "/held", "tmp-creds-id": id}));
    assert_eq!(renew(&id, 2).status, 404);
    assert_eq!(renew("canary", 2).status, 404);
    assert_ne!(
        lease(&get(json!({"idempotency-key": "k", "args": ["a=b"]}))),
        id,
        "what is revoked is not given again"
    );

    // What comes after the caller has gone is revoked.
    let late = get(json!({"timeout": 1, "args": ["how=slow"]}));
    assert!(late.status == 504 && late.text().contains("timeout"), "{}", late.text());
    let before = gateway.leases("/held").len();
    let_go.send(()).expect("the producer waits");
    let gone = eventually(PATIENCE, || (gateway.leases("/held").len() < before).then_some(()));
    assert!(gone.is_some(), "{:?}", gateway.leases("/held"));
    gateway.done("dynamic-secret-delete", json!({"name": "/held"}));
    drop(gateway);
    plot.end();
}

#[test]
fn nobody_holds_more_leases_than_the_settings_allow() {
    let plot = Plot::new();
    let producer = Double::start(|path, body| {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        match path {
            "/sync/revoke" => json!({"revoked": body["ids"]}),
            _ => json!({"id": body["lease_id"], "response": {}}),
        }
        .to_string()
    });
    let gateway = Gateway::start(&plot, &[("GATEWARD_LEASE_LIMITS", "identity=2")]);
    let url = |call: &str| format!("http://{}/sync/{call}", producer.address());
    for name in ["/a", "/b"] {
        let item = json!({"name": name, "create-sync-url": url("create"), "revoke-sync-url": url("revoke")});
        gateway.done("dynamic-secret-create-custom", item);
        gateway.done("get-dynamic-secret-value", json!({"name": name}));
    }
    let beyond = json!({"name": "/a", "token": gateway.token()});
    let answer = gateway.akeyless("/get-dynamic-secret-value", &beyond);
    assert_eq!(answer.status, 429, "{}", answer.text());
    gateway.done("dynamic-secret-delete", json!({"name": "/b"}));
    gateway.done("get-dynamic-secret-value", json!({"name": "/a"}));
    drop(gateway);
    plot.end();
}

/// When the credential of an answer is revoked.
fn ends(answer: &Response) -> Timestamp {
    let text = answer.header("x-gateward-lease-expires").expect("its end");
    Timestamp::parse_rfc3339(text).expect("a time")
}
