//! Rotated secrets: values that the producer at a web target replaces, each value a version.

use std::sync::Arc;

use gateward_clock::Clock;
use gateward_items::{
    Item, ItemError, ItemKind, ItemVersion, MOST_VERSIONS, Protection, Record, Standing, TRIES, Targets,
    Tree, Values, Which,
};
use gateward_model::{Invalid, ItemName, ProducerUrl};
use gateward_seal::{Sealer, SecretValue};
use gateward_store::{Change, CommitError, Key, Precondition, Store, Write};
use serde::{Deserialize, Serialize};

use super::{Every, Rotation, Subject, moved};

/// The rotated secrets in the tree.
pub struct RotatedSecrets {
    tree: Tree,
    values: Values,
    targets: Targets,
    clock: Arc<dyn Clock>,
}

/// A rotated secret that is to be made.
#[derive(Clone, Debug)]
pub struct NewRotatedSecret {
    /// Its full name.
    pub name: ItemName,
    /// The web target at which it is rotated.
    pub target: ItemName,
    /// Its first value.
    pub payload: SecretValue,
    /// How long one call may take, in seconds.
    pub timeout_sec: u64,
    /// How often it is rotated by itself.
    pub every: Option<Every>,
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

/// A change of a rotated secret; what is not said stays.
#[derive(Clone, Debug, Default)]
pub struct RotatedSecretChange {
    /// What it is called from now on.
    pub new_name: Option<ItemName>,
    /// A new value, in place of what the producer knows.
    pub payload: Option<SecretValue>,
    /// How long one call may take, in seconds.
    pub timeout_sec: Option<u64>,
    /// How often it is rotated by itself, if ever.
    pub every: Option<Option<Every>>,
    /// For people.
    pub description: Option<String>,
    /// Tags that come and tags that go.
    pub tags: Option<Vec<String>>,
    /// Whether deletion is refused.
    pub delete_protection: Option<bool>,
    /// How many versions are kept.
    pub max_versions: Option<usize>,
    /// What later values are sealed with.
    pub protection: Option<Protection>,
}

/// All that may be told of a rotated secret.
#[derive(Clone, Debug)]
pub struct KnownRotated {
    /// What stands in the tree of items.
    pub item: Item,
    /// The name of its target, if that is still there.
    pub target: Option<ItemName>,
    /// How long one call may take, in seconds.
    pub timeout_sec: u64,
    /// Where its rotation stands.
    pub rotation: Rotation,
}

/// What stands of a rotated secret beside its item and its values.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Settings {
    /// What its target was called when it was last seen; the number is what counts.
    target_name: ItemName,
    /// Its own name.
    name: ItemName,
    timeout_sec: u64,
    #[serde(default)]
    rotation: Rotation,
}

/// A rotated secret, as a rotation wants it.
pub(super) struct Rotated {
    pub(super) name: ItemName,
    pub(super) rotation: Rotation,
    pub(super) timeout_sec: u64,
    settings: Settings,
    version: u64,
    id: u64,
}

impl RotatedSecrets {
    /// The rotated secrets in `tree`, their values sealed by `sealer`.
    pub fn new(tree: Tree, sealer: Arc<Sealer>, clock: Arc<dyn Clock>) -> Self {
        let values = Values::new(Arc::clone(tree.store()), Arc::clone(&sealer), ItemKind::RotatedSecret);
        let targets = Targets::new(tree.clone(), sealer, Arc::clone(&clock));
        Self { tree, values, targets, clock }
    }

