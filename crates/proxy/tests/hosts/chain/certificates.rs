//! Which requests may come by a connection, and what a change of certificates does.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use gateward_clock::{Clock, SystemClock};
use gateward_model::apisix::{ResourceId, Ssl};
use gateward_proxy::certificates;
use gateward_proxy::host::server::{Listener, ServerSettings};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{CertificateError, ClientConfig};
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::TlsConnector;

use super::super::support::{Gate, Plane, anywhere, one_listener, upstream};
use super::super::tls::{client, mutual, ssl};
use super::Place;
use gateward_testkit::Authority;

/// A gateway that shows the certificates in its store, on its first address; the second one is without TLS.
async fn place() -> Place {
    let (upstream, _) = upstream("told").await;
    let plane = Plane::start(&[]);
    let current = plane.configuration.current();
    let shown = Arc::new(move || Arc::clone(current.load().certificates()));
    let listeners = vec![Listener::tls(anywhere()), Listener::plain(anywhere())];
    let settings = ServerSettings { listeners, ..one_listener(Listener::plain(anywhere())) };
    let place = Place { gate: Gate::serving(plane, settings, shown, None).await, upstream };
    place.route("/*", json!({})).await;
    place
}

type Connection = SendRequest<Full<Bytes>>;

/// A connection that speaks HTTP/2, opened for `name`.
async fn connect(address: SocketAddr, mut client: ClientConfig, name: &str) -> std::io::Result<Connection> {
    client.alpn_protocols = vec![b"h2".to_vec()];
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TlsConnector::from(Arc::new(client)).connect(name, tcp).await?;
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    Handle::current().spawn(connection);
    Ok(sender)
}

/// The status of the answer to a GET of `url` by `connection`, and what it says.
async fn get(connection: &mut Connection, url: &str) -> (u16, Value) {
    let request = Request::get(url).body(Full::default()).unwrap();
    let (head, body) = connection.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status.as_u16(), serde_json::from_slice(&body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_other_hosts_but_those_whose_certificate_demands_were_not_met() {
    let place = place().await;
    let [root, users, others] = ["root", "users", "others"].map(Authority::root);
    let demand = |name: &str, client: Value| mutual(&root.identity(name, &[]), name, &client);
    for (name, ssl) in [
        ("plain.example", ssl(&root.identity("plain.example", &[]), "plain.example")),
        ("mutual.example", demand("mutual.example", json!({"ca": users.pem}))),
        ("same.example", demand("same.example", json!({"ca": users.pem}))),
        ("other.example", demand("other.example", json!({"ca": others.pem}))),
        (
            "open.example",
            demand("open.example", json!({"ca": users.pem, "skip_mtls_uri_regex": ["^/open/"]})),
        ),
        ("odd.example", demand("odd.example", json!({"ca": users.pem, "skip_mtls_uri_regex": ["^/[^a]"]}))),
    ] {
        place.put("ssls", name, ssl).await;
    }
    let address = place.gate.server.addresses()[0];
    let mut nobody = connect(address, client(&root, None), "plain.example").await.unwrap();
    let identity = users.identity("user", &[]);
    let mut user = connect(address, client(&root, Some(&identity)), "mutual.example").await.unwrap();
    for (url, to_nobody, to_user) in [
        ("https://plain.example/", 200, 200),
        ("https://elsewhere.example/", 200, 200),
        ("https://mutual.example/", 421, 200),
        ("https://MUTUAL.example/", 421, 200),
        ("https://same.example/", 421, 200),
        ("https://other.example/", 421, 421),
        ("https://open.example/open/a", 200, 200),
        ("https://open.example//%6fpen/a", 200, 200),
        ("https://open.example/closed/open/", 421, 200),
        ("https://odd.example/b", 200, 200),
        ("https://odd.example/a", 421, 200),
        // It is the path that routes see which counts.
        ("https://odd.example/%61", 421, 200),
    ] {
        for (connection, expected) in [(&mut nobody, to_nobody), (&mut user, to_user)] {
            let (status, told) = get(connection, url).await;
            assert_eq!(status, expected, "{url}: {told}");
            if status == 421 {
                assert_eq!(told["code"], "client_certificate_required", "{url}");
            }
        }
    }
    // A connection without TLS can show nothing.
    let in_clear = Gate { address: place.gate.server.addresses()[1], ..place.gate };
    for (host, status) in [("plain.example", 200), ("mutual.example", 421)] {
        let answer =
            in_clear.raw(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(super::super::support::status(&answer), status, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_from_the_next_handshake_on_and_a_broken_one_harms_no_other() {
    let place = place().await;
    let (root, other_root) = (Authority::root("root"), Authority::root("other"));
    let names = ["a.example", "b.example"];
    for name in names {
        place.put("ssls", name, ssl(&root.identity(name, &[]), name)).await;
    }
    let address = place.gate.server.addresses()[0];
    let served = async |root: &Authority, name| connect(address, client(root, None), name).await.is_ok();
    let mut open = connect(address, client(&root, None), "a.example").await.unwrap();
    place.put("ssls", "a.example", ssl(&other_root.identity("a.example", &[]), "a.example")).await;
    assert!(!served(&root, "a.example").await && served(&other_root, "a.example").await);
    assert!(served(&root, "b.example").await);
    assert_eq!(get(&mut open, "https://a.example/").await.0, 200, "who is connected stays");
    let mut broken = ssl(&other_root.identity("a.example", &[]), "a.example");
    broken["key"] = json!(root.identity("a.example", &[]).key);
    place.put("ssls", "a.example", broken).await;
    assert!(!served(&other_root, "a.example").await && served(&root, "b.example").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_shown_all_the_same_and_told() {
    let place = place().await;
    let root = Authority::root("root");
    let old = ssl(&root.expired("a.example"), "a.example");
    place.put("ssls", "1", old.clone()).await;
    let address = place.gate.server.addresses()[0];
    let refused = connect(address, client(&root, None), "a.example").await.unwrap_err();
    let refused = refused.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    let is_expired = matches!(
        refused,
        Some(rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. }
        ))
    );
    assert!(is_expired, "the client must see it and refuse: {refused:?}");
    let warnings = |ssl: &Value| {
        let ssl = Ssl::parse(ResourceId::parse("1").unwrap(), ssl).unwrap();
        certificates::warnings(&ssl, SystemClock.now())
    };
    let expected = "cert: it expired at 2001-01-01T00:00:00Z, and clients will refuse it; replace it";
    assert_eq!(warnings(&old), [expected]);
    assert!(warnings(&ssl(&root.identity("a.example", &[]), "a.example")).is_empty());
}
