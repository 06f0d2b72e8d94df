//! The host that listens on sockets.
//!
//! Each data thread has a current-thread runtime, a listener of its own for each address (`SO_REUSEPORT`: the kernel
//! deals out the connections) and a pool of its own. Threads share the snapshot and nothing else. A panic ends the
//! connection that it happened on; the thread goes on.

mod client_body;
mod connection;
mod crowd;
mod dozing;
mod inherited;
mod limits;
mod listener;
pub mod proxy_protocol;
mod refusal;
mod tether;
mod tls;
mod transport;
mod vigil;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread;
use std::time::Duration;

use gateward_clock::Clock;
use gateward_net::{Connector, Pool, PoolSettings};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{Door, Entrance};
use crate::certificates::Certificates;
use crate::{AccessLog, Current, Gateway, Traffic};
use connection::{Connections, Manners, Protocols};
use crowd::Crowd;
pub use inherited::Inherited;
pub use limits::Limits;
pub use listener::Listener;
pub use tether::Tether;

/// How a server listens.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Where, and what is spoken there.
    pub listeners: Vec<Listener>,
    /// On how many data threads; at least one.
    pub threads: usize,
    /// Whether an address that another process listens on is refused. Without it two gateways of one user may share
    /// an address, and the old one drains while the new one already serves.
    pub exclusive: bool,
    /// How much a client may take.
    pub limits: Limits,
    /// What counts as asked for in a handshake that names no host.
    pub fallback_sni: Option<String>,
    /// What each thread keeps of its connections to upstreams.
    pub pool: PoolSettings,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            threads: 1,
            exclusive: false,
            limits: Limits::default(),
            fallback_sni: None,
            pool: PoolSettings::default(),
        }
    }
}

/// Where handshakes get their certificates: asked at each, so that a change counts from the next one on.
pub type CertificatesSource = Arc<dyn Fn() -> Arc<Certificates> + Send + Sync>;

/// What a server serves with.
#[derive(Clone)]
pub struct ServerParts {
    /// What it serves from.
    pub current: Arc<Current>,
    /// What it shows in handshakes.
    pub certificates: CertificatesSource,
    /// How it calls.
    pub connector: Arc<Connector>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The control plane, if it can be reached on these addresses.
    pub door: Option<Arc<dyn Door>>,
    /// Who writes down what becomes of each request.
    pub access_log: Option<Arc<dyn AccessLog>>,
    /// Where it counts.
    pub traffic: Arc<Traffic>,
}

/// A server that serves. Dropped, it stops at once; [`Server::shutdown`] is the polite way.
pub struct Server {
    addresses: Vec<SocketAddr>,
    /// The sockets that it listens by, for a successor.
    sockets: Vec<(SocketAddr, TcpListener)>,
    /// How long to drain, once it is time to.
    stop: watch::Sender<Option<Duration>>,
    /// Closed when the last thread has ended.
    threads_end: mpsc::Receiver<()>,
}

