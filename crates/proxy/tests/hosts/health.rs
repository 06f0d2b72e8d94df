//! Nodes that go down and come back, as requests see it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use gateward_upstreams::{Health, NodeHealth};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinSet};

use super::support::{Gate, LONG, anywhere};

/// A node that can go and come back to its address, and be told what to answer.
struct Node {
    /// Bound, and never listening: it keeps the address, and connections are refused.
    _place: TcpSocket,
    address: SocketAddr,
    name: &'static str,
    /// What a question for its health is answered with.
    health: Arc<AtomicU16>,
    /// What all other requests are answered with.
    status: Arc<AtomicU16>,
    listening: Option<AbortHandle>,
}

impl Node {
    fn start(name: &'static str) -> Self {
        let place = place(anywhere());
        let address = place.local_addr().unwrap();
        let (health, status) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicU16::new(200)));
        let mut node = Self { _place: place, address, name, health, status, listening: None };
        node.come();
        node
    }

    fn come(&mut self) {
        let listener = place(self.address).listen(64).unwrap();
        let (name, health, status) = (self.name, Arc::clone(&self.health), Arc::clone(&self.status));
        let listening = Handle::current().spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (health, status) = (Arc::clone(&health), Arc::clone(&status));
                let service = service_fn(move |request: Request<Incoming>| {
                    let said = if request.uri().path() == "/health" { &health } else { &status };
                    let response = Response::builder().status(said.load(Ordering::SeqCst));
                    let response = response.body(json!({ "name": name }).to_string()).unwrap();
                    async move { Ok::<_, Infallible>(response) }
                });
                let served = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                connections.spawn(served);
            }
        });
        self.listening = Some(listening.abort_handle());
    }

    /// From when it returns on, connections are refused.
    async fn go(&mut self) {
        self.listening.take().unwrap().abort();
        while tokio::net::TcpStream::connect(self.address).await.is_ok() {}
    }

    fn say(&self, health: u16, status: u16) {
        self.health.store(health, Ordering::SeqCst);
        self.status.store(status, Ordering::SeqCst);
    }
}

