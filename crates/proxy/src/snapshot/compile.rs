//! Compiles the resources into a snapshot, with as much of the one before as has stayed the same.

use std::collections::HashMap;
use std::sync::Arc;

use gateward_model::apisix::{ResourceId, Route, RouteUpstream, Timeout, Upstream};
use gateward_model::{ErrorStatus, Failure, Origin};
use gateward_net::{Peer, Timeouts};
use gateward_plugins::{Shared, Site};
use gateward_store::Revision;
use gateward_vaults::Resolver;
use serde_json::Value;

use super::slot::{Slot, references};
use super::{CompiledRoute, CompiledUpstream, Instance, NamedInstance, Resources, Snapshot, Target};
use crate::balancer::{Balancer, Positions};
use crate::router::Router;

/// Compiles snapshots, one after the other.
pub(crate) struct Compiler {
    resolver: Arc<Resolver>,
    shared: Arc<Shared>,
    positions: Positions,
    upstreams: HashMap<String, Arc<CompiledUpstream>>,
}

/// A snapshot, and the slots in it that the one before did not have.
pub(crate) struct Compiled {
    pub(crate) snapshot: Snapshot,
    pub(crate) new_slots: Vec<Arc<Slot>>,
}

impl Compiler {
    /// A compiler whose plugins get their secrets from `resolver`.
    pub(crate) fn new(resolver: Arc<Resolver>, shared: Arc<Shared>) -> Self {
        Self { resolver, shared, positions: Positions::default(), upstreams: HashMap::new() }
    }

    /// Compiles `resources`; `before` is what is served now.
    pub(crate) fn compile(
        &mut self,
        resources: &Resources,
        revision: Revision,
        before: &Snapshot,
    ) -> Compiled {
        self.compile_upstreams(resources);
        let before: HashMap<&str, &Arc<CompiledRoute>> =
            before.routes.iter().map(|route| (route.source.id.as_str(), route)).collect();
        let mut new_slots = Vec::new();
        let mut routes = Vec::new();
        for (id, route) in resources.routes.iter().filter(|(_, route)| route.enabled) {
            routes.push(self.compile_route(route, before.get(id).copied(), &mut new_slots));
        }
        self.positions.sweep();
        let (router, hidden) = Router::compile(routes.iter().map(|route| &*route.source));
        for hidden in hidden {
            tracing::warn!("{hidden}");
        }
        Compiled { snapshot: Snapshot { revision, router, routes }, new_slots }
    }

    fn compile_upstreams(&mut self, resources: &Resources) {
        let mut before = std::mem::take(&mut self.upstreams);
        for (id, source) in resources.upstreams.iter() {
            let compiled = match before.remove(id) {
                Some(same) if Arc::ptr_eq(&same.source, source) => same,
                _ => self.compile_upstream(&format!("upstream {id}"), source),
            };
            self.upstreams.insert(id.to_owned(), compiled);
        }
    }

    fn compile_upstream(&mut self, identity: &str, source: &Arc<Upstream>) -> Arc<CompiledUpstream> {
        let weights: Vec<u32> = source.nodes.iter().map(|node| node.weight).collect();
        // APISIX takes any certificate from an upstream. We take those that the roots or `tls.ca` vouch for.
        let peers =
            source.nodes.iter().map(|node| Peer::new(source.scheme.transport(), &node.host, node.port, true));
        Arc::new(CompiledUpstream {
            source: Arc::clone(source),
            peers: peers.collect(),
            balancer: Balancer::new(&weights, self.positions.of(identity)),
        })
    }

