//! The catalog of dynamic secrets: their producers, and the payload that each producer is handed.
//!
//! Three records a secret: what is known of it in the open, in the tree of items; what its producer is called with,
//! payload sealed; and a mark that stands as long as the secret does. The second outlives a deletion until the last
//! lease of the secret is gone, for only with it can leases be revoked.
//!
//! After a rotation the producer's record has two payloads, the new one and the one before, until a call with the new
//! one has succeeded.

mod record;

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use gateward_clock::Clock;
use gateward_items::{Item, ItemKind, Protection, Record, Standing, TRIES, Tree};
use gateward_model::{DynamicSecret, ItemName, ProducerSettings};
use gateward_seal::{Sealer, SecretValue};
use gateward_store::{Change, CommitError, MAX_WRITES, Precondition, Store, Write};

use record::{GOING, going_key, producer_key, standing_key};
pub(crate) use record::{OpenSecret, Producer};

use crate::rotation::{Every, Rotation, Subject, moved};

/// Why the catalog did not do it.
pub use gateward_items::ItemError as CatalogError;

/// A dynamic secret that is about to be created.
#[derive(Clone, Debug)]
pub struct NewDynamicSecret {
    /// What is kept in the open.
    pub secret: DynamicSecret,
    /// What its producer is handed with each call.
    pub payload: SecretValue,
    /// For people.
    pub description: Option<String>,
    /// For people, and to list by.
    pub tags: Vec<String>,
    /// Whether deletion is refused.
    pub delete_protection: bool,
    /// How often the payload is rotated by itself.
    pub every: Option<Every>,
    /// What the payload is sealed with, if that is chosen.
    pub protection: Option<Protection>,
}

/// A change of a dynamic secret; what is not said stays.
#[derive(Clone, Debug)]
pub struct DynamicSecretChange {
    /// The secret as it shall be, under its new name if it gets one. Its number must stay.
    pub secret: DynamicSecret,
    /// Its producer as it was when this was decided. If it is another now, that holds no longer: a payload that was set
    /// with it must not go to where the one before it stood.
    pub found: ProducerSettings,
    /// What its producer is handed from now on.
    pub payload: Option<SecretValue>,
    /// For people.
    pub description: Option<String>,
    /// For people, and to list by.
    pub tags: Option<Vec<String>>,
    /// Whether deletion is refused.
    pub delete_protection: Option<bool>,
    /// How often the payload is rotated by itself, if ever.
    pub every: Option<Option<Every>>,
    /// What the payload is sealed with from now on.
    pub protection: Option<Protection>,
}

/// All that may be told of a dynamic secret.
#[derive(Clone, Debug)]
pub struct KnownSecret {
    /// What stands in the tree of items.
    pub item: Item,
    /// Its producer.
    pub secret: DynamicSecret,
    /// Where the rotation of its payload stands.
    pub rotation: Rotation,
    /// Whether its newest payload has yet to be tried.
    pub is_on_trial: bool,
}

/// The names and producers of all dynamic secrets.
pub struct Catalog {
    store: Arc<dyn Store>,
    tree: Tree,
    sealer: Arc<Sealer>,
    clock: Arc<dyn Clock>,
    /// The secrets whose newest payload has yet to be tried, as far as this process has read them.
    on_trial: Mutex<HashMap<u64, Trial>>,
    /// What was opened lately, so that not each credential reads and unseals it. It may be out of date: what it is used
    /// for is a commit that holds only while it is not.
    opened: Mutex<HashMap<ItemName, Arc<OpenSecret>>>,
}

/// Two payloads of which nobody knows whether the producer takes the new one already.
#[derive(Clone)]
pub(crate) struct Trial {
    /// What is called with first.
    pub(crate) new: SecretValue,
    /// What worked so far.
    pub(crate) old: SecretValue,
}

impl NewDynamicSecret {
    /// `secret` with `payload`, and nothing else that could be said of it.
    pub fn new(secret: DynamicSecret, payload: SecretValue) -> Self {
        Self {
            secret,
            payload,
            description: None,
            tags: Vec::new(),
            delete_protection: false,
            every: None,
            protection: None,
        }
    }
}

impl Catalog {
    /// The catalog that stands in `store`, with payloads sealed by `sealer`.
    pub fn new(store: Arc<dyn Store>, sealer: Arc<Sealer>, clock: Arc<dyn Clock>) -> Self {
        Self {
            tree: Tree::new(Arc::clone(&store)),
            store,
            sealer,
            clock,
            on_trial: Mutex::default(),
            opened: Mutex::default(),
        }
    }

