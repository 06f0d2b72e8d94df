//! What is wrong is answered with one sentence that names where, the right code, and nothing changed; what stood there
//! is neither told back nor logged.

use gateward_testkit::eventually;
use gateward_testkit::http::Response;
use serde_json::{Value, json};

use crate::double::Double;
use crate::gateway::{self, APISIX_KEY, GATEWARD, Gateway, PATIENCE};
use crate::plot::{ACCESS_ID, Plot};

#[test]
fn bad_input_is_answered_with_a_sentence_and_changes_nothing() {
    let plot = Plot::new();
    let gateway = Gateway::start(&plot, &[]);
    a_wrong_route_leaves_the_one_that_stands(&plot, &gateway);
    a_wrong_vault_is_not_there(&plot, &gateway);
    a_wrong_item_is_not_there(&plot, &gateway);
    who_is_not_the_administrator_learns_nothing(&plot, &gateway);
    gateway.show_everything();
    drop(gateway);
    plot.end();
}

#[test]
fn an_unknown_key_in_the_settings_is_refused_at_the_start() {
    let plot = Plot::new();
    let file = plot.folder().join("gateward.yaml");
    std::fs::write(&file, format!("log: info\nroot_kee: {}\n", plot.plant("setting"))).expect("a file");
    let refused = gateway::run(&plot, gateway::command(&plot, GATEWARD).arg("dev"));
    let sentence = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{sentence}");
    assert!(sentence.contains("root_kee") && sentence.contains("gateward.yaml"), "{sentence}");
    assert_eq!(sentence.trim().lines().count(), 1, "{sentence}");

    let mut command = gateway::command(&plot, GATEWARD);
    std::fs::remove_file(&file).expect("the file is there");
    command.arg("dev").env("GATEWARD_ROOT_KEE", plot.plant("variable"));
    let refused = gateway::run(&plot, &mut command);
    let sentence = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{sentence}");
    assert!(sentence.contains("GATEWARD_ROOT_KEE"), "{sentence}");
    plot.end();
}

#[test]
fn an_unusable_answer_of_a_producer_is_502_and_what_was_made_goes_or_is_reported() {
    let plot = Plot::new();
    let told = plot.plant("response");
    let producer = {
        let told = told.clone();
        Double::start(move |path, body| answer_of_a_producer(path, body, &told))
    };
    let gateway = Gateway::start(&plot, &[]);
    let url = |call: &str| format!("http://{}/sync/{call}", producer.address());
    let item = json!({"name": "/odd", "create-sync-url": url("create"), "revoke-sync-url": url("revoke")});
    gateway.done("dynamic-secret-create-custom", item);
    let get = |how: &str| {
        let body = json!({"name": "/odd", "token": gateway.token(), "args": [format!("how={how}")]});
        let answer = gateway.akeyless("/get-dynamic-secret-value", &body);
        (answer.status, answer.json()["error"].as_str().unwrap_or_default().to_owned())
    };
    for (how, names, revoked) in [("text", "response", "made-1"), ("number", "id", "4711")] {
        let (status, sentence) = get(how);
        assert!(status == 502 && sentence.contains(names), "{how}: {status} {sentence}");
        let asked = eventually(PATIENCE, || {
            let revoked = json!([revoked]);
            let is_it = |(path, body): &(String, String)| path == "/sync/revoke" && ids(body) == revoked;
            producer.asked().iter().any(is_it).then_some(())
        });
        assert!(asked.is_some(), "{how}: {revoked} was not revoked: {:?}", producer.asked());
    }
    let settled = eventually(PATIENCE, || gateway.leases("/odd").is_empty().then_some(()));
    assert!(settled.is_some(), "{:?}", gateway.leases("/odd"));
    for (how, names) in [("nameless", "id"), ("noise", "JSON")] {
        let (status, sentence) = get(how);
        assert!(status == 502 && sentence.contains(names), "{how}: {status} {sentence}");
    }
    let states: Vec<Value> = gateway.leases("/odd").iter().map(|lease| lease["state"].clone()).collect();
    assert_eq!(states, ["UNKNOWN", "UNKNOWN"]);
    drop(gateway);
    plot.end();
}

/// A producer that answers as its input says, and a dry run as it should.
fn answer_of_a_producer(path: &str, body: &str, told: &str) -> String {
    if path == "/sync/revoke" {
        return json!({"revoked": ids(body)}).to_string();
    }
    let request: Value = serde_json::from_str(body).unwrap_or_default();
    match request["input"]["how"].as_str() {
        Some("text") => json!({"id": "made-1", "response": told}).to_string(),
        Some("number") => json!({"id": 4711, "response": {"password": told}}).to_string(),
        Some("nameless") => json!({"response": {"password": told}}).to_string(),
        Some("noise") => format!("made {told}"),
        _ => json!({"id": "dry", "response": {}}).to_string(),
    }
}

fn ids(body: &str) -> Value {
    serde_json::from_str::<Value>(body).unwrap_or_default()["ids"].clone()
}

