//! The control plane's own sockets.

use std::future::pending;
use std::time::Duration;

use gateward_control::Surface;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use super::Plane;

/// Time goes by by itself when there is nothing else to do.
#[tokio::test(start_paused = true)]
async fn who_begins_no_request_is_not_waited_for_for_ever() {
    let plane = Plane::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = plane.control.clone().serve(Surface::All, listener, Handle::current(), pending());
    Handle::current().spawn(serving);
    let half_a_body = "POST /auth HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{";
    for beginning in ["", "P", "PRI * HTTP/2.0\r\n", "GET /health HTTP/1.1\r\nHost: a", half_a_body] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer);
        tokio::time::timeout(Duration::from_secs(3600), end).await.expect(beginning).unwrap();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 40"), "{beginning}: {answer:?}");
    }
}

#[tokio::test]
async fn there_are_no_more_connections_than_there_may_be() {
    let plane = Plane::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let control = plane.control.clone().with_connections(2);
    Handle::current().spawn(control.serve(Surface::All, listener, Handle::current(), pending()));
    let mut here = Vec::new();
    for _ in 0..2 {
        here.push(TcpStream::connect(address).await.unwrap());
    }
    let mut another = TcpStream::connect(address).await.unwrap();
    // Those who came before it are still served then: it was not for saying nothing.
    let closed = tokio::time::timeout(Duration::from_secs(60), another.read(&mut [0])).await;
    assert_eq!(closed.unwrap().unwrap(), 0);
    here[0].write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    here[0].read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn whoever_drains_is_not_ready() {
    let plane = Plane::new().await;
    let ready = async {
        while plane.control.ask(Method::GET, "/ready", "").await != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ready).await.unwrap();
    plane.control.drain();
    assert_eq!(plane.control.ask(Method::GET, "/ready", "").await, 503);
    assert_eq!(plane.control.ask(Method::GET, "/health", "").await, 200);
}
