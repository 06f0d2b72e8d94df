//! What a client may take, and what it hears when it takes more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateward_proxy::Door;
use gateward_proxy::host::server::{Limits, Listener, ServerSettings};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use super::support::{
    Gate, LARGE, LONG, Mirror, Plane, anywhere, body, header, one_listener, read_to_end, status,
};

async fn gate(limits: Limits) -> Gate {
    Gate::mirror(ServerSettings { limits, ..one_listener(Listener::plain(anywhere())) }).await
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

async fn first_answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") && !answer.ends_with(b"}\n") {
        let read = tokio::time::timeout(LONG, stream.read_buf(&mut answer)).await.unwrap().unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_told_so_at_once() {
    let gate = gate(Limits { connections: 2, ..Limits::default() }).await;
    let mut here = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(gate.address).await.unwrap();
        stream.write_all(get("/").as_bytes()).await.unwrap();
        first_answer(&mut stream).await;
        here.push(stream);
    }
    let answer = gate.raw(get("/")).await;
    assert_eq!((status(&answer), header(&answer, "retry-after")), (503, Some("1")), "{answer}");
    assert_eq!(body(&answer)["code"], "overloaded");
    here.pop();
    // Somebody has gone; that takes the gateway a moment to see.
    let again = async {
        while status(&gate.raw(get("/").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await) != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, again).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_have_all_connections() {
    let listener = Listener { proxy_protocol: true, ..Listener::plain(anywhere()) };
    let limits = Limits { connections_per_address: Some(1), ..Limits::default() };
    let gate = Gate::mirror(ServerSettings { limits, ..one_listener(listener) }).await;
    let from = |host: &str| format!("PROXY TCP4 {host} 192.0.2.9 1 443\r\n{}", get("/"));
    let mut first = TcpStream::connect(gate.address).await.unwrap();
    first.write_all(from("192.0.2.1").as_bytes()).await.unwrap();
    assert_eq!(status(&first_answer(&mut first).await), 200);
    assert_eq!(status(&gate.raw(from("192.0.2.1")).await), 503);
    let mut other = TcpStream::connect(gate.address).await.unwrap();
    other.write_all(from("192.0.2.2").as_bytes()).await.unwrap();
    assert_eq!(status(&first_answer(&mut other).await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_have_all_connections_by_never_shaking_hands() {
    let limits = Limits { connections: 3, connections_per_address: Some(1), ..Limits::default() };
    // One thread takes them in their order.
    let settings = ServerSettings { limits, threads: 1, ..one_listener(Listener::tls(anywhere())) };
    let gate = Gate::mirror(settings).await;
    let _silent = TcpStream::connect(gate.address).await.unwrap();
    for _ in 0..5 {
        let mut another = TcpStream::connect(gate.address).await.unwrap();
        let closed = tokio::time::timeout(LONG / 4, another.read(&mut [0])).await;
        assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_too_many_is_told_so_at_once() {
    let mirror = Mirror::new();
    let permits = Arc::clone(&mirror.permits);
    let door: Arc<dyn Door> = Arc::new(mirror);
    let limits = Limits { requests: 1, ..Limits::default() };
    let settings = ServerSettings { limits, ..one_listener(Listener::plain(anywhere())) };
    let gate = Gate::serving(Plane::start(&[]), settings, Arc::new(Arc::default), Some(door)).await;
    let mut busy = TcpStream::connect(gate.address).await.unwrap();
    busy.write_all(get("/wait").as_bytes()).await.unwrap();
    let refused = async {
        loop {
            let answer = gate.raw(get("/").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
            if status(&answer) == 503 {
                break answer;
            }
            // It may have come while the one before had the only place; then it comes again.
            if busy.try_read(&mut [0; 1024]).is_ok() {
                busy = TcpStream::connect(gate.address).await.unwrap();
                busy.write_all(get("/wait").as_bytes()).await.unwrap();
            }
        }
    };
    let answer = tokio::time::timeout(LONG, refused).await.unwrap();
    assert_eq!(header(&answer, "retry-after"), Some("1"), "{answer}");
    assert_eq!(body(&answer)["request_id"].as_str(), header(&answer, "x-request-id"));
    permits.add_permits(1);
    assert_eq!(status(&first_answer(&mut busy).await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused_however_it_comes() {
    let gate = gate(Limits { body_bytes: Some(10), ..Limits::default() }).await;
    let said = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n";
    let unsaid =
        "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n3\r\n901\r\n";
    for request in [said.to_owned(), format!("{said}{}", "x".repeat(100_000)), unsaid.to_owned()] {
        let answer = gate.raw(&request).await;
        assert_eq!((status(&answer), &body(&answer)["code"]), (413, &"body_too_large".into()), "{answer}");
        assert_eq!(header(&answer, "connection"), Some("close"));
        assert_eq!(body(&answer)["request_id"].as_str(), header(&answer, "x-request-id"));
    }
    let fits = "POST /body HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 10\r\n\r\n1234567890";
    assert_eq!(body(&gate.raw(fits).await)["length"], 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_coming_is_given_up() {
    let gate = gate(Limits { body_idle: Duration::from_millis(200), ..Limits::default() }).await;
    let answer = gate.raw("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345").await;
    assert_eq!((status(&answer), &body(&answer)["code"]), (408, &"body_too_slow".into()), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_client_does_not_take_is_given_up() {
    let short = Duration::from_millis(200);
    let limits = Limits { body_idle: short, head: short, connections: 1, ..Limits::default() };
    let gate = gate(limits).await;
    let mut stream = TcpStream::connect(gate.address).await.unwrap();
    stream.write_all(get("/large").as_bytes()).await.unwrap();
    // Its place is free again once it has been given up.
    let again = async {
        loop {
            let answer = gate.raw(get("/").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
            if status(&answer) == 200 {
                break;
            }
        }
    };
    tokio::time::timeout(LONG, again).await.unwrap();
    let mut taken = Vec::new();
    let _ = stream.read_to_end(&mut taken).await;
    assert!(taken.len() < LARGE, "{}", taken.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_of_a_head_can_be_set() {
    let limits = Limits { head_bytes: 10_000, head_fields: 5, target_bytes: 100, ..Limits::default() };
    let gate = gate(limits).await;
    let with = |fields: String| format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    assert_eq!(status(&gate.raw(get(&format!("/{}", "x".repeat(100)))).await), 414);
    assert_eq!(status(&gate.raw(with("X: y\r\n".repeat(5))).await), 431);
    assert_eq!(status(&gate.raw(with(format!("X: {}\r\n", "y".repeat(11_000)))).await), 431);
    assert_eq!(status(&gate.raw(with("X: y\r\n".repeat(3) + "Connection: close\r\n")).await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_when_it_has_had_its_requests() {
    let gate = gate(Limits { requests_per_connection: 2, ..Limits::default() }).await;
    let answers = gate.raw(get("/1") + &get("/2") + &get("/3")).await;
    let closes: Vec<bool> =
        answers.split("HTTP/1.1 200").skip(1).map(|answer| answer.contains("connection: close")).collect();
    assert_eq!(closes, [false, true], "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_when_it_is_old_and_when_nobody_uses_it() {
    for limits in [
        Limits { connection_age: Some(Duration::from_millis(300)), ..Limits::default() },
        Limits { idle: Duration::from_millis(300), ..Limits::default() },
        // Long enough for it to have been laid aside.
        Limits { idle: Duration::from_millis(1500), head: Duration::from_millis(200), ..Limits::default() },
    ] {
        let gate = gate(limits).await;
        let answer = gate.raw(get("/")).await;
        assert_eq!(status(&answer), 200);
        // The same for HTTP/2, which is told so.
        let stream = TcpStream::connect(gate.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let ended = Handle::current().spawn(connection);
        let request = Request::get("http://a/").body(Empty::<Bytes>::new()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.unwrap();
        let ended = tokio::time::timeout(LONG, ended).await.unwrap().unwrap();
        assert!(ended.is_ok(), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_laid_aside_serves_on_as_if_nothing_had_been() {
    // The time for a head is also how often somebody looks.
    let gate = gate(Limits { head: Duration::from_millis(200), ..Limits::default() }).await;
    let mut stream = TcpStream::connect(gate.address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(get("/").as_bytes()).await.unwrap();
        assert_eq!(status(&first_answer(&mut stream).await), 200);
        // It takes a second of silence; that it then has another shape shows in memory only.
        tokio::time::sleep(Duration::from_millis(1500)).await;
    }
    let (half, rest) = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".split_at(10);
    stream.write_all(half.as_bytes()).await.unwrap();
    stream.write_all(rest.as_bytes()).await.unwrap();
    assert_eq!(status(&read_to_end(stream).await), 200);
}
