//! All routing configuration, compiled into the form that requests are served from.
//!
//! A snapshot never changes. A new one is compiled when the configuration has changed, shares what has stayed the same
//! with the one before, and takes its place at once for all threads. Only the plugins whose configuration refers to
//! secrets live a life of their own inside it (see [`Slot`]).

mod compile;
mod resources;
mod slot;

use std::sync::Arc;

use gateward_model::Failure;
use gateward_model::apisix::{Route, Upstream};
use gateward_net::{Peer, Timeouts};
use gateward_plugins::Plugin;
use gateward_store::Revision;
use http::Method;

use crate::balancer::Balancer;
use crate::hygiene;
use crate::router::Router;

pub(crate) use compile::Compiler;
pub(crate) use resources::{PARTITIONS, Resources, Source};
pub(crate) use slot::Slot;

/// All routing configuration as it was at one revision of the store.
#[derive(Default)]
pub struct Snapshot {
    pub(crate) revision: Revision,
    router: Router,
    /// In the order that the router counts them.
    routes: Vec<Arc<CompiledRoute>>,
}

impl Snapshot {
    /// The revision of the store that it was compiled from; it may be newer in parts.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The route that takes the request, and where in its path that begins which a last segment `*` took.
    pub(crate) fn find(
        &self,
        target: &hygiene::Target<'_>,
        method: &Method,
    ) -> Option<(&CompiledRoute, Option<usize>)> {
        let found = self.router.find(target.host, &target.path, method)?;
        Some((&self.routes[found.route], found.rest))
    }
}

/// A route, ready to serve.
pub(crate) struct CompiledRoute {
    pub(crate) source: Arc<Route>,
    /// In the order in which they see the request.
    pub(crate) plugins: Box<[NamedInstance]>,
    pub(crate) target: Target,
    pub(crate) timeouts: Timeouts,
}

/// A plugin of a route, and the name that it is configured by.
pub(crate) struct NamedInstance {
    pub(crate) name: &'static str,
    pub(crate) instance: Instance,
}

/// A plugin with its configuration.
#[derive(Clone)]
pub(crate) enum Instance {
    /// Its configuration says all.
    Ready(Arc<dyn Plugin>),
    /// Its configuration refers to secrets.
    Referring(Arc<Slot>),
    /// What is stored cannot be used. The route must not serve without it.
    Broken,
}

/// Where a route's requests go that no plugin answered.
#[derive(Clone)]
pub(crate) enum Target {
    Upstream(Arc<CompiledUpstream>),
    /// The route names an upstream that does not exist.
    Missing(Box<Failure>),
    None,
}

/// An upstream, ready to serve.
pub(crate) struct CompiledUpstream {
    pub(crate) source: Arc<Upstream>,
    /// One for each node.
    pub(crate) peers: Box<[Peer]>,
    pub(crate) balancer: Balancer,
}

#[cfg(test)]
mod tests;
