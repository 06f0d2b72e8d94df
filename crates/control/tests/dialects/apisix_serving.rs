//! What is wrong with what is sent changes nothing for those who are served: a whole gateway behind the Admin API.

use std::net::SocketAddr;
use std::sync::Arc;

use gateward_clock::SystemClock;
use gateward_net::{Connector, ConnectorSettings};
use gateward_proxy::host::server::{Listener, Server, ServerParts, ServerSettings};
use http::StatusCode;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Plane;
use crate::apisix::ask;

/// A control plane, and a gateway that serves what is written there.
struct Place {
    plane: Plane,
    address: SocketAddr,
    _server: Server,
}

impl Place {
    async fn new() -> Self {
        let plane = Plane::new().await;
        let parts = ServerParts {
            current: plane.configuration.current(),
            certificates: Arc::new(Arc::default),
            access_log: None,
            traffic: Arc::default(),
            connector: Arc::new(Connector::new(ConnectorSettings::default()).unwrap()),
            clock: Arc::new(SystemClock),
            door: None,
        };
        let listeners = vec![Listener::plain("127.0.0.1:0".parse().unwrap())];
        let settings = ServerSettings { listeners, threads: 1, ..ServerSettings::default() };
        let server = Server::bind(settings, &parts).unwrap();
        Self { plane, address: server.addresses()[0], _server: server }
    }

    async fn put(&self, path: &str, json: &Value) {
        let answer = ask(&self.plane, "PUT", path, &json.to_string()).await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
    }