    /// The targets at which they are rotated.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Makes a rotated secret, if no item has its name and its target is there.
    pub async fn create(&self, new: NewRotatedSecret) -> Result<Item, ItemError> {
        let max_versions = checked_versions(new.max_versions.unwrap_or(MOST_VERSIONS))?;
        let target = self.tree.get_kind(&new.target, ItemKind::Target).await?;
        let now = self.clock.now();
        let record = Record {
            description: new.description,
            tags: new.tags,
            delete_protection: new.delete_protection,
            max_versions,
            versions: vec![ItemVersion { number: 1, created: now.millis() }],
            target: Some(target.item.record.id),
            protection: new.protection,
            ..Record::new(ItemKind::RotatedSecret, now)
        };
        let item = Item { name: new.name, record };
        let id = item.record.id;
        let settings = Settings {
            target_name: new.target,
            name: item.name.clone(),
            timeout_sec: new.timeout_sec,
            rotation: Rotation::default().scheduled(new.every, now),
        };
        let mut writes = moved(Subject::Rotated(id), None, settings.rotation.next_at);
        writes.extend([
            Tree::put(&item, None),
            self.values.put(&item, 1, &new.payload)?,
            put(id, &settings, Precondition::Absent),
            Tree::check(&target),
        ]);
        match self.store().commit(writes).await {
            Ok(_) => Ok(item),
            Err(CommitError::Conflict { key }) if key.sort == target.item.name.as_str() => {
                Err(ItemError::Changed(target.item.name))
            }
            Err(CommitError::Conflict { .. }) => Err(ItemError::Exists(item.name)),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    /// A value of the secret called `name`.
    pub async fn value(&self, name: &ItemName, which: Which) -> Result<SecretValue, ItemError> {
        for _ in 0..TRIES {
            let Standing { item, .. } = self.tree.get_kind(name, ItemKind::RotatedSecret).await?;
            item.check_enabled()?;
            let number = item.version(which)?;
            if let Some(value) = self.values.read(&item, number).await? {
                return Ok(value);
            }
        }
        Err(ItemError::Changed(name.clone()))
    }

    /// All that may be told of the secret called `name`.
    pub async fn known(&self, name: &ItemName) -> Result<KnownRotated, ItemError> {
        let Standing { item, .. } = self.tree.get_kind(name, ItemKind::RotatedSecret).await?;
        let (settings, _) =
            self.settings(item.record.id).await?.ok_or_else(|| ItemError::Missing(name.clone()))?;
        let target = self.target(&item, &settings).await?;
        let target = target.map(|target| target.name);
        let Settings { timeout_sec, rotation, .. } = settings;
        Ok(KnownRotated { item, target, timeout_sec, rotation })
    }

    /// The same of every rotated secret, in the order of their names.
    pub async fn list(&self) -> Result<Vec<KnownRotated>, ItemError> {
        let mut secrets = Vec::new();
        for item in self.tree.all(ItemKind::RotatedSecret).await? {
            match self.known(&item.name).await {
                Ok(known) => secrets.push(known),
                // Deleted since.
                Err(ItemError::Missing(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(secrets)
    }

    /// Changes the secret called `name`.
    pub async fn update(&self, name: &ItemName, change: &RotatedSecretChange) -> Result<Item, ItemError> {
        for _ in 0..TRIES {
            let before = self.tree.get_kind(name, ItemKind::RotatedSecret).await?;
            let id = before.item.record.id;
            let missing = || ItemError::Missing(name.clone());
            let (mut settings, version) = self.settings(id).await?.ok_or_else(missing)?;
            let now = self.clock.now();
            let mut item = before.item.clone();
            item.name = change.new_name.clone().unwrap_or(item.name);
            let record = &mut item.record;
            record.modified = now.millis();
            record.description = change.description.clone().or(record.description.take());
            record.tags = change.tags.clone().unwrap_or_else(|| std::mem::take(&mut record.tags));
            record.delete_protection = change.delete_protection.unwrap_or(record.delete_protection);
            record.protection = change.protection.clone().or(record.protection.take());
            record.max_versions = checked_versions(change.max_versions.unwrap_or(record.max_versions))?;
            let due = settings.rotation.next_at;
            let mut writes = Vec::new();
            if let Some(payload) = &change.payload {
                let (number, gone) = item.record.add_version(now, true);
                writes.push(self.values.put(&item, number, payload)?);
                writes.extend(gone.into_iter().map(|number| self.values.delete(id, number)));
                settings.rotation = Rotation { every: settings.rotation.every, ..Rotation::default() };
            }
            let every = change.every.unwrap_or(settings.rotation.every);
            if change.payload.is_some() || every != settings.rotation.every {
                settings.rotation = settings.rotation.scheduled(every, now);
            }
            settings.name = item.name.clone();
            settings.timeout_sec = change.timeout_sec.unwrap_or(settings.timeout_sec);
            writes.extend(moved(Subject::Rotated(id), due, settings.rotation.next_at));
            writes.extend(Tree::replace(&item, &before));
            writes.push(put(id, &settings, Precondition::Version(version)));
            match self.store().commit(writes).await {
                Ok(_) => return Ok(item),
                Err(CommitError::Conflict { key })
                    if key.sort == item.name.as_str() && item.name != *name =>
                {
                    return Err(ItemError::Exists(item.name));
                }
                Err(CommitError::Conflict { .. }) => {}
                Err(CommitError::Store(error)) => return Err(error.into()),
            }
        }
        Err(ItemError::Changed(name.clone()))
    }

    /// Deletes the secret with all its versions, or one version of it that is not its last.
    pub async fn delete(&self, name: &ItemName, version: Option<u64>) -> Result<Item, ItemError> {
        let before = self.tree.get_kind(name, ItemKind::RotatedSecret).await?;
        before.item.check_unprotected()?;
        let id = before.item.record.id;
        let mut writes = Vec::new();
        let version = version.map(|number| before.item.version(Which::Number(number))).transpose()?;
        match version {
            Some(number) if before.item.record.versions.len() > 1 => {
                let mut item = before.item.clone();
                item.record.delete_version(number, self.clock.now());
                writes.extend([Tree::put(&item, Some(&before)), self.values.delete(id, number)]);
            }
            _ => {
                let versions = before.item.record.versions.iter();
                writes.extend(versions.map(|version| self.values.delete(id, version.number)));
                writes.push(Tree::delete(&before));
                if let Some((settings, version)) = self.settings(id).await? {
                    writes.extend(moved(Subject::Rotated(id), settings.rotation.next_at, None));
                    let precondition = Precondition::Version(version);
                    writes.push(Write { key: key(id), precondition, change: Change::Delete });
                }
            }
        }
        match self.store().commit(writes).await {
            Ok(_) => Ok(before.item),
            Err(CommitError::Conflict { .. }) => Err(ItemError::Changed(name.clone())),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    /// The secret with the number `id`, as a rotation wants it.
    pub(super) async fn rotating(&self, id: u64) -> Result<Option<Rotated>, ItemError> {
        let Some((settings, version)) = self.settings(id).await? else { return Ok(None) };
        Ok(Some(Rotated {
            name: settings.name.clone(),
            rotation: settings.rotation.clone(),
            timeout_sec: settings.timeout_sec,
            settings,
            version,
            id,
        }))
    }

    /// Where it is rotated, and the value that is to be replaced.
    pub(super) async fn call(&self, rotated: &Rotated) -> Result<(ProducerUrl, SecretValue), ItemError> {
        for _ in 0..TRIES {
            let Standing { item, .. } = self.tree.get_kind(&rotated.name, ItemKind::RotatedSecret).await?;
            item.check_enabled()?;
            let target = self.target(&item, &rotated.settings).await?;
            let target = target.ok_or_else(|| ItemError::Missing(rotated.settings.target_name.clone()))?;
            let value = self.values.read(&item, item.version(Which::Current)?).await?;
            if let (Some(url), Some(value)) = (self.targets.url(&target).await?, value) {
                return Ok((url, value));
            }
        }
        Err(ItemError::Changed(rotated.name.clone()))
    }

    /// Writes down where the rotation stands now, and the new value if it has brought one.
    pub(super) async fn put_rotation(
        &self,
        rotated: &Rotated,
        rotation: Rotation,
        payload: Option<&SecretValue>,
    ) -> Result<(), ItemError> {
        let id = rotated.id;
        let mut writes = moved(Subject::Rotated(id), rotated.rotation.next_at, rotation.next_at);
        if let Some(payload) = payload {
            let before = self.tree.get_kind(&rotated.name, ItemKind::RotatedSecret).await?;
            let mut item = before.item.clone();
            let (number, gone) = item.record.add_version(self.clock.now(), true);
            writes.extend([Tree::put(&item, Some(&before)), self.values.put(&item, number, payload)?]);
            writes.extend(gone.into_iter().map(|number| self.values.delete(id, number)));
        }
        let settings = Settings { rotation, ..rotated.settings.clone() };
        writes.push(put(id, &settings, Precondition::Version(rotated.version)));
        match self.store().commit(writes).await {
            Ok(_) => Ok(()),
            Err(CommitError::Conflict { .. }) => Err(ItemError::Changed(rotated.name.clone())),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    async fn settings(&self, id: u64) -> Result<Option<(Settings, u64)>, ItemError> {
        let Some(entry) = self.store().get(&key(id)).await? else { return Ok(None) };
        let settings = serde_json::from_slice(&entry.value).map_err(|_| ItemError::Sealed {
            item: format!("number {id}"),
            why: "it is no record of a rotated secret".to_owned(),
        })?;
        Ok(Some((settings, entry.version)))
    }

    /// The target of `item`, whatever it is called by now.
    async fn target(&self, item: &Item, settings: &Settings) -> Result<Option<Item>, ItemError> {
        match self.tree.get_kind(&settings.target_name, ItemKind::Target).await {
            Ok(target) if Some(target.item.record.id) == item.record.target => return Ok(Some(target.item)),
            Ok(_) | Err(ItemError::Missing(_) | ItemError::Kind { .. }) => {}
            Err(error) => return Err(error),
        }
        let Some(id) = item.record.target else { return Ok(None) };
        Ok(self.tree.find(id).await?.map(|target| target.item))
    }

    fn store(&self) -> &Arc<dyn Store> {
        self.tree.store()
    }
}

fn checked_versions(versions: usize) -> Result<usize, Invalid> {
    if (1..=MOST_VERSIONS).contains(&versions) {
        return Ok(versions);
    }
    Err(Invalid::new("max-versions", format!("is from 1 to {MOST_VERSIONS}")))
}

fn put(id: u64, settings: &Settings, precondition: Precondition) -> Write {
    // Texts and numbers, which always are JSON.
    let json = serde_json::to_vec(settings).unwrap_or_default();
    Write { key: key(id), precondition, change: Change::Put(json.into()) }
}

fn key(id: u64) -> Key {
    Key { partition: "rotated-secrets".to_owned(), sort: format!("{id:020}") }
}
