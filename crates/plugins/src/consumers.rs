//! Everybody who may call, by what they show.
//!
//! Compiled with the configuration, and only read on the way of a request. What a consumer shows is a secret more often
//! than not: it is found by a hash with a key of this process's own, and then compared in constant time.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::Arc;

use gateward_seal::SecretValue;
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::Exchange;

/// Somebody who calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Consumer {
    /// Its name.
    pub username: Box<str>,
    /// The group that it is in.
    pub group: Option<Box<str>>,
    /// The credential that it showed, if that is a resource of its own.
    pub credential: Option<Box<str>>,
    /// Its labels; `custom_id` is passed on to upstreams.
    pub labels: Map<String, Value>,
}

/// What a consumer is recognised by.
pub struct Credential {
    /// What it shows; no two consumers show the same to one plugin.
    pub key: SecretValue,
    /// What else the plugin wants to know, such as the secret that tokens are signed with.
    pub details: Box<dyn Any + Send + Sync>,
}

/// Everybody who may call.
#[derive(Default)]
pub struct Consumers {
    hasher: RandomState,
    /// Few plugins authenticate, so a list is searched faster than a map.
    by_plugin: Vec<(&'static str, ByHash)>,
    by_name: HashMap<Box<str>, Caller>,
}

/// What consumers show, by its hash.
type ByHash = HashMap<u64, Vec<Known>, BuildHasherDefault<Hashed>>;

struct Known {
    caller: Caller,
    credential: Credential,
}

/// A consumer as a plugin that authenticates finds it, with what upstreams hear of it.
pub struct Caller {
    consumer: Arc<Consumer>,
    username: Option<HeaderValue>,
    credential: Option<HeaderValue>,
    custom_id: Option<HeaderValue>,
}

impl Consumers {
    /// The consumer that shows `key` to `plugin`, and what else the plugin has written down about it.
    pub fn find<T: Any>(&self, plugin: &str, key: &str) -> Option<(&Caller, &T)> {
        let (_, known) = self.by_plugin.iter().find(|(name, _)| *name == plugin)?;
        let known = known.get(&self.hasher.hash_one(key))?;
        let known = known.iter().find(|known| known.credential.key.matches(key))?;
        Some((&known.caller, known.credential.details.downcast_ref()?))
    }

    /// The consumer of that name, who need not show anything: in whose name a plugin lets strangers pass.
    pub fn named(&self, name: &str) -> Option<&Caller> {
        self.by_name.get(name)
    }
}

impl Caller {
    fn new(consumer: Arc<Consumer>) -> Self {
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).ok();
        Self {
            username: value(&consumer.username),
            credential: consumer.credential.as_deref().and_then(value),
            custom_id: consumer.labels.get("custom_id").and_then(Value::as_str).and_then(value),
            consumer,
        }
    }

    /// Who it is.
    pub fn consumer(&self) -> &Arc<Consumer> {
        &self.consumer
    }

    /// Has the request of `exchange` count as this consumer's, and tells the upstream so. What the client itself wrote
    /// into the fields that tell it goes: an upstream believes them.
    pub fn enter(&self, exchange: &mut Exchange<'_>) {
        exchange.consumer = Some(Arc::clone(&self.consumer));
        let headers = exchange.request.headers_mut();
        let fields = [
            (&X_CONSUMER_USERNAME, &self.username),
            (&X_CREDENTIAL_IDENTIFIER, &self.credential),
            (&X_CONSUMER_CUSTOM_ID, &self.custom_id),
        ];
        for (name, value) in fields {
            match value {
                Some(value) => drop(headers.insert(name, value.clone())),
                None => drop(headers.remove(name)),
            }
        }
    }
}

/// Takes what is a hash already for its own hash.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Collects everybody who may call.
#[derive(Default)]
pub struct ConsumersBuilder(Consumers);

/// Another consumer shows the same to the plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("consumer {by} shows the same to {plugin}")]
pub struct Taken {
    /// The plugin.
    pub plugin: &'static str,
    /// The other consumer.
    pub by: Box<str>,
}

impl ConsumersBuilder {
    /// Adds what `consumer` shows to `plugin`.
    pub fn add(
        &mut self,
        plugin: &'static str,
        consumer: Arc<Consumer>,
        credential: Credential,
    ) -> Result<(), Taken> {
        let hash = self.0.hasher.hash_one(credential.key.expose());
        let by_plugin = &mut self.0.by_plugin;
        let place = by_plugin.iter().position(|(name, _)| *name == plugin).unwrap_or_else(|| {
            by_plugin.push((plugin, ByHash::default()));
            by_plugin.len() - 1
        });
        let known = by_plugin[place].1.entry(hash).or_default();
        if let Some(other) = known.iter().find(|other| other.credential.key == credential.key) {
            return Err(Taken { plugin, by: other.caller.consumer.username.clone() });
        }
        known.push(Known { caller: Caller::new(consumer), credential });
        Ok(())
    }

    /// Lets `consumer` be found by its name, whether or not it shows anything.
    pub fn name(&mut self, consumer: Arc<Consumer>) {
        self.0.by_name.insert(consumer.username.clone(), Caller::new(consumer));
    }

    /// All that were added.
    pub fn build(self) -> Consumers {
        self.0
    }
}

static X_CONSUMER_USERNAME: HeaderName = HeaderName::from_static("x-consumer-username");
static X_CREDENTIAL_IDENTIFIER: HeaderName = HeaderName::from_static("x-credential-identifier");
static X_CONSUMER_CUSTOM_ID: HeaderName = HeaderName::from_static("x-consumer-custom-id");

impl fmt::Debug for Caller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Caller({})", self.consumer.username)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credential(***)")
    }
}

impl fmt::Debug for Consumers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.by_plugin.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer(name: &str) -> Arc<Consumer> {
        Arc::new(Consumer { username: name.into(), ..Consumer::default() })
    }

    fn shows(key: &str) -> Credential {
        Credential { key: key.into(), details: Box::new(key.len()) }
    }

    #[test]
    fn a_consumer_is_found_by_what_it_shows_to_the_plugin() {
        let mut builder = ConsumersBuilder::default();
        builder.add("key-auth", consumer("ann"), shows("a")).unwrap();
        builder.add("key-auth", consumer("bob"), shows("bb")).unwrap();
        let consumers = builder.build();
        let (bob, length) = consumers.find::<usize>("key-auth", "bb").unwrap();
        assert_eq!((&*bob.consumer().username, *length), ("bob", 2));
        assert!(consumers.find::<usize>("key-auth", "b").is_none());
        assert!(consumers.find::<usize>("jwt-auth", "bb").is_none());
    }

    #[test]
    fn two_consumers_cannot_show_the_same() {
        let mut builder = ConsumersBuilder::default();
        builder.add("key-auth", consumer("ann"), shows("a")).unwrap();
        let taken = builder.add("key-auth", consumer("bob"), shows("a")).unwrap_err();
        assert_eq!(&*taken.by, "ann");
    }

    #[test]
    fn a_consumer_that_shows_nothing_is_found_by_its_name() {
        let mut builder = ConsumersBuilder::default();
        builder.name(consumer("anybody"));
        let consumers = builder.build();
        assert_eq!(&*consumers.named("anybody").unwrap().consumer().username, "anybody");
        assert!(consumers.named("nobody").is_none());
    }
}
