//! Builds the plugins of resources, and keeps those whose settings are as they were.

use std::sync::Arc;

use gateward_model::apisix::{Expression, PluginEntry, PluginSet};
use gateward_plugins::{Kind, Phases, Shared, Site};
use gateward_vars::Condition;

use super::chain::{Instance, Layer, Link};
use super::metadata::{AllMetadata, Metadata};
use super::references::references;
use super::secrets::Secrets;
use super::slot::SlotParts;
use crate::typed;

/// What plugins are built with.
pub(super) struct Workshop<'w> {
    /// Where they get their secrets.
    pub(super) secrets: &'w Secrets<'w>,
    /// What they share.
    pub(super) shared: &'w Arc<Shared>,
    /// What all plugins of one name have in common.
    pub(super) metadata: &'w AllMetadata,
}

impl Workshop<'_> {
    /// The plugins of `owner`; `before` is what it had until now.
    pub(super) fn layer(&self, owner: &str, plugins: &PluginSet, before: Option<&Layer>) -> Layer {
        self.layer_of(owner, plugins, before, |_| true)
    }

    /// The plugins of the consumer `owner` that have turns; what it shows to those that authenticate are none.
    pub(super) fn consumers_layer(&self, owner: &str, plugins: &PluginSet, before: Option<&Layer>) -> Layer {
        let has_turns = |entry: &PluginEntry| {
            gateward_plugins::kind(&entry.name).is_none_or(|kind| kind.consumer.is_none())
        };
        self.layer_of(owner, plugins, before, has_turns)
    }

    /// Whether `layer` would be built the same from the plugins that it was built from.
    pub(super) fn stands(&self, layer: &Layer) -> bool {
        layer.links.iter().all(|link| link.metadata.is(&self.metadata.get(&link.entry.name)))
    }

    fn layer_of(
        &self,
        owner: &str,
        plugins: &PluginSet,
        before: Option<&Layer>,
        wanted: impl Fn(&PluginEntry) -> bool,
    ) -> Layer {
        let entries = plugins.iter().filter(|entry| wanted(entry));
        let links = entries.map(|entry| {
            let metadata = self.metadata.get(&entry.name);
            let same = before.and_then(|before| {
                before.links.iter().find(|link| {
                    !matches!(link.instance, Instance::Broken)
                        && link.entry.name == entry.name
                        && link.entry.settings == entry.settings
                        && link.metadata.is(&metadata)
                })
            });
            self.link(owner, entry, metadata, same)
        });
        Layer { links: links.collect() }
    }

    fn link(&self, owner: &str, entry: &Arc<PluginEntry>, metadata: Metadata, same: Option<&Link>) -> Link {
        let mut unusable = None;
        let mut broken = |problem: &dyn std::fmt::Display| {
            let plugin = &entry.name;
            tracing::error!(owner, plugin, %problem, "a plugin cannot be used; its requests are answered with 503");
            unusable = Some(problem.to_string().into());
            Instance::Broken
        };
        let filter = entry.meta.filter.as_ref().map(Expression::parse).transpose();
        let (filter, filter_problem) = match filter {
            Ok(filter) => (filter.map(|filter| Arc::new(Condition::compile(&filter))), None),
            Err(problem) => (None, Some(problem)),
        };
        let kind = gateward_plugins::kind(&entry.name);
        let instance = match (kind, same) {
            _ if entry.meta.disable => Instance::Broken,
            (None, _) => broken(&"there is no such plugin"),
            (Some(_), _) if let Some(problem) = &filter_problem => broken(problem),
            (Some(_), Some(same)) => same.instance.clone(),
            (Some(_), None) if matches!(metadata, Metadata::Missing) => Instance::Unresolved,
            (Some(kind), None) => {
                self.instance(kind, owner, entry, metadata.clone()).unwrap_or_else(|problem| broken(&problem))
            }
        };
        let access = Phases { access: true, ..Phases::default() };
        Link {
            entry: Arc::clone(entry),
            metadata,
            priority: entry.meta.priority.or(kind.map(|kind| kind.priority)).unwrap_or(i32::MAX),
            // What cannot be used must be in the way.
            phases: match (&instance, kind) {
                (Instance::Broken | Instance::Unresolved, _) | (_, None) => access,
                (_, Some(kind)) => kind.phases,
            },
            filter,
            instance,
            problem: unusable,
        }
    }

    fn instance(
        &self,
        kind: &'static Kind,
        owner: &str,
        entry: &PluginEntry,
        metadata: Metadata,
    ) -> Result<Instance, String> {
        let references = references(&entry.settings).map_err(|error| error.to_string())?;
        if references.is_empty() {
            let site = Site { owner, metadata: metadata.json(), shared: self.shared };
            return (kind.build)(&entry.settings, &site)
                .map(Instance::Ready)
                .map_err(|error| error.to_string());
        }
        typed::fitting(&entry.settings, kind.schema, kind.check).map_err(|error| error.to_string())?;
        let parts =
            SlotParts { kind, settings: &entry.settings, references, owner, metadata, shared: self.shared };
        Ok(Instance::Referring(self.secrets.slot(parts)))
    }
}
