//! Changes under load, and a quiet end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use gateward_clock::SystemClock;
use gateward_proxy::host::server::{Inherited, Limits, Listener, Server, ServerParts, ServerSettings};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use super::support::{Gate, LONG, Plane, anywhere, nodes, read_to_end, status, upstream};

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_swapped_under_load_without_a_failed_request() {
    let (a, _) = upstream("a").await;
    let (b, _) = upstream("b").await;
    let gate = Gate::to(a).await;
    let stop = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for _ in 0..8 {
        let (stop, served, address) = (stop.clone(), served.clone(), gate.address);
        clients.push(Handle::current().spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
            Handle::current().spawn(connection);
            while !stop.load(Ordering::Relaxed) {
                let request =
                    Request::get("/x").header("host", "a").body(Empty::<bytes::Bytes>::new()).unwrap();
                let response = sender.send_request(request).await.unwrap();
                assert_eq!(response.status(), StatusCode::OK);
                response.into_body().collect().await.unwrap();
                served.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for (number, name) in ["b", "a"].into_iter().cycle().take(20).enumerate() {
        let address = if name == "a" { a } else { b };
        gate.plane.put("routes", "1", &json!({"uri": "/*", "upstream": nodes(&[address])})).await;
        // The very next request goes where the route now says.
        assert_eq!(gate.get("/x").await.1["name"], name, "swap {number}");
        let enough = served.load(Ordering::Relaxed) + 20;
        while served.load(Ordering::Relaxed) < enough {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_under_way_ends_before_the_server_does() {
    let (upstream, permits) = upstream("u").await;
    let gate = Gate::to(upstream).await;
    let mut busy = TcpStream::connect(gate.address).await.unwrap();
    let mut idle = TcpStream::connect(gate.address).await.unwrap();
    idle.write_all(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    idle.read_exact(&mut [0; 12]).await.unwrap();
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    // Once the idle connection is closed, the drain has begun.
    let address = gate.address;
    let drained = Handle::current().spawn(gate.server.shutdown(LONG));
    read_to_end(idle).await;
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!drained.is_finished());
    permits.add_permits(1);
    let answer = read_to_end(busy).await;
    assert_eq!(status(&answer), 200);
    assert!(answer.contains("connection: close"), "{answer}");
    tokio::time::timeout(LONG, drained).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_has_an_end_also_when_a_request_has_none() {
    let (upstream, _permits) = upstream("u").await;
    let gate = Gate::to(upstream).await;
    let mut busy = TcpStream::connect(gate.address).await.unwrap();
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let drained = gate.server.shutdown(Duration::from_millis(100));
    tokio::time::timeout(LONG, drained).await.unwrap();
    assert_eq!(read_to_end(busy).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_listens_on_several_addresses_and_notices_one_that_is_taken() {
    let plane = Plane::start(&[]);
    let parts = ServerParts {
        current: plane.configuration.current(),
        certificates: Arc::new(Arc::default),
        access_log: None,
        traffic: Arc::default(),
        connector: plane.connector.clone(),
        clock: Arc::new(SystemClock),
        door: None,
    };
    let settings = ServerSettings {
        listeners: ["127.0.0.1:0", "[::1]:0", "127.0.0.1:0"]
            .map(|at| Listener::plain(at.parse().unwrap()))
            .into(),
        threads: 2,
        exclusive: true,
        limits: Limits::default(),
        ..ServerSettings::default()
    };
    let server = Server::bind(settings.clone(), &parts).unwrap();
    let addresses = server.addresses().to_vec();
    assert_eq!(addresses.len(), 3);
    for address in &addresses {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        assert_eq!(status(&read_to_end(stream).await), 404);
    }
    let again = |exclusive| ServerSettings {
        listeners: addresses.iter().copied().map(Listener::plain).collect(),
        exclusive,
        ..settings.clone()
    };
    let error = Server::bind(again(true), &parts).err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(Server::bind(again(false), &parts).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_takes_effect_for_the_next_request_of_an_open_connection() {
    let (upstream, _) = upstream("u").await;
    let gate = Gate::start().await;
    let stream = TcpStream::connect(gate.address).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    Handle::current().spawn(connection);
    let mut get = async || {
        let request = Request::get("/x").header("host", "a").body(Empty::<bytes::Bytes>::new()).unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let body: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
        (head.status, body["name"].clone())
    };
    assert_eq!(get().await.0, StatusCode::NOT_FOUND);
    gate.plane.put("routes", "1", &json!({"uri": "/x", "upstream": nodes(&[upstream])})).await;
    assert_eq!(get().await, (StatusCode::OK, json!("u")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_that_inherits_the_sockets_loses_no_connection() {
    let (upstream, _) = upstream("u").await;
    let plane = Plane::start(&[]);
    plane.put("routes", "1", &json!({"uri": "/*", "upstream": nodes(&[upstream])})).await;
    let parts = ServerParts {
        current: plane.configuration.current(),
        certificates: Arc::new(Arc::default),
        access_log: None,
        traffic: Arc::default(),
        connector: plane.connector.clone(),
        clock: Arc::new(SystemClock),
        door: None,
    };
    let settings = |listener, threads| ServerSettings {
        listeners: vec![listener],
        threads,
        ..ServerSettings::default()
    };
    let mut server = Server::bind(settings(Listener::plain(anywhere()), 3), &parts).unwrap();
    let address = server.addresses()[0];
    let stop = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for _ in 0..4 {
        let (stop, served) = (stop.clone(), served.clone());
        clients.push(Handle::current().spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
                assert_eq!(status(&read_to_end(stream).await), 200);
                served.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    // More threads than sockets, and fewer: some share a queue, or take from several.
    for threads in [1, 4, 2, 3, 1] {
        let sockets = server.listeners().unwrap().into_iter().map(|(_, socket)| socket);
        let mut inherited = Inherited::from_sockets(sockets).unwrap();
        let listener = Listener { inherited: inherited.of(address), ..Listener::plain(address) };
        let successor = Server::bind(settings(listener, threads), &parts).unwrap();
        assert_eq!(successor.addresses(), [address]);
        let predecessor = std::mem::replace(&mut server, successor);
        predecessor.shutdown(LONG).await;
        let enough = served.load(Ordering::Relaxed) + 50;
        while served.load(Ordering::Relaxed) < enough {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    server.shutdown(LONG).await;
    assert!(TcpStream::connect(address).await.is_err(), "nobody holds a socket any more");
}