impl Server {
    /// Listens as `settings` say, and serves until it is shut down.
    pub fn bind(settings: ServerSettings, parts: &ServerParts) -> io::Result<Self> {
        let ServerSettings { listeners, threads, exclusive, limits, fallback_sni, pool } = settings;
        let threads = threads.max(1);
        let (mut addresses, mut sockets) = (Vec::new(), Vec::new());
        let mut by_thread: Vec<Vec<(Manners, TcpListener)>> = Vec::new();
        by_thread.resize_with(threads, Vec::new);
        for asked in &listeners {
            let opened = listener::open_all(asked, threads, exclusive)?;
            let address = opened[0].local_addr()?;
            addresses.push(address);
            let manners = Manners { tls: asked.tls, proxy_protocol: asked.proxy_protocol };
            for socket in &opened {
                sockets.push((address, socket.try_clone()?));
            }
            for (turn, socket) in listener::dealt_out(opened, threads)? {
                by_thread[turn].push((manners, socket));
            }
        }
        // What was inherited is held by its threads now, and must be by nobody else once these have stopped.
        drop(listeners);
        let crowd = Crowd::new(&limits, &parts.traffic);
        let (stop, stopped) = watch::channel(None);
        let (ended, threads_end) = mpsc::channel(1);
        for (number, listeners) in by_thread.into_iter().enumerate() {
            let data_thread = DataThread {
                listeners,
                parts: parts.clone(),
                crowd: Arc::clone(&crowd),
                limits,
                fallback_sni: fallback_sni.as_deref().map(|name| name.to_ascii_lowercase().into()),
                pool,
                stopped: stopped.clone(),
                _ended: ended.clone(),
            };
            let (report, started) = std_mpsc::channel();
            let thread = thread::Builder::new().name(format!("data-{number}"));
            thread.spawn(move || data_thread.run(&report))?;
            started.recv().unwrap_or_else(|_ended| Err(io::Error::other("a data thread ended")))?;
        }
        Ok(Self { addresses, sockets, stop, threads_end })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The sockets that it listens by, each with its address, for a successor to go on with: what waits in their queues
    /// is lost to nobody as long as one of the two still takes it. There may be several of one address.
    pub fn listeners(&self) -> io::Result<Vec<(SocketAddr, TcpListener)>> {
        let copies = self.sockets.iter().map(|(address, socket)| Ok((*address, socket.try_clone()?)));
        copies.collect()
    }

    /// Takes no new connections, lets what is under way end, for at most `deadline`, and returns when all has ended.
    pub async fn shutdown(mut self, deadline: Duration) {
        // A socket that somebody holds goes on to let clients in, whom nobody serves.
        self.sockets.clear();
        self.stop.send_replace(Some(deadline));
        while self.threads_end.recv().await.is_some() {}
    }
}

/// One data thread.
struct DataThread {
    listeners: Vec<(Manners, TcpListener)>,
    parts: ServerParts,
    crowd: Arc<Crowd>,
    limits: Limits,
    fallback_sni: Option<Box<str>>,
    pool: PoolSettings,
    stopped: watch::Receiver<Option<Duration>>,
    /// Dropped when the thread has ended, which is how the server knows.
    _ended: mpsc::Sender<()>,
}

impl DataThread {
    fn run(self, report: &std_mpsc::Sender<io::Result<()>>) {
        // Such a runtime stays on the thread that made it.
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let (started, runtime) = match runtime {
            Ok(runtime) => (Ok(()), Some(runtime)),
            Err(error) => (Err(error), None),
        };
        // Nobody listens any more if another thread could not start.
        let _ = report.send(started);
        if let Some(runtime) = runtime {
            runtime.block_on(self.serve());
        }
    }

    async fn serve(mut self) {
        let ServerParts { current, certificates, connector, clock, door, access_log, traffic } = self.parts;
        let gateway = Gateway::new(current, Pool::new(connector, self.pool), clock, access_log, &traffic);
        let entrance = Entrance { gateway, door };
        let protocols = Protocols::new(entrance, self.limits, self.crowd, certificates, self.fallback_sni);
        let protocols = Rc::new(protocols);
        let (alive, mut all_ended) = mpsc::channel(1);
        let mut accepting = JoinSet::new();
        for (manners, listener) in self.listeners {
            let connections = Connections {
                protocols: Rc::clone(&protocols),
                manners,
                stopped: self.stopped.clone(),
                alive: alive.clone(),
            };
            accepting.spawn_local(listener::accept(listener, connections));
        }
        drop(alive);
        let stopped = self.stopped.wait_for(Option::is_some).await.map(|deadline| *deadline);
        // An error means that the server was dropped.
        let Ok(Some(deadline)) = stopped else { return };
        while accepting.join_next().await.is_some() {}
        // Nobody sends: it is closed when the last connection has ended.
        if tokio::time::timeout(deadline, all_ended.recv()).await.is_err() {
            let open = all_ended.sender_strong_count();
            tracing::warn!(open, "connections were still busy at the end of the drain, and are cut");
        }
    }
}
