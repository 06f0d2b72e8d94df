//! A balancer in front, which says who the client is.

use std::time::Duration;

use gateward_proxy::host::server::{Limits, Listener, ServerSettings};

use super::support::{Gate, anywhere, body, one_listener, status};

async fn gate() -> Gate {
    let listener = Listener { proxy_protocol: true, ..Listener::plain(anywhere()) };
    let limits = Limits { handshake: Duration::from_millis(300), ..Limits::default() };
    Gate::mirror(ServerSettings { limits, ..one_listener(listener) }).await
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_client_is_who_the_balancer_says_it_is() {
    let gate = gate().await;
    let binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\xc3\x50\x01\xbb";
    for header in [&b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 443\r\n"[..], binary] {
        let told = body(&gate.raw([header, REQUEST].concat()).await);
        assert_eq!((&told["client"], &told["local"]), (&"192.0.2.1:50000".into(), &"192.0.2.2:443".into()));
    }
    // A balancer that speaks for itself is the client.
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"] {
        let told = body(&gate.raw([header, REQUEST].concat()).await);
        assert_eq!(told["local"], gate.address.to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_header_is_closed_without_a_word() {
    let gate = gate().await;
    for beginning in [REQUEST, b"", b"PROXY TCP4 192.0.2.1", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff"] {
        assert_eq!(gate.raw(beginning).await, "", "{beginning:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_was_not_told_so_believes_nobody() {
    let gate = Gate::mirror(one_listener(Listener::plain(anywhere()))).await;
    let answer = gate.raw([b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 443\r\n", REQUEST].concat()).await;
    assert_eq!(status(&answer), 400, "{answer}");
}
