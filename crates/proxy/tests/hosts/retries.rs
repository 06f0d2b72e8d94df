//! What is done a second time, at another node, and what is not.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

use super::support::{Gate, body, status, upstream};

/// A node that takes requests and answers none.
struct Mute {
    address: SocketAddr,
    /// The methods that it was asked by.
    asked: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Copy)]
enum Way {
    /// It resets the connection.
    Resets,
    /// It closes it.
    Closes,
    /// It says nothing, ever.
    Waits,
    /// It says something that is no HTTP.
    Babbles,
}

impl Mute {
    async fn start(way: Way) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mute = Self { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let asked = Arc::clone(&mute.asked);
        Handle::current().spawn(async move {
            let mut waiting = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap_or_default() == 0 {
                        break;
                    }
                }
                let head = String::from_utf8(head).unwrap();
                asked.lock().unwrap().push(head.split(' ').next().unwrap().to_owned());
                match way {
                    Way::Resets => stream.set_zero_linger().unwrap(),
                    Way::Closes => {}
                    Way::Waits => waiting.push(stream),
                    Way::Babbles => {
                        let _ = stream.try_write(b"220 ready\r\n\r\n");
                    }
                }
            }
        });
        mute
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// A gateway to `mute`, and to `alive` when that has failed.
async fn gate(mute: &Mute, alive: SocketAddr, more: &Value) -> Gate {
    let node = |address: SocketAddr, priority: i32| json!({"host": "127.0.0.1", "port": address.port(), "weight": 1, "priority": priority});
    let mut upstream = json!({"nodes": [node(mute.address, 1), node(alive, 0)]});
    upstream.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let gate = Gate::start().await;
    gate.plane.put("routes", "1", &json!({"uri": "/*", "upstream": upstream})).await;
    gate
}

/// The status, and who answered.
async fn ask(gate: &Gate, method: &str, text: Option<&str>) -> (u16, Value) {
    let length = text.map(|text| format!("Content-Length: {}\r\n", text.len())).unwrap_or_default();
    let text = text.unwrap_or_default();
    let answer = gate
        .raw(format!(
            "{method} / HTTP/1.1\r\nHost: a\r\nX-Mine: 1\r\nConnection: close\r\n{length}\r\n{text}"
        ))
        .await;
    (status(&answer), body(&answer))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_done_twice_goes_to_another_node_when_one_breaks_off() {
    let (alive, _) = upstream("alive").await;
    for way in [Way::Resets, Way::Closes] {
        let mute = Mute::start(way).await;
        let gate = gate(&mute, alive, &json!({})).await;
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
            let (status, told) = ask(&gate, method, None).await;
            assert_eq!((status, mute.asked()), (200, vec![method.to_owned()]), "{told}");
            if method != "HEAD" {
                assert_eq!((&told["name"], &told["method"]), (&json!("alive"), &json!(method)));
                assert_eq!(told["headers"]["x-mine"], json!(["1"]));
                assert_eq!(told["headers"]["host"], json!(["a"]));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_been_done_is_not_done_again() {
    let (alive, _) = upstream("alive").await;
    let mute = Mute::start(Way::Resets).await;
    let gate = gate(&mute, alive, &json!({})).await;
    // The body of the last one has gone to the first node.
    for (method, text) in
        [("POST", None), ("POST", Some("pay")), ("PATCH", None), ("PURGE", None), ("PUT", Some("all"))]
    {
        let (status, told) = ask(&gate, method, text).await;
        assert_eq!((status, &told["code"]), (502, &json!("upstream_bad_answer")), "{method}");
        assert_eq!(mute.asked(), [method]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_takes_too_long_is_followed_by_another_while_there_is_time() {
    let (alive, _) = upstream("alive").await;
    let mute = Mute::start(Way::Waits).await;
    let soon = json!({"connect": 1, "send": 1, "read": 0.3});
    let patient = gate(&mute, alive, &json!({"timeout": soon})).await;
    assert_eq!(ask(&patient, "GET", None).await.1["name"], "alive");
    assert_eq!(ask(&patient, "POST", None).await.0, 504);
    let hasty = gate(&mute, alive, &json!({"timeout": soon, "retry_timeout": 0.2})).await;
    assert_eq!(ask(&hasty, "GET", None).await.0, 504);
    let content = gate(&mute, alive, &json!({"timeout": soon, "retries": 0})).await;
    assert_eq!(ask(&content, "GET", None).await.0, 504);
    assert_eq!(mute.asked(), ["GET", "POST", "GET", "GET"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_answer_is_an_answer() {
    let (alive, _) = upstream("alive").await;
    let mute = Mute::start(Way::Babbles).await;
    let gate = gate(&mute, alive, &json!({})).await;
    let (status, told) = ask(&gate, "GET", None).await;
    assert_eq!((status, &told["code"]), (502, &json!("upstream_bad_answer")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_goes_to_another_node_too() {
    let (alive, _) = upstream("alive").await;
    let mute = Mute::start(Way::Resets).await;
    let gate = gate(&mute, alive, &json!({})).await;
    let route = json!({"uri": "/*", "enable_websocket": true, "upstream": {"nodes": [
        {"host": "127.0.0.1", "port": mute.address.port(), "weight": 1, "priority": 1},
        {"host": "127.0.0.1", "port": alive.port(), "weight": 1},
    ]}});
    gate.plane.put("routes", "1", &route).await;
    let asked = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let then = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = gate.raw(format!("{asked}{then}")).await;
    assert_eq!(answer.matches("\"alive\"").count(), 2, "{answer}");
    assert!(answer.contains("\"upgrade\":[\"websocket\"]"), "{answer}");
}