fn place(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

/// An upstream of `nodes` that fails when its node does.
fn upstream(nodes: &[&Node], checks: &Value) -> Value {
    let nodes: Vec<_> = nodes
        .iter()
        .map(|node| json!({"host": "127.0.0.1", "port": node.address.port(), "weight": 1}))
        .collect();
    json!({"nodes": nodes, "retries": 0, "checks": checks})
}

/// What is known of `node` in `routes/1`.
fn known(gate: &Gate, node: &Node) -> NodeHealth {
    let health = gate.plane.registry.health();
    let nodes = health.into_iter().find(|upstream| upstream.name == "/apisix/routes/1").unwrap().nodes;
    nodes.into_iter().find(|known| known.port == node.address.port()).unwrap()
}

/// Waits until `node` is as healthy as that.
async fn becomes(gate: &Gate, node: &Node, health: Health) -> NodeHealth {
    let look = async {
        loop {
            let known = known(gate, node);
            if known.status == health {
                return known;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, look).await.expect("the node's health changes in time")
}

/// Who answers ten requests.
async fn answerers(gate: &Gate) -> Vec<(u16, String)> {
    let mut answerers = Vec::new();
    for _ in 0..10 {
        let (status, told) = gate.get("/").await;
        answerers.push((status, told["name"].as_str().unwrap_or_default().to_owned()));
    }
    answerers.sort();
    answerers
}

fn all(status: u16, names: [&str; 10]) -> Vec<(u16, String)> {
    names.map(|name| (status, name.to_owned())).into()
}

const ALL_B: [&str; 10] = ["b"; 10];
const BOTH: [&str; 10] = ["a", "a", "a", "a", "a", "b", "b", "b", "b", "b"];

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_refuses_connections_is_left_alone_until_it_is_back() {
    let (mut a, b) = (Node::start("a"), Node::start("b"));
    let gate = Gate::start().await;
    let checks = json!({"active": {
        "http_path": "/health", "healthy": {"successes": 1}, "unhealthy": {"tcp_failures": 2}}});
    gate.plane.put("routes", "1", &json!({"uri": "/*", "upstream": upstream(&[&a, &b], &checks)})).await;
    assert_eq!(answerers(&gate).await, all(200, BOTH));
    a.go().await;
    let down = becomes(&gate, &a, Health::Unhealthy).await;
    assert_eq!(down.counter.tcp_failure, 2);
    assert_eq!(answerers(&gate).await, all(200, ALL_B));
    a.come();
    becomes(&gate, &a, Health::Healthy).await;
    assert_eq!(answerers(&gate).await, all(200, BOTH));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_says_that_it_is_unwell_is_left_alone_until_it_is_well() {
    let (a, b) = (Node::start("a"), Node::start("b"));
    let gate = Gate::start().await;
    let checks = json!({"active": {
        "http_path": "/health", "healthy": {"successes": 1}, "unhealthy": {"http_failures": 2}}});
    gate.plane.put("routes", "1", &json!({"uri": "/*", "upstream": upstream(&[&a, &b], &checks)})).await;
    a.say(500, 200);
    let down = becomes(&gate, &a, Health::Unhealthy).await;
    assert_eq!(down.counter.http_failure, 2);
    assert_eq!(answerers(&gate).await, all(200, ALL_B));
    a.say(200, 200);
    becomes(&gate, &a, Health::Healthy).await;
    assert_eq!(answerers(&gate).await, all(200, BOTH));
}

/// Checks in which nodes that are up are asked so rarely that only requests find out who is down.
fn by_requests() -> Value {
    json!({
        "active": {"http_path": "/health", "healthy": {"interval": 86_400, "successes": 1}},
        "passive": {"unhealthy": {"http_failures": 2, "tcp_failures": 2}},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_find_out_who_is_down_and_checks_that_it_is_back() {
    let (mut a, b) = (Node::start("a"), Node::start("b"));
    let gate = Gate::start().await;
    let upstream = upstream(&[&a, &b], &by_requests());
    gate.plane.put("routes", "1", &json!({"uri": "/*", "upstream": upstream})).await;
    a.say(500, 500);
    let mut first = vec![(200, "b".to_owned()); 8];
    first.extend(vec![(500, "a".to_owned()); 2]);
    assert_eq!(answerers(&gate).await, first, "two bad answers are enough");
    assert_eq!(answerers(&gate).await, all(200, ALL_B));
    a.say(200, 200);
    becomes(&gate, &a, Health::Healthy).await;
    assert_eq!(answerers(&gate).await, all(200, BOTH));
    a.go().await;
    let failed = answerers(&gate).await.into_iter().filter(|(status, _)| *status == 502).count();
    assert_eq!(failed, 2, "so are two connections that are refused");
    assert_eq!(answerers(&gate).await, all(200, ALL_B));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_nodes_are_down_all_are_asked() {
    let (a, b) = (Node::start("a"), Node::start("b"));
    let gate = Gate::start().await;
    let upstream = upstream(&[&a, &b], &by_requests());
    gate.plane.put("routes", "1", &json!({"uri": "/*", "upstream": upstream})).await;
    a.say(500, 500);
    b.say(500, 500);
    answerers(&gate).await;
    for node in [&a, &b] {
        assert_eq!(known(&gate, node).status, Health::Unhealthy);
    }
    assert_eq!(answerers(&gate).await, all(500, BOTH));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_a_node_outlives_a_change_of_its_upstream() {
    let (a, b, c) = (Node::start("a"), Node::start("b"), Node::start("c"));
    let gate = Gate::start().await;
    let route = |nodes: &[&Node]| json!({"uri": "/*", "upstream": upstream(nodes, &by_requests())});
    gate.plane.put("routes", "1", &route(&[&a, &b])).await;
    a.say(500, 500);
    answerers(&gate).await;
    assert_eq!(known(&gate, &a).status, Health::Unhealthy);
    a.say(500, 200);
    gate.plane.put("routes", "1", &route(&[&a, &c])).await;
    assert_eq!(answerers(&gate).await, all(200, ["c"; 10]));
    let mut other = route(&[&a, &c]);
    other["upstream"]["checks"]["active"]["http_path"] = json!("/other");
    gate.plane.put("routes", "1", &other).await;
    becomes(&gate, &a, Health::Healthy).await;
    other["upstream"].as_object_mut().unwrap().remove("checks");
    gate.plane.put("routes", "1", &other).await;
    assert!(gate.plane.registry.health().is_empty(), "nobody asks any more");
}