    async fn status(&self, path: &str) -> u16 {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Everything that the Admin API shows.
    async fn everything(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for kind in
            ["routes", "services", "upstreams", "plugin_configs", "consumer_groups", "consumers", "ssls"]
        {
            all.push(ask(&self.plane, "GET", &format!("/{kind}"), "").await.json);
        }
        all
    }
}

/// A certificate of its own, and its key.
fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// A route that answers by itself.
fn answering(uri: &str, status: u16) -> Value {
    json!({"uri": uri, "plugins": {"fault-injection": {"abort": {"http_status": status}}}})
}

/// A configuration in which everything refers to something.
async fn connected() -> Place {
    let place = Place::new().await;
    let (cert, key) = pair();
    place.put("/ssls/c", &json!({"type": "client", "cert": cert, "key": key})).await;
    let tls = json!({"client_cert_id": "c"});
    let upstream = json!({"scheme": "https", "nodes": {"127.0.0.1:1": 1}, "tls": tls});
    place.put("/upstreams/u", &upstream).await;
    place.put("/services/s", &json!({"upstream_id": "u"})).await;
    place.put("/plugin_configs/p", &json!({"plugins": answering("/", 418)["plugins"]})).await;
    place.put("/consumer_groups/g", &json!({"plugins": {}})).await;
    place.put("/consumers", &json!({"username": "ann", "group_id": "g"})).await;
    place.put("/routes/kept", &answering("/kept", 418)).await;
    place.put("/routes/r", &json!({"uri": "/r", "service_id": "s", "plugin_config_id": "p"})).await;
    place.put("/routes/q", &json!({"uri": "/q", "upstream_id": "u"})).await;
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_refused_names_the_field_and_leaves_everybody_served() {
    let place = connected().await;
    let before = place.everything().await;
    let ((cert, key), (_, foreign)) = (pair(), pair());
    let plugin = |name: &str, settings: Value| json!({"uri": "/kept", "plugins": {name: settings}});
    let upstream = |fields: Value| {
        let mut upstream = json!({"nodes": {"127.0.0.1:1": 1}});
        upstream.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"uri": "/kept", "upstream": upstream})
    };
    let cases = [
        ("/routes/kept", json!({"uri": "/kept"}), "a route needs one of"),
        ("/routes/kept", json!({"plugins": {}}), "\"uri\""),
        ("/routes/kept", json!({"uri": "kept", "plugins": {}}), "\"uri\""),
        ("/routes/kept", json!({"uri": "/kept", "plugins": {}, "methods": ["GOT"]}), "\"methods[0]\""),
        (
            "/routes/kept",
            json!({"uri": "/kept", "plugins": {}, "host": "a", "hosts": ["b"]}),
            "host or hosts",
        ),
        ("/routes/kept", json!({"uri": "/kept", "plugins": {}, "remote_addr": "a"}), "\"remote_addr"),
        ("/routes/kept", json!({"uri": "/kept", "plugins": {}, "vars": [["a", "is", "b"]]}), "\"vars"),
        ("/routes/kept", json!({"uri": "/kept", "plugins": {}, "priority": "1"}), "\"priority\""),
        ("/routes/kept", json!({"uri": "/kept", "plugins": {}, "timeout": {"connect": 1}}), "\"timeout"),
        ("/routes/kept", plugin("nope", json!({})), "unknown plugin [nope]"),
        ("/routes/kept", plugin("key-auth", json!("yes")), "plugins.key-auth"),
        (
            "/routes/kept",
            plugin("key-auth", json!({"header": 7})),
            "plugin key-auth err: property \"header\"",
        ),
        ("/routes/kept", plugin("limit-count", json!({"count": "x", "time_window": 1})), "\"count\""),
        ("/routes/kept", plugin("limit-count", json!({"count": 1})), "\"time_window\""),
        ("/routes/kept", plugin("cors", json!({"max_age": "1"})), "\"max_age\""),
        ("/routes/kept", plugin("cors", json!({"_meta": {"priority": "1"}})), "_meta.priority"),
        (
            "/routes/kept",
            plugin("proxy-rewrite", json!({"headers": {"remove": ["Host"]}})),
            "\"headers.remove\"",
        ),
        ("/routes/kept", json!({"uri": "/kept", "upstream_id": "n"}), "upstream id [n], response code: 404"),
        ("/routes/kept", json!({"uri": "/kept", "service_id": "n"}), "service id [n], response code: 404"),
        ("/routes/kept", json!({"uri": "/kept", "plugin_config_id": "n"}), "id [n], response code: 404"),
        ("/routes/kept", upstream(json!({"type": "fastest"})), "\"upstream.type\""),
        ("/routes/kept", upstream(json!({"nodes": {"a:1": "x"}})), "\"upstream.nodes"),
        ("/routes/kept", upstream(json!({"tls": {"client_cert_id": "n"}})), "upstream.tls.client_cert_id"),
        ("/services/s", json!({"upstream_id": "n"}), "upstream id [n], response code: 404"),
        ("/upstreams/u", json!({"type": "roundrobin"}), "\"nodes\""),
        ("/upstreams/u", json!({"nodes": {}, "tls": {"client_cert_id": "n"}}), "[n], response code: 404"),
        ("/consumers", json!({"username": "ann", "group_id": "n"}), "id [n], response code: 404"),
        ("/consumers", json!({"username": "a b"}), "\"username\""),
        ("/plugin_configs/p", json!({}), "\"plugins\""),
        ("/ssls/c", json!({"type": "client", "cert": cert, "key": foreign}), "\"key\""),
        ("/ssls/c", json!({"type": "client", "cert": "canary", "key": key}), "\"cert\""),
        ("/ssls/c", json!({"type": "client", "cert": cert}), "key"),
        ("/ssls/new", json!({"cert": cert, "key": key}), "sni"),
        ("/plugin_metadata/limit-count", json!({"limit_header": "a b"}), "\"limit_header\""),
        ("/plugin_metadata/limit-count", json!({"limit_header": "{vault://}"}), "\"limit_header\""),
    ];
    for (path, body, names) in cases {
        let answer = ask(&place.plane, "PUT", path, &body.to_string()).await;
        let sentence = answer.json["error_msg"].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {body}: {sentence}");
        assert!(sentence.contains(names), "{path} {body}: {sentence}");
        assert_eq!(place.status("/kept").await, 418, "{path} {body}");
    }
    assert_eq!(place.everything().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_use_is_deleted_only_by_force_and_then_only_those_suffer_who_used_it() {
    let place = connected().await;
    let before = place.everything().await;
    let in_use = [
        ("/upstreams/u", "upstream, route [q]"),
        ("/services/s", "service directly, route [r]"),
        ("/plugin_configs/p", "plugin config, route [r]"),
        ("/consumer_groups/g", "consumer group, consumer [ann]"),
        ("/ssls/c", "ssl, upstream [u]"),
    ];
    for (path, users) in in_use {
        for force in ["", "?force=1", "?force=false"] {
            let answer = ask(&place.plane, "DELETE", &format!("{path}{force}"), "").await;
            let expected = format!("can not delete this {users} is still using it now");
            assert_eq!(
                (answer.status, answer.json["error_msg"].as_str()),
                (StatusCode::BAD_REQUEST, Some(&*expected))
            );
        }
    }
    assert_eq!(place.everything().await, before);
    assert_eq!((place.status("/r").await, place.status("/kept").await), (418, 418));
    for (path, _) in in_use {
        let answer = ask(&place.plane, "DELETE", &format!("{path}?force=true"), "").await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        assert_eq!(place.status("/kept").await, 418, "{path}");
    }
    assert_eq!((place.status("/q").await, place.status("/r").await), (502, 404));
}
