//! WebSockets through a route: who may have one, and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::protocols::tls;
use super::support::{Gate, LONG, body, header, nodes, read_to_end, status, upstream};
use gateward_testkit::{Authority, nobody};

/// A node that takes every upgrade, and gives its end to the test, with the head of the request.
struct Node {
    address: SocketAddr,
    taken: mpsc::UnboundedReceiver<(TcpStream, String)>,
}

impl Node {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (gives, taken) = mpsc::unbounded_channel();
        Handle::current().spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let head = read_head(&mut stream).await;
                let switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello";
                stream.write_all(switching.as_bytes()).await.unwrap();
                gives.send((stream, head)).unwrap();
            }
        });
        Self { address, taken }
    }
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn gate(route: &Value) -> Gate {
    let gate = Gate::start().await;
    let mut route = route.clone();
    route["uri"] = json!("/*");
    gate.plane.put("routes", "1", &route).await;
    gate
}

async fn ask(gate: &Gate) -> TcpStream {
    let mut client = TcpStream::connect(gate.address).await.unwrap();
    let asked = "GET /chat?room=1 HTTP/1.1\r\nHost: gate.example\r\nConnection: keep-alive, Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    client.write_all(asked.as_bytes()).await.unwrap();
    client
}

/// A client and a node that are joined.
async fn joined(gate: &Gate, node: &mut Node) -> (TcpStream, TcpStream) {
    let mut client = ask(gate).await;
    let answer = read_head(&mut client).await;
    assert_eq!(status(&answer), 101);
    assert_eq!(header(&answer, "upgrade"), Some("websocket"));
    assert_eq!(header(&answer, "connection"), Some("upgrade"));
    assert_eq!(header(&answer, "sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    let (node, asked) = node.taken.recv().await.unwrap();
    assert!(asked.starts_with("GET /chat?room=1 HTTP/1.1\r\n"), "{asked}");
    assert_eq!(header(&asked, "upgrade"), Some("websocket"));
    assert_eq!(header(&asked, "connection"), Some("upgrade"));
    assert_eq!(header(&asked, "sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    assert_eq!(header(&asked, "x-forwarded-for"), Some("127.0.0.1"));
    let mut first = [0; 5];
    client.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"hello");
    (client, node)
}

async fn says(from: &mut TcpStream, to: &mut TcpStream, word: &[u8; 4]) {
    from.write_all(word).await.unwrap();
    let mut heard = [0; 4];
    to.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, word);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_speak_until_one_closes() {
    let mut node = Node::start().await;
    let gate = gate(&json!({"enable_websocket": true, "upstream": nodes(&[node.address])})).await;
    for client_closes in [true, false] {
        let (mut client, mut server) = joined(&gate, &mut node).await;
        says(&mut client, &mut server, b"ping").await;
        says(&mut server, &mut client, b"pong").await;
        let (closing, mut other) = if client_closes { (client, server) } else { (server, client) };
        drop(closing);
        let end = tokio::time::timeout(LONG, other.read(&mut [0; 1])).await.unwrap();
        assert_eq!(end.unwrap_or_default(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_on_which_nothing_is_said_for_the_routes_read_timeout_is_closed_at_both_ends() {
    let mut node = Node::start().await;
    let soon = json!({"connect": 1, "send": 1, "read": 0.2});
    let route = json!({"enable_websocket": true, "timeout": soon, "upstream": nodes(&[node.address])});
    let gate = gate(&route).await;
    let (client, server) = joined(&gate, &mut node).await;
    assert_eq!((read_to_end(client).await, read_to_end(server).await), (String::new(), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_may_allow_it_and_a_route_may_forbid_it_again() {
    let mut node = Node::start().await;
    let gate = Gate::start().await;
    let service = json!({"enable_websocket": true, "upstream": nodes(&[node.address])});
    gate.plane.put("services", "s", &service).await;
    gate.plane.put("routes", "1", &json!({"uri": "/*", "service_id": "s"})).await;
    joined(&gate, &mut node).await;
    let (plain, _) = upstream("plain").await;
    let route =
        json!({"uri": "/*", "service_id": "s", "enable_websocket": false, "upstream": nodes(&[plain])});
    gate.plane.put("routes", "1", &route).await;
    let mut client = ask(&gate).await;
    assert_eq!(status(&read_head(&mut client).await), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_leave_the_node_never_hears_of_the_upgrade() {
    let (plain, _) = upstream("plain").await;
    let gate = gate(&json!({"upstream": nodes(&[plain])})).await;
    let mut client = ask(&gate).await;
    client.write_all(b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let answers = read_to_end(client).await;
    assert_eq!((status(&answers), answers.matches("HTTP/1.1 200").count()), (200, 2), "{answers}");
    assert!(!answers.contains("\"upgrade\""), "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_refuses_is_heard_and_the_connection_goes_on() {
    let (plain, _) = upstream("plain").await;
    let gate = gate(&json!({"enable_websocket": true, "upstream": nodes(&[plain])})).await;
    let mut client = ask(&gate).await;
    let refused = read_head(&mut client).await;
    assert_eq!((status(&refused), header(&refused, "upgrade")), (200, None));
    let length: usize = header(&refused, "content-length").unwrap().parse().unwrap();
    let mut told = vec![0; length];
    client.read_exact(&mut told).await.unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["headers"]["upgrade"], json!(["websocket"]));
    client.write_all(b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!(body(&read_to_end(client).await)["target"], "/next");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_not_there_is_a_502() {
    let gate = gate(&json!({"enable_websocket": true, "upstream": nodes(&[nobody()])})).await;
    let mut client = ask(&gate).await;
    assert_eq!(status(&read_head(&mut client).await), 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_behind_tls_takes_upgrades_too_whatever_it_speaks_otherwise() {
    let root = Authority::root("root");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = tls(&root.identity("127.0.0.1", &[]), None, &["h2", "http/1.1"]);
    let node = Handle::current().spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let mut stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        read_head(&mut stream).await;
        let switching =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(switching.as_bytes()).await.unwrap();
        let mut said = [0; 4];
        stream.read_exact(&mut said).await.unwrap();
        stream.write_all(&said).await.unwrap();
        stream.shutdown().await.unwrap();
        let http1: &[u8] = b"http/1.1";
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(http1));
    });
    let upstream = json!({"nodes": {address.to_string(): 1}, "scheme": "grpcs", "tls": {"ca": root.pem}});
    let gate = gate(&json!({"enable_websocket": true, "upstream": upstream})).await;
    let mut client = ask(&gate).await;
    assert_eq!(status(&read_head(&mut client).await), 101);
    client.write_all(b"ping").await.unwrap();
    assert_eq!(read_to_end(client).await, "ping");
    node.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_http_itself_nor_a_request_with_a_body_is_upgraded() {
    let (address, _) = upstream("u").await;
    let gate = gate(&json!({"enable_websocket": true, "upstream": nodes(&[address])})).await;
    let bodiless = ["h2c", "websocket, H2C", "h2", "HTTP/2.0", "tls/1.0, http/1.1", "a\r\nUpgrade: h2c"];
    let bodiless =
        bodiless.map(|protocol| format!("Upgrade: {protocol}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"));
    let with_body = "Upgrade: websocket\r\nContent-Length: 3\r\n\r\nabc".to_owned();
    for fields in bodiless.into_iter().chain([with_body]) {
        let asked = format!("GET /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\n{fields}");
        let answer = gate.raw(&asked).await;
        let told = &body(&answer)["headers"];
        assert_eq!((status(&answer), told["host"].is_array()), (200, true), "{answer}");
        for gone in ["upgrade", "connection", "http2-settings"] {
            assert_eq!(told[gone], Value::Null, "{asked}");
        }
    }
}
