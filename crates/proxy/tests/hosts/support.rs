//! A gateway on sockets of its own, upstreams that tell what they were sent, and a client that writes raw bytes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use gateward_clock::{Clock, SystemClock};
use gateward_net::{Body, Client, Conn, Connector, ConnectorSettings};
use gateward_proxy::host::server::{
    CertificatesSource, Limits, Listener, Server, ServerParts, ServerSettings,
};
use gateward_proxy::{Configuration, ConfigurationParts, DOCUMENT_PURPOSE, Door};
use gateward_seal::{RootKey, Sealer};
use gateward_store::{Change, Key, MemoryStore, Precondition, Revision, Store, Write};
use gateward_upstreams::Registry;
use gateward_vaults::{Resolver, ResolverParts};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// More than fits into the buffers of two sockets.
pub const LARGE: usize = 32 << 20;

/// Longer than anything here may take.
pub const LONG: Duration = Duration::from_secs(20);

/// The configuration of a gateway, and where its resources are put.
pub struct Plane {
    pub store: Arc<MemoryStore>,
    sealer: Arc<Sealer>,
    pub configuration: Arc<Configuration>,
    pub connector: Arc<Connector>,
    pub resolver: Arc<Resolver>,
    pub registry: Arc<Registry>,
}

impl Plane {
    pub fn start(environment: &[(&str, &str)]) -> Self {
        Self::connecting(ConnectorSettings::default(), environment)
    }

    /// One whose gateways and health checks connect as `connector` says.
    pub fn connecting(connector: ConnectorSettings, environment: &[(&str, &str)]) -> Self {
        Self::by(Arc::new(SystemClock), connector, environment)
    }

    /// One that goes by `clock`.
    pub fn by(clock: Arc<dyn Clock>, connector: ConnectorSettings, environment: &[(&str, &str)]) -> Self {
        let connector = Arc::new(Connector::new(connector).unwrap());
        let environment: BTreeMap<String, String> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let resolver = Resolver::new(ResolverParts {
            clock: clock.clone(),
            client: Client::new(connector.clone()),
            environment,
            runtime: Handle::current(),
        });
        let store = Arc::new(MemoryStore::new());
        let sealer = Arc::new(Sealer::new(RootKey::generate()));
        let registry =
            Arc::new(Registry::with_checks(clock.clone(), Handle::current(), Arc::clone(&connector)));
        let parts = ConfigurationParts {
            registry: Arc::clone(&registry),
            store: store.clone(),
            sealer: sealer.clone(),
            resolver: resolver.clone(),
            shared: gateward_plugins::Shared::new(clock.clone(), Handle::current()),
            clock,
            runtime: Handle::current(),
        };
        Self { store, sealer, configuration: Configuration::start(parts), connector, resolver, registry }
    }

    /// Puts a resource, and returns when it is served.
    pub async fn put(&self, partition: &str, id: &str, json: &Value) {
        let revision = self.commit(partition, id, json).await;
        self.configuration.applied(revision).await;
    }

    async fn commit(&self, partition: &str, id: &str, json: &Value) -> Revision {
        let key = Key { partition: partition.to_owned(), sort: id.to_owned() };
        let version = self.store.get(&key).await.unwrap().map_or(1, |entry| entry.version + 1);
        let sealed = self.sealer.seal_at(DOCUMENT_PURPOSE, &key, version, json.to_string().as_bytes());
        let change = Change::Put(sealed);
        self.store.commit(vec![Write { key, precondition: Precondition::Any, change }]).await.unwrap()
    }
}

/// A gateway that listens.
pub struct Gate {
    pub plane: Plane,
    pub server: Server,
    pub address: SocketAddr,
}

impl Gate {
    pub async fn start() -> Self {
        Self::with(Plane::start(&[]), Limits::default(), None).await
    }

    /// A gateway that proxies everything to `upstream`.
    pub async fn to(upstream: SocketAddr) -> Self {
        let gate = Self::start().await;
        gate.plane.put("routes", "1", &json!({"uri": "/*", "upstream": nodes(&[upstream])})).await;
        gate
    }

    pub async fn with(plane: Plane, limits: Limits, door: Option<Arc<dyn Door>>) -> Self {
        let settings = ServerSettings { limits, ..one_listener(Listener::plain(anywhere())) };
        Self::serving(plane, settings, Arc::new(Arc::default), door).await
    }

    /// A gateway without routes that says by [`Mirror`] how requests came in.
    pub async fn mirror(settings: ServerSettings) -> Self {
        let door: Arc<dyn Door> = Arc::new(Mirror::new());
        Self::serving(Plane::start(&[]), settings, Arc::new(Arc::default), Some(door)).await
    }

