//! Web targets: where the producer of a rotated secret is called.
//!
//! The address is kept sealed, for people write user names into it that are not for every reader of a list.

use std::sync::Arc;

use gateward_clock::Clock;
use gateward_model::{ItemName, ProducerUrl};
use gateward_seal::{Sealer, SecretValue};
use gateward_store::CommitError;

use crate::item::Record;
use crate::tree::{TRIES, Tree};
use crate::{Item, ItemError, ItemKind, ItemVersion, Values, Which};

/// The web targets in the tree.
pub struct Targets {
    tree: Tree,
    values: Values,
    clock: Arc<dyn Clock>,
}

/// A change of a web target; what is not said stays.
#[derive(Clone, Debug, Default)]
pub struct TargetChange {
    /// What it is called from now on.
    pub new_name: Option<ItemName>,
    /// The new address.
    pub url: Option<ProducerUrl>,
    /// Whether it may stand elsewhere though rotated secrets are rotated there: their values go with it.
    pub may_take_values: bool,
    /// For people.
    pub description: Option<String>,
}

impl Targets {
    /// The targets in `tree`, their addresses sealed by `sealer`.
    pub fn new(tree: Tree, sealer: Arc<Sealer>, clock: Arc<dyn Clock>) -> Self {
        let values = Values::new(Arc::clone(tree.store()), sealer, ItemKind::Target);
        Self { tree, values, clock }
    }

    /// Makes a target, if no item has its name.
    pub async fn create(
        &self,
        name: ItemName,
        url: &ProducerUrl,
        description: Option<String>,
    ) -> Result<Item, ItemError> {
        let now = self.clock.now();
        let record = Record {
            description,
            max_versions: 1,
            versions: vec![ItemVersion { number: 1, created: now.millis() }],
            ..Record::new(ItemKind::Target, now)
        };
        let item = Item { name, record };
        let writes = vec![Tree::put(&item, None), self.values.put(&item, 1, &sealed(url))?];
        let exists = || ItemError::Exists(item.name.clone());
        self.tree.store().commit(writes).await.map_err(|error| ItemError::of_commit(error, exists))?;
        Ok(item)
    }

    /// The target called `name`, and its address.
    pub async fn get(&self, name: &ItemName) -> Result<(Item, ProducerUrl), ItemError> {
        for _ in 0..TRIES {
            let standing = self.tree.get_kind(name, ItemKind::Target).await?;
            if let Some(url) = self.url(&standing.item).await? {
                return Ok((standing.item, url));
            }
        }
        Err(ItemError::Changed(name.clone()))
    }

    /// The address of `target`, unless it has changed since it was read.
    pub async fn url(&self, target: &Item) -> Result<Option<ProducerUrl>, ItemError> {
        let number = target.version(Which::Current)?;
        let value = self.values.read(target, number).await?;
        Ok(value.map(|value| ProducerUrl::parse(value.expose())).transpose()?)
    }

