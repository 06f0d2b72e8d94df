//! The host that listens on sockets.
//!
//! Each data thread has a current-thread runtime, a listener of its own for each address (`SO_REUSEPORT`: the kernel
//! deals out the connections) and a pool of its own. Threads share the snapshot and nothing else. A panic ends the
//! connection that it happened on; the thread goes on.

mod connection;
mod dozing;
mod listener;
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
use crate::{Current, Gateway};
use connection::{Connections, Protocols};
pub use vigil::Limits;

/// How a server listens.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Where. Port 0 means one that is free.
    pub addresses: Vec<SocketAddr>,
    /// On how many data threads; at least one.
    pub threads: usize,
    /// Whether an address that another process listens on is refused. Without it two gateways of one user may share
    /// an address, and the old one drains while the new one already serves.
    pub exclusive: bool,
    /// How long a client may take.
    pub limits: Limits,
    /// What each thread keeps of its connections to upstreams.
    pub pool: PoolSettings,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            threads: 1,
            exclusive: false,
            limits: Limits::default(),
            pool: PoolSettings::default(),
        }
    }
}

/// What a server serves with.
#[derive(Clone)]
pub struct ServerParts {
    /// What it serves from.
    pub current: Arc<Current>,
    /// How it calls.
    pub connector: Arc<Connector>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The control plane, if it can be reached on these addresses.
    pub door: Option<Arc<dyn Door>>,
}

/// A server that serves. Dropped, it stops at once; [`Server::shutdown`] is the polite way.
pub struct Server {
    addresses: Vec<SocketAddr>,
    /// How long to drain, once it is time to.
    stop: watch::Sender<Option<Duration>>,
    /// Closed when the last thread has ended.
    threads_end: mpsc::Receiver<()>,
}

impl Server {
    /// Listens as `settings` say, and serves until it is shut down.
    pub fn bind(settings: &ServerSettings, parts: &ServerParts) -> io::Result<Self> {
        let mut addresses = Vec::new();
        let mut by_thread: Vec<Vec<TcpListener>> = Vec::new();
        by_thread.resize_with(settings.threads.max(1), Vec::new);
        for address in &settings.addresses {
            // The first listener says which port the others listen on too.
            let first = listener::bind(*address, settings.exclusive)?;
            let address = first.local_addr()?;
            addresses.push(address);
            let mut first = Some(first);
            for listeners in &mut by_thread {
                listeners.push(match first.take() {
                    Some(first) => first,
                    None => listener::bind(address, false)?,
                });
            }
        }
        let (stop, stopped) = watch::channel(None);
        let (ended, threads_end) = mpsc::channel(1);
        for (number, listeners) in by_thread.into_iter().enumerate() {
            let data_thread = DataThread {
                listeners,
                parts: parts.clone(),
                limits: settings.limits,
                pool: settings.pool,
                stopped: stopped.clone(),
                _ended: ended.clone(),
            };
            let (report, started) = std_mpsc::channel();
            let thread = thread::Builder::new().name(format!("data-{number}"));
            thread.spawn(move || data_thread.run(&report))?;
            started.recv().unwrap_or_else(|_ended| Err(io::Error::other("a data thread ended")))?;
        }
        Ok(Self { addresses, stop, threads_end })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Takes no new connections, lets what is under way end, for at most `deadline`, and returns when all has ended.
    pub async fn shutdown(mut self, deadline: Duration) {
        self.stop.send_replace(Some(deadline));
        while self.threads_end.recv().await.is_some() {}
    }
}

/// One data thread.
struct DataThread {
    listeners: Vec<TcpListener>,
    parts: ServerParts,
    limits: Limits,
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
        let ServerParts { current, connector, clock, door } = self.parts;
        let gateway = Gateway::new(current, Pool::new(connector, self.pool), clock);
        let protocols = Rc::new(Protocols::new(Entrance { gateway, door }, self.limits));
        let (alive, mut all_ended) = mpsc::channel(1);
        let mut accepting = JoinSet::new();
        for listener in self.listeners {
            let connections = Connections {
                protocols: Rc::clone(&protocols),
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
