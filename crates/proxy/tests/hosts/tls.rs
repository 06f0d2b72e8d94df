//! Handshakes: which certificate a client is shown, and what it must show in return.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use gateward_model::apisix::{ResourceId, Ssl};
use gateward_proxy::certificates::Certificates;
use gateward_proxy::host::server::{Limits, Listener, ServerSettings};
use rustls::{AlertDescription, ClientConfig, HandshakeKind, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::support::{Gate, LONG, Mirror, Plane, anywhere, body, one_listener};
use gateward_testkit::{Authority, Identity};

/// A gateway that speaks TLS, and shows what it is told to.
struct TlsGate {
    gate: Gate,
    certificates: Arc<ArcSwap<Certificates>>,
}

impl TlsGate {
    async fn start(ssls: &[Value]) -> Self {
        Self::with(ServerSettings { ..one_listener(Listener::tls(anywhere())) }, ssls).await
    }

    async fn with(settings: ServerSettings, ssls: &[Value]) -> Self {
        let certificates = Arc::new(ArcSwap::from_pointee(Certificates::default()));
        let shown = Arc::clone(&certificates);
        let source = Arc::new(move || shown.load_full());
        let door = Arc::new(Mirror::new());
        let gate = Gate::serving(Plane::start(&[]), settings, source, Some(door)).await;
        let this = Self { gate, certificates };
        this.show(ssls);
        this
    }

    fn show(&self, ssls: &[Value]) {
        let parse = |(at, json): (usize, &Value)| {
            Arc::new(Ssl::parse(ResourceId::parse(&at.to_string()).unwrap(), json).unwrap())
        };
        let ssls: Vec<_> = ssls.iter().enumerate().map(parse).collect();
        let compiled = Certificates::compile(&ssls, &self.certificates.load(), &self.gate.plane.resolver);
        assert!(compiled.broken.is_empty(), "{:?}", compiled.broken);
        self.certificates.store(Arc::new(compiled.certificates));
    }

    async fn connect(&self, client: &Arc<ClientConfig>, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.gate.address).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::clone(client)).connect(name, tcp).await
    }

    /// How the gateway saw the connection that `client` opens for `name`.
    async fn seen(&self, client: &Arc<ClientConfig>, name: &str) -> std::io::Result<(Value, HandshakeKind)> {
        let mut stream = self.connect(client, name).await?;
        let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok((body(&answer), stream.get_ref().1.handshake_kind().unwrap()))
    }
}

pub(super) fn ssl(identity: &Identity, name: &str) -> Value {
    json!({"sni": name, "cert": identity.chain, "key": identity.key})
}

pub(super) fn mutual(identity: &Identity, name: &str, client: &Value) -> Value {
    let mut ssl = ssl(identity, name);
    ssl["client"] = client.clone();
    ssl
}

