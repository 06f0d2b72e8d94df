//! The tree of items: one record under each name, in the order of the names.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use gateward_model::ItemName;
use gateward_store::{
    Change, Changes, CommitError, Entry, Key, Precondition, Revision, Store, StoreError, Write,
};

use crate::item::Record;
use crate::{Item, ItemError, ItemKind};

/// The tree of items.
#[derive(Clone)]
pub struct Tree {
    store: Arc<dyn Store>,
}

/// An item as it stands, for who wants to change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The item.
    pub item: Item,
    /// The version of its record in the store.
    pub(crate) version: u64,
}

/// Which items are wanted.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Only those in this folder and below; empty for all.
    pub folder: String,
    /// Only those in the folder itself.
    pub only_folder: bool,
    /// Only those of these kinds; empty for all.
    pub kinds: Vec<ItemKind>,
    /// Only those with this in their names, letter by letter but for their case.
    pub filter: Option<String>,
    /// Only those with this tag.
    pub tag: Option<String>,
    /// Only those that were changed at this time or later, in milliseconds since the epoch.
    pub modified_after: Option<u64>,
    /// Only those after this name: where the page before has ended.
    pub after: Option<String>,
}

/// A part of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The items, in the order of their names.
    pub items: Vec<Item>,
    /// The folders that they are in, below the one that was asked for; without a slash at their end.
    pub folders: BTreeSet<String>,
    /// Where the next page begins; none if this is the last.
    pub next: Option<String>,
}

impl Tree {
    /// The tree that stands in `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// The store that it stands in.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The item called `name`.
    pub async fn get(&self, name: &ItemName) -> Result<Standing, ItemError> {
        let entry = self.store.get(&key(name)).await?;
        standing(&entry.ok_or_else(|| ItemError::Missing(name.clone()))?)
    }

    /// The item called `name`, if it is of `kind`.
    pub async fn get_kind(&self, name: &ItemName, kind: ItemKind) -> Result<Standing, ItemError> {
        let standing = self.get(name).await?;
        let found = standing.item.record.kind;
        if found == kind {
            return Ok(standing);
        }
        Err(ItemError::Kind { name: name.clone(), kind: found.words(), wanted: kind.words() })
    }

    /// The item with the number `id`. Looks at every item until it is found.
    pub async fn find(&self, id: u64) -> Result<Option<Standing>, ItemError> {
        let mut from = Bound::Unbounded;
        loop {
            let entries = self.store.list(PARTITION, (from, Bound::Unbounded), AT_ONCE).await?;
            for entry in &entries {
                let found = standing(entry)?;
                if found.item.record.id == id {
                    return Ok(Some(found));
                }
            }
            match entries.into_iter().last() {
                Some(last) => from = Bound::Excluded(last.key.sort),
                None => return Ok(None),
            }
        }
    }

    /// All items of `kind`, in the order of their names.
    pub async fn all(&self, kind: ItemKind) -> Result<Vec<Item>, ItemError> {
        let query = ListQuery { kinds: vec![kind], ..ListQuery::default() };
        Ok(self.list(&query, usize::MAX).await?.items)
    }

    /// Up to `limit` of the items that `query` wants.
    pub async fn list(&self, query: &ListQuery, limit: usize) -> Result<Page, ItemError> {
        let folder = format!("/{}", query.folder.trim_matches('/'));
        let folder = if folder == "/" { folder } else { folder + "/" };
        let mut page = Page::default();
        let mut from = match &query.after {
            Some(after) if *after > folder => Bound::Excluded(after.clone()),
            _ => Bound::Included(folder.clone()),
        };
        loop {
            let entries = self.store.list(PARTITION, (from, Bound::Unbounded), AT_ONCE).await?;
            let is_last = entries.len() < AT_ONCE;
            let mut last = None;
            for entry in entries {
                let Some(below) = entry.key.sort.strip_prefix(&folder) else { return Ok(page) };
                let folders = below.match_indices('/').map(|(at, _)| format!("{folder}{}", &below[..at]));
                let depth = if query.only_folder { 1 } else { usize::MAX };
                let folders: Vec<_> = folders.take(depth).collect();
                let is_deep = below.contains('/');
                let name = entry.key.sort.clone();
                let Standing { item, .. } = standing(&entry)?;
                if query.accepts(&item) {
                    if page.items.len() == limit {
                        page.next = page.items.last().map(|item| item.name.to_string());
                        return Ok(page);
                    }
                    page.folders.extend(folders);
                    if !(query.only_folder && is_deep) {
                        page.items.push(item);
                    }
                }
                last = Some(name);
            }
            match last {
                Some(last) if !is_last => from = Bound::Excluded(last),
                _ => return Ok(page),
            }
        }
    }

