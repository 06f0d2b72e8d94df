//! Upstreams that speak TLS, HTTP/2 and gRPC.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::support::Gate;
use gateward_testkit::{Authority, Identity};

/// What a node shows and asks for.
pub fn tls(shows: &Identity, trusts: Option<&Authority>, speaks: &[&str]) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match trusts {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let chain = CertificateDer::pem_slice_iter(shows.chain.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(shows.key.as_bytes()).unwrap();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = speaks.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}

/// A node that says how it was called: `{"sni", "alpn", "vouched", "host"}`.
async fn node(config: ServerConfig) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Handle::current().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            Handle::current().spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let session = stream.get_ref().1;
                let alpn = session.alpn_protocol().map(|alpn| String::from_utf8_lossy(alpn).into_owned());
                let told = json!({
                    "sni": session.server_name(), "alpn": alpn, "vouched": session.peer_certificates().is_some(),
                });
                let is_h2 = alpn.as_deref() == Some("h2");
                serve(stream, is_h2, move |request| tell(&told, &request)).await;
            });
        }
    });
    address
}

fn tell(told: &Value, request: &Request<Incoming>) -> Response<Answer> {
    let mut told = told.clone();
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let host = request.headers().get("host").and_then(|host| host.to_str().ok());
    told["host"] = json!(authority.or(host));
    Response::new(http_body_util::Full::from(told.to_string()).boxed_unsync())
}

type Answer = UnsyncBoxBody<Bytes, Infallible>;

async fn serve<S>(
    stream: S,
    is_h2: bool,
    answer: impl Fn(Request<Incoming>) -> Response<Answer> + Send + 'static,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let stream = TokioIo::new(stream);
    // How a connection ends is the gateway's affair.
    let _ = match is_h2 {
        true => {
            let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            http2.serve_connection(stream, service).await
        }
        false => hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await,
    };
}

async fn put(gate: &Gate, node: SocketAddr, more: &Value) {
    let mut upstream = json!({"nodes": {node.to_string(): 1}, "scheme": "https"});
    upstream.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    gate.plane.put("routes", "1", &json!({"uri": "/*", "upstream": upstream})).await;
}

