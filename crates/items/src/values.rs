//! The values of items: each version of one sealed by itself, at a place of its own.

use std::sync::Arc;

use gateward_seal::{OpenError, Sealer, SecretValue};
use gateward_store::{Change, Key, Precondition, Store, Write};

use crate::{Item, ItemError, ItemKind};

/// The values of the items of one kind.
#[derive(Clone)]
pub struct Values {
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    kind: ItemKind,
}

impl Values {
    /// The values of the items of `kind` that stand in `store`.
    pub fn new(store: Arc<dyn Store>, sealer: Arc<Sealer>, kind: ItemKind) -> Self {
        Self { store, sealer, kind }
    }

    /// The value of the version `number` of `item`, if it is there.
    pub async fn read(&self, item: &Item, number: u64) -> Result<Option<SecretValue>, ItemError> {
        let Some(entry) = self.store.get(&self.key(item.record.id, number)).await? else { return Ok(None) };
        let broken = |why: String| ItemError::Sealed { item: item.name.to_string(), why };
        let plaintext =
            self.sealer.open_entry(self.kind.words(), &entry).map_err(|error| broken(error.to_string()))?;
        let text = std::str::from_utf8(&plaintext).map_err(|_| broken("it is no text".to_owned()))?;
        Ok(Some(SecretValue::from(text)))
    }

    /// What writes a value of `item` that was not there, as part of a commit; sealed with the fragment that somebody chose
    /// for the item, or else as everything is.
    pub fn put(&self, item: &Item, number: u64, value: &SecretValue) -> Result<Write, ItemError> {
        let key = self.key(item.record.id, number);
        let (fragment, purpose) = (item.record.fragment(), self.kind.words());
        let sealed = self.sealer.seal_at_with(fragment, purpose, &key, 1, value.expose().as_bytes());
        let broken =
            |error: OpenError| ItemError::Sealed { item: item.name.to_string(), why: error.to_string() };
        Ok(Write { key, precondition: Precondition::Absent, change: Change::Put(sealed.map_err(broken)?) })
    }

    /// What deletes a value, as part of a commit.
    pub fn delete(&self, item_id: u64, number: u64) -> Write {
        Write { key: self.key(item_id, number), precondition: Precondition::Any, change: Change::Delete }
    }

    /// Where a value stands.
    pub(crate) fn key(&self, item_id: u64, number: u64) -> Key {
        let group = match self.kind {
            ItemKind::StaticSecret => "static",
            ItemKind::DynamicSecret => "dynamic",
            ItemKind::RotatedSecret => "rotated",
            ItemKind::Target => "target",
            ItemKind::Key => "key",
        };
        Key { partition: format!("{group}/{item_id:020}"), sort: format!("{number:020}") }
    }
}
