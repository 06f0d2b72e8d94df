//! What a request finds behind the gateway: a node, a function, or a reason why not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use gateward_net::{Body, Conn};
use gateward_proxy::Door;
use gateward_proxy::host::server::Limits;
use gateward_testkit::{Double, Reply, nobody};
use http::{Request, Response};
use serde_json::{Value, json};

use super::support::{Gate, Plane, body, header, nodes, status, upstream};

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_gets_the_request_as_the_client_wrote_it() {
    let (upstream, _) = upstream("u").await;
    let gate = Gate::to(upstream).await;
    let answer = gate
        .raw("GET //a%2Fb/%61?x=%20y HTTP/1.1\r\nHost: Gate.example:1\r\nX-Request-Id: mine\r\nConnection: close, X-Drop\r\nX-Drop: 1\r\n\r\n")
        .await;
    let told = body(&answer);
    assert_eq!(told["target"], "//a%2Fb/%61?x=%20y");
    assert_eq!(told["headers"]["host"], json!(["Gate.example:1"]));
    assert_eq!(told["headers"]["x-request-id"], json!(["mine"]));
    assert_eq!(told["headers"]["x-forwarded-for"], json!(["127.0.0.1"]));
    assert_eq!(told["headers"]["x-forwarded-port"], json!([gate.address.port().to_string()]));
    assert!(told["headers"].get("x-drop").is_none() && told["headers"].get("connection").is_none());
    assert_eq!(header(&answer, "x-request-id"), Some("mine"));
    assert_eq!(header(&answer, "server"), Some("gateward"));
    assert_eq!(header(&answer, "x-hop"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_goes_through_whole() {
    let (upstream, _) = upstream("u").await;
    let gate = Gate::to(upstream).await;
    let large = "0123456789".repeat(200_000);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{large}",
        large.len()
    );
    let told = body(&gate.raw(request).await);
    assert_eq!(told["body"].as_str().map(str::len), Some(large.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_is_a_404_that_says_so() {
    let gate = Gate::start().await;
    let answer = gate.raw("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&answer), 404);
    assert_eq!(header(&answer, "content-type"), Some("application/json"));
    let id = header(&answer, "x-request-id").unwrap();
    assert_eq!(
        body(&answer),
        json!({"error_msg": "404 Route Not Found", "code": "no_route", "request_id": id})
    );
    assert!(answer.ends_with("}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reason_why_nobody_answers_has_its_status_and_code() {
    let gate = Gate::start().await;
    let (slow, _permits) = upstream("slow").await;
    let soon = json!({"connect": 0.2, "send": 0.2, "read": 0.2});
    for (id, route, expected) in [
        ("missing", json!({"upstream_id": "nowhere"}), (502, "upstream_missing")),
        ("none", json!({"plugins": {}}), (503, "no_upstream")),
        ("empty", json!({"upstream": {"nodes": {}}}), (503, "no_nodes")),
        ("weightless", json!({"upstream": {"nodes": {"127.0.0.1:1": 0}}}), (503, "no_nodes")),
        ("down", json!({"upstream": nodes(&[nobody()])}), (502, "upstream_connect_failed")),
        ("wait", json!({"upstream": nodes(&[slow]), "timeout": soon}), (504, "upstream_timeout")),
        ("metadata", json!({"upstream": {"nodes": {"169.254.169.254:80": 1}}}), (502, "upstream_forbidden")),
        ("plugin", json!({"plugins": {"no-such": {}}, "upstream": nodes(&[slow])}), (503, "plugin_invalid")),
    ] {
        let mut route = route;
        route["uri"] = json!(format!("/{id}"));
        gate.plane.put("routes", id, &route).await;
        let (status, told) = gate.get(&format!("/{id}")).await;
        assert_eq!((status, told["code"].as_str()), (expected.0, Some(expected.1)), "{id}: {told}");
        assert!(told["request_id"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_gets_the_request_when_one_cannot_be_reached() {
    let (alive, _) = upstream("alive").await;
    let gate = Gate::start().await;
    let route = json!({"uri": "/*", "upstream": nodes(&[nobody(), alive, nobody()])});
    gate.plane.put("routes", "1", &route).await;
    for _ in 0..6 {
        let answer = gate
            .raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
            .await;
        let told = body(&answer);
        assert_eq!((&told["name"], &told["body"]), (&json!("alive"), &json!("hello")), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_take_turns_across_connections_and_threads() {
    let (a, _) = upstream("a").await;
    let (b, _) = upstream("b").await;
    let gate = Gate::start().await;
    gate.plane.put("routes", "1", &json!({"uri": "/*", "upstream": nodes(&[a, b])})).await;
    let mut names = Vec::new();
    for _ in 0..10 {
        names.push(gate.get("/").await.1["name"].clone());
    }
    assert_eq!(names.iter().filter(|name| **name == json!("a")).count(), 5, "{names:?}");
}

fn function(upstream: std::net::SocketAddr, key: &str) -> Value {
    let uri = format!("http://{upstream}/fn");
    json!({"uri": "/aws/*", "plugins": {"aws-lambda": {"function_uri": uri, "authorization": {"apikey": key}}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_that_cannot_be_resolved_is_a_503_and_never_the_key() {
    let (upstream, _) = upstream("function").await;
    let gate = Gate::start().await;
    gate.plane.put("routes", "1", &function(upstream, "{vault://env/gate-no-such-key}")).await;
    let (status, told) = gate.get("/aws/x").await;
    assert_eq!((status, &told["code"]), (503, &json!("secret_unresolved")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_that_is_resolved_gives_the_function_its_value() {
    let (upstream, _) = upstream("function").await;
    let plane = Plane::start(&[("GATE_KEY", "canary-key")]);
    let gate = Gate::with(plane, Limits::default(), None).await;
    gate.plane.put("routes", "1", &function(upstream, "{vault://env/gate-key}")).await;
    let (status, told) = gate.get("/aws/x%2Fy").await;
    assert_eq!((status, &told["name"]), (200, &json!("function")), "{told}");
    assert_eq!(told["headers"]["x-api-key"], json!(["canary-key"]));
    assert_eq!(told["target"], "/fn/x%2Fy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_refused_is_asked_for_again_and_the_new_one_used() {
    let rotated = Arc::new(AtomicBool::new(false));
    let key = |rotated: &AtomicBool| if rotated.load(Ordering::SeqCst) { "new" } else { "old" };
    let known = Arc::clone(&rotated);
    let vault = Double::start(move |asked| {
        let data = match asked.what.as_str() {
            // The token is the root token, which lives for ever.
            "GET /v1/auth/token/lookup-self" => json!({"ttl": 0, "renewable": false}),
            _ => json!({"key": key(&known)}),
        };
        Reply::json(200, &json!({ "data": data }))
    });
    let known = Arc::clone(&rotated);
    let function_double = Double::start(move |asked| {
        let is_current = asked.header("x-api-key") == Some(key(&known));
        Reply::text(if is_current { 200 } else { 403 }, "{}")
    });
    let environment = [
        ("GATEWARD_VAULT_HCV_HOST", "127.0.0.1"),
        ("GATEWARD_VAULT_HCV_PORT", &vault.port().to_string()),
        ("GATEWARD_VAULT_HCV_TOKEN", "a-token"),
    ];
    let gate = Gate::with(Plane::start(&environment), Limits::default(), None).await;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], function_double.port()));
    gate.plane.put("routes", "1", &function(address, "{vault://hcv/app/key}")).await;
    assert_eq!(gate.get("/aws/x").await.0, 200);
    let before = vault.count("GET /v1/secret/app");
    rotated.store(true, Ordering::SeqCst);
    let mut statuses = Vec::new();
    while statuses.last() != Some(&200) && statuses.len() < 1_000 {
        statuses.push(gate.get("/aws/x").await.0);
    }
    assert_eq!((statuses.first(), statuses.last()), (Some(&403), Some(&200)), "{statuses:?}");
    assert_eq!(vault.count("GET /v1/secret/app") - before, 1, "it is asked once, however many were refused");
}

/// A control plane that says what it was asked, or panics.
struct Control;

impl Door for Control {
    fn takes(&self, path: &str) -> bool {
        path.starts_with("/apisix/admin")
    }

    fn open(&self, request: Request<Body>, _conn: Conn) -> LocalBoxFuture<'static, Response<Body>> {
        assert!(!request.uri().path().ends_with("panic"), "a bug of the control plane's");
        let id = request.headers()["x-request-id"].to_str().unwrap().to_owned();
        async move { Response::new(Body::full(json!({ "control": id }).to_string())) }.boxed_local()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door_comes_before_every_route_and_its_answers_have_a_request_id() {
    let (upstream, _) = upstream("u").await;
    let gate = Gate::with(Plane::start(&[]), Limits::default(), Some(Arc::new(Control))).await;
    gate.plane.put("routes", "1", &json!({"uri": "/*", "upstream": nodes(&[upstream])})).await;
    let answer = gate.raw("GET /apisix/admin/routes HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(body(&answer)["control"].as_str(), header(&answer, "x-request-id"));
    assert_eq!(gate.get("/apisix").await.1["name"], "u");
    let two_hosts = gate.raw("GET /apisix/admin HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await;
    assert_eq!(status(&two_hosts), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_its_connection_and_nothing_else() {
    let gate = Gate::with(Plane::start(&[]), Limits::default(), Some(Arc::new(Control))).await;
    for _ in 0..4 {
        assert_eq!(gate.raw("GET /apisix/admin/panic HTTP/1.1\r\nHost: a\r\n\r\n").await, "");
    }
    for _ in 0..4 {
        assert_eq!(gate.get("/x").await.0, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_is_refused_but_by_a_route_that_names_it() {
    let (address, _) = upstream("u").await;
    let gate = Gate::to(address).await;
    let named = json!({"uri": "/named", "methods": ["GET", "TRACE"], "upstream": nodes(&[address])});
    gate.plane.put("routes", "named", &named).await;
    for (path, expected) in [("/named", 200), ("/other", 405)] {
        let asked = format!("TRACE {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = gate.raw(asked).await;
        assert_eq!(status(&answer), expected, "{answer}");
    }
    assert_eq!(gate.get("/other").await.0, 200);
}
