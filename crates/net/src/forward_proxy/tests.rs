use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::*;
use crate::testing::{Scripted, Then, on_a_data_thread};
use crate::{Body, Connector, ConnectorSettings, Peer, Pool, PoolSettings, Scheme, Timeouts};

const PATIENT: Timeouts =
    Timeouts { connect: Duration::from_secs(5), send: Duration::from_secs(5), read: Duration::from_secs(5) };

/// A proxy that takes one connection, answers with `answer` and, if there is somebody to go on to, carries bytes both ways.
/// Gives its port, and what it was asked.
async fn proxy(answer: &'static str, on_to: Option<u16>) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = tokio::task::spawn_local(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert_ne!(client.read_buf(&mut head).await.unwrap(), 0, "half a request");
        }
        client.write_all(answer.as_bytes()).await.unwrap();
        if let Some(port) = on_to {
            tokio::task::spawn_local(async move {
                let mut peer = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::io::copy_bidirectional(&mut client, &mut peer).await.ok();
            });
        }
        String::from_utf8(head).unwrap()
    });
    (port, asked)
}

async fn fetch(peer: &Peer, forbidden: &[SocketAddr]) -> Result<http::StatusCode, FetchError> {
    let settings = ConnectorSettings { forbidden: forbidden.to_vec(), ..ConnectorSettings::default() };
    let pool = Pool::new(Arc::new(Connector::new(settings).unwrap()), PoolSettings::default());
    let request = http::Request::get("/").header("host", "test").body(Body::empty()).unwrap();
    pool.fetch(peer, request, &PATIENT).await.map(|response| response.status())
}

fn through(port: u16, peer: &Peer) -> Peer {
    let authorization = HeaderValue::from_static("Basic Y2FuYXJ5");
    peer.with_proxy(ForwardProxy::new("127.0.0.1", port, Some(authorization)))
}

#[tokio::test(flavor = "current_thread")]
async fn a_peer_is_reached_through_the_tunnel_and_its_name_is_the_proxys_to_resolve() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Answer("HTTP/1.1 204 No Content\r\n\r\n")).await;
        let (port, asked) =
            proxy("HTTP/1.1 200 Connection established\r\n\r\n", Some(server.peer.port())).await;
        let named = Peer::new(Scheme::Http, "only-the-proxy-knows.invalid", 8443, true);
        let peer = through(port, &named);
        assert_eq!(fetch(&peer, &[]).await.unwrap(), 204);
        let expected = "CONNECT only-the-proxy-knows.invalid:8443 HTTP/1.1\r\n\
                        host: only-the-proxy-knows.invalid:8443\r\n\
                        proxy-authorization: Basic Y2FuYXJ5\r\n\r\n";
        assert_eq!(asked.await.unwrap(), expected);
        let sent = server.requests.borrow()[0].clone();
        assert!(sent.starts_with("GET / HTTP/1.1\r\n") && !sent.contains("Y2FuYXJ5"), "{sent}");
        assert!(!format!("{peer:?}").contains("Y2FuYXJ5"), "{peer:?}");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_no_tunnel_is_told_apart() {
    on_a_data_thread(async {
        let peer = Peer::new(Scheme::Http, "example.com", 80, true);
        let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 6\r\n\r\ncanary";
        let (port, _asked) = proxy(refusal, None).await;
        let error = fetch(&through(port, &peer), &[]).await.unwrap_err();
        assert!(matches!(error, FetchError::ProxyRefused { status: 407 }), "{error:?}");
        for (answer, words) in [
            ("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n", "spoke inside"),
            ("SSH-2.0-x\r\n", "does not speak HTTP"),
            ("HTTP/1.1 200", "closed the connection"),
        ] {
            let (port, _asked) = proxy(answer, None).await;
            let error = fetch(&through(port, &peer), &[]).await.unwrap_err();
            assert!(error.chain().contains(words), "{answer:?}: {}", error.chain());
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn no_proxy_leads_to_where_nobody_may_go() {
    on_a_data_thread(async {
        let listener = SocketAddr::from(([127, 0, 0, 1], 1));
        let (port, _asked) = proxy("HTTP/1.1 200 OK\r\n\r\n", None).await;
        for (host, to) in [("169.254.169.254", 80), ("[::ffff:169.254.169.254]", 80), ("127.0.0.1", 1)] {
            let peer = through(port, &Peer::new(Scheme::Http, host, to, true));
            let error = fetch(&peer, &[listener]).await.unwrap_err();
            assert!(matches!(error, FetchError::Forbidden), "{host}: {error:?}");
        }
        let peer = through(1, &Peer::new(Scheme::Http, "example.com", 80, true));
        assert!(matches!(fetch(&peer, &[listener]).await, Err(FetchError::Forbidden)), "the proxy itself");
    })
    .await;
}

#[test]
fn what_a_proxy_may_take_for_an_address_is_no_name() {
    for host in [
        "2852039166",
        "0xa9fea9fe",
        "169.254.43518",
        "0xa9.254.169.254",
        "169.254.169.254.",
        "017700000001",
        "0x",
    ] {
        assert!(may_be_an_address(host), "{host}");
    }
    for host in ["169.254.169.254", "::1", "lambda.us-east-2.amazonaws.com", "a1", "0xample", "x.0xz", ""] {
        assert!(!may_be_an_address(host), "{host}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_proxy_is_not_asked_for_what_it_may_take_for_an_address_and_one_that_is_not_there_is_named() {
    on_a_data_thread(async {
        let odd = Peer::new(Scheme::Http, "2852039166", 80, true);
        let gone = gateward_testkit::nobody().port();
        assert!(matches!(fetch(&through(gone, &odd), &[]).await, Err(FetchError::Forbidden)));
        let named = Peer::new(Scheme::Http, "only-the-proxy-knows.invalid", 80, true);
        let Err(FetchError::Connect(cause)) = fetch(&through(gone, &named), &[]).await else {
            panic!("nobody is there");
        };
        assert!(cause.to_string().contains("forward proxy"), "{cause}");
    })
    .await;
}
