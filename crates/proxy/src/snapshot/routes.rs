//! Compiles routes.

use std::sync::Arc;

use gateward_model::apisix::{Expression, Kind, ResourceId, Route, RouteUpstream, Service};
use gateward_model::{ErrorStatus, Failure, Origin};
use gateward_net::Timeouts;
use gateward_plugins::RouteFacts;
use gateward_router::RouteMatch;
use gateward_vars::Condition;

use super::chain::{Chain, Layer};
use super::layers::Workshop;
use super::resources::Standing;
use super::services::{CompiledService, Services, same};
use super::shared_layers::SharedLayers;
use super::upstreams::{Foundry, KnownUpstream, Upstreams};
use super::{Broken, Target};

/// A route, ready to serve.
pub(crate) struct CompiledRoute {
    /// What is known of it besides what it does.
    pub(crate) facts: Arc<RouteFacts>,
    /// Its plugins, with those of its plugin config and its service.
    pub(crate) chain: Chain,
    /// Where its requests go that no plugin answered.
    pub(crate) target: Target,
    pub(crate) timeouts: Timeouts,
    /// Whether connections may turn into WebSockets and the like.
    pub(crate) enable_websocket: bool,
    /// Whether its plugins, or the choice of a node, ask for something in requests' bodies.
    pub(crate) needs_body: bool,
    /// Which requests it takes.
    pub(crate) matching: Arc<RouteMatch>,
    /// Why it serves nobody: something that it refers to does not exist.
    pub(crate) refused: Option<Arc<Failure>>,
    made_of: Parts,
}

/// What a route is made of. As long as these are the very same, so is the route.
pub(super) struct Parts {
    pub(super) source: Arc<Route>,
    layer: Arc<Layer>,
    pub(super) service: Option<Arc<CompiledService>>,
    plugin_config: Option<Arc<Layer>>,
    upstream: Option<Arc<KnownUpstream>>,
}

/// What routes may refer to.
pub(super) struct Referents<'r> {
    pub(super) upstreams: &'r Upstreams,
    pub(super) services: &'r Services,
    pub(super) plugin_configs: &'r SharedLayers,
}

impl CompiledRoute {
    /// Compiles a route; the very one that was there `before`, if nothing about it has changed.
    pub(super) fn compile(
        standing: &Standing<Route>,
        before: Option<Arc<Self>>,
        referents: &Referents<'_>,
        foundry: &Foundry<'_>,
        workshop: &Workshop<'_>,
    ) -> Arc<Self> {
        let parts = Parts::gather(
            standing,
            before.as_deref().map(|before| &before.made_of),
            referents,
            foundry,
            workshop,
        );
        match before {
            Some(before) if before.made_of.are(&parts) => before,
            _ => Arc::new(Self::of(parts)),
        }
    }

    /// A node refused a request of this route.
    pub(crate) fn upstream_refused(&self) {
        if let Some(upstream) = &self.made_of.upstream {
            upstream.refused();
        }
    }

    /// What of the route, whose id is `id`, is not in force.
    pub(super) fn broken(&self, id: &str) -> impl Iterator<Item = Broken> {
        let kind = Kind::Routes.plural();
        let own = match (&self.refused, &self.made_of.source.upstream) {
            (Some(failure), _) => Some(failure.message.clone()),
            (None, Some(RouteUpstream::Own(_))) => {
                self.made_of.upstream.as_ref().and_then(|upstream| upstream.problem.clone())
            }
            _ => None,
        };
        let own = own.map(|problem| Broken { kind, id: id.to_owned(), problem });
        own.into_iter().chain(self.made_of.layer.broken(kind, id))
    }

    fn of(parts: Parts) -> Self {
        let Parts { source, layer, service, plugin_config, upstream } = &parts;
        let layers = [Some(layer), plugin_config.as_ref(), service.as_ref().map(|service| &service.layer)];
        let chain = Chain::of(layers.into_iter().flatten().map(|layer| &**layer));
        let target = upstream.as_ref().map_or(Target::None, |known| known.target.clone());
        let timeout = source.timeout.or(target.timeout()).unwrap_or_default();
        let own = source.enable_websocket;
        let services = || service.as_ref().and_then(|service| service.source.enable_websocket);
        Self {
            facts: Arc::new(facts(source, service.as_deref())),
            matching: Arc::new(matching(source, service.as_deref().map(|service| &*service.source))),
            needs_body: chain.needs_body()
                || matches!(&target, Target::Upstream(upstream) if upstream.needs_body()),
            chain,
            target,
            timeouts: Timeouts { connect: timeout.connect, send: timeout.send, read: timeout.read },
            enable_websocket: own.or_else(services).unwrap_or_default(),
            refused: parts.dangling().map(Arc::new),
            made_of: parts,
        }
    }
}