    fn compile_route(
        &mut self,
        route: &Arc<Route>,
        before: Option<&Arc<CompiledRoute>>,
        new_slots: &mut Vec<Arc<Slot>>,
    ) -> Arc<CompiledRoute> {
        let same_route = before.filter(|before| Arc::ptr_eq(&before.source, route));
        let target = match &route.upstream {
            None => Target::None,
            Some(RouteUpstream::Id(id)) => match self.upstreams.get(id.as_str()) {
                Some(upstream) => Target::Upstream(Arc::clone(upstream)),
                None => Target::Missing(Box::new(missing(&route.id, id))),
            },
            Some(RouteUpstream::Own(own)) => match same_route {
                Some(same) => same.target.clone(),
                None => Target::Upstream(self.compile_upstream(&format!("route {}", route.id), own)),
            },
        };
        if let Some(same) = same_route
            && same.target.is(&target)
        {
            return Arc::clone(same);
        }
        Arc::new(CompiledRoute {
            source: Arc::clone(route),
            plugins: self.instances(route, before, new_slots),
            timeouts: timeouts(route.timeout.or(target.timeout()).unwrap_or_default()),
            target,
        })
    }

    /// The route's plugins by priority; those whose configuration is as before stay, with the values they have.
    fn instances(
        &self,
        route: &Route,
        before: Option<&Arc<CompiledRoute>>,
        new_slots: &mut Vec<Arc<Slot>>,
    ) -> Box<[NamedInstance]> {
        let mut instances = Vec::new();
        for entry in route.plugins.iter() {
            let (name, configuration) = (&entry.name, &entry.settings);
            let Some(kind) = gateward_plugins::kind(name) else {
                tracing::error!(route = %route.id, plugin = name, "there is no such plugin; the route answers 503");
                instances.push((i32::MAX, NamedInstance { name: "", instance: Instance::Broken }));
                continue;
            };
            let same = before.filter(|before| before.source.plugins.get(name) == Some(entry));
            let same = same.and_then(|same| same.plugins.iter().find(|named| named.name == kind.name));
            let instance = match same {
                Some(same) => same.instance.clone(),
                None => self.instance(kind, configuration, route, new_slots),
            };
            instances.push((kind.priority, NamedInstance { name: kind.name, instance }));
        }
        instances.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
        instances.into_iter().map(|(_, instance)| instance).collect()
    }

    fn instance(
        &self,
        kind: &'static gateward_plugins::Kind,
        configuration: &Value,
        route: &Route,
        new_slots: &mut Vec<Arc<Slot>>,
    ) -> Instance {
        let broken = |error: &dyn std::error::Error| {
            tracing::error!(route = %route.id, plugin = kind.name, %error, "a plugin's configuration cannot be used; the route answers 503");
            Instance::Broken
        };
        let references = match references(configuration) {
            Ok(references) => references,
            Err(error) => return broken(&error),
        };
        if references.is_empty() {
            let owner = format!("route/{}", route.id);
            let site = Site { owner: &owner, metadata: None, shared: &self.shared };
            return match (kind.build)(configuration, &site) {
                Ok(plugin) => Instance::Ready(plugin),
                Err(error) => broken(&error),
            };
        }
        if let Err(error) = (kind.check)(configuration) {
            return broken(&error);
        }
        let slot = Slot::bind(
            &self.resolver,
            kind,
            configuration,
            references,
            &format!("route/{}", route.id),
            &self.shared,
        );
        let slot = Arc::new(slot);
        new_slots.push(Arc::clone(&slot));
        Instance::Referring(slot)
    }
}

impl Target {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Upstream(this), Self::Upstream(other)) => Arc::ptr_eq(this, other),
            // One source names one upstream: what is missing is the same one.
            (Self::Missing(_), Self::Missing(_)) | (Self::None, Self::None) => true,
            _ => false,
        }
    }

    fn timeout(&self) -> Option<Timeout> {
        match self {
            Self::Upstream(upstream) => upstream.source.timeout,
            Self::Missing(_) | Self::None => None,
        }
    }
}

fn timeouts(timeout: Timeout) -> Timeouts {
    Timeouts { connect: timeout.connect, send: timeout.send, read: timeout.read }
}

fn missing(route: &ResourceId, upstream: &ResourceId) -> Failure {
    let message =
        format!("route \"{route}\": upstream \"{upstream}\" does not exist; create it, or drop upstream_id");
    Failure::new(ErrorStatus::BAD_GATEWAY, Origin::Gateway, "upstream_missing", message)
}
