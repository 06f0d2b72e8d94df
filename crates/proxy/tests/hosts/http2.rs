//! HTTP/2 with prior knowledge, on the address of HTTP/1.1.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use super::support::{Gate, upstream};

async fn send(gate: &Gate, request: Request<Full<Bytes>>) -> (http::response::Parts, Value) {
    let stream = TcpStream::connect(gate.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    Handle::current().spawn(connection);
    let (head, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head, serde_json::from_slice(&body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authority_becomes_the_host_and_the_answer_has_a_request_id() {
    let (upstream, _) = upstream("u").await;
    let gate = Gate::to(upstream).await;
    let request = Request::post("http://gate.example:9081/a?b=c").body(Full::from("hello")).unwrap();
    let (head, told) = send(&gate, request).await;
    assert_eq!(head.status, StatusCode::OK);
    assert!(head.headers.contains_key("x-request-id"));
    assert_eq!(told["target"], "/a?b=c");
    assert_eq!(told["headers"]["host"], json!(["gate.example:9081"]));
    assert_eq!(told["body"], "hello");
    assert!(!head.headers.contains_key("connection") && !head.headers.contains_key("x-hop"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crumbs_of_a_cookie_reach_the_upstream_as_one() {
    let (upstream, _) = upstream("u").await;
    let gate = Gate::to(upstream).await;
    let request = Request::get("http://gate.example/").header("cookie", "a=1").header("cookie", "b=2");
    let (_, told) = send(&gate, request.body(Full::default()).unwrap()).await;
    assert_eq!(told["headers"]["cookie"], json!(["a=1; b=2"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_differs_from_the_authority_is_refused() {
    let gate = Gate::start().await;
    let request = Request::get("http://a/").header("host", "b").body(Full::default()).unwrap();
    let (head, told) = send(&gate, request).await;
    assert_eq!((head.status, &told["code"]), (StatusCode::BAD_REQUEST, &json!("host_mismatch")));
}
