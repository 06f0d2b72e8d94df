//! Which node a request comes to, and by which connection.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateward_net::ConnectorSettings;
use gateward_proxy::host::server::Limits;
use gateward_testkit::nobody;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::runtime::Handle;

use super::support::{Gate, LONG, Plane, anywhere, body, nodes, read_to_end, status, upstream};

/// A node that says its name, after `delay`, and counts its connections.
struct Node {
    address: SocketAddr,
    opened: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

impl Node {
    async fn start(at: SocketAddr, name: &'static str, delay: Duration) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let node = Self { address, opened: Arc::default(), closed: Arc::default() };
        let (opened, closed) = (Arc::clone(&node.opened), Arc::clone(&node.closed));
        Handle::current().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                opened.fetch_add(1, Ordering::SeqCst);
                let closed = Arc::clone(&closed);
                let service = service_fn(move |_: Request<Incoming>| async move {
                    if !delay.is_zero() {
                        tokio::time::sleep(delay).await;
                    }
                    Ok::<_, Infallible>(Response::new(json!({ "name": name }).to_string()))
                });
                Handle::current().spawn(async move {
                    let served = hyper::server::conn::http1::Builder::new();
                    let _ = served.serve_connection(TokioIo::new(stream), service).await;
                    closed.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        node
    }

    async fn named(name: &'static str) -> Self {
        Self::start(anywhere(), name, Duration::ZERO).await
    }

    /// Waits until this many of its connections have been closed.
    async fn closed(&self, count: usize) {
        let look = async {
            while self.closed.load(Ordering::SeqCst) < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, look).await.expect("connections are closed in time");
    }
}

async fn gate(upstream: &Value) -> Gate {
    let gate = Gate::start().await;
    gate.plane.put("routes", "1", &json!({"uri": "/*", "upstream": upstream})).await;
    gate
}

/// Who answers a request with these fields.
async fn answerer(gate: &Gate, fields: &str) -> String {
    let asked = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
    let answer = gate.raw(asked).await;
    body(&answer)["name"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// How many of `count` requests each node answers.
async fn shares(gate: &Gate, count: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..count {
        *shares.entry(answerer(gate, "").await).or_default() += 1;
    }
    shares
}

fn listed(nodes: &[(SocketAddr, u32, i32)]) -> Value {
    let node = |(address, weight, priority): &(SocketAddr, u32, i32)| json!({"host": address.ip().to_string(), "port": address.port(), "weight": weight, "priority": priority});
    nodes.iter().map(node).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_are_dealt_out_by_weight_and_none_to_a_node_without() {
    let (a, b, c) = (Node::named("a").await, Node::named("b").await, Node::named("c").await);
    let gate =
        gate(&json!({"nodes": listed(&[(a.address, 3, 0), (b.address, 1, 0), (c.address, 0, 0)])})).await;
    assert_eq!(shares(&gate, 20).await, BTreeMap::from([("a".to_owned(), 15), ("b".to_owned(), 5)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_lower_priority_waits_until_all_above_have_failed() {
    let (a, b) = (Node::named("a").await, Node::named("b").await);
    let upstream = json!({"nodes": listed(&[(b.address, 9, -1), (a.address, 1, 0)])});
    let gate = gate(&upstream).await;
    assert_eq!(shares(&gate, 6).await, BTreeMap::from([("a".to_owned(), 6)]));
    let upstream = json!({"nodes": listed(&[(b.address, 9, -1), (nobody(), 1, 0), (nobody(), 1, 3)])});
    gate.plane.put("routes", "1", &json!({"uri": "/*", "upstream": upstream})).await;
    assert_eq!(shares(&gate, 6).await, BTreeMap::from([("b".to_owned(), 6)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stays_at_its_node_while_others_come_and_go() {
    let all = [Node::named("a").await, Node::named("b").await, Node::named("c").await];
    let upstream = |nodes: &[&Node]| {
        let nodes: Vec<_> = nodes.iter().map(|node| (node.address, 1, 0)).collect();
        json!({"type": "chash", "hash_on": "header", "key": "X-Tenant", "nodes": listed(&nodes)})
    };
    let gate = gate(&upstream(&[&all[0], &all[1], &all[2]])).await;
    let owners = async || {
        let mut owners = Vec::new();
        for tenant in 0..24 {
            owners.push(answerer(&gate, &format!("X-Tenant: t{tenant}\r\n")).await);
        }
        owners
    };
    let before = owners().await;
    assert_eq!(before, owners().await);
    assert!(["a", "b", "c"].iter().all(|name| before.iter().any(|owner| owner == name)), "{before:?}");
    let fewer = json!({"uri": "/*", "upstream": upstream(&[&all[0], &all[2]])});
    gate.plane.put("routes", "1", &fewer).await;
    for (before, after) in before.iter().zip(owners().await) {
        assert!(after == *before || (before == "b" && after != "b"), "{before} became {after}");
    }
    // Without the key it is the client that stays.
    assert_eq!(shares(&gate, 8).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_with_the_fewest_calls_under_way_gets_the_next() {
    let (a, held_a) = upstream("a").await;
    let (b, held_b) = upstream("b").await;
    let mut upstream = nodes(&[a, b]);
    upstream["type"] = json!("least_conn");
    let gate = gate(&upstream).await;
    let mut waiting = TcpStream::connect(gate.address).await.unwrap();
    waiting.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let first = answerer(&gate, "").await;
    // Whether the one that waits is there already, the second request tells.
    let others = shares(&gate, 6).await;
    assert!(others.len() == 1 || others[&first] >= 5, "{others:?}");
    assert_eq!(shares(&gate, 6).await.len(), 1);
    held_a.add_permits(1);
    held_b.add_permits(1);
    let answer = read_to_end(waiting).await;
    assert_eq!(status(&answer), 200);
    assert_eq!(shares(&gate, 6).await.len(), 2, "both have nothing to do again");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_that_answers_faster_gets_the_next() {
    let slow = Node::start(anywhere(), "slow", Duration::from_millis(200)).await;
    let fast = Node::named("fast").await;
    let gate =
        gate(&json!({"type": "ewma", "nodes": listed(&[(slow.address, 1, 0), (fast.address, 1, 0)])})).await;
    shares(&gate, 2).await;
    assert_eq!(shares(&gate, 10).await, BTreeMap::from([("fast".to_owned(), 10)]));
}

/// Sends that many requests, one after the other, on one connection of a client.
async fn in_a_row(gate: &Gate, count: usize) {
    let mut client = TcpStream::connect(gate.address).await.unwrap();
    for at in 1..=count {
        let close = if at == count { "Connection: close\r\n" } else { "" };
        client.write_all(format!("GET / HTTP/1.1\r\nHost: a\r\n{close}\r\n").as_bytes()).await.unwrap();
        let mut read = Vec::new();
        while !read.ends_with(b"\"}") {
            read.push(client.read_u8().await.unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_nodes_are_kept_as_the_upstream_says() {
    let node = Node::named("a").await;
    let with = |pool: Value| json!({"nodes": nodes(&[node.address])["nodes"], "keepalive_pool": pool});
    let opened = || node.opened.swap(0, Ordering::SeqCst);
    let gate = gate(&json!({"nodes": nodes(&[node.address])["nodes"]})).await;
    in_a_row(&gate, 6).await;
    assert_eq!(opened(), 1);

    let route = json!({"uri": "/*", "upstream": with(json!({"requests": 2}))});
    gate.plane.put("routes", "1", &route).await;
    in_a_row(&gate, 6).await;
    assert_eq!(opened(), 3, "each carries two requests");

    let before = node.closed.load(Ordering::SeqCst);
    let route = json!({"uri": "/*", "upstream": with(json!({"idle_timeout": 0.2}))});
    gate.plane.put("routes", "1", &route).await;
    in_a_row(&gate, 2).await;
    assert_eq!(opened(), 1);
    node.closed(before + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_idle_connections_are_kept_than_the_upstream_says() {
    let (node, held) = upstream("a").await;
    let (relay, opened, closed) = relay(node).await;
    let upstream = json!({"nodes": nodes(&[relay])["nodes"], "keepalive_pool": {"size": 1}});
    let gate = gate(&upstream).await;
    let stream = TcpStream::connect(gate.address).await.unwrap();
    let executor = hyper_util::rt::TokioExecutor::new();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await.unwrap();
    Handle::current().spawn(connection);
    let ask = || {
        let request = Request::get("http://a/wait").body(String::new()).unwrap();
        sender.clone().send_request(request)
    };
    let three = futures_util::future::join_all([ask(), ask(), ask()]);
    let three = Handle::current().spawn(three);
    until(|| opened.load(Ordering::SeqCst) == 3).await;
    held.add_permits(3);
    for answer in three.await.unwrap() {
        use http_body_util::BodyExt;
        answer.unwrap().into_body().collect().await.unwrap();
    }
    until(|| closed.load(Ordering::SeqCst) == 2).await;
    assert_eq!(opened.load(Ordering::SeqCst), 3);
}

/// Passes connections on to `node`, and counts those that were opened and those that the gateway closed.
async fn relay(node: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (opened, closed) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let counted = (Arc::clone(&opened), Arc::clone(&closed));
    Handle::current().spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            opened.fetch_add(1, Ordering::SeqCst);
            let closed = Arc::clone(&closed);
            Handle::current().spawn(async move {
                let mut node = TcpStream::connect(node).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut node).await;
                closed.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    (address, counted.0, counted.1)
}

async fn until(done: impl Fn() -> bool) {
    let look = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, look).await.expect("it comes to pass in time");
}

/// A DNS server that says of every name that it has this one address, for a second (RFC 1035, part 4).
async fn dns(says: Arc<Mutex<Ipv4Addr>>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    Handle::current().spawn(async move {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query).await {
            let query = &query[..length];
            let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
            let of_ipv4 = query[end - 4..end] == [0, 1, 0, 1];
            let mut answer = query[..2].to_vec();
            answer.extend([0x81, 0x80, 0, 1, 0, u8::from(of_ipv4), 0, 0, 0, 0]);
            answer.extend(&query[12..end]);
            if of_ipv4 {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
                answer.extend(says.lock().unwrap().octets());
            }
            socket.send_to(&answer, from).await.unwrap();
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_moves_is_found_again_when_its_ttl_has_run_out() {
    let one = Node::named("one").await;
    let other = (Ipv4Addr::new(127, 0, 0, 2), one.address.port()).into();
    let _two = Node::start(other, "two", Duration::ZERO).await;
    let says = Arc::new(Mutex::new(Ipv4Addr::LOCALHOST));
    let servers = vec![dns(Arc::clone(&says)).await];
    let settings = ConnectorSettings { dns_servers: servers, ..ConnectorSettings::default() };
    let gate = Gate::with(Plane::connecting(settings, &[]), Limits::default(), None).await;
    let upstream = json!({"nodes": {format!("api.test:{}", one.address.port()): 1}});
    gate.plane.put("routes", "1", &json!({"uri": "/*", "upstream": upstream})).await;
    assert_eq!(answerer(&gate, "").await, "one");
    *says.lock().unwrap() = Ipv4Addr::new(127, 0, 0, 2);
    let moved = async { while answerer(&gate, "").await != "two" {} };
    tokio::time::timeout(LONG, moved).await.expect("the move is noticed");
    // Connections to where it was are kept no longer, on no thread.
    assert_eq!(shares(&gate, 8).await, BTreeMap::from([("two".to_owned(), 8)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_phase_has_its_own_timeout() {
    // A listener whose queue is full takes no connection, and refuses none.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(anywhere()).unwrap();
    let full = socket.local_addr().unwrap();
    let _queue = socket.listen(1).unwrap();
    let mut filling = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(full)).await
    {
        filling.push(stream);
    }
    // One that takes connections and nothing else.
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let deaf_address = deaf.local_addr().unwrap();
    Handle::current().spawn(async move {
        let mut connections = Vec::new();
        while let Ok((stream, _)) = deaf.accept().await {
            connections.push(stream);
        }
    });
    let gate = Gate::start().await;
    let large = "x".repeat(16 << 20);
    let upload = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{large}",
        large.len()
    );
    let get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned();
    for (phase, node, asked) in
        [("connect", full, &get), ("send", deaf_address, &upload), ("read", deaf_address, &get)]
    {
        let mut timeout = json!({"connect": 60, "send": 60, "read": 60});
        timeout[phase] = json!(0.2);
        let route = json!({"uri": "/*", "timeout": timeout, "upstream": nodes(&[node])});
        gate.plane.put("routes", "1", &route).await;
        let mut client = TcpStream::connect(gate.address).await.unwrap();
        let (mut reads, mut writes) = client.split();
        let mut answer = String::new();
        let (_, read) = tokio::join!(writes.write_all(asked.as_bytes()), reads.read_to_string(&mut answer));
        let _ = read;
        assert_eq!((status(&answer), &body(&answer)["code"]), (504, &json!("upstream_timeout")), "{phase}");
    }
    assert!(
        filling.iter().all(|stream| matches!(stream.peer_addr().map(|peer| peer.ip()), Ok(IpAddr::V4(_))))
    );
}
