//! The time in which this process, and no other, has the store: control plane, leases and traffic.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateward_control::{ControlDoor, Surface};
use gateward_plugins::Spans;
use gateward_proxy::Door;
use gateward_proxy::declarative::Following;
use gateward_proxy::host::server::{Listener, Server, ServerParts, ServerSettings};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Signals;
use crate::assembly::Assembly;
use crate::handover::{Handed, Inherited, Plane, Role};
use crate::patience::Patience;
use crate::settings::{Entrance, Listen, Mode, Settings};
use crate::surroundings::Surroundings;
use crate::telemetry::Telemetry;
use crate::terminal::Terminal;
use crate::welcome;

/// A gateway that serves.
pub struct Tenure {
    assembly: Assembly,
    server: Server,
    /// As they were asked for, in the server's order.
    entrances: Vec<Entrance>,
    control: JoinSet<()>,
    control_sockets: Vec<Handed>,
    /// Ends the control plane: what is under way there, by the time that is given.
    stop: watch::Sender<Option<Instant>>,
}

impl Tenure {
    /// Opens the store and the sockets (those that are `inherited` are taken), and serves.
    pub async fn begin(
        settings: &Settings,
        surroundings: &Surroundings,
        terminal: &mut Terminal<'_>,
        telemetry: &Telemetry,
        inherited: &mut Inherited,
        following: Option<Following>,
    ) -> Result<Self, Box<dyn Error>> {
        let listeners = control_listeners(settings, terminal, inherited).await?;
        let addresses: Vec<SocketAddr> =
            listeners.iter().map(|(_, _, listener)| listener.local_addr()).collect::<Result<_, _>>()?;
        let control_address = addresses.first().copied();

        let closing = if inherited.is_handed_on() { STORE_CLOSES } else { Duration::ZERO };
        let patience = Patience::of_a_server(closing);
        let assembly =
            Assembly::new(settings, surroundings, addresses, patience, following, telemetry).await?;
        if let Some(engine) = &assembly.engine {
            engine.start();
        }
        if let Some(rotator) = &assembly.rotator {
            rotator.start();
        }
        if let Some(events) = &assembly.events {
            events.tell_of_gateway("started");
            events.start(&Handle::current());
        }
        let (stop, stopped) = watch::channel(None::<Instant>);
        let mut control = JoinSet::new();
        let mut control_sockets = Vec::new();
        for (surface, asked, listener) in listeners {
            let (listener, socket) = kept(listener)?;
            let role = Some(Role { plane: Plane::Control, asked });
            control_sockets.push(Handed { role, socket: Arc::new(socket) });
            let mut stopped = stopped.clone();
            let stop = async move {
                let deadline = stopped.wait_for(Option::is_some).await.ok().and_then(|deadline| *deadline);
                deadline
                    .map(|deadline| deadline.saturating_duration_since(Instant::now()))
                    .unwrap_or_default()
            };
            control.spawn(assembly.control.clone().serve(surface, listener, Handle::current(), stop));
        }
        let mut expiring = stopped.clone();
        let expire = assembly.control.clone().expire();
        control.spawn(async move {
            tokio::select! {
                () = expire => {}
                _ = expiring.wait_for(Option::is_some) => {}
            }
        });
        // What stood in the store is served from the first request on: a restart never answers 404 for a route that is
        // there.
        assembly.configuration.catch_up(STARTING).await;
        let (server, entrances) = traffic(settings, &assembly, terminal, telemetry, inherited)?;
        if settings.mode == Mode::Dev {
            if assembly.is_new && settings.resources.is_empty() {
                welcome::sample_resources(&assembly.control).await;
            }
            welcome::tell(terminal, settings, server.addresses(), control_address);
        }
        let (pid, traffic) = (std::process::id(), server.addresses());
        tracing::info!(pid, ?traffic, control = ?control_address, "serving");
        Ok(Self { assembly, server, entrances, control, control_sockets, stop })
    }

    /// All sockets that it listens by, for a successor.
    pub fn sockets(&self) -> io::Result<Vec<Handed>> {
        let mut sockets = self.control_sockets.clone();
        for (address, socket) in self.server.listeners()? {
            let place = self.server.addresses().iter().position(|bound| *bound == address);
            let asked = place.and_then(|place| self.entrances.get(place)).map(|entrance| entrance.address);
            let role = asked.map(|asked| Role { plane: Plane::Traffic, asked });
            sockets.push(Handed { role, socket: Arc::new(socket) });
        }
        Ok(sockets)
    }

