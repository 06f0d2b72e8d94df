//! What routes have from their service, and from an upstream that stands on its own.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

use super::super::support::{nodes, upstream};
use super::Place;

/// Who answers for `path` on `host`.
async fn who(place: &Place, host: &str, path: &str) -> Value {
    let reply = place.get(path, &[("host", host)]).await;
    match reply.status() {
        200 => reply.json()["name"].clone(),
        status => json!(status),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_has_hosts_and_upstream_of_its_service_unless_it_says_its_own() {
    let place = Place::new().await;
    let (of_service, _) = upstream("service").await;
    let (alone, _) = upstream("alone").await;
    place.put("upstreams", "u", nodes(&[alone])).await;
    let service = json!({"hosts": ["a.example", "*.b.example"], "upstream": nodes(&[of_service])});
    place.put("services", "s", service).await;
    place.put("services", "t", json!({"upstream_id": "u"})).await;
    let own = nodes(&[place.upstream]);
    for (id, route) in [
        ("1", json!({"uri": "/of-service", "service_id": "s"})),
        ("2", json!({"uri": "/own", "service_id": "s", "upstream": own})),
        ("3", json!({"uri": "/alone", "service_id": "s", "upstream_id": "u"})),
        ("4", json!({"uri": "/hosted", "service_id": "s", "host": "c.example"})),
        ("5", json!({"uri": "/by-id", "service_id": "t"})),
        ("6", json!({"uri": "/over-id", "service_id": "t", "upstream": own})),
    ] {
        place.put("routes", id, route).await;
    }
    for (host, path, expected) in [
        ("a.example", "/of-service", json!("service")),
        ("x.b.example:9080", "/of-service", json!("service")),
        ("c.example", "/of-service", json!(404)),
        ("a.example", "/own", json!("told")),
        ("a.example", "/alone", json!("alone")),
        ("a.example", "/hosted", json!(404)),
        ("c.example", "/hosted", json!("service")),
        ("anything.example", "/by-id", json!("alone")),
        ("anything.example", "/over-id", json!("told")),
    ] {
        assert_eq!(who(&place, host, path).await, expected, "{host}{path}");
    }
    // A change of the service is one of its routes.
    place.put("services", "s", json!({"hosts": ["c.example"], "upstream_id": "u"})).await;
    assert_eq!(who(&place, "a.example", "/of-service").await, json!(404));
    assert_eq!(who(&place, "c.example", "/of-service").await, json!("alone"));
    place.put("upstreams", "u", nodes(&[of_service])).await;
    assert_eq!(who(&place, "c.example", "/of-service").await, json!("service"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_route_refers_to_and_is_not_there_is_answered_as_apisix_does() {
    let place = Place::new().await;
    let nodes = nodes(&[place.upstream]);
    for (id, route, status, code) in [
        ("1", json!({"uri": "/1", "service_id": "none", "upstream": nodes}), 404, "service_missing"),
        ("2", json!({"uri": "/2", "upstream_id": "none"}), 502, "upstream_missing"),
        (
            "3",
            json!({"uri": "/3", "plugin_config_id": "none", "upstream": nodes}),
            503,
            "plugin_config_missing",
        ),
        ("4", json!({"uri": "/4", "plugins": {}}), 503, "no_upstream"),
    ] {
        place.put("routes", id, route).await;
        let reply = place.get(&format!("/{id}"), &[]).await;
        assert_eq!((reply.status(), &reply.json()["code"]), (status, &json!(code)));
    }
    place.put("upstreams", "none", nodes).await;
    assert_eq!(place.get("/2", &[]).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_may_turn_into_others_where_the_route_says_so_or_else_the_service() {
    let place = Place::new().await;
    let echo = nodes(&[echo().await]);
    for (id, allowed) in [("yes", true), ("no", false)] {
        place.put("services", id, json!({"enable_websocket": allowed, "upstream": echo})).await;
    }
    for (id, service, own, upgrades) in [
        ("1", "yes", None, true),
        ("2", "yes", Some(false), false),
        ("3", "no", Some(true), true),
        ("4", "no", None, false),
    ] {
        let mut route = json!({"uri": format!("/{id}"), "service_id": service, "plugins": {"cors": {}}});
        if let Some(own) = own {
            route["enable_websocket"] = json!(own);
        }
        place.put("routes", id, route).await;
        let mut client = TcpStream::connect(place.gate.address).await.unwrap();
        let asked = format!("GET /{id} HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
        client.write_all(asked.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(client.read_u8().await.unwrap());
        }
        let answer = String::from_utf8(answer).unwrap();
        assert_eq!(answer.starts_with("HTTP/1.1 101"), upgrades, "{id}: {answer}");
        if upgrades {
            client.write_all(b"ping").await.unwrap();
            let mut heard = [0; 4];
            client.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"ping");
        }
    }
}

/// An upstream that agrees to speak `echo`, and else has nothing to say.
async fn echo() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    Handle::current().spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            Handle::current().spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { return };
                    head.push(byte);
                }
                let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
                if !head.contains("upgrade: echo") {
                    let _ = stream.write_all(b"HTTP/1.1 426 No\r\nContent-Length: 0\r\n\r\n").await;
                    return;
                }
                let agreed = b"HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
                stream.write_all(agreed).await.unwrap();
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}
