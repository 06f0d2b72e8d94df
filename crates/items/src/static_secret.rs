//! Static secrets: values that somebody put there, each version sealed by itself.
//!
//! A new value is a new version. The item's record says which versions there are, and changes in the commit that
//! writes or deletes one, so that a list and the values never disagree.

use std::sync::Arc;

use gateward_clock::Clock;
use gateward_model::{Invalid, ItemName};
use gateward_seal::{Sealer, SecretValue};
use gateward_store::{CommitError, Revision, Store, StoreError};

use crate::item::Record;
use crate::tree::{Standing, TRIES, Tree};
use crate::{Format, Item, ItemError, ItemKind, ItemVersion, Protection, Values, Which};

/// The static secrets in the tree.
pub struct StaticSecrets {
    tree: Tree,
    values: Values,
    clock: Arc<dyn Clock>,
}

/// A static secret that is to be made.
#[derive(Clone, Debug)]
pub struct NewStaticSecret {
    /// Its full name.
    pub name: ItemName,
    /// Its first value.
    pub value: SecretValue,
    /// What the value is.
    pub format: Format,
    /// For people.
    pub description: Option<String>,
    /// For people, and to list by.
    pub tags: Vec<String>,
    /// Whether deletion is refused.
    pub delete_protection: bool,
    /// How many versions are kept; [`MOST_VERSIONS`] if not said.
    pub max_versions: Option<usize>,
    /// What its values are sealed with, if that is chosen.
    pub protection: Option<Protection>,
}

impl StaticSecrets {
    /// The static secrets in `tree`, their values sealed by `sealer`.
    pub fn new(tree: Tree, sealer: Arc<Sealer>, clock: Arc<dyn Clock>) -> Self {
        let values = Values::new(Arc::clone(tree.store()), sealer, ItemKind::StaticSecret);
        Self { tree, values, clock }
    }

    /// Makes a secret, if no item has its name.
    pub async fn create(&self, new: NewStaticSecret) -> Result<Item, ItemError> {
        check_value(&new.value, new.format)?;
        let max_versions = new.max_versions.unwrap_or(MOST_VERSIONS);
        if !(1..=MOST_VERSIONS).contains(&max_versions) {
            return Err(Invalid::new("max-versions", format!("is from 1 to {MOST_VERSIONS}")).into());
        }
        let now = self.clock.now();
        let record = Record {
            description: new.description,
            tags: new.tags,
            delete_protection: new.delete_protection,
            max_versions,
            protection: new.protection,
            format: new.format,
            versions: vec![ItemVersion { number: 1, created: now.millis() }],
            ..Record::new(ItemKind::StaticSecret, now)
        };
        let item = Item { name: new.name, record };
        let writes = vec![Tree::put(&item, None), self.values.put(&item, 1, &new.value)?];
        let exists = || ItemError::Exists(item.name.clone());
        self.store().commit(writes).await.map_err(|error| ItemError::of_commit(error, exists))?;
        Ok(item)
    }

    /// A value of the secret called `name`.
    pub async fn value(&self, name: &ItemName, which: Which) -> Result<SecretValue, ItemError> {
        // A version may go between the two reads: then the record says what there is now.
        for _ in 0..TRIES {
            let Standing { item, .. } = self.tree.get_kind(name, ItemKind::StaticSecret).await?;
            item.check_enabled()?;
            let number = item.version(which)?;
            if let Some(value) = self.values.read(&item, number).await? {
                return Ok(value);
            }
        }
        Err(ItemError::Changed(name.clone()))
    }

    /// The newest versions of the secret called `name`, at most `most`, the newest first.
    pub async fn last_values(
        &self,
        name: &ItemName,
        most: usize,
    ) -> Result<Vec<(ItemVersion, SecretValue)>, ItemError> {
        let Standing { item, .. } = self.tree.get_kind(name, ItemKind::StaticSecret).await?;
        item.check_enabled()?;
        let mut values = Vec::new();
        for version in item.record.versions.iter().rev().take(most) {
            // One that has gone since the first read is none of the last any more.
            let value = self.values.read(&item, version.number).await?;
            values.extend(value.map(|value| (*version, value)));
        }
        Ok(values)
    }

    /// Gives the secret a new value, and the number of that version. The value before stays a version if
    /// `keep_previous`. With `expected`, only if that is the newest version.
    pub async fn update(
        &self,
        name: &ItemName,
        value: &SecretValue,
        format: Option<Format>,
        keep_previous: bool,
        expected: Option<u64>,
    ) -> Result<u64, ItemError> {
        self.update_under(name, value, format, keep_previous, expected, None).await
    }

