//! The catalog of dynamic secrets: their names, their producers, and the payload that each producer is handed.
//!
//! Two records a secret: its name in the tree of items, and what its producer is called with, payload sealed. The
//! second outlives a deletion until the last lease of the secret is gone, for only with it can leases be revoked.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use gateward_model::{DynamicSecret, ItemName};
use gateward_seal::{Sealer, SecretValue};
use gateward_store::{Change, CommitError, Entry, Key, Precondition, Store, StoreError, Write};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A dynamic secret that is about to be created.
#[derive(Clone, Debug)]
pub struct NewDynamicSecret {
    /// What is kept in the open.
    pub secret: DynamicSecret,
    /// What its producer is handed with each call.
    pub payload: SecretValue,
}

/// Why the catalog did not do it.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// There is an item of that name.
    #[error("item {0} already exists; delete it first, or choose another name")]
    Exists(ItemName),
    /// There is no item of that name.
    #[error("item {0} does not exist")]
    Missing(ItemName),
    /// Deletion is refused until delete_protection is off.
    #[error("item {0} is protected from deletion (delete_protection)")]
    Protected(ItemName),
    /// Somebody else changed it at the same time.
    #[error("item {0} has changed in the meantime; try again")]
    Changed(ItemName),
    /// The record cannot be opened.
    #[error("the record of dynamic secret {id} cannot be opened: {why}")]
    Sealed {
        /// The secret's number.
        id: u64,
        /// Why, without anything secret.
        why: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The names and producers of all dynamic secrets.
pub struct Catalog {
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
}

impl Catalog {
    /// The catalog that stands in `store`, with payloads sealed by `sealer`.
    pub fn new(store: Arc<dyn Store>, sealer: Arc<Sealer>) -> Self {
        Self { store, sealer }
    }

    /// Adds a dynamic secret, if no item has its name.
    pub async fn create(&self, new: &NewDynamicSecret) -> Result<(), CatalogError> {
        let secret = &new.secret;
        let item = serde_json::json!({"kind": "dynamic_secret", "id": secret.id}).to_string();
        let producer = self.record(secret, &new.payload, false, 1)?;
        let writes = vec![
            Write { key: item_key(&secret.name), precondition: Precondition::Absent, change: put(item) },
            Write { key: producer_key(secret.id), precondition: Precondition::Absent, change: put(producer) },
        ];
        self.commit(writes, &secret.name).await.map_err(|error| match error {
            CatalogError::Changed(name) => CatalogError::Exists(name),
            error => error,
        })
    }

    /// The dynamic secret named `name`, without its payload.
    pub async fn get(&self, name: &ItemName) -> Result<DynamicSecret, CatalogError> {
        Ok(self.open(name).await?.secret)
    }

    /// The dynamic secret named `name`, with what it takes to issue a credential of it.
    pub(crate) async fn open(&self, name: &ItemName) -> Result<OpenSecret, CatalogError> {
        let (_, item) = self.item(name).await?;
        let missing = || CatalogError::Missing(name.clone());
        let entry = self.store.get(&producer_key(item.id)).await?.ok_or_else(missing)?;
        let Read { secret, payload, retired } = self.read(item.id, &entry)?;
        if retired {
            return Err(missing());
        }
        let stands = Write {
            key: entry.key,
            precondition: Precondition::Version(entry.version),
            change: Change::Check,
        };
        Ok(OpenSecret { secret, payload, stands })
    }

    /// Whether an item named `name` stands.
    pub async fn exists(&self, name: &ItemName) -> Result<bool, CatalogError> {
        Ok(self.store.get(&item_key(name)).await?.is_some())
    }

    /// The dynamic secret with the number `id`, deleted or not, and the payload for its producer.
    pub async fn producer(&self, id: u64) -> Result<Option<(DynamicSecret, SecretValue)>, CatalogError> {
        let Some(entry) = self.store.get(&producer_key(id)).await? else {
            return Ok(None);
        };
        let record = self.read(id, &entry)?;
        Ok(Some((record.secret, record.payload)))
    }

    /// Deletes the item; its producer's record stays, retired, for the leases that still live.
    pub async fn delete(&self, name: &ItemName) -> Result<DynamicSecret, CatalogError> {
        let (item_entry, item) = self.item(name).await?;
        let missing = || CatalogError::Missing(name.clone());
        let entry = self.store.get(&producer_key(item.id)).await?.ok_or_else(missing)?;
        let record = self.read(item.id, &entry)?;
        if record.secret.delete_protection {
            return Err(CatalogError::Protected(name.clone()));
        }
        let retired = self.record(&record.secret, &record.payload, true, entry.version + 1)?;
        let writes = vec![
            Write {
                key: item_entry.key,
                precondition: Precondition::Version(item_entry.version),
                change: Change::Delete,
            },
            Write {
                key: producer_key(item.id),
                precondition: Precondition::Version(entry.version),
                change: put(retired),
            },
        ];
        self.commit(writes, name).await?;
        Ok(record.secret)
    }

    /// Forgets the producer of a deleted secret, once no lease of it is left.
    pub async fn forget(&self, id: u64) -> Result<(), CatalogError> {
        let Some(entry) = self.store.get(&producer_key(id)).await? else {
            return Ok(());
        };
        let record = self.read(id, &entry)?;
        let leases =
            self.store.list(&format!("~lease/{id}"), (Bound::Unbounded, Bound::Unbounded), 1).await?;
        if !record.retired || !leases.is_empty() {
            return Ok(());
        }
        let write = Write {
            key: producer_key(id),
            precondition: Precondition::Version(entry.version),
            change: Change::Delete,
        };
        self.commit(vec![write], &record.secret.name).await
    }

    async fn item(&self, name: &ItemName) -> Result<(Entry, Item), CatalogError> {
        let missing = || CatalogError::Missing(name.clone());
        let entry = self.store.get(&item_key(name)).await?.ok_or_else(missing)?;
        let item = serde_json::from_slice(&entry.value).map_err(|_| missing())?;
        Ok((entry, item))
    }

    /// The sealed record of a secret and its producer's payload.
    fn record(
        &self,
        secret: &DynamicSecret,
        payload: &SecretValue,
        retired: bool,
        version: u64,
    ) -> Result<Bytes, CatalogError> {
        let record = Written { secret, payload: payload.expose(), retired };
        let plaintext = serde_json::to_vec(&record).map(Zeroizing::new);
        let plaintext =
            plaintext.map_err(|error| CatalogError::Sealed { id: secret.id, why: error.to_string() })?;
        Ok(self.sealer.seal_at(PURPOSE, &producer_key(secret.id), version, &plaintext))
    }

    fn read(&self, id: u64, entry: &Entry) -> Result<Read, CatalogError> {
        let broken = |why: String| CatalogError::Sealed { id, why };
        let plaintext = self.sealer.open_entry(PURPOSE, entry).map_err(|error| broken(error.to_string()))?;
        serde_json::from_slice(&plaintext).map_err(|_| broken("it is no record".to_owned()))
    }

    async fn commit(&self, writes: Vec<Write>, name: &ItemName) -> Result<(), CatalogError> {
        match self.store.commit(writes).await {
            Ok(_) => Ok(()),
            Err(CommitError::Conflict { .. }) => Err(CatalogError::Changed(name.clone())),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }
}

/// A dynamic secret of which a credential can be issued.
pub(crate) struct OpenSecret {
    pub(crate) secret: DynamicSecret,
    pub(crate) payload: SecretValue,
    /// Goes into the commit that opens a lease: it holds only while the secret has not been deleted. Without it, a lease
    /// could begin after the producer was forgotten, and nobody could revoke it.
    pub(crate) stands: Write,
}

/// What stands under an item's name.
#[derive(Deserialize)]
struct Item {
    id: u64,
}

#[derive(Serialize)]
struct Written<'a> {
    secret: &'a DynamicSecret,
    payload: &'a str,
    retired: bool,
}

#[derive(Deserialize)]
struct Read {
    secret: DynamicSecret,
    payload: SecretValue,
    retired: bool,
}

fn item_key(name: &ItemName) -> Key {
    Key { partition: "items".to_owned(), sort: name.to_string() }
}

fn producer_key(id: u64) -> Key {
    Key { partition: "producers".to_owned(), sort: format!("{id:020}") }
}

fn put(record: impl Into<Bytes>) -> Change {
    Change::Put(record.into())
}

const PURPOSE: &str = "producer payload";
