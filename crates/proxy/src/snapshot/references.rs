//! References in what somebody wrote, and the values that they stand for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use gateward_seal::SecretValue;
use gateward_vaults::{Asked, Binding, Reference, ReferenceError, Resolver, Template};
use serde_json::Value;
use tokio::sync::Notify;

use crate::typed::{self, Filled};

/// The references in `json`, in the order in which its strings stand.
pub(super) fn references(json: &Value) -> Result<Vec<Reference>, ReferenceError> {
    let mut found = Vec::new();
    collect(json, &mut found)?;
    Ok(found)
}

/// A whole resource with values in the places of its references, as long as all of them are there.
///
/// For what cannot be rebuilt alone inside a snapshot: certificates, upstreams, and what consumers show. When a value
/// changes the snapshot is compiled anew.
pub(super) struct Resolved {
    source: Arc<Value>,
    current: Arc<ArcSwapOption<Filled>>,
    /// Whether they were asked for, and one of them is not there.
    lacks: Arc<AtomicBool>,
    binding: Binding,
}

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
        let lacks = Arc::new(AtomicBool::new(false));
        let lacking = Arc::clone(&lacks);
        let told = move |values: Option<&[SecretValue]>| {
            let filled = values.and_then(|values| match typed::fill(&json, values, schema) {
                Ok(resolved) => Some(Arc::new(resolved)),
                Err(error) => {
                    tracing::error!(field = error.field, "a resolved secret does not fit its field");
                    None
                }
            });
            lacking.store(filled.is_none(), Ordering::Release);
            place.store(filled);
            changed.notify_one();
        };
        let binding = resolver.bind(references, Box::new(told));
        Ok(Self { source: Arc::clone(source), current, lacks, binding })
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
    pub(super) fn json(&self) -> Option<Arc<Filled>> {
        self.current.load_full()
    }

    /// Whether they were asked for, and one of them is not there. One that is being asked for may come yet.
    pub(super) fn lacks(&self) -> bool {
        self.lacks.load(Ordering::Acquire)
    }

    /// Whom to ask whether each reference was asked for once.
    pub(super) fn asked(&self) -> Asked {
        self.binding.asked()
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
