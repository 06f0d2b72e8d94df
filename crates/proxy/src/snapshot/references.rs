//! References in what somebody wrote, and the values that they stand for.

use std::ops::Deref;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use gateward_seal::SecretValue;
use gateward_vaults::{Asked, Binding, Reference, ReferenceError, Resolver, Template};
use serde_json::Value;
use tokio::sync::Notify;

use crate::typed;

/// The references in `json`, in the order in which its strings stand.
pub(super) fn references(json: &Value) -> Result<Vec<Reference>, ReferenceError> {
    let mut found = Vec::new();
    collect(json, &mut found)?;
    Ok(found)
}

/// Writes `values` in the places of the references in `json`, in the same order.
pub(super) fn substitute<'v>(json: &mut Value, values: &mut impl Iterator<Item = &'v SecretValue>) {
    match json {
        Value::String(text) => {
            if let Ok(Some(template)) = Template::parse(text)
                && let Some(value) = template.fill(values)
            {
                value.expose().clone_into(text);
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| substitute(element, values)),
        Value::Object(fields) => fields.values_mut().for_each(|field| substitute(field, values)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A whole resource with values in the places of its references, as long as all of them are there.
///
/// For what cannot be rebuilt alone inside a snapshot: certificates, upstreams, and what consumers show. When a value
/// changes the snapshot is compiled anew.
pub(super) struct Resolved {
    source: Arc<Value>,
    current: Arc<ArcSwapOption<ResolvedJson>>,
    binding: Binding,
}

/// JSON with secrets in it. It wipes itself.
pub(super) struct ResolvedJson(Value);

impl Resolved {
    /// Binds the references of `source`; `changed` hears whenever a value has. One that `schema` does not want is as good
    /// as missing.
    pub(super) fn bind(
        resolver: &Arc<Resolver>,
        source: &Arc<Value>,
        schema: fn() -> Value,
        changed: &Arc<Notify>,
    ) -> Result<Self, ReferenceError> {
        let references = references(source)?;
        let current = Arc::new(ArcSwapOption::empty());
        let (place, json, changed) = (Arc::clone(&current), Arc::clone(source), Arc::clone(changed));
        let told = move |values: Option<&[SecretValue]>| {
            place.store(values.and_then(|values| {
                let mut resolved = ResolvedJson(Value::clone(&json));
                substitute(&mut resolved.0, &mut values.iter());
                match typed::coerce(&json, &mut resolved.0, schema) {
                    Ok(()) => Some(Arc::new(resolved)),
                    Err(error) => {
                        tracing::error!(field = error.field, "a resolved secret does not fit its field");
                        None
                    }
                }
            }));
            changed.notify_one();
        };
        let binding = resolver.bind(references, Box::new(told));
        Ok(Self { source: Arc::clone(source), current, binding })
    }

    /// Somebody refused a request that these values were used for.
    pub(super) fn refused(&self) {
        self.binding.refused();
    }

    /// Whether it was bound for `source`.
    pub(super) fn is_of(&self, source: &Arc<Value>) -> bool {
        Arc::ptr_eq(&self.source, source)
    }

    /// The resource with its values, if all of them are there. Another one each time that a value has changed.
    pub(super) fn json(&self) -> Option<Arc<ResolvedJson>> {
        self.current.load_full()
    }

    /// Whom to ask whether each reference was asked for once.
    pub(super) fn asked(&self) -> Asked {
        self.binding.asked()
    }
}

impl Deref for ResolvedJson {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.0
    }
}

impl Drop for ResolvedJson {
    fn drop(&mut self) {
        gateward_seal::wipe(&mut self.0);
    }
}

fn collect(json: &Value, found: &mut Vec<Reference>) -> Result<(), ReferenceError> {
    match json {
        Value::String(text) => {
            if let Some(template) = Template::parse(text)? {
                found.extend(template.references().cloned());
            }
        }
        Value::Array(elements) => elements.iter().try_for_each(|element| collect(element, found))?,
        Value::Object(fields) => fields.values().try_for_each(|field| collect(field, found))?,
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}