fn a_wrong_route_leaves_the_one_that_stands(plot: &Plot, gateway: &Gateway<'_>) {
    let good = json!({"uri": "/a", "upstream": {"type": "roundrobin", "nodes": {"127.0.0.1:1": 1}}});
    assert_eq!(gateway.apisix("PUT", "/routes/1", &good.to_string()).status, 201);
    let standing = gateway.apisix("GET", "/routes/1", "").json();
    let lambda = |iam: Value| {
        let plugin = json!({"function_uri": "http://127.0.0.1:1/", "authorization": {"iam": iam}});
        json!({"uri": "/a", "plugins": {"aws-lambda": plugin}}).to_string()
    };
    let value = || plot.plant("bad");
    let bad = [
        (json!({"uri": "/a", "plugins": {"aws-lamda": {"key": value()}}}).to_string(), "aws-lamda"),
        (lambda(json!({"accesskey": "A", "secretkey": format!("{{vault://{}", value())})), "secretkey"),
        (lambda(json!({"accesskey": "A", "secretkey": [value()]})), "secretkey"),
        (lambda(json!({"accesskey": "A", "secretkey": value(), "regoin": value()})), "regoin"),
        (json!({"uri": "/a", "upstreem": value()}).to_string(), "upstreem"),
        (format!("{{\"uri\": \"/a\", {}", value()), "body"),
        (format!("[\"{}\"]", value()), "body"),
    ];
    for (body, names) in bad {
        let answer = gateway.apisix("PUT", "/routes/1", &body);
        says(&answer, 400, "error_msg", names);
        assert_eq!(gateway.apisix("GET", "/routes/1", "").json(), standing);
        let other = gateway.apisix("PUT", "/routes/2", &body);
        assert_eq!((other.status, gateway.apisix("GET", "/routes/2", "").status), (400, 404));
    }
}

fn a_wrong_vault_is_not_there(plot: &Plot, gateway: &Gateway<'_>) {
    let url = format!("{}/vaults/here", gateway.control);
    let token = gateway.token();
    let put = |kind: &str, body: &str| {
        gateway.ask("PUT", &url, &[("Kong-Admin-Token", &token), ("Content-Type", kind)], body)
    };
    let (json_body, form) = ("application/json", "application/x-www-form-urlencoded");
    let value = || plot.plant("bad");
    for (kind, body, names) in [
        (json_body, format!("{{\"name\": {}", value()), "JSON"),
        (json_body, json!({"name": "env", "confg": value()}).to_string(), "confg"),
        (json_body, json!({"name": "aws", "config": {"ttl": value()}}).to_string(), "ttl"),
        (form, format!("name=aws&config.regoin={}", value()), "regoin"),
        (form, format!("description={}", value()), "name"),
    ] {
        says(&put(kind, &body), 400, "message", names);
        let there = gateway.ask("GET", &url, &[("Kong-Admin-Token", &token)], "");
        assert_eq!(there.status, 404, "{body}");
    }
}

fn a_wrong_item_is_not_there(plot: &Plot, gateway: &Gateway<'_>) {
    let good = json!({
        "name": "/x", "create-sync-url": "http://127.0.0.1:1/c", "revoke-sync-url": "http://127.0.0.1:1/r",
        "token": gateway.token(),
    });
    let value = || plot.plant("bad");
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body.to_string()
    };
    for (body, names) in [
        (with("user-ttl", value().into()), "user-ttl"),
        (with("timeout-sec", value().into()), "timeout-sec"),
        (with("revoke-sync-url", value().into()), "revoke-sync-url"),
        (with("create-sync-url", format!("ftp://u:{}@127.0.0.1/", value()).into()), "create-sync-url"),
        (with("payload", json!([value()])), "payload"),
        (with("name", json!({"a": value()})), "name"),
        (format!("{{\"name\": \"/x\" {}", value()), "body"),
        // Nothing listens there, so that the dry run fails.
        (with("payload", value().into()), "dry run"),
    ] {
        let url = format!("{}/dynamic-secret-create-custom", gateway.control);
        let answer = gateway.ask("POST", &url, &[("Content-Type", "application/json")], &body);
        says(&answer, 400, "error", names);
    }
    let listed = json!({"name": "/x", "token": gateway.token()});
    assert_eq!(gateway.akeyless("/dynamic-secret-tmp-creds-get", &listed).status, 404);
}

fn who_is_not_the_administrator_learns_nothing(plot: &Plot, gateway: &Gateway<'_>) {
    let wrong = plot.plant("wrong");
    let login =
        |access_id: &str| json!({"access-id": access_id, "access-key": wrong, "access-type": "access_key"});
    let answers = [ACCESS_ID, "p-nobody"].map(|access_id| gateway.akeyless("/auth", &login(access_id)));
    says(&answers[0], 401, "error", "access");
    assert_eq!(answers[0].json(), answers[1].json(), "which of the two is wrong is not told");
    let body = json!({"name": "/x", "token": wrong});
    says(&gateway.akeyless("/get-dynamic-secret-value", &body), 401, "error", "token");
    let routes = format!("{}/apisix/admin/routes", gateway.control);
    says(&gateway.ask("GET", &routes, &[(APISIX_KEY.0, &wrong)], ""), 401, "error_msg", "token");
    let vaults = format!("{}/vaults", gateway.control);
    says(&gateway.ask("GET", &vaults, &[("Kong-Admin-Token", &wrong)], ""), 401, "message", "token");
    says(&gateway.ask("GET", &vaults, &[], ""), 401, "message", "token");
}

/// The answer has this status and, as its `field`, one line that has `names` in it.
#[track_caller]
fn says(answer: &Response, status: u16, field: &str, names: &str) {
    let body = answer.json();
    let sentence = body[field].as_str().unwrap_or_default();
    assert_eq!(answer.status, status, "{body}");
    assert!(sentence.contains(names) && sentence.lines().count() == 1, "{names} is not named: {body}");
}
