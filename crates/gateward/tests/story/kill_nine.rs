//! A power cut at every durable step of a lease: whatever was made is revoked, or reported, and never forgotten.

use gateward_testkit::{eventually, free_port, http};
use serde_json::{Value, json};

use crate::gateway::{Gateway, PATIENCE};
use crate::plot::Plot;
use crate::users_file::UsersFile;

const ITEM: &str = "/demo/cut";

/// Of the producer, where a lease is to be lost: INTENT counts as lost five seconds after it.
const TIMEOUT_SEC: u64 = 5;

#[test]
fn a_lease_survives_kill_minus_nine_at_every_durable_step() {
    std::thread::scope(|scope| {
        for (place, after) in [
            ("intent", After::Unknown { users: 0 }),
            ("created", After::Unknown { users: 1 }),
            ("active", After::Revoked { users: 1 }),
            ("claimed", After::Revoked { users: 1 }),
            ("revoke-answered", After::Revoked { users: 0 }),
            ("revoked", After::Revoked { users: 0 }),
        ] {
            std::thread::Builder::new()
                .name(place.to_owned())
                .spawn_scoped(scope, move || a_power_cut(place, after))
                .expect("a thread starts");
        }
    });
}

/// What is to come of the lease, and how many users the producer has when the gateway is dead.
#[derive(Clone, Copy)]
enum After {
    Unknown { users: usize },
    Revoked { users: usize },
}

#[track_caller]
fn a_power_cut(place: &str, after: After) {
    let plot = Plot::new();
    let port = free_port();
    let producer = UsersFile::start_plain(&plot, "users", "--jwks", &port.to_string());
    let mut gateway = Gateway::start_at(&plot, port, &[("GATEWARD_FAILPOINT", place)]);
    let timeout_sec = if matches!(after, After::Unknown { .. }) { TIMEOUT_SEC } else { 10 };
    let item = json!({
        "name": ITEM, "create-sync-url": producer.url("create"), "revoke-sync-url": producer.url("revoke"),
        "payload": plot.plant("payload"), "user-ttl": "4s", "timeout-sec": timeout_sec,
    });
    gateway.done("dynamic-secret-create-custom", item);
    let wanted = json!({"name": ITEM, "token": gateway.token()}).to_string();
    let url = format!("{}/get-dynamic-secret-value", gateway.control);
    // There is an answer if the gateway dies later, and none if it dies at this.
    let answer = http::try_request(PATIENCE, "POST", &url, &[], wanted.as_bytes());
    let issued = answer.is_ok_and(|answer| answer.status == 200);
    assert_eq!(issued, !matches!(place, "intent" | "created" | "active"), "{place}");
    assert!(gateway.dies_as_killed(PATIENCE), "{place}");
    drop(gateway);
    let (After::Unknown { users } | After::Revoked { users }) = after;
    assert_eq!(producer.users().len(), users, "{place}");

    let gateway = Gateway::start_at(&plot, port, &[]);
    match after {
        After::Unknown { users } => {
            let unknown = eventually(PATIENCE, || {
                let leases = gateway.leases(ITEM);
                leases.first().filter(|lease| lease["state"] == "UNKNOWN").cloned()
            });
            let lease = unknown.unwrap_or_else(|| panic!("{place}: the lease is not reported"));
            assert!(lease["last_error"].is_string() && lease["producer_id"] == Value::Null, "{lease}");
            assert_eq!(producer.users().len(), users, "{place}: nobody knows which user to drop");
        }
        After::Revoked { .. } => {
            let gone = eventually(PATIENCE, || producer.users().is_empty().then_some(()));
            let settled = eventually(PATIENCE, || gateway.leases(ITEM).is_empty().then_some(()));
            assert!(gone.is_some() && settled.is_some(), "{place}: {:?}", gateway.leases(ITEM));
        }
    }
    drop(gateway);
    plot.end();
}
