//! The store as the configuration reads it while files hold the resources: what they own comes from them, and the rest
//! from the store.
//!
//! So there is one way from a resource to a snapshot, wherever it stands. A resource that has not changed keeps its
//! entry, to the byte, by which the configuration knows that there is nothing to compile.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeBounds as _};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gateward_model::apisix::Kind;
use gateward_seal::Sealer;
use gateward_store::{Changes, CommitError, Entry, Key, Revision, Store, StoreError, Write};
use serde_json::Value;

use super::Declared;
use crate::DOCUMENT_PURPOSE;

/// A store under what the files own.
pub(crate) struct Overlay {
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    /// By partition. A partition that is there is owned, even if nothing stands in it.
    owned: Mutex<BTreeMap<String, BTreeMap<String, Kept>>>,
}

/// A resource of the files as an entry.
struct Kept {
    json: Value,
    entry: Entry,
}

impl Overlay {
    /// What `declared` owns, over `store`.
    pub(crate) fn new(store: Arc<dyn Store>, sealer: Arc<Sealer>, declared: &Declared) -> Self {
        let overlay = Self { store, sealer, owned: Mutex::default() };
        overlay.declare(declared);
        overlay
    }

    /// From now on it is `declared` that is owned.
    pub(crate) fn declare(&self, declared: &Declared) {
        let mut resources: BTreeMap<String, Vec<(String, Value)>> = BTreeMap::new();
        for kind in Kind::ALL {
            resources.insert(kind.plural().to_owned(), Vec::new());
        }
        for (kind, id, json) in &declared.resources {
            resources.entry(kind.plural().to_owned()).or_default().push((id.clone(), json.clone()));
        }
        if let Some(vaults) = &declared.vaults {
            let vaults = vaults
                .iter()
                .filter_map(|vault| Some((vault.prefix.clone(), serde_json::to_value(vault).ok()?)));
            resources.insert(VAULTS.to_owned(), vaults.collect());
        }
        let mut owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        let mut before = std::mem::take(&mut *owned);
        for (partition, resources) in resources {
            let mut before = before.remove(&partition).unwrap_or_default();
            let kept = resources.into_iter().map(|(id, json)| {
                let kept = match before.remove(&id) {
                    Some(same) if same.json == json => same,
                    other => self.keep(&partition, &id, json, other.map_or(0, |other| other.entry.version)),
                };
                (id, kept)
            });
            let kept = kept.collect();
            owned.insert(partition, kept);
        }
    }

    fn keep(&self, partition: &str, id: &str, json: Value, before: u64) -> Kept {
        let key = Key { partition: partition.to_owned(), sort: id.to_owned() };
        let version = before + 1;
        let value = self.sealer.seal_at(DOCUMENT_PURPOSE, &key, version, json.to_string().as_bytes());
        Kept { json, entry: Entry { key, value, version } }
    }
}

#[async_trait]
impl Store for Overlay {
    async fn get(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        {
            let owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(resources) = owned.get(&key.partition) {
                return Ok(resources.get(&key.sort).map(|kept| kept.entry.clone()));
            }
        }
        self.store.get(key).await
    }

    async fn list(
        &self,
        partition: &str,
        range: (Bound<String>, Bound<String>),
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        {
            let owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(resources) = owned.get(partition) {
                // Nobody asks for a range that ends before it starts, at which a map's own `range` would panic.
                let within = resources.iter().filter(|(id, _)| range.contains(*id));
                return Ok(within.take(limit).map(|(_, kept)| kept.entry.clone()).collect());
            }
        }
        self.store.list(partition, range, limit).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, CommitError> {
        self.store.commit(writes).await
    }

    async fn changes(&self, since: Revision) -> Result<Changes, StoreError> {
        self.store.changes(since).await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.store.revision().await
    }

    fn failure(&self) -> Option<String> {
        self.store.failure()
    }
}

/// Where vaults stand in the store.
const VAULTS: &str = "vaults";
