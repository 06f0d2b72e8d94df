//! Resources as JSON documents in the store, sealed: a document may hold somebody's access key.
//!
//! Or in a declarative file: then the file's are the ones that there are, and the store's sleep.

use std::ops::Bound;

use gateward_proxy::DOCUMENT_PURPOSE;
use gateward_store::{Change, CommitError, Entry, Key, Precondition, Revision, StoreError, Write};
use http::StatusCode;
use serde_json::Value;

use crate::{ControlParts, store_status};

/// A document as it stands.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) id: String,
    pub(crate) json: Value,
    pub(crate) version: u64,
}

/// What stands in a place, whether or not it can be opened.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) version: u64,
    pub(crate) json: Result<Value, ResourceError>,
}

/// Why a document was not read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResourceError {
    /// Somebody else wrote it at the same time.
    #[error("value changed before overwritten")]
    Changed,
    /// It does not open, or is no JSON.
    #[error("what is stored as {kind} {id} cannot be opened: {why}; put it anew, or delete it")]
    Sealed { kind: String, id: String, why: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ResourceError {
    /// The status that it is answered with, where a dialect has no other for it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Store(error) => store_status::of_store(error),
            Self::Changed | Self::Sealed { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl Standing {
    /// What it says, if it can be opened.
    pub(crate) fn json(&self) -> Option<&Value> {
        self.json.as_ref().ok()
    }
}

impl ControlParts {
    /// Whether resources of `kind` stand in the declarative file, and cannot be written.
    pub(crate) fn is_declared(&self, kind: &str) -> bool {
        let Some(declared) = &self.declared else { return false };
        match kind {
            VAULTS => declared.borrow().vaults.is_some(),
            _ => true,
        }
    }

    /// What stands as `id` of `kind`.
    pub(crate) async fn standing(&self, kind: &str, id: &str) -> Result<Option<Standing>, ResourceError> {
        if self.is_declared(kind) {
            let found = self.declared(kind).into_iter().find(|(own, _)| own == id);
            return Ok(found.map(|(_, json)| Standing { version: 1, json: Ok(json) }));
        }
        let entry = self.store.get(&key(kind, id)).await?;
        Ok(entry.map(|entry| Standing {
            version: entry.version,
            json: self.open(&entry).map(|document| document.json),
        }))
    }

    /// The document `id` of `kind`.
    pub(crate) async fn document(&self, kind: &str, id: &str) -> Result<Option<Document>, ResourceError> {
        let Some(Standing { version, json }) = self.standing(kind, id).await? else { return Ok(None) };
        Ok(Some(Document { id: id.to_owned(), json: json?, version }))
    }

    /// Every document of `kind` that can be opened; the others are reported.
    pub(crate) async fn documents(&self, kind: &str) -> Result<Vec<Document>, ResourceError> {
        let mut documents = Vec::new();
        let everything = (Bound::Unbounded, Bound::Unbounded);
        self.each(kind, everything, |document| {
            documents.push(document);
            true
        })
        .await?;
        Ok(documents)
    }

    /// Shows `visit` the documents of `kind` in `range` that can be opened, until it has seen enough and says false.
    /// Never more than a page of them is held.
    pub(crate) async fn each(
        &self,
        kind: &str,
        range: (Bound<String>, Bound<String>),
        mut visit: impl FnMut(Document) -> bool,
    ) -> Result<(), ResourceError> {
        use std::ops::RangeBounds as _;
        if self.is_declared(kind) {
            for (id, json) in self.declared(kind) {
                if range.contains(&id) && !visit(Document { id, json, version: 1 }) {
                    break;
                }
            }
            return Ok(());
        }
        let (mut from, to) = range;
        loop {
            let page = self.store.list(kind, (from, to.clone()), PAGE).await?;
            let Some(last) = page.last().filter(|_| page.len() == PAGE).map(|last| last.key.sort.clone())
            else {
                self.show(&page, &mut visit);
                return Ok(());
            };
            if !self.show(&page, &mut visit) {
                return Ok(());
            }
            from = Bound::Excluded(last);
        }
    }

    fn show(&self, page: &[Entry], visit: &mut impl FnMut(Document) -> bool) -> bool {
        page.iter().all(|entry| match self.open(entry) {
            Ok(document) => visit(document),
            Err(error) => {
                tracing::error!(%error, "a document is left out");
                true
            }
        })
    }

    /// What puts a document in the place of `before`.
    pub(crate) fn put(&self, kind: &str, id: &str, json: &Value, before: Option<u64>) -> Write {
        let key = key(kind, id);
        let text = zeroize::Zeroizing::new(json.to_string());
        let sealed = self.sealer.seal_at(DOCUMENT_PURPOSE, &key, before.unwrap_or(0) + 1, text.as_bytes());
        let precondition = before.map_or(Precondition::Absent, Precondition::Version);
        Write { key, precondition, change: Change::Put(sealed) }
    }

    /// Does all of `writes` or none, and returns when they are in force.
    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<(), ResourceError> {
        let revision: Revision = match self.store.commit(writes).await {
            Ok(revision) => revision,
            Err(CommitError::Conflict { .. }) => return Err(ResourceError::Changed),
            Err(CommitError::Store(error)) => return Err(error.into()),
        };
        self.configuration.applied(revision).await;
        Ok(())
    }

    /// The resources of `kind` that stand in the declarative file, each with its id.
    fn declared(&self, kind: &str) -> Vec<(String, Value)> {
        let Some(declared) = &self.declared else { return Vec::new() };
        let declared = declared.borrow().clone();
        if kind == VAULTS {
            let vaults = declared.vaults.iter().flatten();
            return vaults
                .filter_map(|vault| Some((vault.prefix.clone(), serde_json::to_value(vault).ok()?)))
                .collect();
        }
        let of_kind = declared.resources.iter().filter(|(own, _, _)| own.plural() == kind);
        of_kind.map(|(_, id, json)| (id.clone(), json.clone())).collect()
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

/// What deletes the value that stands at `key` with this version.
pub(crate) fn deletion(key: Key, version: u64) -> Write {
    Write { key, precondition: Precondition::Version(version), change: Change::Delete }
}

/// Where the document `id` of `kind` stands.
pub(crate) fn key(kind: &str, id: &str) -> Key {
    Key { partition: kind.to_owned(), sort: id.to_owned() }
}

/// What vaults are called in the store; routing resources are called by their kind.
pub(crate) const VAULTS: &str = "vaults";

/// How many documents are read at once.
const PAGE: usize = 1000;
