//! The resources that routing is made of, as they stand in the store: sealed.
//!
//! Each is opened and parsed when it is read, once per change. What does not open (it was sealed with another root key,
//! or moved there by hand) or does not parse (it was written by a newer version) is named in the log and left out: it
//! must never keep the gateway from starting, nor the others from serving.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use gateward_model::apisix::{ResourceId, Route, Upstream};
use gateward_model::{Invalid, Vault};
use gateward_seal::{OpenError, Sealer};
use gateward_store::{Entry, Key, Store, StoreError};

use crate::DOCUMENT_PURPOSE;

/// Where these resources stand in the store.
pub(crate) const PARTITIONS: [&str; 3] = [ROUTES, UPSTREAMS, VAULTS];

const ROUTES: &str = "routes";
const UPSTREAMS: &str = "upstreams";
const VAULTS: &str = "vaults";

/// Where resources are read from, and what opens them.
pub(crate) struct Source {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sealer: Arc<Sealer>,
}

/// The resources that routing is made of.
#[derive(Default)]
pub(crate) struct Resources {
    pub(crate) routes: Kind<Route>,
    pub(crate) upstreams: Kind<Upstream>,
    pub(crate) vaults: Kind<Vault>,
}

/// All resources of one kind, by id.
pub(crate) struct Kind<T>(BTreeMap<String, Stored<T>>);

/// A resource as it stands in the store.
struct Stored<T> {
    version: u64,
    /// Sealed.
    bytes: Bytes,
    /// None if it cannot be used.
    parsed: Option<Arc<T>>,
}

impl Resources {
    /// Reads everything. What has not changed stays the same [`Arc`], and is not opened again.
    pub(crate) async fn read_all(&mut self, source: &Source) -> Result<(), StoreError> {
        let Source { store, sealer } = source;
        self.routes.replace(list(&**store, ROUTES).await?, sealer);
        self.upstreams.replace(list(&**store, UPSTREAMS).await?, sealer);
        self.vaults.replace(list(&**store, VAULTS).await?, sealer);
        Ok(())
    }

    /// Reads what stands at `key`, which is in one of [`PARTITIONS`].
    pub(crate) async fn read(&mut self, source: &Source, key: &Key) -> Result<(), StoreError> {
        let Source { store, sealer } = source;
        let entry = store.get(key).await?;
        match key.partition.as_str() {
            ROUTES => self.routes.set(&key.sort, entry, sealer),
            UPSTREAMS => self.upstreams.set(&key.sort, entry, sealer),
            _ => self.vaults.set(&key.sort, entry, sealer),
        }
        Ok(())
    }
}

impl<T: Resource> Kind<T> {
    /// Those that can be used, in the order of their ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Arc<T>)> {
        self.0.iter().filter_map(|(id, stored)| Some((id.as_str(), stored.parsed.as_ref()?)))
    }

    fn replace(&mut self, entries: Vec<Entry>, sealer: &Sealer) {
        let mut before = std::mem::take(&mut self.0);
        for entry in entries {
            let id = entry.key.sort.clone();
            if let Some(stored) = before.remove(&id) {
                self.0.insert(id.clone(), stored);
            }
            self.set(&id, Some(entry), sealer);
        }
    }

    fn set(&mut self, id: &str, entry: Option<Entry>, sealer: &Sealer) {
        let Some(entry) = entry else {
            self.0.remove(id);
            return;
        };
        let same = |stored: &Stored<T>| stored.version == entry.version && stored.bytes == entry.value;
        if self.0.get(id).is_some_and(same) {
            return;
        }
        let parsed = match open(id, &entry, sealer) {
            Ok(resource) => Some(Arc::new(resource)),
            Err(error) => {
                tracing::error!(kind = T::KIND, id, %error, "a stored resource cannot be used, and is left out");
                None
            }
        };
        let stored = Stored { version: entry.version, bytes: entry.value, parsed };
        self.0.insert(id.to_owned(), stored);
    }
}

impl<T> Default for Kind<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// Why a resource cannot be used. Neither cause quotes what it says.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Sealed(#[from] OpenError),
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

fn open<T: Resource>(id: &str, entry: &Entry, sealer: &Sealer) -> Result<T, Unusable> {
    let json = sealer.open_entry(DOCUMENT_PURPOSE, entry)?;
    Ok(T::read(id, &json)?)
}

/// What can be read from the store.
pub(crate) trait Resource: Sized {
    /// What one is called.
    const KIND: &'static str;

    /// Reads the one that is stored by `id`, opened.
    fn read(id: &str, json: &[u8]) -> Result<Self, Invalid>;
}

impl Resource for Route {
    const KIND: &'static str = "route";

    fn read(id: &str, json: &[u8]) -> Result<Self, Invalid> {
        Self::parse(ResourceId::parse(id)?, &gateward_model::from_admin(json)?)
    }
}

impl Resource for Upstream {
    const KIND: &'static str = "upstream";

    fn read(_id: &str, json: &[u8]) -> Result<Self, Invalid> {
        Self::parse(&gateward_model::from_admin(json)?)
    }
}

impl Resource for Vault {
    const KIND: &'static str = "vault";

    fn read(_id: &str, json: &[u8]) -> Result<Self, Invalid> {
        gateward_model::parse(&gateward_model::from_admin(json)?)
    }
}

async fn list(store: &dyn Store, partition: &str) -> Result<Vec<Entry>, StoreError> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = match entries.last() {
            Some(last) => Bound::Excluded(last.key.sort.clone()),
            None => Bound::Unbounded,
        };
        let page = store.list(partition, (after, Bound::Unbounded), PAGE).await?;
        let last_page = page.len() < PAGE;
        entries.extend(page);
        if last_page {
            return Ok(entries);
        }
    }
}

const PAGE: usize = 1000;
