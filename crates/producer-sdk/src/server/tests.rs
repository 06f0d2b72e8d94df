//! The server as a gateway sees it: over a socket.

use std::time::Duration;

use gateward_testkit::http;
use serde_json::{Value, json};

use super::*;
use crate::testing::{Gateway, Producers};
use crate::token::tests::{NOW, claims, header};

/// A running server, on a runtime of its own.
struct Running {
    url: String,
    handle: Handle,
    gateway: Gateway,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    fn start() -> Self {
        let gateway = Gateway::new();
        let verifier = Verifier::with_keys(gateway.jwks(), "p-gateway").clock(|| NOW);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let server = runtime.block_on(Server::bind("127.0.0.1:0".parse().unwrap())).unwrap();
        let (url, handle) = (format!("http://{}", server.address()), server.handle());
        let thread = std::thread::spawn(move || runtime.block_on(server.serve(Producers::echo(), verifier)));
        Self { url, handle, gateway, thread: Some(thread) }
    }

    /// What comes back for `body`, sent to `path` with a right token for `operation`.
    fn call(&self, path: &str, operation: &str, body: &str) -> (u16, Value) {
        let token = self.token(operation, body);
        self.send("POST", path, &[(CREDENTIALS_HEADER, &token)], body)
    }

    fn token(&self, operation: &str, body: &str) -> String {
        let mut claims = claims(body.as_bytes());
        claims["aud"] = json!(self.url);
        claims["attaches"] = json!(json!({"item_name": "/x", "operation": operation}).to_string());
        self.gateway.sign(&header(), &claims)
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Value) {
        let response = http::request(method, &format!("{}{path}", self.url), headers, body.as_bytes());
        (response.status, response.json())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop();
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        assert!(matches!(ended, Some(Ok(()))), "the server ends when it is stopped");
    }
}

#[test]
fn a_verified_request_reaches_the_producer_on_any_path_that_ends_in_its_operation() {
    let server = Running::start();
    let body = r#"{"payload": "p", "input": {"user": "input"}, "request_id": "r1"}"#;
    assert_eq!(
        server.call("/sync/create", "create", body),
        (200, json!({"id": "echo-r1", "response": {"user": "input"}}))
    );
    assert_eq!(server.call("/a/revoke", "revoke", r#"{"ids": ["x"]}"#), (200, json!({"revoked": ["x"]})));
    assert_eq!(server.call("/rotate", "rotate", "{}").0, 501);
    assert_eq!(server.call("/sync/list", "list", "{}").0, 501);
    assert_eq!(server.call("/destroy", "create", body).0, 404);
}

#[test]
fn a_request_without_a_right_token_is_refused_and_told_why() {
    let server = Running::start();
    let body = r#"{"ids": ["x"]}"#;
    let refused = |headers: &[(&str, &str)], body: &str| server.send("POST", "/sync/revoke", headers, body);
    let error = |why: &str| (401, json!({ "error": format!("invalid credentials: {why}") }));

    let right = server.token("revoke", body);
    assert_eq!(refused(&[], body), error("there is no AkeylessCreds header"));
    assert_eq!(refused(&[(CREDENTIALS_HEADER, "x")], body), error("the token cannot be read"));
    assert_eq!(refused(&[(CREDENTIALS_HEADER, &right)], "{}"), error("the token is for another body"));
    let two = [(CREDENTIALS_HEADER, right.as_str()), (CREDENTIALS_HEADER, right.as_str())];
    assert_eq!(refused(&two, body), error("the token cannot be read"));
    assert_eq!(refused(&[(CREDENTIALS_HEADER, &right)], body).0, 200);
}

#[test]
fn a_bad_body_is_refused_without_repeating_it() {
    let server = Running::start();
    for (body, why) in [
        ("{\"payload\": canary}", "the body is not JSON (line 1, column 13)"),
        (r#"["canary", {}]"#, "the body is no JSON object"),
        (
            r#"{"input": "canary"}"#,
            "the body has a field that is missing or of the wrong type (line 1, column 19)",
        ),
    ] {
        assert_eq!(server.call("/create", "create", body), (400, json!({ "error": why })));
    }
    let (status, _) =
        server.call("/create", "create", &format!("{{\"payload\": \"{}\"}}", "x".repeat(1 << 20)));
    assert_eq!(status, 413);
}

#[test]
fn a_failure_of_the_producer_is_told_with_its_code() {
    let server = Running::start();
    let answer = server.call("/create", "create", r#"{"input": {"bad": 1}}"#);
    assert_eq!(answer, (400, json!({"error": "\"bad\" is not to be given"})));
}

#[test]
fn a_dry_run_makes_nothing_and_tells_what_the_producer_can() {
    let server = Running::start();
    let dry_run = r#"{"payload": "p", "input": {"bad": 1}, "client_info": {"access_id": "p-custom"}}"#;
    let told = json!({"id": "dry-run", "response": {}, "capabilities": {"request_id": false, "list": false}});
    assert_eq!(server.call("/create", "create", dry_run), (200, told));
    let both = r#"{"ids": ["a", "dry-run"]}"#;
    assert_eq!(server.call("/revoke", "revoke", both), (200, json!({"revoked": ["a", "dry-run"]})));
}

#[test]
fn only_post_is_served() {
    let server = Running::start();
    assert_eq!(server.send("GET", "/create", &[], "").0, 405);
}

#[test]
fn an_open_connection_does_not_hold_up_the_end() {
    let server = Running::start();
    let idle = std::net::TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    idle.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    drop(server);
}

#[test]
fn a_loopback_server_is_also_called_localhost() {
    let origins = origins_of("127.0.0.1:8090".parse().unwrap());
    assert_eq!(origins, ["http://127.0.0.1:8090", "http://localhost:8090"]);
    assert_eq!(origins_of("[::1]:80".parse().unwrap()), ["http://[::1]", "http://localhost"]);
    assert_eq!(origins_of("192.0.2.1:80".parse().unwrap()), ["http://192.0.2.1"]);
}
