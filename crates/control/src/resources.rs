//! Resources as JSON documents in the store, sealed: a document may hold somebody's access key.

use std::ops::Bound;

use gateward_proxy::DOCUMENT_PURPOSE;
use gateward_store::{Change, CommitError, Entry, Key, Precondition, Revision, StoreError, Write};
use serde_json::Value;

use crate::ControlParts;

/// A document as it stands.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) id: String,
    pub(crate) json: Value,
    pub(crate) version: u64,
}

/// Why a document was not read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResourceError {
    /// Somebody else wrote it at the same time.
    #[error("value changed before overwritten")]
    Changed,
    /// It does not open, or is no JSON.
    #[error("what is stored as {kind} {id} cannot be opened: {why}")]
    Sealed { kind: String, id: String, why: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ControlParts {
    /// The document `id` of `kind`.
    pub(crate) async fn document(&self, kind: &str, id: &str) -> Result<Option<Document>, ResourceError> {
        self.store.get(&key(kind, id)).await?.map(|entry| self.open(&entry)).transpose()
    }

    /// Every document of `kind` that can be opened; the others are reported.
    pub(crate) async fn documents(&self, kind: &str) -> Result<Vec<Document>, ResourceError> {
        let everything = (Bound::Unbounded, Bound::Unbounded);
        let entries = self.store.list(kind, everything, usize::MAX).await?;
        let open = |entry: &Entry| match self.open(entry) {
            Ok(document) => Some(document),
            Err(error) => {
                tracing::error!(%error, "document in quarantine");
                None
            }
        };
        Ok(entries.iter().filter_map(open).collect())
    }

    /// Writes a document in the place of `before`, and returns when it is in force.
    pub(crate) async fn write_document(
        &self,
        kind: &str,
        id: &str,
        json: &Value,
        before: Option<u64>,
    ) -> Result<(), ResourceError> {
        let key = key(kind, id);
        let sealed =
            self.sealer.seal_at(DOCUMENT_PURPOSE, &key, before.unwrap_or(0) + 1, json.to_string().as_bytes());
        self.change(key, before, Change::Put(sealed)).await
    }

    /// Deletes a document, and returns when that is in force.
    pub(crate) async fn delete_document(
        &self,
        kind: &str,
        id: &str,
        before: u64,
    ) -> Result<(), ResourceError> {
        self.change(key(kind, id), Some(before), Change::Delete).await
    }

    async fn change(&self, key: Key, before: Option<u64>, change: Change) -> Result<(), ResourceError> {
        let precondition = before.map_or(Precondition::Absent, Precondition::Version);
        let revision: Revision = match self.store.commit(vec![Write { key, precondition, change }]).await {
            Ok(revision) => revision,
            Err(CommitError::Conflict { .. }) => return Err(ResourceError::Changed),
            Err(CommitError::Store(error)) => return Err(error.into()),
        };
        self.configuration.applied(revision).await;
        Ok(())
    }

    fn open(&self, entry: &Entry) -> Result<Document, ResourceError> {
        let sealed = |why: String| ResourceError::Sealed {
            kind: entry.key.partition.clone(),
            id: entry.key.sort.clone(),
            why,
        };
        let text =
            self.sealer.open_entry(DOCUMENT_PURPOSE, entry).map_err(|error| sealed(error.to_string()))?;
        let json = serde_json::from_slice(&text).map_err(|_| sealed("it is not JSON".to_owned()))?;
        Ok(Document { id: entry.key.sort.clone(), json, version: entry.version })
    }
}

fn key(kind: &str, id: &str) -> Key {
    Key { partition: kind.to_owned(), sort: id.to_owned() }
}
