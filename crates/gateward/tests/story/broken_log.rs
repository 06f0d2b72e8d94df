//! A log that cannot be written: its reader is gone, or its disk is full. Lines are lost and counted, and nothing else is.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::double::Double;
use crate::gateway::{APISIX_KEY, Gateway, PATIENCE};
use crate::plot::Plot;

#[test]
fn a_log_whose_reader_is_gone_ends_no_request_and_no_process() {
    let plot = Plot::new();
    let pipe = plot.folder().join("log");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there");
    assert!(made.success());
    let gateway = Gateway::start_logging_to(&plot, &pipe);
    let mut log = BufReader::new(File::open(&pipe).expect("the gateway opens its end"));
    let mut line = String::new();
    while !line.contains("Gateward serves traffic on ") {
        line.clear();
        assert_ne!(log.read_line(&mut line).expect("a line"), 0, "the gateway has ended");
    }
    drop(log);
    serves_without_a_log(&plot, gateway);
    plot.end();
}

#[test]
fn a_log_on_a_full_disk_ends_no_request_and_no_process() {
    let plot = Plot::new();
    let gateway = Gateway::start_logging_to(&plot, Path::new("/dev/full"));
    serves_without_a_log(&plot, gateway);
    plot.end();
}

/// Every one of these calls is logged, by the audit if by nothing else.
#[track_caller]
fn serves_without_a_log(plot: &Plot, mut gateway: Gateway<'_>) {
    gateway.wait_until_it_answers();
    let producer = Double::start(|path, _| match path {
        "/create" => json!({"id": "user-1", "response": {"user": "user-1"}}).to_string(),
        _ => json!({"revoked": ["user-1"]}).to_string(),
    });
    let url = |call: &str| format!("http://{}/{call}", producer.address());
    let secret = json!({"name": "/log/x", "create-sync-url": url("create"), "revoke-sync-url": url("revoke"),
        "payload": plot.plant("payload"), "skip-dry-run": true});
    gateway.done("dynamic-secret-create-custom", secret);
    let issued = gateway.done("get-dynamic-secret-value", json!({"name": "/log/x"}));
    assert_eq!(issued["user"], "user-1");
    gateway.done("dynamic-secret-tmp-creds-delete", json!({"name": "/log/x", "revoke-all": true}));
    assert_eq!(producer.asked().len(), 2, "{:?}", producer.asked());
    gateway.done("create-secret", json!({"name": "/log/s", "value": plot.plant("value")}));
    assert_eq!(gateway.get("/nothing").status, 404);
    let metrics = gateway.ask("GET", &format!("{}/metrics", gateway.control), &[APISIX_KEY], "").text();
    let lost = metrics.lines().find_map(|line| line.strip_prefix("gateward_log_lines_lost_total "));
    let lost: u64 = lost.expect("they are counted").parse().expect("a number");
    assert!(lost >= 4, "{lost} lines are lost");
    assert_eq!(gateway.terminate(PATIENCE).code(), Some(0));
}
