//! All routing configuration, compiled into the form that requests are served from.
//!
//! A snapshot never changes. A new one is compiled when the configuration has changed, shares what has stayed the same
//! with the one before, and takes its place at once for all threads. Only the plugins whose settings refer to secrets
//! live a life of their own inside it (see [`Slot`]).

mod callers;
mod chain;
mod checks;
mod compile;
mod known_routes;
mod layers;
mod metadata;
mod references;
mod resources;
mod routes;
mod secrets;
mod services;
mod shared_layers;
mod slot;
mod ssls;
mod upstreams;

use std::collections::HashMap;
use std::sync::Arc;

use gateward_clock::Timestamp;
use gateward_model::Failure;
use gateward_model::apisix::Timeout;
use gateward_plugins::Consumers;
use gateward_router::Router;
use gateward_store::Revision;
use gateward_upstreams::Balanced;

use crate::certificates::Certificates;

pub(crate) use chain::{Caller, Chain, Instance, Link};
pub(crate) use compile::{Compiler, CompilerParts};
pub use resources::Broken;
pub(crate) use resources::{Changed, Resources, Source, VAULTS, concerns};
pub(crate) use routes::{CompiledRoute, matching};
pub(crate) use slot::Slot;

/// All routing configuration as it was at one revision of the store.
#[derive(Default)]
pub struct Snapshot {
    pub(crate) revision: Revision,
    pub(crate) router: Router<Arc<CompiledRoute>>,
    /// The plugins that see every request.
    pub(crate) global: Chain,
    pub(crate) callers: Arc<Callers>,
    certificates: Arc<Certificates>,
    broken: Box<[Broken]>,
    compiled: Timestamp,
}

/// Everybody who may call.
#[derive(Default)]
pub(crate) struct Callers {
    /// By what they show.
    pub(crate) consumers: Consumers,
    /// What those bring along that bring something along.
    pub(crate) by_name: HashMap<Box<str>, Caller>,
    /// Whether one of them brings a plugin along that logs.
    pub(crate) log: bool,
    /// Whether one of them brings a plugin along that has a use for requests' bodies.
    pub(crate) needs_body: bool,
}

/// Where requests go that no plugin answered.
#[derive(Clone)]
pub(crate) enum Target {
    Upstream(Arc<Balanced>),
    /// There is something, and it cannot be used.
    Unusable(Arc<Failure>),
    None,
}

impl Snapshot {
    /// The revision of the store that it was compiled from; it may be newer in parts.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// When it was compiled.
    pub fn compiled(&self) -> Timestamp {
        self.compiled
    }

    /// What is shown in handshakes.
    pub fn certificates(&self) -> &Arc<Certificates> {
        &self.certificates
    }

    /// The resources that are not in force, or not all of them, because they cannot be used.
    pub fn broken(&self) -> &[Broken] {
        &self.broken
    }
}

impl Target {
    fn unusable(failure: Failure) -> Self {
        Self::Unusable(Arc::new(failure))
    }

    fn is_checked(&self) -> bool {
        matches!(self, Self::Upstream(upstream) if upstream.has_checks())
    }

    fn timeout(&self) -> Option<Timeout> {
        match self {
            Self::Upstream(upstream) => upstream.timeout(),
            Self::Unusable(_) | Self::None => None,
        }
    }
}

#[cfg(test)]
mod tests;
