//! The life of a gateway on sockets: it starts, serves, drains and ends.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use gateward_control::{ControlDoor, Surface};
use gateward_proxy::Door;
use gateward_proxy::host::server::{Listener, Server, ServerParts, ServerSettings};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::assembly::Assembly;
use crate::settings::{Entrance, Listen, Mode, Settings};
use crate::surroundings::Surroundings;
use crate::terminal::Terminal;
use crate::welcome;

/// Serves until SIGTERM or SIGINT, then drains.
pub fn run(
    settings: &Settings,
    surroundings: &Surroundings,
    terminal: &mut Terminal<'_>,
) -> Result<(), Box<dyn Error>> {
    let runtime =
        Builder::new_multi_thread().worker_threads(2).thread_name("control").enable_all().build()?;
    runtime.block_on(serve(settings, surroundings, terminal))
}

async fn serve(
    settings: &Settings,
    surroundings: &Surroundings,
    terminal: &mut Terminal<'_>,
) -> Result<(), Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listeners = control_listeners(settings, terminal).await?;
    let forbidden = listeners.iter().map(|(_, listener)| listener.local_addr()).collect::<Result<_, _>>()?;
    let control_address = listeners.first().map(|(_, listener)| listener.local_addr()).transpose()?;

    let assembly = Assembly::new(settings, surroundings, forbidden).await?;
    if let Some(engine) = &assembly.engine {
        engine.start();
    }
    let (stop, stopped) = watch::channel(false);
    let mut control = JoinSet::new();
    for (surface, listener) in listeners {
        let (mut stopped, drain) = (stopped.clone(), settings.drain);
        let stop = async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
            drain
        };
        control.spawn(assembly.control.clone().serve(surface, listener, Handle::current(), stop));
    }
    let mut expiring = stopped.clone();
    let expire = assembly.control.clone().expire();
    control.spawn(async move {
        tokio::select! {
            () = expire => {}
            _ = expiring.wait_for(|stopped| *stopped) => {}
        }
    });
    // What stood in the store is served from the first request on: a restart never answers 404 for a route that is there.
    assembly.configuration.catch_up(STARTING).await;
    let server = traffic(settings, &assembly, terminal)?;
    if settings.mode == Mode::Dev {
        if assembly.is_new {
            welcome::sample_resources(&assembly.control).await;
        }
        welcome::tell(terminal, settings, server.addresses(), control_address);
    }
    tracing::info!(traffic = ?server.addresses(), control = ?control_address, "serving");

    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!(deadline = ?settings.drain, "draining");
    tokio::select! {
        () = server.shutdown(settings.drain) => {}
        // Whoever asks twice means it.
        _ = interrupt.recv() => {}
    }
    // Control last: what traffic still needs of it, it had.
    let _ = stop.send(true);
    while control.join_next().await.is_some() {}
    if let Some(engine) = &assembly.engine
        && tokio::time::timeout(settings.drain, engine.finish()).await.is_err()
    {
        tracing::warn!("a producer was still being asked; what it makes is reported as UNKNOWN");
    }
    assembly.close();
    tracing::info!("stopped");
    Ok(())
}

/// Opens the control plane's ports.
async fn control_listeners(
    settings: &Settings,
    terminal: &mut Terminal<'_>,
) -> Result<Vec<(Surface, TcpListener)>, Box<dyn Error>> {
    let mut listeners = Vec::new();
    for address in available(&settings.control) {
        let listener = TcpListener::bind(address).await.map_err(|error| in_use(address, &error))?;
        listeners.push((Surface::All, listener));
    }
    let Some(ports) = settings.compatibility else { return Ok(listeners) };
    let surfaces = [
        (ports.kong, Surface::KongOpen),
        (ports.akeyless, Surface::Akeyless),
        (ports.apisix, Surface::Apisix),
    ];
    for (port, surface) in surfaces {
        for address in available(&loopback(port)) {
            match TcpListener::bind(address).await {
                Ok(listener) => listeners.push((surface, listener)),
                Err(error) => terminal.warning(&format!("{}; going on without it", in_use(address, &error))),
            }
        }
    }
    Ok(listeners)
}

/// Opens the ports of traffic.
fn traffic(
    settings: &Settings,
    assembly: &Assembly,
    terminal: &mut Terminal<'_>,
) -> Result<Server, Box<dyn Error>> {
    let dev = settings.mode == Mode::Dev;
    let door: Option<Arc<dyn Door>> = dev
        .then(|| Arc::new(ControlDoor::apisix(assembly.control.clone(), Handle::current())) as Arc<dyn Door>);
    let parts = ServerParts {
        current: assembly.configuration.current(),
        certificates: Arc::new(Arc::default),
        connector: Arc::clone(&assembly.connector),
        clock: Arc::clone(&assembly.clock),
        door,
    };
    let mut entrances = settings.traffic.entrances.clone();
    entrances.retain(|entrance| settings.traffic.chosen || entrance.tls || is_ours(entrance.address));
    if dev && !settings.traffic.chosen {
        // The second port is there for the documents' sake only.
        let first = entrances.first().map(|entrance| entrance.address.port());
        entrances.retain(|Entrance { address, tls, .. }| {
            let free = *tls || Some(address.port()) == first || std::net::TcpListener::bind(address).is_ok();
            if !free {
                terminal.warning(&format!("{address} is taken; going on without it"));
            }
            free
        });
    }
    let listeners = entrances.iter().map(|entrance| Listener {
        tls: entrance.tls,
        proxy_protocol: entrance.proxy_protocol,
        ..Listener::plain(entrance.address)
    });
    let server = ServerSettings {
        listeners: listeners.collect(),
        threads: settings.data_threads,
        exclusive: dev,
        limits: settings.limits,
        fallback_sni: settings.fallback_sni.clone(),
        ..ServerSettings::default()
    };
    Server::bind(server, &parts).map_err(|error| {
        let addresses: Vec<String> = entrances.iter().map(|entrance| entrance.address.to_string()).collect();
        format!("traffic cannot be served on {}: {error}", addresses.join(", ")).into()
    })
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
const STARTING: std::time::Duration = std::time::Duration::from_secs(6);

fn in_use(address: SocketAddr, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::AddrInUse {
        return format!("{address} is taken by another process");
    }
    format!("{address} cannot be listened on: {error}")
}