    /// Lets go of the store: control requests that are under way are answered, leases settled. Traffic is served on, by
    /// the server that comes back.
    pub async fn give_up(self, settings: &Settings) -> Server {
        let Self { assembly, server, mut control, stop, .. } = self;
        let deadline = Instant::now() + settings.drain;
        end_control(&mut control, &stop, deadline).await;
        end_leases(&assembly, deadline).await;
        end_events(&assembly).await;
        assembly.close();
        server
    }

    /// Takes no more connections, lets what is under way end, and ends.
    pub async fn end(self, settings: &Settings, signals: &mut Signals) {
        let Self { assembly, server, mut control, control_sockets, stop, .. } = self;
        // Nobody comes after us, so that nobody may wait at these.
        drop(control_sockets);
        assembly.control.drain();
        tracing::info!(deadline = ?settings.drain, "draining");
        let mut deadline = Instant::now() + settings.drain;
        let of_control = (settings.drain / 10).min(OF_CONTROL);
        tokio::select! {
            () = server.shutdown(settings.drain - of_control) => {}
            // Whoever asks twice means it.
            () = signals.again() => deadline = Instant::now() + of_control,
        }
        // Control last: until then it says that we are not ready, and what traffic still needs of it, it had.
        let spans = Spans::of(&assembly.shared);
        let left = deadline.saturating_duration_since(Instant::now());
        tokio::join!(spans.flush(LAST_SPANS.min(left)), end_control(&mut control, &stop, deadline));
        end_leases(&assembly, deadline).await;
        end_events(&assembly).await;
        assembly.close();
        tracing::info!("stopped");
    }
}

async fn end_control(control: &mut JoinSet<()>, stop: &watch::Sender<Option<Instant>>, deadline: Instant) {
    let _ = stop.send(Some(deadline));
    while control.join_next().await.is_some() {}
}

async fn end_leases(assembly: &Assembly, deadline: Instant) {
    if let Some(engine) = &assembly.engine
        && tokio::time::timeout_at(deadline, engine.finish()).await.is_err()
    {
        tracing::warn!("a producer was still being asked; what it makes is reported as UNKNOWN");
    }
    if let Some(rotator) = &assembly.rotator
        && tokio::time::timeout_at(deadline, rotator.finish()).await.is_err()
    {
        tracing::warn!("a producer was still being asked for a payload; that rotation is reported as lost");
    }
}

/// What was noted is told yet, if the bus takes it soon.
async fn end_events(assembly: &Assembly) {
    if let Some(events) = &assembly.events {
        events.tell_of_gateway("stopped");
        events.flush(assembly.clock.now() + LAST_EVENTS).await;
    }
}

/// The listener, and its socket once more.
fn kept(listener: TcpListener) -> io::Result<(TcpListener, std::net::TcpListener)> {
    let socket = listener.into_std()?;
    let kept = socket.try_clone()?;
    Ok((TcpListener::from_std(socket)?, kept))
}

/// Opens the control plane's ports, each told with the address that was asked for.
async fn control_listeners(
    settings: &Settings,
    terminal: &mut Terminal<'_>,
    inherited: &mut Inherited,
) -> Result<Vec<(Surface, SocketAddr, TcpListener)>, Box<dyn Error>> {
    let mut listeners = Vec::new();
    for address in available(&settings.control) {
        let opened = open_control(address, inherited).await.map_err(|error| in_use(address, &error))?;
        listeners.extend(opened.into_iter().map(|listener| (Surface::All, address, listener)));
    }
    let Some(ports) = settings.compatibility else { return Ok(listeners) };
    let surfaces = [
        (ports.kong, Surface::KongOpen),
        (ports.akeyless, Surface::Akeyless),
        (ports.apisix, Surface::Apisix),
        (ports.prometheus, Surface::Prometheus),
    ];
    for (port, surface) in surfaces {
        for address in available(&loopback(port)) {
            match open_control(address, inherited).await {
                Ok(opened) => {
                    listeners.extend(opened.into_iter().map(|listener| (surface, address, listener)));
                }
                Err(error) => terminal.warning(&format!("{}; going on without it", in_use(address, &error))),
            }
        }
    }
    Ok(listeners)
}

