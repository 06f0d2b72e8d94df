//! What the upstream is asked in the place of what the client asked; names for requests; faults.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::Place;

#[tokio::test(flavor = "multi_thread")]
async fn path_method_and_host_are_what_the_route_says() {
    let place = Place::new().await;
    for (path, settings, target, expected) in [
        ("/u/*", json!({"uri": "/new"}), "/u/a?x=1", "/new?x=1"),
        ("/q/*", json!({"uri": "/new?a=$arg_x"}), "/q/a?x=1", "/new?a=1&x=1"),
        ("/r/*", json!({"regex_uri": ["^/r/(.*)/(.*)$", "/$2/$1"]}), "/r/a/b?x=1", "/b/a?x=1"),
        ("/s/*", json!({"regex_uri": ["^/no", "/x", "^/s/", "/t/"]}), "/s/a%20b", "/t/a%20b"),
        ("/k/*", json!({"method": "PUT"}), "/k//a%2Fb?c=%20", "/k//a%2Fb?c=%20"),
        ("/h/*", json!({"host": "inner.example:81"}), "/h/", "/h/"),
    ] {
        place.route(path, json!({"proxy-rewrite": settings})).await;
        let reply = place.get(target, &[]).await;
        assert_eq!(reply.target(), expected, "{path}");
        let method = if path == "/k/*" { "PUT" } else { "GET" };
        assert_eq!(reply.json()["method"], method, "{path}");
        let host = if path == "/h/*" { "inner.example:81" } else { "gate.example" };
        assert_eq!(reply.sent("host").as_deref(), Some(host), "{path}");
        assert_eq!(reply.sent("x-forwarded-host").as_deref(), Some("gate.example"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_added_set_and_removed_also_those_that_the_gateway_writes() {
    let place = Place::new().await;
    let headers = json!({
        "add": {"X-List": "added", "X-New": "$remote_addr"},
        "set": {"X-One": "$arg_x", "X-Part": "$1", "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443"},
        "remove": ["X-Gone", "X-Forwarded-For"],
    });
    let settings = json!({"regex_uri": ["^/a/(.*)", "/$1"], "headers": headers});
    place.route("/a/*", json!({"proxy-rewrite": settings})).await;
    let sent = [
        ("x-list", "own"),
        ("x-one", "own"),
        ("x-gone", "own"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-kept", "own"),
    ];
    let reply = place.get("/a/b?x=7", &sent).await;
    for (name, value) in [
        ("x-list", Some("own|added")),
        ("x-new", Some("127.0.0.1")),
        ("x-one", Some("7")),
        ("x-part", Some("b")),
        ("x-gone", None),
        ("x-kept", Some("own")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-proto", Some("https")),
        ("x-forwarded-port", Some("443")),
    ] {
        assert_eq!(reply.sent(name).as_deref(), value, "{name}");
    }
    // A client cannot say these.
    place.route("/b", json!({"cors": {}})).await;
    let forged = place.get("/b", &[("x-forwarded-proto", "https"), ("x-forwarded-host", "evil")]).await;
    assert_eq!(forged.sent("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(forged.sent("x-forwarded-host").as_deref(), Some("gate.example"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_named_where_the_route_wants_it() {
    let place = Place::new().await;
    place.route("/a", json!({"request-id": {"header_name": "X-Trace", "algorithm": "nanoid"}})).await;
    place.route("/b", json!({"request-id": {"header_name": "X-Trace", "include_in_response": false}})).await;
    let named = place.get("/a", &[]).await;
    let id = named.sent("x-trace").unwrap();
    assert_eq!((id.len(), named.header("x-trace")), (21, Some(id.as_str())));
    let own = place.get("/a", &[("x-trace", "mine")]).await;
    assert_eq!((own.sent("x-trace").as_deref(), own.header("x-trace")), (Some("mine"), Some("mine")));
    let silent = place.get("/b", &[]).await;
    assert!(silent.sent("x-trace").is_some() && silent.header("x-trace").is_none());
    assert_eq!(silent.sent("x-request-id").as_deref(), silent.header("x-request-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_come_where_they_are_wanted_and_as_often() {
    let place = Place::new().await;
    let abort = |fields: Value| {
        let mut abort = json!({"http_status": 418, "body": "tea for $arg_who", "headers": {"X-Pot": "$uri"}});
        for (name, field) in fields.as_object().unwrap() {
            abort[name] = field.clone();
        }
        json!({"fault-injection": {"abort": abort}})
    };
    place.route("/always", abort(json!({}))).await;
    place.route("/never", abort(json!({"percentage": 0}))).await;
    place.route("/some", abort(json!({"vars": [[["arg_who", "==", "ann"]], [["http_x", "==", "1"]]]}))).await;
    let reply = place.get("/always?who=ann", &[]).await;
    assert_eq!((reply.status(), reply.json()), (418, json!("tea for ann")));
    assert_eq!(reply.header("x-pot"), Some("/always"));
    for (target, headers, status) in [
        ("/never", &[][..], 200),
        ("/some", &[], 200),
        ("/some?who=ann", &[], 418),
        ("/some", &[("x", "1")], 418),
        ("/some?who=bob", &[("x", "2")], 200),
    ] {
        assert_eq!(place.get(target, headers).await.status(), status, "{target} {headers:?}");
    }
    place.route("/slow", json!({"fault-injection": {"delay": {"duration": 0.3}}})).await;
    let asked = Instant::now();
    assert_eq!(place.get("/slow", &[]).await.status(), 200);
    assert!(asked.elapsed() >= Duration::from_millis(300));
}
