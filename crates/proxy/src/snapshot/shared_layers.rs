//! The layers of resources that are plugins and nothing else, kept as long as nothing about them changes.

use std::collections::HashMap;
use std::sync::Arc;

use gateward_model::apisix::{Kind, SharedPlugins};

use super::Broken;
use super::chain::Layer;
use super::layers::Workshop;
use super::resources::Collection;

/// The layers of all resources of one kind, by id.
#[derive(Default)]
pub(super) struct SharedLayers(HashMap<String, Known>);

struct Known {
    source: Arc<SharedPlugins>,
    layer: Arc<Layer>,
}

impl SharedLayers {
    /// Builds what is new or has changed; `kind` is what one of them is called.
    pub(super) fn refresh(
        &mut self,
        kind: &str,
        resources: &Collection<SharedPlugins>,
        workshop: &Workshop<'_>,
    ) {
        let mut before = std::mem::take(&mut self.0);
        for (id, standing) in resources.iter() {
            let source = &standing.parsed;
            let known = match before.remove(id) {
                Some(known) if Arc::ptr_eq(&known.source, source) && workshop.stands(&known.layer) => known,
                known => {
                    let before = known.as_ref().map(|known| &*known.layer);
                    let layer = workshop.layer(&format!("{kind}/{id}"), &source.plugins, before);
                    Known { source: Arc::clone(source), layer: Arc::new(layer) }
                }
            };
            self.0.insert(id.to_owned(), known);
        }
    }

    /// The layer of the one that has that id.
    pub(super) fn get(&self, id: &str) -> Option<&Arc<Layer>> {
        Some(&self.0.get(id)?.layer)
    }

    /// What of them is not in force; each is of that `kind`.
    pub(super) fn broken(&self, kind: Kind) -> impl Iterator<Item = Broken> {
        self.0.iter().flat_map(move |(id, known)| known.layer.broken(kind.plural(), id))
    }

    /// All layers, in the order of their ids.
    pub(super) fn in_order(&self) -> Vec<&Layer> {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by_key(|(id, _)| *id);
        all.into_iter().map(|(_, known)| &*known.layer).collect()
    }
}
