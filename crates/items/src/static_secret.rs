//! Static secrets: values that somebody put there, each version sealed by itself.
//!
//! A new value is a new version. The item's record says which versions there are, and changes in the commit that
//! writes or deletes one, so that a list and the values never disagree.

use std::sync::Arc;

use gateward_clock::Clock;
use gateward_model::{Invalid, ItemName};
use gateward_seal::{Sealer, SecretValue};
use gateward_store::{Change, CommitError, Key, Precondition, Store, Write};
use tokio::sync::watch;

use crate::item::Record;
use crate::tree::{Standing, TRIES, Tree};
use crate::{Format, Item, ItemError, ItemKind, ItemState, ItemVersion};

/// The static secrets in the tree.
pub struct StaticSecrets {
    tree: Tree,
    sealer: Arc<Sealer>,
    clock: Arc<dyn Clock>,
    changed: watch::Sender<u64>,
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
}

/// Which version of a secret is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The newest.
    Current,
    /// The one before the newest.
    Previous,
    /// The one with this number.
    Number(u64),
}

impl StaticSecrets {
    /// The static secrets in `tree`, their values sealed by `sealer`.
    pub fn new(tree: Tree, sealer: Arc<Sealer>, clock: Arc<dyn Clock>) -> Self {
        Self { tree, sealer, clock, changed: watch::Sender::new(0) }
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
            format: new.format,
            versions: vec![ItemVersion { number: 1, created: now.millis() }],
            ..Record::new(ItemKind::StaticSecret, now)
        };
        let item = Item { name: new.name, record };
        let writes = vec![Tree::put(&item, None), self.put_value(&item, 1, &new.value)];
        let exists = || ItemError::Exists(item.name.clone());
        self.store().commit(writes).await.map_err(|error| ItemError::of_commit(error, exists))?;
        self.tell();
        Ok(item)
    }

    /// A value of the secret called `name`.
    pub async fn value(&self, name: &ItemName, which: Which) -> Result<SecretValue, ItemError> {
        // A version may go between the two reads: then the record says what there is now.
        for _ in 0..TRIES {
            let Standing { item, .. } = self.tree.get_kind(name, ItemKind::StaticSecret).await?;
            if item.record.state == ItemState::Disabled {
                return Err(ItemError::Disabled(name.clone()));
            }
            let number = pick(&item, which)?;
            if let Some(value) = self.read_value(&item, number).await? {
                return Ok(value);
            }
        }
        Err(ItemError::Changed(name.clone()))
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
        for _ in 0..TRIES {
            let before = self.tree.get_kind(name, ItemKind::StaticSecret).await?;
            let mut item = before.item.clone();
            let last = item.record.last_version();
            if expected.is_some_and(|expected| expected != last) {
                return Err(ItemError::Changed(name.clone()));
            }
            let now = self.clock.now().millis();
            let format = format.unwrap_or(item.record.format);
            check_value(value, format)?;
            let number = last + 1;
            item.record.format = format;
            item.record.modified = now;
            item.record.versions.push(ItemVersion { number, created: now });
            let mut too_old = item.record.versions.len().saturating_sub(item.record.max_versions.max(1));
            if !keep_previous {
                item.record.versions.retain(|version| version.number != last);
                too_old = too_old.saturating_sub(1);
            }
            let mut gone: Vec<u64> =
                item.record.versions.drain(..too_old).map(|version| version.number).collect();
            if !keep_previous {
                gone.push(last);
            }
            let mut writes = vec![Tree::put(&item, Some(&before)), self.put_value(&item, number, value)];
            writes.extend(gone.into_iter().map(|number| delete_value(&item, number)));
            match self.store().commit(writes).await {
                Ok(_) => {
                    self.tell();
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
        if item.record.delete_protection {
            return Err(ItemError::Protected(name.clone()));
        }
        let mut writes = Vec::new();
        match version {
            Some(number) if item.record.versions.len() > 1 => {
                let number = pick(&item, Which::Number(number))?;
                item.record.versions.retain(|version| version.number != number);
                item.record.modified = self.clock.now().millis();
                writes.push(Tree::put(&item, Some(&before)));
                writes.push(delete_value(&item, number));
            }
            Some(number) if item.record.last_version() != number => {
                pick(&item, Which::Number(number))?;
            }
            Some(_) | None => {
                writes.push(Tree::delete(&before));
                writes.extend(item.record.versions.iter().map(|version| delete_value(&item, version.number)));
            }
        }
        let changed = || ItemError::Changed(name.clone());
        self.store().commit(writes).await.map_err(|error| ItemError::of_commit(error, changed))?;
        self.tell();
        Ok(before.item)
    }

    /// Tells whenever this process has changed a secret.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn tell(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    fn store(&self) -> &Arc<dyn Store> {
        self.tree.store()
    }

    async fn read_value(&self, item: &Item, number: u64) -> Result<Option<SecretValue>, ItemError> {
        let Some(entry) = self.store().get(&value_key(item, number)).await? else { return Ok(None) };
        let broken = |why: String| ItemError::Sealed { name: item.name.clone(), why };
        let plaintext = self.sealer.open_entry(PURPOSE, &entry).map_err(|error| broken(error.to_string()))?;
        let text = std::str::from_utf8(&plaintext).map_err(|_| broken("it is no text".to_owned()))?;
        Ok(Some(SecretValue::from(text)))
    }

    fn put_value(&self, item: &Item, number: u64, value: &SecretValue) -> Write {
        let key = value_key(item, number);
        let sealed = self.sealer.seal_at(PURPOSE, &key, 1, value.expose().as_bytes());
        Write { key, precondition: Precondition::Absent, change: Change::Put(sealed) }
    }
}

/// The number of the version that is meant.
fn pick(item: &Item, which: Which) -> Result<u64, ItemError> {
    let versions = &item.record.versions;
    let found = match which {
        Which::Current => versions.last(),
        Which::Previous => versions.len().checked_sub(2).and_then(|place| versions.get(place)),
        Which::Number(number) => versions.iter().find(|version| version.number == number),
    };
    let missing = || {
        let numbers: Vec<_> = versions.iter().map(|version| version.number.to_string()).collect();
        let version = match which {
            Which::Current => "at all".to_owned(),
            Which::Previous => "before its newest".to_owned(),
            Which::Number(number) => number.to_string(),
        };
        ItemError::NoVersion {
            name: item.name.clone(),
            version,
            has: format!("it has {}", numbers.join(", ")),
        }
    };
    found.map(|version| version.number).ok_or_else(missing)
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

fn delete_value(item: &Item, number: u64) -> Write {
    Write { key: value_key(item, number), precondition: Precondition::Any, change: Change::Delete }
}

fn value_key(item: &Item, number: u64) -> Key {
    Key { partition: format!("static/{:020}", item.record.id), sort: format!("{number:020}") }
}

/// The most versions that are kept of one secret: all of them can go in one commit.
pub const MOST_VERSIONS: usize = 20;

/// What every store can hold as one value.
const LONGEST_VALUE: usize = 128 * 1024;

const PURPOSE: &str = "static secret";

#[cfg(test)]
mod tests;