pub(super) fn client(root: &Authority, identity: Option<&Identity>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    match identity {
        Some(identity) => {
            let chain =
                CertificateDer::pem_slice_iter(identity.chain.as_bytes()).map(Result::unwrap).collect();
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
        None => builder.with_no_client_auth(),
    }
}

/// The alert that a handshake failed with.
fn alert(error: &std::io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_name_is_shown_its_certificate_and_a_new_one_from_the_next_handshake_on() {
    let (root, other_root) = (Authority::root("root"), Authority::root("other"));
    let [a, b] = ["a.example", "b.example"].map(|name| ssl(&root.identity(name, &[]), name));
    let gate = TlsGate::start(&[a.clone(), b]).await;
    let client_of = |root| Arc::new(client(root, None));
    for name in ["a.example", "b.example"] {
        let (seen, _) = gate.seen(&client_of(&root), name).await.unwrap();
        assert_eq!((&seen["sni"], &seen["version"]), (&json!(name), &json!("TLSv1.3")));
    }
    let mut open = gate.connect(&client_of(&root), "b.example").await.unwrap();
    gate.show(&[a, ssl(&other_root.identity("b.example", &[]), "b.example")]);
    assert!(gate.seen(&client_of(&root), "b.example").await.is_err());
    assert!(gate.seen(&client_of(&other_root), "b.example").await.is_ok());
    assert!(gate.seen(&client_of(&root), "a.example").await.is_ok());
    // Who is connected stays.
    open.write_all(b"GET / HTTP/1.1\r\nHost: b.example\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    open.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_nobody_has_is_refused_with_the_alert_for_it() {
    let root = Authority::root("root");
    let gate = TlsGate::start(&[ssl(&root.identity("a.example", &[]), "a.example")]).await;
    let error = gate.seen(&Arc::new(client(&root, None)), "b.example").await.unwrap_err();
    assert_eq!(alert(&error), Some(AlertDescription::UnrecognisedName), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_names_no_host_gets_the_fallback() {
    let root = Authority::root("root");
    let ssls = [ssl(&root.identity("a.example", &[]), "a.example")];
    let mut silent = client(&root, None);
    silent.enable_sni = false;
    let silent = Arc::new(silent);
    let gate = TlsGate::start(&ssls).await;
    assert!(gate.seen(&silent, "a.example").await.is_err());
    let settings = ServerSettings {
        fallback_sni: Some("A.Example".to_owned()),
        ..one_listener(Listener::tls(anywhere()))
    };
    let gate = TlsGate::with(settings, &ssls).await;
    assert_eq!(gate.seen(&silent, "a.example").await.unwrap().0["sni"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_two_ends_agree_on_a_protocol_and_on_a_version() {
    let root = Authority::root("root");
    let mut old = ssl(&root.identity("old.example", &[]), "old.example");
    old["ssl_protocols"] = json!(["TLSv1.2"]);
    let gate = TlsGate::start(&[ssl(&root.identity("a.example", &[]), "a.example"), old]).await;
    for (offered, agreed) in
        [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)]
    {
        let mut client = client(&root, None);
        client.alpn_protocols = offered.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let stream = gate.connect(&Arc::new(client), "a.example").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed.map(str::as_bytes));
    }
    let (seen, _) = gate.seen(&Arc::new(client(&root, None)), "old.example").await.unwrap();
    assert_eq!(seen["version"], "TLSv1.2");
    let mut http2 = client(&root, None);
    http2.alpn_protocols = vec![b"h2".to_vec()];
    let stream = gate.connect(&Arc::new(http2), "a.example").await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::runtime::Handle::current().spawn(connection);
    let request = http::Request::get("https://a.example/").body(http_body_util::Empty::<bytes::Bytes>::new());
    assert_eq!(sender.send_request(request.unwrap()).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_resumed_on_whatever_thread_takes_the_connection() {
    let root = Authority::root("root");
    let mut old = ssl(&root.identity("old.example", &[]), "old.example");
    old["ssl_protocols"] = json!(["TLSv1.2"]);
    let gate = TlsGate::start(&[ssl(&root.identity("a.example", &[]), "a.example"), old]).await;
    for name in ["a.example", "old.example"] {
        let client = Arc::new(client(&root, None));
        let mut kinds = Vec::new();
        for _ in 0..8 {
            kinds.push(gate.seen(&client, name).await.unwrap().1);
        }
        assert_eq!(kinds[0], HandshakeKind::Full, "{name}");
        assert!(kinds[1..].iter().all(|kind| *kind == HandshakeKind::Resumed), "{name}: {kinds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_must_show_a_certificate_that_the_host_asks_for() {
    let (root, users) = (Authority::root("root"), Authority::root("users"));
    let ssls = [
        ssl(&root.identity("plain.example", &[]), "plain.example"),
        mutual(&root.identity("mutual.example", &[]), "mutual.example", &json!({"ca": users.pem})),
        mutual(
            &root.identity("open.example", &[]),
            "open.example",
            &json!({"ca": users.pem, "skip_mtls_uri_regex": ["^/open"]}),
        ),
    ];
    let gate = TlsGate::start(&ssls).await;
    let nobody = Arc::new(client(&root, None));
    let user = Arc::new(client(&root, Some(&users.identity("user", &[]))));
    let stranger = Arc::new(client(&root, Some(&root.identity("user", &[]))));
    assert_eq!(gate.seen(&nobody, "plain.example").await.unwrap().0["vouched"], false);
    // Once shown it is known, also where a later connection goes on with the first one's keys.
    for name in ["mutual.example", "open.example", "open.example"] {
        let (told, _) = gate.seen(&user, name).await.unwrap();
        assert_eq!(told["vouched"], true);
        assert!(told["shown"].as_u64().is_some_and(|length| length > 100), "{told}");
    }
    assert!(gate.seen(&nobody, "open.example").await.unwrap().0["shown"].is_null());
    assert_eq!(gate.seen(&nobody, "open.example").await.unwrap().0["vouched"], false);
    assert!(gate.seen(&nobody, "mutual.example").await.is_err());
    assert!(gate.seen(&stranger, "mutual.example").await.is_err());
    assert!(gate.seen(&stranger, "open.example").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_authorities_may_stand_between_than_the_depth_says() {
    let (root, users) = (Authority::root("root"), Authority::root("users"));
    let first = users.below("first");
    let second = first.below("second");
    let host = |name: &str, depth| {
        mutual(&root.identity(name, &[]), name, &json!({"ca": users.pem, "depth": depth}))
    };
    let gate = TlsGate::start(&[host("one.example", 1), host("two.example", 2)]).await;
    let near = Arc::new(client(&root, Some(&first.identity("near", &[&first]))));
    let far = Arc::new(client(&root, Some(&second.identity("far", &[&second, &first]))));
    // Who shows more than is needed is as near as its shortest way.
    let talkative = Arc::new(client(&root, Some(&users.identity("direct", &[&first, &second]))));
    for (client, one, two) in [(&near, true, true), (&far, false, true), (&talkative, true, true)] {
        assert_eq!(gate.seen(client, "one.example").await.is_ok(), one);
        assert_eq!(gate.seen(client, "two.example").await.is_ok(), two);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_carries_a_client_past_what_its_host_has_come_to_ask_for() {
    let [root, users, others] = ["root", "users", "others"].map(Authority::root);
    let name = "a.example";
    for version in ["TLSv1.2", "TLSv1.3"] {
        let identity = root.identity(name, &[]);
        let of = |client: Option<&Authority>| {
            let mut ssl = match client {
                Some(authority) => mutual(&identity, name, &json!({"ca": authority.pem})),
                None => ssl(&identity, name),
            };
            ssl["ssl_protocols"] = json!([version]);
            ssl
        };
        let gate = TlsGate::start(&[of(None)]).await;
        let nobody = Arc::new(client(&root, None));
        let user = Arc::new(client(&root, Some(&users.identity("user", &[]))));
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            assert_eq!(gate.seen(&nobody, name).await.unwrap().1, kind, "{version}");
        }
        gate.show(&[of(Some(&users))]);
        assert!(gate.seen(&nobody, name).await.is_err(), "{version}: resumed without a certificate");
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let (seen, how) = gate.seen(&user, name).await.unwrap();
            assert_eq!((&seen["vouched"], how), (&json!(true), kind), "{version}");
        }
        gate.show(&[of(Some(&others))]);
        assert!(gate.seen(&user, name).await.is_err(), "{version}: resumed for other authorities");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_has_an_end() {
    let limits = Limits { handshake: Duration::from_millis(200), ..Limits::default() };
    let settings = ServerSettings { limits, ..one_listener(Listener::tls(anywhere())) };
    let gate = TlsGate::with(settings, &[]).await;
    for beginning in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = TcpStream::connect(gate.gate.address).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await.unwrap();
    }
    // What is no handshake ends at once, with an alert.
    let answer = {
        let mut stream = TcpStream::connect(gate.gate.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    };
    assert_eq!(answer.first(), Some(&21), "{answer:?}");
}