    /// The same; with `protection`, this value and all later ones are sealed with that.
    pub async fn update_under(
        &self,
        name: &ItemName,
        value: &SecretValue,
        format: Option<Format>,
        keep_previous: bool,
        expected: Option<u64>,
        protection: Option<&Protection>,
    ) -> Result<u64, ItemError> {
        for _ in 0..TRIES {
            let before = self.tree.get_kind(name, ItemKind::StaticSecret).await?;
            let mut item = before.item.clone();
            let last = item.record.last_version();
            if expected.is_some_and(|expected| expected != last) {
                return Err(ItemError::Changed(name.clone()));
            }
            let now = self.clock.now();
            let format = format.unwrap_or(item.record.format);
            check_value(value, format)?;
            item.record.format = format;
            item.record.protection = protection.cloned().or(item.record.protection);
            let (number, gone) = item.record.add_version(now, keep_previous);
            let mut writes = vec![Tree::put(&item, Some(&before)), self.values.put(&item, number, value)?];
            writes.extend(gone.into_iter().map(|number| self.values.delete(item.record.id, number)));
            match self.store().commit(writes).await {
                Ok(_) => {
                    return Ok(number);
                }
                Err(CommitError::Conflict { .. }) => {}
                Err(CommitError::Store(error)) => return Err(error.into()),
            }
        }
        Err(ItemError::Changed(name.clone()))
    }

    /// Makes the value of an older version the newest again, as a version of its own; gives its number.
    pub async fn roll_back(&self, name: &ItemName, to: u64) -> Result<u64, ItemError> {
        let value = self.value(name, Which::Number(to)).await?;
        self.update(name, &value, None, true, None).await
    }

    /// Deletes the secret with all its versions, or one version of it that is not its last.
    pub async fn delete(&self, name: &ItemName, version: Option<u64>) -> Result<Item, ItemError> {
        let before = self.tree.get_kind(name, ItemKind::StaticSecret).await?;
        let mut item = before.item.clone();
        item.check_unprotected()?;
        let mut writes = Vec::new();
        match version {
            Some(number) if item.record.versions.len() > 1 => {
                let number = item.version(Which::Number(number))?;
                item.record.delete_version(number, self.clock.now());
                writes.push(Tree::put(&item, Some(&before)));
                writes.push(self.values.delete(item.record.id, number));
            }
            Some(number) if item.record.last_version() != number => {
                item.version(Which::Number(number))?;
            }
            Some(_) | None => {
                writes.push(Tree::delete(&before));
                let values = item.record.versions.iter();
                writes.extend(values.map(|version| self.values.delete(item.record.id, version.number)));
            }
        }
        let changed = || ItemError::Changed(name.clone());
        self.store().commit(writes).await.map_err(|error| ItemError::of_commit(error, changed))?;
        Ok(before.item)
    }

    /// The names of the items that have changed after `since`, whoever changed them, and where to go on from; waits until
    /// something in the store has changed. What the store has forgotten is not told.
    pub async fn changes(&self, since: Revision) -> Result<(Revision, Vec<ItemName>), StoreError> {
        self.tree.changes(since).await
    }

    /// The newest revision of the store.
    pub async fn revision(&self) -> Result<Revision, StoreError> {
        self.store().revision().await
    }

    fn store(&self) -> &Arc<dyn Store> {
        self.tree.store()
    }
}

fn check_value(value: &SecretValue, format: Format) -> Result<(), Invalid> {
    let wrong = |problem: &str| Err(Invalid::new("value", problem));
    if value.is_empty() {
        return wrong("a secret cannot be empty");
    }
    if value.expose().len() > LONGEST_VALUE {
        return wrong("a secret has at most 128 KiB");
    }
    // The parser's own words would quote the secret.
    let json = serde_json::from_str::<serde_json::Value>(value.expose());
    match (format, json.map(Wiped)) {
        (Format::Text, _) | (Format::Json, Ok(_)) => Ok(()),
        (Format::KeyValue, Ok(json)) if json.is_key_value() => Ok(()),
        (Format::Json, Err(_)) => wrong("is not JSON, as format json says"),
        (Format::KeyValue, _) => wrong("is no JSON object of texts, as format key-value says"),
    }
}

/// JSON that was only looked at. It wipes itself.
struct Wiped(serde_json::Value);

impl Wiped {
    fn is_key_value(&self) -> bool {
        self.0.as_object().is_some_and(|fields| fields.values().all(serde_json::Value::is_string))
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        gateward_seal::wipe(&mut self.0);
    }
}

/// The most versions that are kept of one secret: all of them can go in one commit.
pub const MOST_VERSIONS: usize = 20;

/// What every store can hold as one value.
const LONGEST_VALUE: usize = 128 * 1024;

#[cfg(test)]
mod tests;