    pub async fn serving(
        plane: Plane,
        settings: ServerSettings,
        certificates: CertificatesSource,
        door: Option<Arc<dyn Door>>,
    ) -> Self {
        plane.configuration.applied(Revision(0)).await;
        let parts = ServerParts {
            current: plane.configuration.current(),
            certificates,
            access_log: None,
            traffic: Arc::default(),
            connector: plane.connector.clone(),
            clock: Arc::new(SystemClock),
            door,
        };
        let server = Server::bind(settings, &parts).unwrap();
        let address = server.addresses()[0];
        Self { plane, server, address }
    }

    /// What comes back for `bytes` until the gateway closes the connection.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes.as_ref()).await.unwrap();
        read_to_end(stream).await
    }

    /// A GET on a connection of its own: status and body.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        let answer =
            self.raw(format!("GET {path} HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n")).await;
        (status(&answer), body(&answer))
    }
}

/// Loopback, and a port from the kernel.
pub fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

pub fn one_listener(listener: Listener) -> ServerSettings {
    ServerSettings { listeners: vec![listener], threads: 2, ..ServerSettings::default() }
}

/// Takes every request, and says how it came in. `/wait…` waits for a permit, `/body` for the end of the body, and
/// `/large` is [`LARGE`].
pub struct Mirror {
    pub permits: Arc<Semaphore>,
}

impl Mirror {
    pub fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(0)) }
    }
}

impl Door for Mirror {
    fn takes(&self, _path: &str) -> bool {
        true
    }

    fn open(&self, request: Request<Body>, conn: Conn) -> LocalBoxFuture<'static, Response<Body>> {
        let permits = Arc::clone(&self.permits);
        async move {
            let path = request.uri().path().to_owned();
            if path.starts_with("/wait") {
                permits.acquire().await.unwrap().forget();
            }
            if path.starts_with("/large") {
                return Response::new(Body::full(vec![b'x'; LARGE]));
            }
            let mut length = None;
            if path.starts_with("/body") {
                match request.into_body().collect(1 << 30).await {
                    Ok(bytes) => length = Some(bytes.len()),
                    Err(_) => {
                        let mut broken = Response::new(Body::full("the body broke off"));
                        *broken.status_mut() = http::StatusCode::BAD_GATEWAY;
                        return broken;
                    }
                }
            }
            let tls = conn.tls.as_ref();
            let told = json!({
                "client": conn.client.to_string(),
                "local": conn.local.to_string(),
                "sni": tls.and_then(|tls| tls.sni.as_deref()),
                "version": tls.map(|tls| tls.version),
                "vouched": tls.is_some_and(|tls| tls.vouched_by.is_some()),
                "shown": tls.and_then(|tls| tls.certificate.as_deref()).map(<[u8]>::len),
                "length": length,
            });
            Response::new(Body::full(told.to_string()))
        }
        .boxed_local()
    }
}

pub async fn read_to_end(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await;
    // A connection that is cut in the middle of a request may be reset.
    let _ = read.expect("the gateway closes the connection");
    String::from_utf8(answer).unwrap()
}

pub fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("no status: {answer:?}"))
}

pub fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next()?;
    let mut fields = head.split("\r\n").filter_map(|line| line.split_once(": "));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The JSON in an answer with a Content-Length.
pub fn body(answer: &str) -> Value {
    let text = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

pub fn nodes(addresses: &[SocketAddr]) -> Value {
    let nodes: serde_json::Map<String, Value> =
        addresses.iter().map(|address| (address.to_string(), json!(1))).collect();
    json!({"type": "roundrobin", "nodes": nodes})
}

/// An upstream that answers with what it was sent: `{"name", "method", "target", "headers": {name: [values]},
/// "body"}`. A request for `/wait…` is answered once `gate` gives a permit.
pub async fn upstream(name: &'static str) -> (SocketAddr, Arc<Semaphore>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let permits = Arc::new(Semaphore::new(0));
    let gate = permits.clone();
    Handle::current().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let gate = gate.clone();
            let service = service_fn(move |request| tell(name, request, gate.clone()));
            let served =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            Handle::current().spawn(served);
        }
    });
    (address, permits)
}

async fn tell(
    name: &str,
    request: Request<Incoming>,
    gate: Arc<Semaphore>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    if head.uri.path().starts_with("/wait") {
        gate.acquire().await.unwrap().forget();
    }
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut headers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (field, value) in &head.headers {
        headers.entry(field.as_str()).or_default().push(value.to_str().unwrap());
    }
    let told = json!({
        "name": name,
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    let response =
        Response::builder().header("server", "upstream").header("x-hop", "1").header("connection", "x-hop");
    Ok(response.body(Full::from(told.to_string())).unwrap())
}
