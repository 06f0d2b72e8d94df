//! The routes that are compiled, and which of them to look at whatever has changed.
//!
//! There may be a hundred thousand, and a change is to one of them most often: nothing here looks at all of them unless
//! something has changed that routes are made of.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use gateward_model::apisix::Route;
use gateward_router::Router;

use super::resources::{Changed, Collection, Standing};
use super::routes::CompiledRoute;
use super::{Broken, Target};

/// The routes that are compiled.
#[derive(Default)]
pub(super) struct KnownRoutes {
    by_id: HashMap<String, Arc<CompiledRoute>>,
    /// Those that are not in force, or whose upstreams are checked; few, as a rule.
    notable: BTreeSet<String>,
}

impl KnownRoutes {
    /// Brings what may have `changed` up to `resources` by `compile`, which gets what it made before, and returns that
    /// if it still stands. `router` finds what is here.
    pub(super) fn follow(
        &mut self,
        resources: &Collection<Route>,
        changed: &Changed,
        router: &mut Router<Arc<CompiledRoute>>,
        compile: impl Fn(&Standing<Route>, Option<Arc<CompiledRoute>>) -> Arc<CompiledRoute>,
    ) {
        let serving = |id: &str| resources.get(id).filter(|standing| standing.parsed.enabled);
        match changed {
            Changed::Routes(ids) => {
                for id in ids {
                    self.bring_up(id, serving(id), router, &compile);
                }
            }
            Changed::Anything => {
                let gone: Vec<String> =
                    self.by_id.keys().filter(|id| serving(id).is_none()).cloned().collect();
                for id in gone {
                    self.bring_up(&id, None, router, &compile);
                }
                for (id, standing) in resources.iter().filter(|(_, standing)| standing.parsed.enabled) {
                    self.bring_up(id, Some(standing), router, &compile);
                }
            }
        }
    }

    fn bring_up(
        &mut self,
        id: &str,
        standing: Option<&Standing<Route>>,
        router: &mut Router<Arc<CompiledRoute>>,
        compile: impl Fn(&Standing<Route>, Option<Arc<CompiledRoute>>) -> Arc<CompiledRoute>,
    ) {
        let before = self.by_id.get(id);
        let now = standing.map(|standing| compile(standing, before.cloned()));
        if before.map(Arc::as_ptr) == now.as_ref().map(Arc::as_ptr) {
            return;
        }
        if let Some(before) = before {
            router.remove(&before.matching);
        }
        let Some(route) = now else {
            self.by_id.remove(id);
            self.notable.remove(id);
            return;
        };
        for hidden in router.insert(&route.matching, Arc::clone(&route)) {
            tracing::warn!("{hidden}");
        }
        if route.target.is_checked() || route.broken(id).next().is_some() {
            self.notable.insert(id.to_owned());
        } else {
            self.notable.remove(id);
        }
        self.by_id.insert(id.to_owned(), route);
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.by_id.len()
    }

    /// Where those send their requests whose upstreams are checked.
    pub(super) fn checked(&self) -> impl Iterator<Item = &Target> {
        self.notable().map(|(_, route)| &route.target)
    }

    /// What of them is not in force.
    pub(super) fn broken(&self) -> impl Iterator<Item = Broken> {
        self.notable().flat_map(|(id, route)| route.broken(id))
    }

    fn notable(&self) -> impl Iterator<Item = (&String, &Arc<CompiledRoute>)> {
        self.notable.iter().filter_map(|id| self.by_id.get_key_value(id))
    }
}
