//! A plugin whose settings refer to secrets.
//!
//! It is built when all the values are there, anew each time one has changed, and taken away when one is gone: the
//! request is then answered with 503. The text of a reference never gets as far as the plugin.

use std::sync::Arc;

use arc_swap::{ArcSwapOption, Guard};
use gateward_plugins::{Kind, Plugin, Shared, Site};
use gateward_seal::SecretValue;
use gateward_vaults::{Asked, Binding, Reference, Resolver};
use serde_json::Value;

use super::metadata::Metadata;
use crate::typed;

/// A plugin that comes and goes with the secrets that its settings refer to.
pub(crate) struct Slot {
    built: Arc<ArcSwapOption<Built>>,
    binding: Binding,
}

/// A plugin that was built from resolved values.
pub(crate) struct Built(pub(crate) Arc<dyn Plugin>);

/// What a slot is made for.
pub(super) struct SlotParts<'s> {
    /// The plugin.
    pub(super) kind: &'static Kind,
    /// Its settings.
    pub(super) settings: &'s Value,
    /// The references in them.
    pub(super) references: Vec<Reference>,
    /// Whose plugin it is.
    pub(super) owner: &'s str,
    /// Its metadata.
    pub(super) metadata: Metadata,
    /// What plugins share.
    pub(super) shared: &'s Arc<Shared>,
}

impl Slot {
    /// A place for the plugin; it is built as soon as the values are there.
    pub(super) fn bind(resolver: &Arc<Resolver>, parts: SlotParts<'_>) -> Self {
        let built = Arc::new(ArcSwapOption::empty());
        let SlotParts { kind, settings, references, owner, metadata, shared } = parts;
        let (place, settings) = (Arc::clone(&built), settings.clone());
        let (owner, shared) = (owner.to_owned(), Arc::clone(shared));
        let changed = move |values: Option<&[SecretValue]>| {
            let site = Site { owner: &owner, metadata: metadata.json(), shared: &shared };
            place.store(values.and_then(|values| build(kind, &settings, values, &site)).map(Arc::new));
        };
        let binding = resolver.bind(references, Box::new(changed));
        Self { built, binding }
    }

    /// The plugin, if every value is there.
    pub(crate) fn plugin(&self) -> Guard<Option<Arc<Built>>> {
        self.built.load()
    }

    /// An upstream refused a request that the plugin has worked on: the values may have changed.
    pub(crate) fn refused(&self) {
        self.binding.refused();
    }

    /// Whom to ask whether each reference was asked for once.
    pub(super) fn asked(&self) -> Asked {
        self.binding.asked()
    }
}

/// Builds the plugin from `settings` with `values` in place of its references. A value that the plugin's schema
/// refuses is as good as none.
fn build(kind: &'static Kind, settings: &Value, values: &[SecretValue], site: &Site<'_>) -> Option<Built> {
    let built = typed::fill(settings, values, kind.schema).and_then(|filled| (kind.build)(&filled, site));
    match built {
        Ok(plugin) => Some(Built(plugin)),
        Err(error) => {
            tracing::error!(
                owner = site.owner,
                plugin = kind.name,
                field = error.field,
                "a resolved secret does not fit its field"
            );
            None
        }
    }
}
