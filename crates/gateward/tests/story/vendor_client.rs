//! The vendor's own client library does what it does with the vendor's gateway.

use gateward_testkit::workspace::{peer, python_program};
use serde_json::{Value, json};

use crate::double::Double;
use crate::gateway::{self, Gateway};
use crate::plot::Plot;
use crate::users_file::UsersFile;

/// Logs in, creates, gets, lists and deletes with the vendor's library.
#[track_caller]
pub fn drives_it_all(plot: &Plot, gateway: &Gateway<'_>, producer: &UsersFile) {
    let rotated = plot.plant("rotated");
    let rotator = {
        let rotated = rotated.clone();
        Double::start(move |_, _| json!({"payload": rotated}).to_string())
    };
    let rotate_url = format!("http://{}/sync/rotate", rotator.address());
    let mut command = gateway::command(plot, python_program("python"));
    command.arg(peer("akeyless_client.py")).args([&gateway.control, "/vendor/login"]);
    command.args([producer.url("create"), producer.url("revoke"), rotate_url, plot.plant("vendor"), rotated]);
    let output = gateway::run(plot, &mut command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).expect("the client tells what it got");
    assert_eq!(told["created"], "/vendor/login");
    assert_eq!(told["lease"]["producer_id"], told["value"]["user"]);
    assert_eq!((&told["refused"], &told["deleted"]), (&Value::from(401), &Value::from("/vendor/login")));
    assert!(!producer.has(&told["value"]["user"]));
    assert_eq!(told["changed"], json!({"user_ttl": "20m", "active": true}));
}
