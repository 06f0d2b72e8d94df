//! A node that is down: found out by checks, left alone, and told to whoever has a key.

use gateward_testkit::eventually;
use serde_json::{Value, json};

use crate::double::Double;
use crate::gateway::{APISIX_KEY, Gateway, PATIENCE};
use crate::plot::Plot;

#[test]
fn a_node_that_nobody_reaches_is_found_out_and_left_alone() {
    let plot = Plot::new();
    let alive = Double::start(|_, _| "here".to_owned());
    let gateway = Gateway::start(&plot, &[]);
    let upstream = json!({
        "nodes": {alive.address(): 1, "127.0.0.1:1": 1},
        "retries": 0,
        "checks": {"active": {"unhealthy": {"tcp_failures": 1}}},
    });
    assert_eq!(gateway.apisix("PUT", "/upstreams/1", &upstream.to_string()).status, 201);
    let route = json!({"uri": "/*", "upstream_id": "1"});
    assert_eq!(gateway.apisix("PUT", "/routes/1", &route.to_string()).status, 201);
    let health = || {
        let url = format!("{}/v1/healthcheck/upstreams/1", gateway.control);
        gateway.ask("GET", &url, &[APISIX_KEY], "").json()
    };
    let known =
        eventually(PATIENCE, || Some(health()).filter(|health| health.to_string().contains("unhealthy")));
    let known = known.expect("checks find out");
    assert_eq!((&known["name"], &known["type"]), (&json!("/apisix/upstreams/1"), &json!("http")));
    let nodes = known["nodes"].as_array().expect("nodes");
    let down: Vec<&Value> = nodes.iter().filter(|node| node["status"] == "unhealthy").collect();
    assert_eq!((nodes.len(), down.len(), &down[0]["port"]), (2, 1, &json!(1)), "{known}");
    assert_eq!(down[0]["counter"]["tcp_failure"], 1);
    for _ in 0..6 {
        assert_eq!(gateway.get("/").text(), "here");
    }

    let mut wrong = upstream;
    wrong["checks"]["active"]["http_path"] = json!("no path");
    let refused = gateway.apisix("PUT", "/upstreams/1", &wrong.to_string());
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("checks.active.http_path"), "{}", refused.text());
    assert_eq!(gateway.get("/").text(), "here");
}
