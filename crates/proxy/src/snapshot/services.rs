//! Compiles services.

use std::collections::HashMap;
use std::sync::Arc;

use gateward_model::apisix::{Kind, RouteUpstream, Service};

use super::chain::Layer;
use super::layers::Workshop;
use super::resources::{Collection, Standing};
use super::upstreams::{Foundry, KnownUpstream, Upstreams};
use super::{Broken, Target};

/// All services, by id.
#[derive(Default)]
pub(super) struct Services(HashMap<String, Arc<CompiledService>>);

/// What routes have in common.
pub(crate) struct CompiledService {
    pub(super) source: Arc<Service>,
    pub(super) layer: Arc<Layer>,
    /// Its own upstream, or the one that it names; none if that does not exist.
    pub(super) upstream: Option<Arc<KnownUpstream>>,
}

impl Services {
    /// Compiles what is new or has changed.
    pub(super) fn refresh(
        &mut self,
        resources: &Collection<Service>,
        upstreams: &Upstreams,
        foundry: &Foundry<'_>,
        workshop: &Workshop<'_>,
    ) {
        let mut before = std::mem::take(&mut self.0);
        for (id, standing) in resources.iter() {
            let before = before.remove(id);
            let service = compile(id, standing, before, upstreams, foundry, workshop);
            self.0.insert(id.to_owned(), service);
        }
    }

    /// What of them is not in force.
    pub(super) fn broken(&self) -> impl Iterator<Item = Broken> {
        let kind = Kind::Services.plural();
        self.0.iter().flat_map(move |(id, service)| {
            let own = match &service.source.upstream {
                Some(RouteUpstream::Own(_)) => service.upstream.as_ref(),
                _ => None,
            };
            let own = own.and_then(|upstream| upstream.problem.clone());
            let own = own.map(|problem| Broken { kind, id: id.clone(), problem });
            own.into_iter().chain(service.layer.broken(kind, id))
        })
    }

    /// The one of that id.
    pub(super) fn get(&self, id: &str) -> Option<&Arc<CompiledService>> {
        self.0.get(id)
    }

    /// Where they send what comes to them.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.0.values().filter_map(|service| Some(&service.upstream.as_ref()?.target))
    }
}

fn compile(
    id: &str,
    standing: &Standing<Service>,
    before: Option<Arc<CompiledService>>,
    upstreams: &Upstreams,
    foundry: &Foundry<'_>,
    workshop: &Workshop<'_>,
) -> Arc<CompiledService> {
    let source = &standing.parsed;
    let owner = || format!("services/{id}");
    let upstream = match &source.upstream {
        None => None,
        Some(RouteUpstream::Id(id)) => upstreams.get(id.as_str()).cloned(),
        Some(RouteUpstream::Own(own)) => {
            let before = before.as_ref().and_then(|before| before.upstream.as_ref());
            Some(foundry.compile(owner, own, || standing.part("upstream"), before))
        }
    };
    let layer = match &before {
        Some(before) if Arc::ptr_eq(&before.source, source) && workshop.stands(&before.layer) => {
            Arc::clone(&before.layer)
        }
        before => {
            let before = before.as_ref().map(|before| &*before.layer);
            Arc::new(workshop.layer(&owner(), &source.plugins, before))
        }
    };
    if let Some(before) = before
        && Arc::ptr_eq(&before.source, source)
        && Arc::ptr_eq(&before.layer, &layer)
        && same(before.upstream.as_ref(), upstream.as_ref())
    {
        return before;
    }
    Arc::new(CompiledService { source: Arc::clone(source), layer, upstream })
}

/// Whether both are the very same, or nothing.
pub(super) fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    one.map(Arc::as_ptr) == other.map(Arc::as_ptr)
}
