use rustls_pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::*;
use crate::registry::locked;
use crate::testing::{Listening, answer_once, connector, states, upstream};

/// What asking the node on `port` meets, of an upstream with `others` besides.
async fn asked(port: u16, others: Value) -> Outcome {
    let mut json = others;
    json["nodes"] = json!([{"host": "127.0.0.1", "port": port, "weight": 1}]);
    let upstream = upstream(&json);
    let states = states(1, &Arc::default());
    let active = &upstream.checks.as_ref().unwrap().active;
    let plan = Plan::new("upstreams/1", active, &upstream, None, &states).unwrap();
    ask(Arc::new(plan), 0, connector()).await
}

fn active(active: &Value) -> Value {
    json!({"checks": {"active": active}})
}

#[tokio::test]
async fn the_question_is_the_one_that_was_written_down() {
    let node = Listening::start("HTTP/1.1 204 No Content\r\n\r\n").await;
    let check = active(&json!({
        "http_method": "POST", "http_path": "/status?deep", "http_req_body": "ping", "host": "health.example",
        "req_headers": ["X-Probe: 1", "X-Probe: 2", "Host: other", "User-Agent: mine"],
    }));
    assert_eq!(asked(node.port, check).await, Outcome::Answered(204));
    let requests = locked(&node.requests);
    let head = requests[0].to_ascii_lowercase();
    assert!(head.starts_with("post /status?deep http/1.1\r\n"), "{head}");
    for line in [
        "host: health.example\r\n",
        "x-probe: 1\r\n",
        "x-probe: 2\r\n",
        "user-agent: mine\r\n",
        "connection: close\r\n",
        "content-length: 4\r\n",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert_eq!(head.matches("host:").count(), 1);
}

#[tokio::test]
async fn a_node_hears_its_own_name_or_the_one_that_requests_are_sent_with() {
    let node = Listening::start("HTTP/1.1 200 OK\r\n\r\n").await;
    asked(node.port, active(&json!({}))).await;
    let mut rewrite = active(&json!({}));
    (rewrite["pass_host"], rewrite["upstream_host"]) = (json!("rewrite"), json!("inner.example:81"));
    asked(node.port, rewrite).await;
    let requests = locked(&node.requests);
    assert!(requests[0].contains(&format!("host: 127.0.0.1:{}\r\n", node.port)), "{}", requests[0]);
    assert!(requests[1].contains("host: inner.example:81\r\n"), "{}", requests[1]);
}

#[tokio::test]
async fn what_goes_wrong_is_told_apart() {
    let hasty = json!({"timeout": 0.05});
    let silent = Listening::start("").await;
    assert_eq!(asked(silent.port, active(&hasty)).await, Outcome::TimedOut);
    let garbled = Listening::start("SSH-2.0-nonsense\r\n\r\n").await;
    assert_eq!(asked(garbled.port, active(&json!({}))).await, Outcome::Garbled);
    let nobody = gateward_testkit::nobody().port();
    assert_eq!(asked(nobody, active(&json!({}))).await, Outcome::Broken);
    assert_eq!(asked(nobody, active(&json!({"type": "tcp"}))).await, Outcome::Broken);
    let failing = Listening::start("HTTP/1.1 503 No\r\n\r\n").await;
    assert_eq!(asked(failing.port, active(&json!({}))).await, Outcome::Answered(503));
}

#[tokio::test]
async fn a_connection_is_all_that_is_wanted_of_tcp() {
    let silent = Listening::start("").await;
    assert_eq!(asked(silent.port, active(&json!({"type": "tcp"}))).await, Outcome::Connected);
    // The port of a check wins over the node's.
    let elsewhere = active(&json!({"type": "tcp", "port": silent.port}));
    assert_eq!(asked(gateward_testkit::nobody().port(), elsewhere).await, Outcome::Connected);
}

#[tokio::test]
async fn a_certificate_is_verified_unless_it_need_not_be() {
    let own = rcgen::generate_simple_self_signed(vec!["node.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let config =
        ServerConfig::builder_with_provider(Arc::new(tokio_rustls::rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    Handle::current().spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            if let Ok(tls) = acceptor.accept(tcp).await {
                Handle::current().spawn(answer_once(tls, "HTTP/1.1 200 OK\r\n\r\n", Arc::default()));
            }
        }
    });
    let https = |more: Value| {
        let mut check = json!({"type": "https", "host": "node.example"});
        check.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        active(&check)
    };
    assert_eq!(asked(port, https(json!({}))).await, Outcome::Broken);
    let unverified = https(json!({"https_verify_certificate": false}));
    assert_eq!(asked(port, unverified).await, Outcome::Answered(200));
    let mut own_ca = https(json!({}));
    own_ca["tls"] = json!({"ca": own.cert.pem()});
    assert_eq!(asked(port, own_ca.clone()).await, Outcome::Answered(200));
    own_ca["checks"]["active"]["host"] = json!("other.example");
    assert_eq!(asked(port, own_ca).await, Outcome::Broken);
    // Where nothing else is said, checks verify what requests verify.
    let mut trusting = https(json!({}));
    trusting["tls"] = json!({"verify": false});
    assert_eq!(asked(port, trusting).await, Outcome::Answered(200));
}

#[tokio::test]
async fn nodes_that_speak_grpc_are_asked_by_http2() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    Handle::current().spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let service = hyper::service::service_fn(|request: Request<hyper::body::Incoming>| async move {
            let fits = request.uri().path() == "/ready" && request.version() == http::Version::HTTP_2;
            let mut response = http::Response::new(Full::new(bytes::Bytes::new()));
            *response.status_mut() = if fits { http::StatusCode::OK } else { http::StatusCode::BAD_REQUEST };
            Ok::<_, std::convert::Infallible>(response)
        });
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        server.serve_connection(TokioIo::new(tcp), service).await.unwrap();
    });
    let mut check = active(&json!({"http_path": "/ready"}));
    check["scheme"] = json!("grpc");
    assert_eq!(asked(port, check).await, Outcome::Answered(200));
}
