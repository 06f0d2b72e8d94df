//! All resources of one kind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use gateward_model::Invalid;
use gateward_model::apisix::Kind;
use gateward_seal::{OpenError, Sealer};
use gateward_store::Entry;
use serde_json::Value;

use super::{Broken, Resource};
use crate::DOCUMENT_PURPOSE;
use crate::validation::texts::FOR_PEOPLE;

/// All resources of one kind, by id.
pub(crate) struct Collection<T> {
    partition: &'static str,
    name: &'static str,
    stored: BTreeMap<String, Stored<T>>,
    /// The ids of those that cannot be used.
    broken: BTreeSet<String>,
}

/// A resource that can be used.
pub(crate) struct Standing<T> {
    /// The resource; its references are the text that somebody wrote.
    pub(crate) parsed: Arc<T>,
    /// As it was written, if that holds references, so that it can be parsed anew with values in their places.
    pub(crate) referring: Option<Arc<Value>>,
}

/// A resource as it stands in the store.
struct Stored<T> {
    version: u64,
    /// Sealed.
    bytes: Bytes,
    /// What it says; or what is wrong with it.
    read: Result<Standing<T>, String>,
}

impl<T> Standing<T> {
    /// What stands at `field`, if the resource holds references.
    pub(crate) fn part(&self, field: &str) -> Option<Arc<Value>> {
        let part = self.referring.as_ref()?.get(field)?;
        Some(Arc::new(part.clone()))
    }
}

impl<T: Resource> Collection<T> {
    /// No resources of `kind` yet.
    pub(super) fn of(kind: Kind) -> Self {
        Self::new(kind.plural(), kind.singular())
    }

    /// None yet of those that stand in `partition`, each of which is a `name`.
    pub(super) fn new(partition: &'static str, name: &'static str) -> Self {
        Self { partition, name, stored: BTreeMap::new(), broken: BTreeSet::new() }
    }

    /// Where they stand in the store.
    pub(super) fn partition(&self) -> &'static str {
        self.partition
    }

    /// Those that can be used, in the order of their ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Standing<T>)> {
        self.stored.iter().filter_map(|(id, stored)| Some((id.as_str(), stored.read.as_ref().ok()?)))
    }

    /// The one of that id, if it can be used.
    pub(crate) fn get(&self, id: &str) -> Option<&Standing<T>> {
        self.stored.get(id)?.read.as_ref().ok()
    }

    /// Those that cannot be used.
    pub(super) fn broken(&self) -> impl Iterator<Item = Broken> {
        self.broken.iter().filter_map(|id| {
            let problem = self.stored.get(id)?.read.as_ref().err()?.clone();
            Some(Broken { kind: self.partition, id: id.clone(), problem })
        })
    }

    /// These are all that there are. What has not changed stays as it is.
    pub(super) fn replace(&mut self, entries: Vec<Entry>, sealer: &Sealer) {
        let mut before = std::mem::take(&mut self.stored);
        for entry in entries {
            let id = entry.key.sort.clone();
            if let Some(stored) = before.remove(&id) {
                self.stored.insert(id.clone(), stored);
            }
            self.set(&id, Some(entry), sealer);
        }
        self.broken.retain(|id| self.stored.contains_key(id));
    }

    /// `entry` is what stands by `id`.
    pub(super) fn set(&mut self, id: &str, entry: Option<Entry>, sealer: &Sealer) {
        let Some(entry) = entry else {
            self.stored.remove(id);
            self.broken.remove(id);
            return;
        };
        let same = |stored: &Stored<T>| stored.version == entry.version && stored.bytes == entry.value;
        if self.stored.get(id).is_some_and(same) {
            return;
        }
        let read = open(id, &entry, sealer).map_err(|unusable| {
            let kind = self.name;
            tracing::error!(kind, id, error = %unusable, "a stored resource cannot be used, and is left out");
            unusable.to_string()
        });
        if read.is_err() {
            self.broken.insert(id.to_owned());
        } else {
            self.broken.remove(id);
        }
        self.stored.insert(id.to_owned(), Stored { version: entry.version, bytes: entry.value, read });
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

fn open<T: Resource>(id: &str, entry: &Entry, sealer: &Sealer) -> Result<Standing<T>, Unusable> {
    let text = sealer.open_entry(DOCUMENT_PURPOSE, entry)?;
    let json = gateward_model::from_admin(&text)?;
    let parsed = Arc::new(T::read(id, &json)?);
    let referring = holds_reference(&text).then(|| Arc::new(without_peoples(json)));
    Ok(Standing { parsed, referring })
}

/// `json` without what is for people only: what looks like a reference there is none.
fn without_peoples(mut json: Value) -> Value {
    let strip = |json: &mut Value| {
        if let Some(fields) = json.as_object_mut() {
            fields.retain(|name, _| !FOR_PEOPLE.contains(&name.as_str()));
        }
    };
    strip(&mut json);
    json.get_mut("upstream").into_iter().for_each(strip);
    json
}

/// Whether a reference may stand in `text`. JSON may write its characters as escapes, but nobody's serialiser does, and
/// what stands in the store was written by ours.
fn holds_reference(text: &[u8]) -> bool {
    text.windows(MARK.len()).any(|window| window == MARK)
}

const MARK: &[u8] = b"{vault://";