    /// The tree that the secrets are items of.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Adds a dynamic secret, if no item has its name.
    pub async fn create(&self, new: &NewDynamicSecret) -> Result<(), CatalogError> {
        let secret = &new.secret;
        let now = self.clock.now();
        let record = Record {
            id: secret.id,
            description: new.description.clone(),
            tags: new.tags.clone(),
            delete_protection: new.delete_protection,
            protection: new.protection.clone(),
            ..Record::new(ItemKind::DynamicSecret, now)
        };
        let item = Item { name: secret.name.clone(), record };
        let rotation = Rotation::default().scheduled(new.every, now);
        let mut writes = moved(Subject::Dynamic(secret.id), None, rotation.next_at);
        let producer = Producer {
            secret: secret.clone(),
            payload: new.payload.clone(),
            previous: None,
            retired: false,
            rotation,
            fragment: new.protection.as_ref().map(|protection| protection.fragment.clone()),
        };
        writes.extend([
            Tree::put(&item, None),
            producer.put(&self.sealer, Precondition::Absent, 1)?,
            record::stand(secret.id),
        ]);
        self.commit(writes, &secret.name).await.map_err(|error| match error {
            CatalogError::Changed(name) => CatalogError::Exists(name),
            error => error,
        })
    }

    /// The dynamic secret named `name`, without its payload.
    pub async fn get(&self, name: &ItemName) -> Result<DynamicSecret, CatalogError> {
        Ok(self.known(name).await?.secret)
    }

    /// All that may be told of the dynamic secret named `name`.
    pub async fn known(&self, name: &ItemName) -> Result<KnownSecret, CatalogError> {
        let Standing { item, .. } = self.tree.get_kind(name, ItemKind::DynamicSecret).await?;
        let (producer, _) = self.standing_producer(&item).await?;
        Ok(known(item, producer))
    }

    /// The same of every dynamic secret, in the order of their names; of one whose record cannot be read, its name and
    /// why.
    pub async fn list(&self) -> Result<Vec<Result<KnownSecret, (ItemName, CatalogError)>>, CatalogError> {
        let items = self.tree.all(ItemKind::DynamicSecret).await?;
        let mut secrets = Vec::with_capacity(items.len());
        for item in items {
            match self.standing_producer(&item).await {
                Ok((producer, _)) => secrets.push(Ok(known(item, producer))),
                // Deleted since.
                Err(CatalogError::Missing(_)) => {}
                Err(error) => secrets.push(Err((item.name, error))),
            }
        }
        Ok(secrets)
    }

    /// The dynamic secret named `name`, with what it takes to issue a credential of it.
    pub(crate) async fn open(&self, name: &ItemName) -> Result<OpenSecret, CatalogError> {
        let Standing { item, .. } = self.tree.get_kind(name, ItemKind::DynamicSecret).await?;
        item.check_enabled()?;
        let (Producer { secret, payload, fragment, .. }, version) = self.standing_producer(&item).await?;
        let check = |key, version| {
            let precondition = Precondition::Version(version);
            Write { key, precondition, change: Change::Check }
        };
        let unchanged = check(producer_key(secret.id), version);
        // It is written once and deleted once, so there is no need to read it.
        let stands = check(standing_key(secret.id), 1);
        Ok(OpenSecret { secret, payload, fragment, unchanged, stands })
    }

    /// The same as it was opened lately. If the commit that it is used for fails, [`Catalog::open_anew`].
    pub(crate) async fn open_lately(&self, name: &ItemName) -> Result<Arc<OpenSecret>, CatalogError> {
        if let Some(open) = self.lately().get(name) {
            return Ok(Arc::clone(open));
        }
        self.open_anew(name).await
    }

    /// The same as it stands now.
    pub(crate) async fn open_anew(&self, name: &ItemName) -> Result<Arc<OpenSecret>, CatalogError> {
        let open = Arc::new(self.open(name).await.inspect_err(|_| {
            self.lately().remove(name);
        })?);
        let mut opened = self.lately();
        if opened.len() >= OPENED {
            opened.clear();
        }
        opened.insert(name.clone(), Arc::clone(&open));
        Ok(open)
    }

