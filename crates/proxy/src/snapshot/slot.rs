//! A plugin whose configuration refers to secrets.
//!
//! It is built when all the values are there, anew each time one has changed, and taken away when one is gone: the
//! route then answers 503. The text of a reference never gets as far as the plugin.

use std::sync::Arc;

use arc_swap::{ArcSwapOption, Guard};
use gateward_plugins::{Kind, Plugin, Shared, Site};
use gateward_seal::SecretValue;
use gateward_vaults::{Binding, Reference, ReferenceError, Resolver};
use serde_json::Value;

/// A plugin that comes and goes with the secrets that its configuration refers to.
pub(crate) struct Slot {
    built: Arc<ArcSwapOption<Built>>,
    binding: Binding,
}

/// A plugin that was built from resolved values.
pub(crate) struct Built(pub(crate) Arc<dyn Plugin>);

impl Slot {
    /// The plugin `kind`, configured by `configuration`, which has these `references`; `owner` has it.
    pub(crate) fn bind(
        resolver: &Arc<Resolver>,
        kind: &'static Kind,
        configuration: &Value,
        references: Vec<Reference>,
        owner: &str,
        shared: &Arc<Shared>,
    ) -> Self {
        let built = Arc::new(ArcSwapOption::empty());
        let (place, configuration) = (Arc::clone(&built), configuration.clone());
        let (owner, shared) = (owner.to_owned(), Arc::clone(shared));
        let changed = move |values: Option<&[SecretValue]>| {
            let site = Site { owner: &owner, metadata: None, shared: &shared };
            place.store(values.and_then(|values| build(kind, &configuration, values, &site)).map(Arc::new));
        };
        let binding = resolver.bind(references, Box::new(changed));
        Self { built, binding }
    }

    /// The plugin, if every value is there.
    pub(crate) fn plugin(&self) -> Guard<Option<Arc<Built>>> {
        self.built.load()
    }

    /// Done when each reference was asked for once.
    pub(crate) async fn asked(&self) {
        self.binding.asked().await;
    }
}

/// The references in `configuration`, in the order in which its strings stand.
pub(super) fn references(configuration: &Value) -> Result<Vec<Reference>, ReferenceError> {
    let mut found = Vec::new();
    collect(configuration, &mut found)?;
    Ok(found)
}

fn collect(json: &Value, found: &mut Vec<Reference>) -> Result<(), ReferenceError> {
    match json {
        Value::String(text) => found.extend(Reference::parse(text)?),
        Value::Array(elements) => elements.iter().try_for_each(|element| collect(element, found))?,
        Value::Object(fields) => fields.values().try_for_each(|field| collect(field, found))?,
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

/// Builds the plugin from `configuration` with `values` in place of its references. A value that the plugin's schema
/// refuses is as good as none.
fn build(
    kind: &'static Kind,
    configuration: &Value,
    values: &[SecretValue],
    site: &Site<'_>,
) -> Option<Built> {
    let mut resolved = configuration.clone();
    substitute(&mut resolved, &mut values.iter());
    let built = (kind.build)(&resolved, site);
    gateward_seal::wipe(&mut resolved);
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

fn substitute<'v>(json: &mut Value, values: &mut impl Iterator<Item = &'v SecretValue>) {
    match json {
        Value::String(text) => {
            if let Ok(Some(_)) = Reference::parse(text)
                && let Some(value) = values.next()
            {
                value.expose().clone_into(text);
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| substitute(element, values)),
        Value::Object(fields) => fields.values_mut().for_each(|field| substitute(field, values)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
