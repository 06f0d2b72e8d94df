//! Everybody who may call, by what they show.
//!
//! Compiled with the configuration, and only read on the way of a request. What a consumer shows is a secret more often
//! than not: it is found by a hash with a key of this process's own, and then compared in constant time.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use gateward_seal::SecretValue;
use serde_json::{Map, Value};

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
    by_plugin: HashMap<&'static str, HashMap<u64, Vec<Known>>>,
}

struct Known {
    consumer: Arc<Consumer>,
    credential: Credential,
}

impl Consumers {
    /// The consumer that shows `key` to `plugin`, and what else the plugin has written down about it.
    pub fn find<T: Any>(&self, plugin: &str, key: &str) -> Option<(&Arc<Consumer>, &T)> {
        let known = self.by_plugin.get(plugin)?.get(&self.hasher.hash_one(key))?;
        let known = known.iter().find(|known| known.credential.key.matches(key))?;
        Some((&known.consumer, known.credential.details.downcast_ref()?))
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
        let known = self.0.by_plugin.entry(plugin).or_default().entry(hash).or_default();
        if let Some(other) = known.iter().find(|other| other.credential.key == credential.key) {
            return Err(Taken { plugin, by: other.consumer.username.clone() });
        }
        known.push(Known { consumer, credential });
        Ok(())
    }

    /// All that were added.
    pub fn build(self) -> Consumers {
        self.0
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credential(***)")
    }
}

impl fmt::Debug for Consumers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.by_plugin.keys()).finish()
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
        assert_eq!((&*bob.username, *length), ("bob", 2));
        assert!(consumers.find::<usize>("key-auth", "b").is_none());
        assert!(consumers.find::<usize>("jwt-auth", "bb").is_none());
    }

    #[test]
    fn two_consumers_cannot_show_the_same() {
        let mut builder = ConsumersBuilder::default();
        builder.add("key-auth", consumer("ann"), shows("a")).unwrap();
        let taken = builder.add("key-auth", consumer("bob"), shows("a")).unwrap_err();
        assert_eq!(&*taken.by, "ann");
        assert!(!format!("{:?}", builder.build()).contains('a') || !taken.to_string().contains("***"));
    }
}
