//! Plugin metadata, with the values of their references in place.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::references::{Resolved, references};
use super::resources::Collection;
use super::secrets::Secrets;
use crate::typed::Filled;

/// The metadata of all plugins, by the plugin's name.
#[derive(Default)]
pub(super) struct AllMetadata(HashMap<String, Known>);

struct Known {
    source: Arc<Value>,
    /// None if there is nothing to resolve, or a reference cannot be read.
    resolved: Option<Resolved>,
    current: Metadata,
}

/// What all plugins of one name have in common. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) enum Metadata {
    /// Nothing.
    #[default]
    None,
    /// What somebody wrote.
    Written(Arc<Value>),
    /// The same with values in the places of its references.
    Resolved(Arc<Filled>),
    /// A value is not there.
    Missing,
}

impl AllMetadata {
    /// Binds what is new or has changed, and takes over values that have come, changed or gone.
    pub(super) fn refresh(&mut self, resources: &Collection<Value>, secrets: &Secrets<'_>) {
        let mut before = std::mem::take(&mut self.0);
        for (name, standing) in resources.iter() {
            let source = &standing.parsed;
            let known = before.remove(name).filter(|known| Arc::ptr_eq(&known.source, source));
            let mut known = known.unwrap_or_else(|| Known::bind(name, source, secrets));
            known.catch_up();
            self.0.insert(name.to_owned(), known);
        }
    }

    /// The metadata of the plugin `name`.
    pub(super) fn get(&self, name: &str) -> Metadata {
        self.0.get(name).map(|known| known.current.clone()).unwrap_or_default()
    }
}

impl Known {
    fn bind(name: &str, source: &Arc<Value>, secrets: &Secrets<'_>) -> Self {
        let source = Arc::clone(source);
        let found = references(&source).and_then(|found| match found.is_empty() {
            true => Ok(None),
            false => secrets.bind_as(&source, schema(name)).map(Some),
        });
        let (resolved, current) = match found {
            Ok(None) => (None, Metadata::Written(Arc::clone(&source))),
            Ok(resolved) => (resolved, Metadata::Missing),
            Err(error) => {
                tracing::error!(plugin = name, %error, "the metadata of a plugin cannot be used");
                (None, Metadata::Missing)
            }
        };
        Self { source, resolved, current }
    }

    fn catch_up(&mut self) {
        let Some(resolved) = &self.resolved else { return };
        self.current = resolved.json().map_or(Metadata::Missing, Metadata::Resolved);
    }
}

/// What the metadata of the plugin `name` are to be.
fn schema(name: &str) -> fn() -> Value {
    let metadata = gateward_plugins::kind(name).and_then(|kind| kind.metadata.as_ref());
    metadata.map_or(|| Value::Null, |metadata| metadata.schema)
}

impl Metadata {
    /// What they say, if they are all there.
    pub(super) fn json(&self) -> Option<&Value> {
        match self {
            Self::Written(json) => Some(json),
            Self::Resolved(json) => Some(json),
            Self::None | Self::Missing => None,
        }
    }

    /// Whether it is the very same as `other`.
    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Written(one), Self::Written(other)) => Arc::ptr_eq(one, other),
            (Self::Resolved(one), Self::Resolved(other)) => Arc::ptr_eq(one, other),
            (Self::None, Self::None) | (Self::Missing, Self::Missing) => true,
            _ => false,
        }
    }
}