    /// What writes `item` in the place of `before`, as part of a commit.
    pub fn put(item: &Item, before: Option<&Standing>) -> Write {
        // A record holds texts and numbers, which always are JSON.
        let json = serde_json::to_vec(&item.record).unwrap_or_default();
        let precondition =
            before.map_or(Precondition::Absent, |before| Precondition::Version(before.version));
        Write { key: key(&item.name), precondition, change: Change::Put(Bytes::from(json)) }
    }

    /// What writes `item` in the place of `before`, which may have another name, as part of a commit.
    pub fn replace(item: &Item, before: &Standing) -> Vec<Write> {
        if item.name == before.item.name {
            return vec![Self::put(item, Some(before))];
        }
        vec![Self::delete(before), Self::put(item, None)]
    }

    /// What holds only while `before` is as it was, as part of a commit.
    pub fn check(before: &Standing) -> Write {
        Write { change: Change::Check, ..Self::delete(before) }
    }

    /// What deletes `before`, as part of a commit.
    pub fn delete(before: &Standing) -> Write {
        Write {
            key: key(&before.item.name),
            precondition: Precondition::Version(before.version),
            change: Change::Delete,
        }
    }

    /// The names of the items that have changed after `since`, and where to go on from.
    pub(crate) async fn changes(&self, since: Revision) -> Result<(Revision, Vec<ItemName>), StoreError> {
        match self.store.changes(since).await? {
            Changes::Keys { revision, keys } => {
                let items = keys.iter().filter(|key| key.partition == PARTITION);
                Ok((revision, items.filter_map(|key| ItemName::parse(&key.sort).ok()).collect()))
            }
            Changes::Forgotten { revision } => Ok((revision, Vec::new())),
        }
    }

    /// Adds an item that is nothing but its record, if no item has its name.
    pub async fn create(&self, item: Item) -> Result<Item, ItemError> {
        let exists = || ItemError::Exists(item.name.clone());
        let writes = vec![Self::put(&item, None)];
        self.store.commit(writes).await.map_err(|error| ItemError::of_commit(error, exists))?;
        Ok(item)
    }

    /// Deletes one of these, unless it is protected.
    pub async fn remove(&self, name: &ItemName, kind: ItemKind) -> Result<Item, ItemError> {
        let before = self.get_kind(name, kind).await?;
        before.item.check_unprotected()?;
        let changed = || ItemError::Changed(name.clone());
        let writes = vec![Self::delete(&before)];
        self.store.commit(writes).await.map_err(|error| ItemError::of_commit(error, changed))?;
        Ok(before.item)
    }

    /// Changes what is known of an item in the open.
    pub async fn update(
        &self,
        name: &ItemName,
        change: impl Fn(&mut Record) + Send,
    ) -> Result<Item, ItemError> {
        self.edit(name, move |item| {
            change(&mut item.record);
            Ok(())
        })
        .await
    }

    /// The same, its name included, unless `change` refuses.
    pub async fn edit(
        &self,
        name: &ItemName,
        change: impl Fn(&mut Item) -> Result<(), ItemError> + Send,
    ) -> Result<Item, ItemError> {
        for _ in 0..TRIES {
            let before = self.get(name).await?;
            let mut item = before.item.clone();
            change(&mut item)?;
            match self.store.commit(Self::replace(&item, &before)).await {
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
}

impl ListQuery {
    fn accepts(&self, item: &Item) -> bool {
        let Item { name, record } = item;
        let contains = |wanted: &String| name.as_str().to_lowercase().contains(&wanted.to_lowercase());
        (self.kinds.is_empty() || self.kinds.contains(&record.kind))
            && self.filter.as_ref().is_none_or(contains)
            && self.tag.as_ref().is_none_or(|tag| record.tags.contains(tag))
            && self.modified_after.is_none_or(|after| record.modified >= after)
    }
}

fn key(name: &ItemName) -> Key {
    Key { partition: PARTITION.to_owned(), sort: name.to_string() }
}

fn standing(entry: &Entry) -> Result<Standing, ItemError> {
    let name = ItemName::parse(&entry.key.sort)?;
    let record = serde_json::from_slice(&entry.value).map_err(|_| ItemError::Sealed {
        item: name.to_string(),
        why: "it is no record of an item".to_owned(),
    })?;
    Ok(Standing { item: Item { name, record }, version: entry.version })
}

const PARTITION: &str = "items";

/// How many records are read at once.
const AT_ONCE: usize = 1000;

/// How often a change is tried that others get in the way of.
pub const TRIES: usize = 10;