async fn is_refused(gate: &Gate) -> bool {
    let (status, told) = gate.get("/").await;
    (status, &told["code"]) == (502, &json!("upstream_tls_failed"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_must_be_vouched_for_by_who_the_upstream_trusts() {
    let (root, other) = (Authority::root("root"), Authority::root("other"));
    let node = node(tls(&root.identity("127.0.0.1", &[]), None, &[])).await;
    let gate = Gate::start().await;
    for (settings, trusted) in [
        (json!({}), false),
        (json!({"verify": true}), false),
        (json!({"ca": other.pem}), false),
        (json!({"ca": root.pem}), true),
        (json!({"verify": false}), true),
    ] {
        put(&gate, node, &json!({"tls": settings})).await;
        if trusted {
            let (status, told) = gate.get("/").await;
            assert_eq!((status, &told["host"]), (200, &json!("gate.example")), "{settings}: {told}");
        } else {
            assert!(is_refused(&gate).await, "{settings}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_hears_the_host_that_the_upstream_says_and_must_be_who_it_is_called() {
    let root = Authority::root("root");
    let by_address = node(tls(&root.identity("127.0.0.1", &[]), None, &[])).await;
    let by_name = node(tls(&root.identity("api.example", &[]), None, &[])).await;
    let gate = Gate::start().await;
    let ca = json!({"ca": root.pem});
    for (pass, host) in [("pass", "gate.example".to_owned()), ("node", by_address.to_string())] {
        put(&gate, by_address, &json!({"pass_host": pass, "tls": ca})).await;
        let (status, told) = gate.get("/").await;
        assert_eq!((status, &told["host"]), (200, &json!(host)), "{told}");
    }
    put(&gate, by_name, &json!({"tls": ca})).await;
    assert!(is_refused(&gate).await, "it shows another name than it is called by");
    let rewrite = json!({"pass_host": "rewrite", "upstream_host": "api.example:8443", "tls": ca});
    put(&gate, by_name, &rewrite).await;
    let (status, told) = gate.get("/").await;
    let seen = (&told["host"], &told["sni"]);
    assert_eq!((status, seen), (200, (&json!("api.example:8443"), &json!("api.example"))), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_may_ask_who_calls() {
    let (root, ours) = (Authority::root("root"), Authority::root("ours"));
    let node = node(tls(&root.identity("127.0.0.1", &[]), Some(&ours), &[])).await;
    let (known, unknown) = (ours.identity("gateway", &[]), root.identity("gateway", &[]));
    let gate = Gate::start().await;
    let by = |more: Value| {
        let mut tls = json!({"ca": root.pem});
        tls.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "tls": tls })
    };
    let own = |identity: &Identity| json!({"client_cert": identity.chain, "client_key": identity.key});
    let ssl = |identity: &Identity| json!({"type": "client", "cert": identity.chain, "key": identity.key});
    for (settings, welcome) in
        [(json!({}), false), (own(&unknown), false), (own(&known), true), (json!({}), false)]
    {
        put(&gate, node, &by(settings)).await;
        let (status, told) = gate.get("/").await;
        assert_eq!(status == 200, welcome, "{told}");
        assert_eq!(told["vouched"] == json!(true), welcome, "{told}");
    }
    gate.plane.put("ssls", "c", &ssl(&known)).await;
    put(&gate, node, &by(json!({"client_cert_id": "c"}))).await;
    assert_eq!(gate.get("/").await.1["vouched"], true);
    // A certificate that is replaced is shown by no connection of before.
    gate.plane.put("ssls", "c", &ssl(&unknown)).await;
    assert_ne!(gate.get("/").await.0, 200);
    put(&gate, node, &by(json!({"client_cert_id": "nowhere"}))).await;
    let (status, told) = gate.get("/").await;
    assert_eq!((status, &told["code"]), (503, &json!("upstream_invalid")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_two_ends_agree_on_http_2_over_tls() {
    let root = Authority::root("root");
    let both = node(tls(&root.identity("127.0.0.1", &[]), None, &["h2", "http/1.1"])).await;
    let old = node(tls(&root.identity("127.0.0.1", &[]), None, &["http/1.1"])).await;
    let gate = Gate::start().await;
    let ca = json!({"ca": root.pem});
    for (scheme, alpn) in [("grpcs", "h2"), ("https", "http/1.1")] {
        put(&gate, both, &json!({"scheme": scheme, "tls": ca})).await;
        let (status, told) = gate.get("/").await;
        assert_eq!((status, &told["alpn"]), (200, &json!(alpn)), "{told}");
        assert_eq!(told["host"], "gate.example");
    }
    put(&gate, old, &json!({"scheme": "grpcs", "tls": ca})).await;
    assert_eq!(gate.get("/").await.0, 502);
}

/// A gRPC service that gives back each message as it comes; `/fail` answers with trailers only.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    Handle::current().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            Handle::current().spawn(serve(stream, true, echoed));
        }
    });
    address
}

fn echoed(request: Request<Incoming>) -> Response<Answer> {
    let response = Response::builder().header("content-type", "application/grpc");
    if request.uri().path() == "/fail" {
        let response = response.header("grpc-status", "5").header("grpc-message", "no such thing");
        return response.body(Empty::new().boxed_unsync()).unwrap();
    }
    let te = request.headers().get("te").cloned().unwrap_or(HeaderValue::from_static("none"));
    let frames = futures_util::stream::unfold(Some(request.into_body()), |body| async {
        let mut body = body?;
        match body.frame().await {
            Some(Ok(frame)) if frame.is_data() => Some((Ok(frame), Some(body))),
            ended => {
                let mut trailers = match ended {
                    Some(Ok(frame)) => frame.into_trailers().unwrap_or_default(),
                    _ => HeaderMap::new(),
                };
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                Some((Ok(Frame::trailers(trailers)), None))
            }
        }
    });
    response.header("x-te", te).body(StreamBody::new(frames).boxed_unsync()).unwrap()
}

/// A client of gRPC, whose messages come from a channel.
struct Caller(SendRequest<UnsyncBoxBody<Bytes, Infallible>>);

impl Caller {
    async fn of(gate: &Gate) -> Self {
        let stream = TcpStream::connect(gate.address).await.unwrap();
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await.unwrap();
        Handle::current().spawn(connection);
        Self(sender)
    }

    async fn call(&mut self, path: &str) -> (mpsc::UnboundedSender<Frame<Bytes>>, Response<Incoming>) {
        let (says, said) = mpsc::unbounded_channel();
        let frames =
            futures_util::stream::unfold(said, |mut said| async { Some((Ok(said.recv().await?), said)) });
        let request = Request::post(format!("http://grpc.example{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(StreamBody::new(frames).boxed_unsync());
        (says, self.0.send_request(request.unwrap()).await.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_streams_both_ways_and_ends_with_its_trailers() {
    let gate = Gate::start().await;
    let upstream = json!({"nodes": {echo().await.to_string(): 1}, "scheme": "grpc"});
    gate.plane.put("routes", "1", &json!({"uri": "/*", "upstream": upstream})).await;
    let mut caller = Caller::of(&gate).await;
    let (says, mut answer) = caller.call("/echo").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-te"], "trailers");
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    for message in ["one", "two", "three"] {
        says.send(Frame::data(Bytes::from(message))).unwrap();
        let heard = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(heard, message);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("abc"));
    says.send(Frame::trailers(trailers)).unwrap();
    drop(says);
    let trailers = answer.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(
        (&trailers["grpc-status"], &trailers["x-checksum"]),
        (&"0".parse().unwrap(), &"abc".parse().unwrap())
    );
    assert!(answer.frame().await.is_none());

    let (_says, failed) = caller.call("/fail").await;
    assert_eq!((failed.status().as_u16(), &failed.headers()["grpc-status"]), (200, &"5".parse().unwrap()));
    assert_eq!(failed.headers()["grpc-message"], "no such thing");
}
