//! What a gateway tells of its traffic: its access log, its metrics, the traces that it is part of. No key is told.

use std::path::Path;

use gateward_testkit::{eventually, http};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::double::Double;
use crate::gateway::{Gateway, PATIENCE};
use crate::plot::{Plot, data_directory};

#[test]
fn requests_are_written_down_counted_and_no_key_is_told() {
    let plot = Plot::new();
    let upstream = Double::start(|_, _| "here".to_owned());
    let path = data_directory(plot.folder()).join("access.log");
    std::fs::create_dir_all(data_directory(plot.folder())).expect("a folder");
    let mut gateway = Gateway::start(&plot, &[("GATEWARD_ACCESS_LOG", path.to_str().expect("text"))]);
    let (key, other) = (plot.plant("key"), plot.plant("other"));
    let put = |at: &str, json: Value| {
        let answer = gateway.apisix("PUT", at, &json.to_string());
        assert!(answer.status == 201 || answer.status == 200, "{at}: {}", answer.text());
    };
    put("/consumers", json!({"username": "ann", "plugins": {"key-auth": {"key": key}}}));
    put(
        "/routes/guarded",
        json!({
            "uris": ["/other", "/guarded/*"],
            "plugins": {"key-auth": {"query": "who"}, "prometheus": {}, "opentelemetry": {"sampler": {"name": "always_on"}}},
            "upstream": {"nodes": {upstream.address(): 1}},
        }),
    );
    // Nobody listens there: a collector that is down harms no request.
    put(
        "/plugin_metadata/opentelemetry",
        json!({"collector": {"address": "127.0.0.1:1"}, "batch_span_processor": {"inactive_timeout": 0}, "set_ngx_var": true}),
    );
    let target = format!("/guarded/1?who={key}&api_key={other}&page=2");
    let answer = gateway.ask(
        "GET",
        &format!("{}{target}", gateway.traffic),
        &[("Referer", &format!("http://h/?token={other}"))],
        "",
    );
    assert_eq!((answer.status, answer.text().as_str()), (200, "here"));
    assert_eq!(gateway.get(&format!("/guarded/1?who={other}")).status, 401);
    assert_eq!(gateway.get("/nowhere").status, 404);
    let bytes = format!("GET /x?apikey={other} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    let refused = http::raw(PATIENCE, gateway.traffic.trim_start_matches("http://"), bytes.as_bytes());
    assert_eq!(refused.expect("an answer").status, 400);

    let told =
        wait_for(&path, |lines| lines.iter().any(|line| line["status"] == 400).then(|| lines.to_vec()));
    let found = told.iter().find(|line| line["consumer"] == "ann").expect("the first request");
    for (field, value) in [
        ("uri", json!("/guarded/1?who=***&api_key=***&page=2")),
        ("status", json!(200)),
        ("route_id", json!("guarded")),
        ("upstream_addr", json!(upstream.address())),
        ("upstream_status", json!(200)),
        ("body_bytes_sent", json!(4)),
        ("referer", json!("http://h/?token=***")),
        ("request_id", json!(answer.header("x-request-id"))),
        ("complete", json!(true)),
    ] {
        assert_eq!(found[field], value, "{field}: {found}");
    }
    assert_eq!(found["opentelemetry_trace_id"].as_str().map(str::len), Some(32), "{found}");
    let statuses: Vec<_> = told.iter().filter_map(|line| line["status"].as_u64()).collect();
    assert!([401, 404, 400].iter().all(|status| statuses.contains(status)), "{statuses:?}");
    let code = |status: u64| {
        told.iter().find(|line| line["status"] == status).map(|line| line["error_code"].clone())
    };
    assert_eq!(code(404), Some(json!("no_route")));

    let metrics = |path: &str| gateway.ask("GET", &format!("{}{path}", gateway.control), &[], "").text();
    let apisix = metrics("/apisix/prometheus/metrics");
    let counted = format!(
        "apisix_http_status{{code=\"200\",route=\"guarded\",matched_uri=\"/guarded/*\",matched_host=\"\",service=\"\",consumer=\"ann\",node=\"{}\"}} 1\n",
        upstream.address().split(':').next().expect("a host")
    );
    assert!(apisix.contains(&counted), "{apisix}");
    assert!(apisix.contains("apisix_http_status{code=\"401\",route=\"guarded\""), "{apisix}");
    assert!(
        apisix.contains("apisix_node_info{hostname=\"") && apisix.contains("\napisix_http_requests_total ")
    );
    let own = metrics("/metrics");
    assert!(own.contains("gateward_refusals_total{code=\"no_route\"} 1\n"), "{own}");
    assert!(own.contains("gateward_access_log_records_total{outcome=\"dropped\"} 0\n"), "{own}");
    let failed = eventually(PATIENCE, || {
        metrics("/metrics").contains("gateward_spans_total{outcome=\"failed\"} 2\n").then_some(())
    });
    assert!(failed.is_some(), "{}", metrics("/metrics"));

    // A file that has been moved away is begun anew, and what ends last is written, too.
    let old = path.with_extension("log.1");
    std::fs::rename(&path, &old).expect("it is there");
    let id = i32::try_from(gateway.id()).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(id, Signal::USR1).expect("it lives");
    assert!(eventually(PATIENCE, || path.exists().then_some(())).is_some());
    assert_eq!(gateway.get("/last").status, 404);
    assert_eq!(gateway.terminate(PATIENCE).code(), Some(0));
    assert!(lines(&path).iter().any(|line| line["uri"] == "/last"), "{:?}", lines(&path));
    drop(gateway);
    plot.end();
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// What `look` finds in the log at `path`, once it finds something.
#[track_caller]
fn wait_for<T>(path: &Path, look: impl Fn(&[Value]) -> Option<T>) -> T {
    eventually(PATIENCE, || look(&lines(path))).unwrap_or_else(|| panic!("{:?}", lines(path)))
}
