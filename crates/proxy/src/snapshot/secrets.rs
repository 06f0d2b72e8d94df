//! Binds what is compiled to the secrets that it refers to.

use std::cell::RefCell;
use std::sync::Arc;

use gateward_vaults::{Asked, ReferenceError, Resolver};
use serde_json::Value;
use tokio::sync::Notify;

use super::references::Resolved;
use super::slot::{Slot, SlotParts};

/// Binds what is compiled, and remembers what was new, so that somebody can wait for it.
pub(super) struct Secrets<'s> {
    resolver: &'s Arc<Resolver>,
    changed: &'s Arc<Notify>,
    new: RefCell<Vec<Asked>>,
}

impl<'s> Secrets<'s> {
    /// Secrets come from `resolver`; `changed` rings when one has changed that a snapshot was compiled with.
    pub(super) fn new(resolver: &'s Arc<Resolver>, changed: &'s Arc<Notify>) -> Self {
        Self { resolver, changed, new: RefCell::default() }
    }

    /// Binds a whole resource.
    pub(super) fn bind(&self, source: &Arc<Value>) -> Result<Resolved, ReferenceError> {
        self.bind_as(source, || Value::Null)
    }

    /// Binds something whose values are to be what `schema` wants.
    pub(super) fn bind_as(
        &self,
        source: &Arc<Value>,
        schema: fn() -> Value,
    ) -> Result<Resolved, ReferenceError> {
        let resolved = Resolved::bind(self.resolver, source, schema, self.changed)?;
        self.new.borrow_mut().push(resolved.asked());
        Ok(resolved)
    }

    /// Binds a plugin.
    pub(super) fn slot(&self, parts: SlotParts<'_>) -> Arc<Slot> {
        let slot = Slot::bind(self.resolver, parts);
        self.new.borrow_mut().push(slot.asked());
        Arc::new(slot)
    }

    /// What was bound: once each reference was asked for, these are done.
    pub(super) fn into_new(self) -> Vec<Asked> {
        self.new.into_inner()
    }
}
