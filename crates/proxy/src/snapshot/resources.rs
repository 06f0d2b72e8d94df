//! The resources that routing is made of, as they stand in the store: sealed.
//!
//! Each is opened and parsed when it is read, once per change. What does not open (it was sealed with another root key,
//! or moved there by hand) or does not parse (it was written by a newer version) is named and left out: it must never
//! keep the gateway from starting, nor the others from serving.

mod changed;
mod collection;

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gateward_model::apisix::{
    Consumer, Credential, Kind, ResourceId, Route, Service, SharedPlugins, Ssl, Upstream,
};
use gateward_model::{Invalid, Vault};
use gateward_seal::Sealer;
use gateward_store::{Entry, Key, Store, StoreError};
use serde_json::Value;

use crate::typed::parsable;

pub(crate) use changed::Changed;
pub(crate) use collection::{Collection, Standing};

/// Whether what stands in `partition` of the store concerns routing.
pub(crate) fn concerns(partition: &str) -> bool {
    partition == VAULTS || Kind::of(partition).is_some()
}

/// Where vaults stand in the store.
pub(crate) const VAULTS: &str = "vaults";

/// Where resources are read from, and what opens them.
pub(crate) struct Source {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sealer: Arc<Sealer>,
}

/// The resources that routing is made of.
pub(crate) struct Resources {
    pub(crate) routes: Collection<Route>,
    pub(crate) services: Collection<Service>,
    pub(crate) upstreams: Collection<Upstream>,
    pub(crate) consumers: Collection<Consumer>,
    pub(crate) credentials: Collection<Credential>,
    pub(crate) consumer_groups: Collection<SharedPlugins>,
    pub(crate) global_rules: Collection<SharedPlugins>,
    pub(crate) plugin_configs: Collection<SharedPlugins>,
    pub(crate) plugin_metadata: Collection<Value>,
    pub(crate) ssls: Collection<Ssl>,
    pub(crate) vaults: Collection<Vault>,
    changed: Changed,
}

/// A resource that is not in force, or not all of it, because it cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What kind of resource it is, in the plural, as the Admin API calls it.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// What is wrong with it; quotes nothing that it says.
    pub problem: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}: {}", self.kind, self.id, self.problem)
    }
}

/// Does the same with all collections, whatever they hold.
macro_rules! each {
    ($resources:expr, $collection:ident => $do:expr) => {
        each!($resources, $collection => $do, routes services upstreams consumers credentials consumer_groups
            global_rules plugin_configs plugin_metadata ssls vaults)
    };
    ($resources:expr, $collection:ident => $do:expr, $($field:ident)*) => {
        $({
            let $collection = &mut $resources.$field;
            $do;
        })*
    };
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            routes: Collection::of(Kind::Routes),
            services: Collection::of(Kind::Services),
            upstreams: Collection::of(Kind::Upstreams),
            consumers: Collection::of(Kind::Consumers),
            credentials: Collection::of(Kind::Credentials),
            consumer_groups: Collection::of(Kind::ConsumerGroups),
            global_rules: Collection::of(Kind::GlobalRules),
            plugin_configs: Collection::of(Kind::PluginConfigs),
            plugin_metadata: Collection::of(Kind::PluginMetadata),
            ssls: Collection::of(Kind::Ssls),
            vaults: Collection::new(VAULTS, "vault"),
            changed: Changed::Anything,
        }
    }
}

impl Resources {
    /// Reads everything. What has not changed stays the same [`Arc`], and is not opened again.
    pub(crate) async fn read_all(&mut self, source: &Source) -> Result<(), StoreError> {
        self.changed = Changed::Anything;
        let mut lists = Vec::new();
        each!(self, collection => lists.push(list(Arc::clone(&source.store), collection.partition())));
        // One after the other, a start would take as many round trips as there are kinds.
        let lists = stream::iter(lists).buffered(LISTS_AT_ONCE).try_collect::<Vec<_>>().await?;
        let mut lists = lists.into_iter();
        each!(self, collection => {
            collection.replace(lists.next().unwrap_or_default(), &source.sealer);
        });
        Ok(())
    }

    /// Reads what stands at `key`, which [`concerns`] routing.
    pub(crate) async fn read(&mut self, source: &Source, key: &Key) -> Result<(), StoreError> {
        let mut entry = source.store.get(key).await?;
        self.changed.add(key);
        each!(self, collection => {
            if collection.partition() == key.partition {
                collection.set(&key.sort, entry.take(), &source.sealer);
            }
        });
        Ok(())
    }

    /// What has changed since this was last called.
    pub(crate) fn take_changed(&mut self) -> Changed {
        std::mem::replace(&mut self.changed, Changed::nothing())
    }

    /// What is left out.
    pub(crate) fn broken(&self) -> Vec<Broken> {
        let routing = self.routes.broken().chain(self.services.broken()).chain(self.upstreams.broken());
        let callers = self.consumers.broken().chain(self.credentials.broken());
        let shared = self.consumer_groups.broken().chain(self.global_rules.broken());
        let shared = shared.chain(self.plugin_configs.broken()).chain(self.plugin_metadata.broken());
        let rest = self.ssls.broken().chain(self.vaults.broken());
        routing.chain(callers).chain(shared).chain(rest).collect()
    }
}

/// What can be read from the store.
pub(crate) trait Resource: Sized {
    /// Reads the one that is stored by `id`.
    fn read(id: &str, json: &Value) -> Result<Self, Invalid>;
}

macro_rules! resources {
    ($($resource:ty, |$id:ident, $json:ident| $read:expr;)*) => {$(
        impl Resource for $resource {
            fn read($id: &str, $json: &Value) -> Result<Self, Invalid> {
                $read
            }
        }
    )*};
}

resources! {
    Route, |id, json| Self::parse(ResourceId::parse(id)?, &parsable(Kind::Routes, json));
    Service, |id, json| Self::parse(ResourceId::parse(id)?, &parsable(Kind::Services, json));
    Upstream, |_id, json| Self::parse(&parsable(Kind::Upstreams, json));
    Consumer, |_id, json| Self::parse(json);
    Credential, |id, json| {
        let (consumer, id) = id
            .split_once('/')
            .ok_or_else(|| Invalid::new("id", "is the consumer's name, a slash, and an id"))?;
        Self::parse(ResourceId::parse(consumer)?, ResourceId::parse(id)?, json)
    };
    SharedPlugins, |id, json| Self::parse(ResourceId::parse(id)?, json);
    Ssl, |id, json| Self::parse(ResourceId::parse(id)?, json);
    Value, |_id, json| Ok(own_fields(json));
    Vault, |_id, json| gateward_model::parse(json);
}

/// Plugin metadata without what the gateway, or the file that they stand in, says of any resource.
fn own_fields(json: &Value) -> Value {
    let mut own = json.clone();
    if let Some(fields) = own.as_object_mut() {
        for not_the_plugins in ["id", "name", "create_time", "update_time"] {
            fields.shift_remove(not_the_plugins);
        }
    }
    own
}

async fn list(store: Arc<dyn Store>, partition: &'static str) -> Result<Vec<Entry>, StoreError> {
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = match entries.last() {
            Some(last) => Bound::Excluded(last.key.sort.clone()),
            None => Bound::Unbounded,
        };
        let page = store.list(partition, (after, Bound::Unbounded), PAGE).await?;
        let last_page = page.len() < PAGE;
        entries.extend(page);
        if last_page {
            return Ok(entries);
        }
    }
}

const PAGE: usize = 1000;

/// Each may need a connection of its own, which costs a handshake.
const LISTS_AT_ONCE: usize = 4;
