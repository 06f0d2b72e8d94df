//! Payloads that are replaced: both are kept until the new one has worked, and no crash loses the one that works.

use std::sync::{Arc, Mutex, PoisonError};

use gateward_testkit::eventually;
use serde_json::{Value, json};

use crate::double::Double;
use crate::gateway::{Gateway, PATIENCE};
use crate::plot::Plot;

/// What a producer with a payload of its own knows.
struct Knows {
    /// The payloads that it takes.
    taken: Vec<String>,
    /// What the next rotation gives.
    next: Vec<String>,
    /// Each call, and the payload that it was made with.
    called: Vec<(String, String)>,
}

/// A producer that takes some payloads and answers 401 to others.
struct Picky {
    double: Double,
    knows: Arc<Mutex<Knows>>,
}

impl Picky {
    fn start(first: &str, next: &[&String]) -> Self {
        let knows = Knows {
            taken: vec![first.to_owned()],
            next: next.iter().rev().map(|payload| (*payload).clone()).collect(),
            called: Vec::new(),
        };
        let knows = Arc::new(Mutex::new(knows));
        let answering = Arc::clone(&knows);
        let double = Double::with_status(move |path, body| {
            let mut knows = answering.lock().unwrap_or_else(PoisonError::into_inner);
            let body: Value = serde_json::from_str(body).unwrap_or_default();
            let payload = body["payload"].as_str().unwrap_or_default().to_owned();
            knows.called.push((path.to_owned(), payload.clone()));
            if !knows.taken.contains(&payload) {
                return (401, json!({"error": "unauthorized"}).to_string());
            }
            let answer = match path {
                "/sync/rotate" => json!({"payload": knows.next.pop()}),
                "/sync/revoke" => json!({"revoked": body["ids"]}),
                _ => json!({"id": "made", "response": {"user": "made"}}),
            };
            (200, answer.to_string())
        });
        Self { double, knows }
    }

    fn url(&self, call: &str) -> String {
        format!("http://{}/sync/{call}", self.double.address())
    }

    fn knows<T>(&self, look: impl FnOnce(&mut Knows) -> T) -> T {
        look(&mut self.knows.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The payloads of the calls since this was asked last.
    fn calls(&self) -> Vec<(String, String)> {
        self.knows(|knows| std::mem::take(&mut knows.called))
    }
}

#[test]
fn both_payloads_are_kept_until_the_new_one_has_worked_and_no_crash_loses_the_one_that_works() {
    let plot = Plot::new();
    let [one, two, three, four, five] =
        ["one", "two", "three", "four", "five"].map(|label| plot.plant(label));
    let producer = Picky::start(&one, &[&two, &three, &four, &five]);
    let gateway = Gateway::start(&plot, &[]);
    let item = json!({
        "name": "/picky", "create-sync-url": producer.url("create"), "revoke-sync-url": producer.url("revoke"),
        "rotate-sync-url": producer.url("rotate"), "payload": one, "timeout-sec": 3,
    });
    gateway.done("dynamic-secret-create-custom", item);
    assert!(producer.calls().iter().all(|(path, _)| path != "/sync/rotate"), "a dry run rotates nothing");

    gateway.done("gateway-rotate-secret", json!({"name": "/picky"}));
    producer.calls();
    // It does not take the new one yet.
    gateway.done("get-dynamic-secret-value", json!({"name": "/picky"}));
    let create = |payload: &String| ("/sync/create".to_owned(), payload.clone());
    assert_eq!(producer.calls(), [create(&two), create(&one)]);
    assert_eq!(known(&gateway)["payload_on_trial"], true);
    producer.knows(|knows| knows.taken.push(two.clone()));
    gateway.done("get-dynamic-secret-value", json!({"name": "/picky"}));
    assert_eq!(producer.calls(), [create(&two)]);
    assert_eq!(known(&gateway)["payload_on_trial"], false);
    producer.knows(|knows| knows.taken.retain(|payload| *payload == two));
    gateway.show_everything();
    drop(gateway);

    // Killed before the producer is called, and when it has answered.
    for (failpoint, called, newest) in [("rotating", false, &three), ("rotated", true, &five)] {
        let mut gateway = Gateway::start(&plot, &[("GATEWARD_FAILPOINT", failpoint)]);
        producer.calls();
        gateway.dies_of("gateway-rotate-secret", json!({"name": "/picky"}));
        assert!(gateway.dies_as_killed(PATIENCE));
        drop(gateway);
        let calls = producer.calls();
        assert_eq!(calls.iter().any(|(path, _)| path == "/sync/rotate"), called, "{failpoint}: {calls:?}");

        let gateway = Gateway::start(&plot, &[]);
        let told = eventually(PATIENCE, || {
            let failure = known(&gateway)["failure_message"].clone();
            failure.as_str().is_some_and(|why| why.contains("nobody knows")).then_some(())
        });
        assert!(told.is_some(), "{failpoint}: {}", known(&gateway));
        // What worked works, and can be rotated.
        gateway.done("get-dynamic-secret-value", json!({"name": "/picky"}));
        gateway.done("gateway-rotate-secret", json!({"name": "/picky"}));
        assert_eq!(known(&gateway)["failure_message"], Value::Null);
        producer.knows(|knows| knows.taken = vec![newest.clone()]);
        gateway.done("get-dynamic-secret-value", json!({"name": "/picky"}));
        assert_eq!(producer.calls().pop(), Some(create(newest)));
        drop(gateway);
    }
    let gateway = Gateway::start(&plot, &[]);
    gateway.done("dynamic-secret-tmp-creds-delete", json!({"name": "/picky", "revoke-all": true}));
    drop(gateway);
    plot.end();
}

#[test]
fn producers_stand_where_the_administrator_has_said_and_nowhere_else() {
    let plot = Plot::new();
    let payload = plot.plant("payload");
    let producer = Picky::start(&payload, &[]);
    let item = json!({
        "name": "/x", "create-sync-url": producer.url("create"), "revoke-sync-url": producer.url("revoke"),
        "payload": payload,
    });
    let gateway = Gateway::start(&plot, &[]);
    gateway.done("dynamic-secret-create-custom", item.clone());
    drop(gateway);

    let gateway = Gateway::start(&plot, &[("GATEWARD_PRODUCERS_ALLOW", "10.0.0.5:7070,https://h.example/")]);
    producer.calls();
    let refused = |operation: &str, mut body: Value| {
        body["token"] = gateway.token().into();
        let answer = gateway.akeyless(&format!("/{operation}"), &body);
        (answer.status, answer.json()["error"].as_str().unwrap_or_default().to_owned())
    };
    let mut other = item.clone();
    other["name"] = "/y".into();
    let (status, sentence) = refused("dynamic-secret-create-custom", other);
    assert!(status == 400 && sentence.contains("create-sync-url"), "{status} {sentence}");
    assert!(sentence.contains("producers_allow"), "{sentence}");
    let target = json!({"name": "/t", "url": producer.url("rotate")});
    assert_eq!(refused("target-create-web", target).0, 400);
    // One that was there before the list is not called either.
    let (status, sentence) = refused("get-dynamic-secret-value", json!({"name": "/x"}));
    assert!(status == 502 && sentence.contains("producers_allow"), "{status} {sentence}");
    assert_eq!(producer.calls(), []);
    drop(gateway);
    plot.end();
}

fn known(gateway: &Gateway<'_>) -> Value {
    gateway.done("dynamic-secret-get", json!({"name": "/picky"}))
}
