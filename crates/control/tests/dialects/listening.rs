//! The control plane's own sockets.

use std::future::pending;

use gateward_control::Surface;
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
    for beginning in ["", "P", "PRI * HTTP/2.0\r\n", "GET /health HTTP/1.1\r\nHost: a"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{beginning}: {answer:?}");
    }
}
