//! Routes that are told apart by what a request's body says.

use std::net::SocketAddr;

use gateward_testkit::nobody;
use serde_json::{Value, json};

use super::support::{Gate, LARGE, body, nodes, upstream};

async fn gate() -> (Gate, SocketAddr) {
    let (gold, _) = upstream("gold").await;
    let (plain, _) = upstream("plain").await;
    let gate = Gate::start().await;
    let route = json!({"uri": "/*", "priority": 1, "vars": [["post_arg_tier", "==", "gold"]], "upstream": nodes(&[gold])});
    gate.plane.put("routes", "gold", &route).await;
    gate.plane.put("routes", "plain", &json!({"uri": "/*", "upstream": nodes(&[plain])})).await;
    (gate, gold)
}

async fn post(gate: &Gate, media_type: &str, text: &str) -> Value {
    let length = text.len();
    let answer = gate
        .raw(format!(
            "POST /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n{text}"
        ))
        .await;
    body(&answer)
}

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test(flavor = "multi_thread")]
async fn a_body_decides_and_still_reaches_the_node() {
    let (gate, gold) = gate().await;
    for (text, name) in [("tier=gold&n=1", "gold"), ("tier=tin", "plain"), ("", "plain")] {
        let told = post(&gate, FORM, text).await;
        assert_eq!((&told["name"], &told["body"]), (&json!(name), &json!(text)), "{told}");
    }
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
        Transfer-Encoding: chunked\r\n\r\n5\r\ntier=\r\n4\r\ngold\r\n0\r\n\r\n";
    let told = body(&gate.raw(chunked).await);
    assert_eq!((&told["name"], &told["body"]), (&json!("gold"), &json!("tier=gold")), "{told}");
    assert_eq!(gate.get("/").await.1["name"], "plain");

    let route = json!({"uri": "/*", "priority": 1, "vars": [["post_arg.model.name", "==", "large"]], "upstream": nodes(&[gold])});
    gate.plane.put("routes", "gold", &route).await;
    let text = r#"{"model": {"name": "large"}}"#;
    let told = post(&gate, "application/json", text).await;
    assert_eq!((&told["name"], &told["body"]), (&json!("gold"), &json!(text)), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_padding_leads_past_a_route() {
    let (gate, _) = gate().await;
    let with = |length: usize| format!("tier=gold&x={}", "x".repeat(length - 12));
    let longest = with(1 << 20);
    let told = post(&gate, FORM, &longest).await;
    assert_eq!((&told["name"], told["body"].as_str()), (&json!("gold"), Some(longest.as_str())));
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: {FORM}\r\n");
    // What is too long is not read on: neither of these bodies ever ends.
    for (length, begun) in [
        (format!("Content-Length: {}", (1 << 20) + 1), String::new()),
        ("Transfer-Encoding: chunked".to_owned(), format!("{:x}\r\n{}", (1 << 20) + 1, with((1 << 20) + 1))),
    ] {
        let told = body(&gate.raw(format!("{head}{length}\r\n\r\n{begun}")).await);
        assert_eq!(told["code"], "body_too_large", "{length}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_a_kind_that_says_nothing_passes_however_long_it_is() {
    let (gate, _) = gate().await;
    let text = "x".repeat(LARGE);
    let told = post(&gate, "image/png", &text).await;
    assert_eq!((&told["name"], told["body"].as_str()), (&json!("plain"), Some(text.as_str())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_route_does_not_depend_on_its_body_does_not_wait_for_it() {
    let (gate, _) = gate().await;
    let (early, _) = upstream("early").await;
    let route = json!({"uri": "/*", "priority": 2, "methods": ["PUT"], "plugins": {"fault-injection": {"abort": {"http_status": 418}}},
        "upstream": nodes(&[early])});
    gate.plane.put("routes", "early", &route).await;
    // The body never comes.
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut client = tokio::net::TcpStream::connect(gate.address).await.unwrap();
    let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\nContent-Length: 9\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 418");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_was_read_for_its_route_can_be_sent_to_another_node() {
    let (gate, gold) = gate().await;
    let gone = nobody();
    let upstream = json!({"nodes": [
        {"host": "127.0.0.1", "port": gone.port(), "weight": 1, "priority": 1},
        {"host": "127.0.0.1", "port": gold.port(), "weight": 1},
    ]});
    let route =
        json!({"uri": "/*", "priority": 1, "vars": [["post_arg_tier", "==", "gold"]], "upstream": upstream});
    gate.plane.put("routes", "gold", &route).await;
    let told = post(&gate, FORM, "tier=gold").await;
    assert_eq!((&told["name"], &told["body"]), (&json!("gold"), &json!("tier=gold")));
}