    /// Changes a target; whatever uses it uses the new address from now on.
    pub async fn update(&self, name: &ItemName, change: &TargetChange) -> Result<Item, ItemError> {
        for _ in 0..TRIES {
            let before = self.tree.get_kind(name, ItemKind::Target).await?;
            let mut item = before.item.clone();
            item.name = change.new_name.clone().unwrap_or(item.name);
            item.record.description = change.description.clone().or(item.record.description);
            item.record.modified = self.clock.now().millis();
            let mut writes = Vec::new();
            if let Some(url) = &change.url {
                if !change.may_take_values {
                    self.check_values_stay(&before.item, url).await?;
                }
                let (number, gone) = item.record.add_version(self.clock.now(), false);
                writes.push(self.values.put(&item, number, &sealed(url))?);
                writes.extend(gone.into_iter().map(|number| self.values.delete(item.record.id, number)));
            }
            writes.extend(Tree::replace(&item, &before));
            match self.tree.store().commit(writes).await {
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

    /// Refuses to have the values of rotated secrets sent to another place than so far.
    async fn check_values_stay(&self, target: &Item, url: &ProducerUrl) -> Result<(), ItemError> {
        let so_far = self.url(target).await?.ok_or_else(|| ItemError::Changed(target.name.clone()))?;
        if so_far.origin() == url.origin() {
            return Ok(());
        }
        match self.user(target.record.id).await? {
            Some(by) => Err(ItemError::Taken { name: target.name.clone(), by }),
            None => Ok(()),
        }
    }

    /// A rotated secret that is rotated at the target with that number.
    async fn user(&self, id: u64) -> Result<Option<ItemName>, ItemError> {
        let secrets = self.tree.all(ItemKind::RotatedSecret).await?;
        Ok(secrets.into_iter().find(|secret| secret.record.target == Some(id)).map(|secret| secret.name))
    }

    /// Deletes a target that no rotated secret uses.
    pub async fn delete(&self, name: &ItemName) -> Result<Item, ItemError> {
        let before = self.tree.get_kind(name, ItemKind::Target).await?;
        before.item.check_unprotected()?;
        let id = before.item.record.id;
        if let Some(by) = self.user(id).await? {
            return Err(ItemError::InUse { name: name.clone(), by, todo: "delete that first" });
        }
        let mut writes = vec![Tree::delete(&before)];
        let versions = before.item.record.versions.iter();
        writes.extend(versions.map(|version| self.values.delete(id, version.number)));
        let changed = || ItemError::Changed(name.clone());
        self.tree.store().commit(writes).await.map_err(|error| ItemError::of_commit(error, changed))?;
        Ok(before.item)
    }
}

fn sealed(url: &ProducerUrl) -> SecretValue {
    SecretValue::new(url.to_string())
}

#[cfg(test)]
mod tests {
    use gateward_clock::{ManualClock, Timestamp};
    use gateward_seal::RootKey;
    use gateward_store::MemoryStore;

    use super::*;

    fn name(text: &str) -> ItemName {
        ItemName::parse(text).unwrap()
    }

    fn url(text: &str) -> ProducerUrl {
        ProducerUrl::parse(text).unwrap()
    }

    #[tokio::test]
    async fn a_target_is_made_changed_renamed_and_deleted() {
        let tree = Tree::new(Arc::new(MemoryStore::new()));
        let clock = Arc::new(ManualClock::at(Timestamp::from_secs(1_000_000)));
        let targets = Targets::new(tree.clone(), Arc::new(Sealer::new(RootKey::generate())), clock);
        let made = targets.create(name("/t"), &url("https://h/one"), None).await.unwrap();
        assert!(matches!(
            targets.create(name("/t"), &url("https://h/x"), None).await,
            Err(ItemError::Exists(_))
        ));
        let change = TargetChange {
            new_name: Some(name("/moved")),
            url: Some(url("https://h/two")),
            may_take_values: false,
            description: Some("d".to_owned()),
        };
        targets.update(&name("/t"), &change).await.unwrap();
        assert!(matches!(targets.get(&name("/t")).await, Err(ItemError::Missing(_))));
        let (item, address) = targets.get(&name("/moved")).await.unwrap();
        assert_eq!((item.record.id, address), (made.record.id, url("https://h/two")));

        targets.create(name("/other"), &url("https://h/"), None).await.unwrap();
        let onto_another = TargetChange { new_name: Some(name("/other")), ..TargetChange::default() };
        assert!(matches!(targets.update(&name("/moved"), &onto_another).await, Err(ItemError::Exists(_))));

        let mut user =
            Item { name: name("/r"), record: Record::new(ItemKind::RotatedSecret, Timestamp::default()) };
        user.record.target = Some(made.record.id);
        tree.store().commit(vec![Tree::put(&user, None)]).await.unwrap();
        assert!(matches!(targets.delete(&name("/moved")).await, Err(ItemError::InUse { .. })));
        tree.store().commit(vec![Tree::delete(&tree.get(&name("/r")).await.unwrap())]).await.unwrap();
        targets.delete(&name("/moved")).await.unwrap();
        assert_eq!(tree.store().get(&targets.values.key(made.record.id, 2)).await.unwrap(), None);
    }
}