    fn lately(&self) -> std::sync::MutexGuard<'_, HashMap<ItemName, Arc<OpenSecret>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What seals the payloads.
    pub(crate) fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Whether an item named `name` stands.
    pub async fn exists(&self, name: &ItemName) -> Result<bool, CatalogError> {
        match self.tree.get(name).await {
            Ok(_) => Ok(true),
            Err(CatalogError::Missing(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The dynamic secret with the number `id`, deleted or not, and the payload for its producer.
    pub async fn producer(&self, id: u64) -> Result<Option<(DynamicSecret, SecretValue)>, CatalogError> {
        let read = self.read(id).await?;
        Ok(read.map(|(producer, _)| (producer.secret, producer.payload)))
    }

    /// Changes the dynamic secret named `name`.
    pub async fn update(&self, name: &ItemName, change: &DynamicSecretChange) -> Result<(), CatalogError> {
        for _ in 0..TRIES {
            let before = self.tree.get_kind(name, ItemKind::DynamicSecret).await?;
            if before.item.record.id != change.secret.id {
                return Err(CatalogError::Changed(name.clone()));
            }
            let (mut producer, version) = self.standing_producer(&before.item).await?;
            if producer.secret.producer != change.found {
                return Err(CatalogError::Changed(name.clone()));
            }
            let now = self.clock.now();
            let mut item = before.item.clone();
            item.name = change.secret.name.clone();
            let record = &mut item.record;
            record.modified = now.millis();
            record.description = change.description.clone().or(record.description.take());
            record.tags = change.tags.clone().unwrap_or_else(|| std::mem::take(&mut record.tags));
            record.delete_protection = change.delete_protection.unwrap_or(record.delete_protection);
            if let Some(protection) = &change.protection {
                record.protection = Some(protection.clone());
                producer.fragment = Some(protection.fragment.clone());
            }
            producer.secret = change.secret.clone();
            let due = producer.rotation.next_at;
            if let Some(payload) = &change.payload {
                producer.payload = payload.clone();
                producer.previous = None;
                // A rotation of the payload before is about nothing any more.
                producer.rotation = Rotation { every: producer.rotation.every, ..Rotation::default() };
            }
            let every = change.every.unwrap_or(producer.rotation.every);
            if change.payload.is_some() || every != producer.rotation.every {
                producer.rotation = producer.rotation.scheduled(every, now);
            }
            let mut writes = moved(Subject::Dynamic(change.secret.id), due, producer.rotation.next_at);
            writes.extend(Tree::replace(&item, &before));
            writes.push(producer.put(&self.sealer, Precondition::Version(version), version + 1)?);
            if self.commit_as(writes, &item.name, name).await? {
                return Ok(());
            }
        }
        Err(CatalogError::Changed(name.clone()))
    }

    /// Changes what is known in the open of the dynamic secret named `name`, its name included, unless `change` refuses.
    pub async fn edit(
        &self,
        name: &ItemName,
        change: impl Fn(&mut Item) -> Result<(), CatalogError> + Send,
    ) -> Result<Item, CatalogError> {
        for _ in 0..TRIES {
            let before = self.tree.get_kind(name, ItemKind::DynamicSecret).await?;
            let mut item = before.item.clone();
            change(&mut item)?;
            let mut writes = Tree::replace(&item, &before);
            // Also if its name stays: whoever has opened the secret is to find that it has changed.
            let (mut producer, version) = self.standing_producer(&before.item).await?;
            producer.secret.name = item.name.clone();
            writes.push(producer.put(&self.sealer, Precondition::Version(version), version + 1)?);
            if self.commit_as(writes, &item.name, name).await? {
                return Ok(item);
            }
        }
        Err(CatalogError::Changed(name.clone()))
    }

    /// Deletes the item; its producer's record stays, retired, for the leases that still live.
    pub async fn delete(&self, name: &ItemName) -> Result<DynamicSecret, CatalogError> {
        let before = self.tree.get_kind(name, ItemKind::DynamicSecret).await?;
        before.item.check_unprotected()?;
        let (mut producer, version) = self.standing_producer(&before.item).await?;
        let id = producer.secret.id;
        let mut writes = moved(Subject::Dynamic(id), producer.rotation.next_at, None);
        producer.retired = true;
        producer.rotation = Rotation::default();
        writes.extend([
            Tree::delete(&before),
            producer.put(&self.sealer, Precondition::Version(version), version + 1)?,
            Write { key: standing_key(id), precondition: Precondition::Any, change: Change::Delete },
            Write { key: going_key(id), precondition: Precondition::Any, change: Change::Put(Bytes::new()) },
        ]);
        self.commit(writes, name).await?;
        Ok(producer.secret)
    }

    /// The numbers of deleted secrets whose leases are not all written down as to be revoked.
    pub(crate) async fn going(&self) -> Result<Vec<u64>, CatalogError> {
        let all = (Bound::Unbounded, Bound::Unbounded);
        let listed = self.store.list(GOING, all, MAX_WRITES).await?;
        Ok(listed.iter().filter_map(|entry| entry.key.sort.parse().ok()).collect())
    }

    /// All leases of the deleted secret with the number `id` are written down as to be revoked.
    pub(crate) async fn gone(&self, id: u64) -> Result<(), CatalogError> {
        let write = Write { key: going_key(id), precondition: Precondition::Any, change: Change::Delete };
        match self.store.commit(vec![write]).await {
            Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    /// Forgets the producer of a deleted secret, once no lease of it is left.
    pub async fn forget(&self, id: u64) -> Result<(), CatalogError> {
        let Some((producer, version)) = self.read(id).await? else {
            return Ok(());
        };
        if !producer.retired {
            return Ok(());
        }
        let leases =
            self.store.list(&format!("~lease/{id}"), (Bound::Unbounded, Bound::Unbounded), 1).await?;
        if !leases.is_empty() {
            return Ok(());
        }
        let delete = |key, precondition| Write { key, precondition, change: Change::Delete };
        let writes = vec![
            delete(producer_key(id), Precondition::Version(version)),
            delete(going_key(id), Precondition::Any),
        ];
        self.commit(writes, &producer.secret.name).await
    }

    /// The payloads of the secret with the number `id`, if its newest has yet to be tried.
    pub(crate) fn trial(&self, id: u64) -> Option<Trial> {
        self.on_trial.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// A call with `payload` has succeeded: if it was the new one, the one before is not kept any longer.
    pub(crate) async fn payload_worked(&self, id: u64, payload: &SecretValue) -> Result<(), CatalogError> {
        let Some((mut producer, version)) = self.read(id).await? else { return Ok(()) };
        if producer.previous.is_none() || producer.payload != *payload {
            return Ok(());
        }
        producer.previous = None;
        let write = producer.put(&self.sealer, Precondition::Version(version), version + 1)?;
        // Should somebody else have changed it, the next call tries again.
        self.commit(vec![write], &producer.secret.name).await?;
        self.note_trial(&producer);
        tracing::info!(item = %producer.secret.name, "the new payload works; the one before is forgotten");
        Ok(())
    }

    /// Where the rotation of the payload of the secret `id` stands, unless the secret is gone.
    pub(crate) async fn rotating(&self, id: u64) -> Result<Option<(Producer, u64)>, CatalogError> {
        Ok(self.read(id).await?.filter(|(producer, _)| !producer.retired))
    }

    /// Writes down where the rotation stands now, and the new payload if it has brought one.
    pub(crate) async fn put_rotation(
        &self,
        (mut producer, version): (Producer, u64),
        rotation: Rotation,
        payload: Option<&SecretValue>,
    ) -> Result<(), CatalogError> {
        let id = producer.secret.id;
        let mut writes = moved(Subject::Dynamic(id), producer.rotation.next_at, rotation.next_at);
        producer.rotation = rotation;
        if let Some(payload) = payload {
            producer.previous = Some(std::mem::replace(&mut producer.payload, payload.clone()));
        }
        writes.push(producer.put(&self.sealer, Precondition::Version(version), version + 1)?);
        self.commit(writes, &producer.secret.name).await?;
        self.note_trial(&producer);
        Ok(())
    }

    /// The producer of an item that stands.
    async fn standing_producer(&self, item: &Item) -> Result<(Producer, u64), CatalogError> {
        let found = self.read(item.record.id).await?;
        found
            .filter(|(producer, _)| !producer.retired)
            .ok_or_else(|| CatalogError::Missing(item.name.clone()))
    }

    async fn read(&self, id: u64) -> Result<Option<(Producer, u64)>, CatalogError> {
        let Some(entry) = self.store.get(&producer_key(id)).await? else { return Ok(None) };
        let producer = Producer::open(&self.sealer, id, &entry)?;
        self.note_trial(&producer);
        Ok(Some((producer, entry.version)))
    }

    fn note_trial(&self, producer: &Producer) {
        let mut on_trial = self.on_trial.lock().unwrap_or_else(PoisonError::into_inner);
        match &producer.previous {
            Some(old) => {
                let trial = Trial { new: producer.payload.clone(), old: old.clone() };
                on_trial.insert(producer.secret.id, trial);
            }
            None => {
                on_trial.remove(&producer.secret.id);
            }
        }
    }

    async fn commit(&self, writes: Vec<Write>, name: &ItemName) -> Result<(), CatalogError> {
        match self.store.commit(writes).await {
            Ok(_) => Ok(()),
            Err(CommitError::Conflict { .. }) => Err(CatalogError::Changed(name.clone())),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    /// Commits a change that may rename `before` to `name`; false if somebody was in the way and it is to be tried again.
    async fn commit_as(
        &self,
        writes: Vec<Write>,
        name: &ItemName,
        before: &ItemName,
    ) -> Result<bool, CatalogError> {
        match self.store.commit(writes).await {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict { key }) if key.sort == name.as_str() && name != before => {
                Err(CatalogError::Exists(name.clone()))
            }
            Err(CommitError::Conflict { .. }) => Ok(false),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }
}

fn known(item: Item, producer: Producer) -> KnownSecret {
    let Producer { secret, previous, rotation, .. } = producer;
    KnownSecret { item, secret, rotation, is_on_trial: previous.is_some() }
}

/// How many dynamic secrets are kept open.
const OPENED: usize = 256;