impl Parts {
    fn gather(
        standing: &Standing<Route>,
        before: Option<&Self>,
        referents: &Referents<'_>,
        foundry: &Foundry<'_>,
        workshop: &Workshop<'_>,
    ) -> Self {
        let source = &standing.parsed;
        let owner = || format!("routes/{}", source.id);
        let layer = match before {
            Some(before) if Arc::ptr_eq(&before.source, source) && workshop.stands(&before.layer) => {
                Arc::clone(&before.layer)
            }
            before => {
                let before = before.map(|before| &*before.layer);
                Arc::new(workshop.layer(&owner(), &source.plugins, before))
            }
        };
        let service = source.service.as_ref().and_then(|id| referents.services.get(id.as_str())).cloned();
        let plugin_config = source.plugin_config.as_ref();
        let plugin_config = plugin_config.and_then(|id| referents.plugin_configs.get(id.as_str())).cloned();
        let upstream = match &source.upstream {
            None => service.as_ref().and_then(|service| service.upstream.clone()),
            Some(RouteUpstream::Id(id)) => referents.upstreams.get(id.as_str()).cloned(),
            Some(RouteUpstream::Own(own)) => {
                let before = before.and_then(|before| before.upstream.as_ref());
                Some(foundry.compile(owner, own, || standing.part("upstream"), before))
            }
        };
        Self { source: Arc::clone(source), layer, service, plugin_config, upstream }
    }

    fn are(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source)
            && Arc::ptr_eq(&self.layer, &other.layer)
            && same(self.service.as_ref(), other.service.as_ref())
            && same(self.plugin_config.as_ref(), other.plugin_config.as_ref())
            && same(self.upstream.as_ref(), other.upstream.as_ref())
    }

    /// What it refers to and does not exist. The codes are APISIX's.
    fn dangling(&self) -> Option<Failure> {
        let route = &self.source.id;
        let missing = |status, what: &str, id: &ResourceId, code| {
            let message =
                format!("route \"{route}\": {what} \"{id}\" does not exist; create it, or drop {what}_id");
            Some(Failure::new(status, Origin::Gateway, code, message))
        };
        if let (Some(id), None) = (&self.source.service, &self.service) {
            return missing(ErrorStatus::NOT_FOUND, "service", id, "service_missing");
        }
        if let (Some(id), None) = (&self.source.plugin_config, &self.plugin_config) {
            return missing(ErrorStatus::UNAVAILABLE, "plugin_config", id, "plugin_config_missing");
        }
        let named = self.source.upstream.as_ref();
        let named = named.or_else(|| self.service.as_ref()?.source.upstream.as_ref());
        match (named, &self.upstream) {
            (Some(RouteUpstream::Id(id)), None) => {
                missing(ErrorStatus::BAD_GATEWAY, "upstream", id, "upstream_missing")
            }
            _ => None,
        }
    }
}

/// Which requests the route takes. What `vars` says was checked before it was stored; if it cannot be read all the same,
/// the route is refused when it is parsed.
pub(crate) fn matching(source: &Route, service: Option<&Service>) -> RouteMatch {
    let hosts = match (&*source.hosts, service) {
        ([], Some(service)) => service.hosts.clone(),
        (own, _) => own.to_vec(),
    };
    let condition = source.vars.as_ref().and_then(|vars| Expression::parse(vars).ok());
    RouteMatch {
        id: source.id.clone(),
        uris: source.uris.clone(),
        hosts,
        methods: source.methods.clone(),
        remote_addrs: source.remote_addrs.clone(),
        condition: condition.map(|expression| Arc::new(Condition::compile(&expression))),
        priority: source.priority,
    }
}

fn facts(source: &Route, service: Option<&CompiledService>) -> RouteFacts {
    let text = |text: &String| text.as_str().into();
    RouteFacts {
        id: source.id.as_str().into(),
        name: source.description.name.as_ref().map(text),
        service_id: source.service.as_ref().map(|id| id.as_str().into()),
        service_name: service.and_then(|service| service.source.description.name.as_ref()).map(text),
    }
}
