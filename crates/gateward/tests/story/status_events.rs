//! Events of EventBridge: what others hear of credentials, and that nobody waits for a bus that is out of order.

use gateward_testkit::{Double, Moto, Reply, eventually};
use serde_json::{Value, json};

use crate::gateway::{Gateway, PATIENCE};
use crate::plot::Plot;
use crate::users_file::UsersFile;

const REGION: &str = "eu-west-1";

#[test]
fn a_server_tells_a_bus_of_each_credential_and_of_itself_and_nothing_secret() {
    let plot = Plot::new();
    let moto = Moto::start();
    let queue = moto.create_event_bus(REGION, "changes");
    let mut gateway = start(&plot, "arn:aws:events:eu-west-1:123456789012:event-bus/changes", moto.url());
    let mut heard: Vec<Value> = Vec::new();
    let mut wait_for = |status: &str| {
        let found = eventually(PATIENCE, || {
            for message in moto.messages(REGION, &queue) {
                plot.hear("an event", message.clone());
                heard.push(serde_json::from_str(&message).expect("JSON"));
            }
            let place = heard.iter().position(|event| event["detail"]["status"] == status)?;
            Some(heard.remove(place))
        });
        found.unwrap_or_else(|| panic!("no event says {status}"))
    };
    assert_eq!(wait_for("started")["detail-type"], "Gateward Gateway Status Change");
    let (_producer, user) = issue(&plot, &gateway, "5s");
    let issued = wait_for("issued");
    assert_eq!(issued["detail-type"], "Gateward Lease Status Change");
    assert_eq!(issued["detail"]["item_name"], "/demo/login");
    assert!(issued["detail"]["lease_id"].as_str().is_some_and(|id| id.starts_with("l-")), "{issued}");
    assert!(!issued.to_string().contains(user.as_str().expect("a name")), "{issued}");
    // Others hear too of what somebody may have to look at.
    for _ in 0..5 {
        let wrong = json!({"access-id": "p-nobody", "access-key": "d3Jvbmc=", "access-type": "access_key"});
        assert_eq!(gateway.akeyless("/auth", &wrong).status, 401);
    }
    let refused = wait_for("refused_repeatedly");
    assert_eq!(
        (&refused["detail-type"], &refused["detail"]["access_id"], &refused["detail"]["times"]),
        (&json!("Gateward Login Status Change"), &json!("p-nobody"), &json!(5))
    );
    let payload = plot.plant("nextpayload");
    let rotating = Double::start(move |_| Reply::json(200, &json!({"payload": payload})));
    let secret = json!({
        "name": "/demo/rotated", "payload": plot.plant("payload"), "skip-dry-run": true, "create-sync-url": rotating.url(),
        "revoke-sync-url": rotating.url(), "rotate-sync-url": rotating.url(),
    });
    gateway.done("dynamic-secret-create-custom", secret);
    gateway.done("gateway-rotate-secret", json!({"name": "/demo/rotated"}));
    let rotated = wait_for("rotated");
    assert_eq!(
        (&rotated["detail-type"], &rotated["detail"]["item_name"]),
        (&json!("Gateward Rotation Status Change"), &json!("/demo/rotated"))
    );
    let revoked = wait_for("revoked");
    assert_eq!(revoked["detail"]["lease_id"], issued["detail"]["lease_id"]);
    assert!(gateway.terminate(PATIENCE).success());
    assert_eq!(wait_for("stopped")["source"], "gateward");
    drop(gateway);
    plot.end();
}

#[test]
fn a_bus_that_is_not_there_holds_nothing_up() {
    let plot = Plot::new();
    let mut gateway = start(&plot, "changes", "http://127.0.0.1:1");
    issue(&plot, &gateway, "60m");
    assert!(gateway.terminate(PATIENCE).success());
    drop(gateway);
    plot.end();
}

fn start<'p>(plot: &'p Plot, bus: &str, endpoint: &str) -> Gateway<'p> {
    let secret = plot.plant("awssecret");
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKIDEVENTS"),
        ("AWS_SECRET_ACCESS_KEY", secret.as_str()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL_EVENTBRIDGE", endpoint),
        ("GATEWARD_AWS_REGION", REGION),
        ("GATEWARD_EVENTS_BUS", bus),
    ];
    Gateway::start(plot, &variables)
}

fn issue(plot: &Plot, gateway: &Gateway<'_>, ttl: &str) -> (UsersFile, Value) {
    let producer = UsersFile::start(plot, "users", "--jwks", gateway.control_port());
    let secret = json!({
        "name": "/demo/login", "user-ttl": ttl, "payload": plot.plant("payload"),
        "create-sync-url": producer.url("create"), "revoke-sync-url": producer.url("revoke"),
    });
    gateway.done("dynamic-secret-create-custom", secret);
    let issued = gateway.done("get-dynamic-secret-value", json!({"name": "/demo/login"}));
    assert!(issued["user"].is_string(), "{issued}");
    (producer, issued["user"].clone())
}