async fn open_control(address: SocketAddr, inherited: &mut Inherited) -> io::Result<Vec<TcpListener>> {
    let sockets = inherited.take(Role { plane: Plane::Control, asked: address });
    if sockets.is_empty() {
        return Ok(vec![TcpListener::bind(address).await?]);
    }
    let taken = sockets.iter().map(|socket| {
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket.try_clone()?)
    });
    taken.collect()
}

/// Opens the ports of traffic.
fn traffic(
    settings: &Settings,
    assembly: &Assembly,
    terminal: &mut Terminal<'_>,
    telemetry: &Telemetry,
    inherited: &mut Inherited,
) -> Result<(Server, Vec<Entrance>), Box<dyn Error>> {
    let dev = settings.mode == Mode::Dev;
    let served = assembly.configuration.current();
    let door: Option<Arc<dyn Door>> = dev
        .then(|| Arc::new(ControlDoor::apisix(assembly.control.clone(), Handle::current())) as Arc<dyn Door>);
    let parts = ServerParts {
        current: assembly.configuration.current(),
        certificates: Arc::new(move || Arc::clone(served.load().certificates())),
        access_log: telemetry.access_log.clone().map(|log| log as _),
        traffic: Arc::clone(&telemetry.traffic),
        connector: Arc::clone(&assembly.connector),
        clock: Arc::clone(&assembly.clock),
        door,
    };
    let role = |address: SocketAddr| Role { plane: Plane::Traffic, asked: address };
    let mut entrances = settings.traffic.entrances.clone();
    entrances.retain(|entrance| settings.traffic.chosen || entrance.tls || is_ours(entrance.address));
    if dev && !settings.traffic.chosen {
        // The second port is there for the documents' sake only.
        let first = entrances.first().map(|entrance| entrance.address.port());
        entrances.retain(|Entrance { address, tls, .. }| {
            let free = *tls
                || Some(address.port()) == first
                || inherited.has(role(*address))
                || std::net::TcpListener::bind(address).is_ok();
            if !free {
                terminal.warning(&format!("{address} is taken; going on without it"));
            }
            free
        });
    }
    let listeners = entrances.iter().map(|entrance| Listener {
        address: entrance.address,
        tls: entrance.tls,
        proxy_protocol: entrance.proxy_protocol,
        inherited: inherited.take(role(entrance.address)),
    });
    let server = ServerSettings {
        listeners: listeners.collect(),
        threads: settings.data_threads,
        exclusive: dev,
        limits: settings.limits,
        fallback_sni: settings.fallback_sni.clone(),
        ..ServerSettings::default()
    };
    match Server::bind(server, &parts) {
        Ok(server) => Ok((server, entrances)),
        Err(error) => {
            let addresses: Vec<String> =
                entrances.iter().map(|entrance| entrance.address.to_string()).collect();
            Err(format!("traffic cannot be served on {}: {error}", addresses.join(", ")).into())
        }
    }
}

/// The addresses to listen on: of the usual ones, those that this machine has.
fn available(listen: &Listen) -> Vec<SocketAddr> {
    listen.addresses.iter().filter(|address| listen.chosen || is_ours(**address)).copied().collect()
}

/// Whether this machine has the address.
fn is_ours(address: SocketAddr) -> bool {
    address.is_ipv4() || std::net::TcpListener::bind(SocketAddr::new(address.ip(), 0)).is_ok()
}

fn loopback(port: u16) -> Listen {
    let addresses =
        vec![(std::net::Ipv4Addr::LOCALHOST, port).into(), (std::net::Ipv6Addr::LOCALHOST, port).into()];
    Listen { addresses, chosen: false }
}

/// How long the start waits for the configuration, and for what it refers to.
const STARTING: Duration = Duration::from_secs(6);

/// How long the last spans may take to a collector.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// How long the last events may take to their bus.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// What of the time to drain is left to the control plane, whatever traffic takes; at most.
const OF_CONTROL: Duration = Duration::from_secs(1);

/// How long a store that was given up may still be in use.
const STORE_CLOSES: Duration = Duration::from_secs(5);

fn in_use(address: SocketAddr, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::AddrInUse {
        return format!("{address} is taken by another process");
    }
    format!("{address} cannot be listened on: {error}")
}
