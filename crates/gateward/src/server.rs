//! The life of a gateway on sockets: it starts, serves, hands on or drains, and ends.

mod tenure;

use std::error::Error;

use gateward_proxy::host::server::Server;
use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::chance;
use crate::handover::{Inherited, Predecessor, Successor, notify};
use crate::resource_files;
use crate::settings::{Settings, StoreKind};
use crate::surroundings::Surroundings;
use crate::telemetry::Telemetry;
use crate::terminal::Terminal;
use tenure::Tenure;

/// Serves until SIGTERM or SIGINT, then drains; or until a successor that SIGUSR2 called serves instead.
pub fn run(
    settings: &Settings,
    surroundings: &Surroundings,
    terminal: &mut Terminal<'_>,
) -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .on_thread_start(chance::seed_this_thread)
        .enable_all()
        .build()?;
    let ended = runtime.block_on(serve(settings, surroundings, terminal));
    // A file that somebody reads may be one that never ends.
    runtime.shutdown_background();
    ended
}

async fn serve(
    settings: &Settings,
    surroundings: &Surroundings,
    terminal: &mut Terminal<'_>,
) -> Result<(), Box<dyn Error>> {
    let mut signals = Signals::heard()?;
    let (mut predecessor, mut inherited) = match Predecessor::of_this_process(surroundings)? {
        Some((predecessor, inherited)) => (Some(predecessor), inherited),
        None => (None, Inherited::from_service_manager()?),
    };
    let telemetry = Telemetry::open(settings)?;
    // Before the store: with files that cannot be taken there is no restart.
    let following = resource_files::follow(settings, surroundings)?;
    if let Some(predecessor) = &mut predecessor {
        predecessor.let_go().await?;
    }
    let mut tenure =
        Tenure::begin(settings, surroundings, terminal, &telemetry, &mut inherited, following).await?;
    for address in inherited.left() {
        terminal
            .warning(&format!("a socket was handed on for {address}, which no setting names; it is closed"));
    }
    drop(inherited);
    if let Some(predecessor) = predecessor {
        predecessor.serving().await?;
    }
    notify(surroundings, "READY=1");
    loop {
        match signals.next().await {
            Call::Stop => {
                notify(surroundings, "STOPPING=1");
                tenure.end(settings, &mut signals).await;
                break;
            }
            Call::Restart if settings.store == StoreKind::Memory => {
                tracing::error!(
                    "what is kept in memory alone cannot be handed on; serving on without a restart"
                );
            }
            Call::Restart => {
                match restart(tenure, settings, surroundings, terminal, &telemetry, &mut signals).await {
                    Some(still) => tenure = still,
                    None => break,
                }
            }
            Call::Reopen => telemetry.reopen(),
        }
    }
    telemetry.finish();
    Ok(())
}

/// Starts a successor and hands everything on to it. If it does not come up, the tenure goes on. None if it is over:
/// the successor serves, or somebody does not want to wait for it and stops both.
async fn restart(
    tenure: Tenure,
    settings: &Settings,
    surroundings: &Surroundings,
    terminal: &mut Terminal<'_>,
    telemetry: &Telemetry,
    signals: &mut Signals,
) -> Option<Tenure> {
    let started = tenure.sockets().map_err(Into::into).and_then(|sockets| Successor::start(&sockets));
    let mut successor = match started {
        Ok(successor) => successor,
        Err(error) => {
            tracing::error!(error = &error as &dyn Error, "no successor could be started; serving on");
            return Some(tenure);
        }
    };
    tracing::info!(successor = successor.id(), "restarting");
    let prepared = tokio::select! {
        prepared = successor.prepared() => prepared,
        () = signals.stop() => {
            tracing::info!("the restart is given up");
            drop(successor);
            notify(surroundings, "STOPPING=1");
            tenure.end(settings, signals).await;
            return None;
        }
    };
    if let Err(error) = prepared {
        tracing::error!(error = &error as &dyn Error, "the successor did not come up; serving on");
        return Some(tenure);
    }
    let sockets = match tenure.sockets() {
        Ok(sockets) => sockets,
        Err(error) => {
            tracing::error!(%error, "the sockets cannot be kept; serving on without a restart");
            return Some(tenure);
        }
    };
    let server = tenure.give_up(settings).await;
    let taken_over = tokio::select! {
        biased;
        taken_over = successor.take_over() => taken_over,
        () = signals.stop() => {
            tracing::info!("the restart is given up");
            drop(successor);
            drop(sockets);
            notify(surroundings, "STOPPING=1");
            drain(server, settings, signals).await;
            return None;
        }
    };
    if let Err(error) = taken_over {
        tracing::error!(
            error = &error as &dyn Error,
            "the successor did not take over; taking everything back"
        );
        drop(successor);
        let tenure = take_back(sockets, settings, surroundings, terminal, telemetry, signals).await;
        if tenure.is_none() {
            notify(surroundings, "STOPPING=1");
            drain(server, settings, signals).await;
        } else {
            Handle::current().spawn(server.shutdown(settings.drain));
        }
        return tenure;
    }
    // Only the successor holds them from now on: a socket that nobody accepts from must have no other holder.
    drop(sockets);
    notify(surroundings, &format!("MAINPID={}", successor.id()));
    tracing::info!(successor = successor.id(), deadline = ?settings.drain, "the successor serves; draining");
    drain(server, settings, signals).await;
    None
}

/// Ends traffic, which is all that there is left.
async fn drain(server: Server, settings: &Settings, signals: &mut Signals) {
    tokio::select! {
        () = server.shutdown(settings.drain) => {}
        // Whoever asks twice means it.
        () = signals.again() => {}
    }
    tracing::info!("stopped");
}

/// Opens the store again and serves by the same sockets, unless it is to stop. Traffic goes on meanwhile, as it was
/// configured.
async fn take_back(
    sockets: Vec<crate::handover::Handed>,
    settings: &Settings,
    surroundings: &Surroundings,
    terminal: &mut Terminal<'_>,
    telemetry: &Telemetry,
    signals: &mut Signals,
) -> Option<Tenure> {
    loop {
        let mut inherited = Inherited::from_predecessor(sockets.clone());
        let begun = match resource_files::follow(settings, surroundings) {
            Ok(following) => {
                Tenure::begin(settings, surroundings, terminal, telemetry, &mut inherited, following).await
            }
            Err(error) => Err(error),
        };
        match begun {
            Ok(tenure) => return Some(tenure),
            Err(error) => {
                tracing::error!(error = &*error, "the store and the control plane are not back yet");
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = signals.stop() => return None,
                }
            }
        }
    }
}

/// What the process is asked to do from outside.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    restart: Signal,
    reopen: Signal,
}

/// What a signal means.
enum Call {
    Stop,
    Restart,
    Reopen,
}

impl Signals {
    fn heard() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            restart: signal(SignalKind::user_defined2())?,
            reopen: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Call {
        tokio::select! {
            () = stop(&mut self.terminate, &mut self.interrupt) => Call::Stop,
            _ = self.restart.recv() => Call::Restart,
            _ = self.reopen.recv() => Call::Reopen,
        }
    }

    /// Completes when the process is to stop, and leaves a wish for a restart for later.
    async fn stop(&mut self) {
        stop(&mut self.terminate, &mut self.interrupt).await;
    }

    /// Completes when somebody is in a hurry.
    pub async fn again(&mut self) {
        self.interrupt.recv().await;
    }
}

async fn stop(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// When it is tried again to take the store back.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);
