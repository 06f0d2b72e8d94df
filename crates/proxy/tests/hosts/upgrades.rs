//! Connections that become something else.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use gateward_net::{Body, Conn};
use gateward_proxy::Door;
use gateward_proxy::host::server::{Listener, Tether};
use gateward_proxy::splice::{Ending, splice};
use http::{Request, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::support::{Gate, LONG, Plane, anywhere, one_listener, read_to_end, status};

/// Upgrades what asks for it, and says how it ended; the upstream's end goes to the test.
struct Upgrading {
    idle: Duration,
    upstreams: mpsc::UnboundedSender<DuplexStream>,
    endings: mpsc::UnboundedSender<Ending>,
}

impl Door for Upgrading {
    fn takes(&self, _path: &str) -> bool {
        true
    }

    fn open(&self, mut request: Request<Body>, _conn: Conn) -> LocalBoxFuture<'static, Response<Body>> {
        let mut response = Response::new(Body::empty());
        let (ours, theirs) = tokio::io::duplex(64);
        if request.headers().contains_key("upgrade") && self.upstreams.send(theirs).is_ok() {
            let tether = request.extensions_mut().remove::<Tether>();
            assert!(tether.is_some());
            let (client, endings, idle) = (hyper::upgrade::on(&mut request), self.endings.clone(), self.idle);
            tokio::task::spawn_local(async move {
                let _ = endings.send(splice(client, ours, tether, idle).await);
            });
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response.headers_mut().insert("connection", "upgrade".parse().unwrap());
            response.headers_mut().insert("upgrade", "echo".parse().unwrap());
        }
        async move { response }.boxed_local()
    }
}

struct Joined {
    gate: Gate,
    client: TcpStream,
    upstream: DuplexStream,
    endings: mpsc::UnboundedReceiver<Ending>,
}

async fn joined(idle: Duration, sent_with_it: &str) -> Joined {
    let (upstreams, mut taken) = mpsc::unbounded_channel();
    let (endings, ended) = mpsc::unbounded_channel();
    let door: Arc<dyn Door> = Arc::new(Upgrading { idle, upstreams, endings });
    let settings = one_listener(Listener::plain(anywhere()));
    let gate = Gate::serving(Plane::start(&[]), settings, Arc::new(Arc::default), Some(door)).await;
    let mut client = TcpStream::connect(gate.address).await.unwrap();
    let request =
        format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n{sent_with_it}");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(client.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    Joined { gate, client, upstream: taken.recv().await.unwrap(), endings: ended }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_go_both_ways_until_both_have_said_all() {
    // What follows the request at once is not HTTP any more.
    let mut joined = joined(LONG, "GET /second HTTP/1.1\r\n").await;
    let mut heard = [0; 22];
    joined.upstream.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"GET /second HTTP/1.1\r\n");
    joined.upstream.write_all(b"pong").await.unwrap();
    let mut heard = [0; 4];
    joined.client.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"pong");
    joined.client.shutdown().await.unwrap();
    joined.upstream.write_all(b"more").await.unwrap();
    drop(joined.upstream);
    assert_eq!(read_to_end(joined.client).await, "more");
    assert_eq!(joined.endings.recv().await, Some(Ending::Finished));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_nothing_is_said_ends() {
    let mut joined = joined(Duration::from_millis(100), "").await;
    assert_eq!(read_to_end(joined.client).await, "");
    assert_eq!(joined.endings.recv().await, Some(Ending::Idle));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_waits_for_upgraded_connections_and_tells_them_before_its_end() {
    let mut joined = joined(LONG, "").await;
    let drained = Handle::current().spawn(joined.gate.server.shutdown(Duration::from_secs(1)));
    joined.client.write_all(b"ping").await.unwrap();
    let mut heard = [0; 4];
    joined.upstream.read_exact(&mut heard).await.unwrap();
    assert!(!drained.is_finished());
    assert_eq!(read_to_end(joined.client).await, "");
    assert_eq!(joined.endings.recv().await, Some(Ending::Stopped));
    tokio::time::timeout(LONG, drained).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_upgraded_is_followed_by_the_next() {
    let gate = Gate::mirror(one_listener(Listener::plain(anywhere()))).await;
    let asked = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    let next = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answers = gate.raw(format!("{asked}{next}")).await;
    assert_eq!((status(&answers), answers.matches("HTTP/1.1 200").count()), (200, 2), "{answers}");
}
