//! What several tests need.

use std::sync::{Arc, Mutex};

use gateward_model::apisix::Upstream;
use gateward_net::{Connector, ConnectorSettings};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::node::NodeState;
use crate::registry::locked;

/// States of nodes that nothing is known of.
pub(crate) fn states(count: usize, changed: &Arc<Notify>) -> Vec<Arc<NodeState>> {
    let state = |at| Arc::new(NodeState::new("u".into(), &format!("node-{at}:80"), Arc::clone(changed)));
    (0..count).map(state).collect()
}

/// The upstream that `json` describes.
pub(crate) fn upstream(json: &Value) -> Arc<Upstream> {
    Arc::new(Upstream::parse(json).unwrap())
}

/// A connector that anybody may be called with.
pub(crate) fn connector() -> Arc<Connector> {
    Arc::new(Connector::new(ConnectorSettings::default()).unwrap())
}

/// A node on loopback that writes the same answer on every connection, once a request's head has come.
pub(crate) struct Listening {
    pub(crate) port: u16,
    /// What was read, by connection.
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
}

impl Listening {
    pub(crate) async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        Handle::current().spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                Handle::current().spawn(answer_once(stream, answer, Arc::clone(&seen)));
            }
        });
        Self { port, requests }
    }
}

/// Reads a head, and whatever came with it, and writes `answer`.
pub(crate) async fn answer_once(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: &'static str,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let mut read = Vec::new();
    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut part = [0; 1024];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return,
            Ok(count) => read.extend_from_slice(&part[..count]),
        }
    }
    locked(&seen).push(String::from_utf8(read).unwrap());
    if answer.is_empty() {
        // Says nothing until the other end has gone.
        while stream.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {}
        return;
    }
    stream.write_all(answer.as_bytes()).await.unwrap();
    let _ = stream.shutdown().await;
}
