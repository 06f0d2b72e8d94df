//! What routes and plugins know of a request, in both versions of HTTP.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use super::super::support::nodes;
use super::Place;

#[tokio::test(flavor = "multi_thread")]
async fn the_host_is_known_with_and_without_its_port_however_it_was_said() {
    let place = Place::new().await;
    let told = json!({"headers": {"set": {"X-Host": "$host", "X-Http-Host": "$http_host"}}});
    let filtered = json!({
        "header_name": "X-Trace", "_meta": {"filter": [["http_host", "==", "A.Example:81"], ["host", "==", "a.example"]]},
    });
    let route = json!({
        "uri": "/a", "vars": [["http_host", "==", "A.Example:81"], ["host", "==", "a.example"]],
        "plugins": {"proxy-rewrite": told, "request-id": filtered}, "upstream": nodes(&[place.upstream]),
    });
    place.put("routes", "1", route).await;
    let by_http1 = place.get("/a", &[("host", "A.Example:81")]).await;
    let target = "http://A.Example:81/a";
    let absolute = place.ask("GET", target, &[("host", "A.Example:81")]).await;
    for told in [by_http1.json(), absolute.json(), by_http2(&place, target).await] {
        assert_eq!(told["headers"]["x-host"], json!(["a.example"]), "{told}");
        assert_eq!(told["headers"]["x-http-host"], json!(["A.Example:81"]));
        assert!(told["headers"].get("x-trace").is_some());
    }
    assert_eq!(place.get("/a", &[("host", "a.example")]).await.status(), 404);
}

async fn by_http2(place: &Place, target: &str) -> Value {
    let stream = TcpStream::connect(place.gate.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    Handle::current().spawn(connection);
    let request = Request::get(target).body(Full::<Bytes>::default()).unwrap();
    let body = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_and_the_choice_of_a_node_know_what_a_body_says_and_the_upstream_gets_all_of_it() {
    let place = Place::new().await;
    let abort = json!({"abort": {"http_status": 418, "vars": [[["post_arg.model", "==", "tea"]]]}});
    let filtered = json!({"header_name": "X-Trace", "_meta": {"filter": [["post_arg.n.m", "==", "x"]]}});
    let told = json!({"headers": {"set": {"X-Model": "${post_arg.model}"}}});
    let plugins = json!({"fault-injection": abort, "request-id": filtered, "proxy-rewrite": told});
    place.route("/json", plugins.clone()).await;
    let limit = json!({"limit-count": {"count": 1, "time_window": 60, "key": "post_arg_user"}});
    place.route("/form", limit).await;
    place.route("/deaf", json!({"request-id": {"header_name": "X-Trace"}})).await;
    let post = async |path: &str, kind: &str, body: &str| {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: {kind}");
        super::Reply(place.gate.raw(format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}")).await)
    };
    let (json_type, form) = ("application/json", "application/x-www-form-urlencoded");
    assert_eq!(post("/json", json_type, r#"{"model": "tea"}"#).await.status(), 418);
    let body = r#"{"model": "coffee", "n": {"m": "x"}}"#;
    let reply = post("/json", json_type, body).await;
    assert_eq!((reply.status(), reply.json()["body"].as_str()), (200, Some(body)));
    assert_eq!(reply.sent("x-model").as_deref(), Some("coffee"));
    assert!(reply.sent("x-trace").is_some());
    for (body, status) in [("user=ann", 200), ("user=bob", 200), ("a=1&user=ann", 503)] {
        assert_eq!(post("/form", form, body).await.status(), status, "{body}");
    }
    assert_eq!(post("/deaf", json_type, body).await.json()["body"], body);
}
