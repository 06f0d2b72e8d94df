use std::collections::BTreeMap;

use gateward_clock::SystemClock;
use gateward_net::{Client, Connector, ConnectorSettings};
use gateward_store::{Change, MemoryStore, Precondition, Write};
use gateward_vaults::ResolverParts;
use serde_json::{Value, json};

use super::*;

fn start(store: &Arc<MemoryStore>) -> Arc<Configuration> {
    let clock = Arc::new(SystemClock);
    let connector = Arc::new(Connector::new(ConnectorSettings::default()).unwrap());
    let resolver = Resolver::new(ResolverParts {
        clock: clock.clone(),
        client: Client::new(connector),
        environment: BTreeMap::new(),
        runtime: Handle::current(),
    });
    Configuration::start(ConfigurationParts {
        store: store.clone(),
        resolver,
        clock,
        runtime: Handle::current(),
    })
}

async fn put(store: &MemoryStore, partition: &str, id: &str, json: &Value) -> Revision {
    let key = Key { partition: partition.to_owned(), sort: id.to_owned() };
    let change = Change::Put(json.to_string().into());
    store.commit(vec![Write { key, precondition: Precondition::Any, change }]).await.unwrap()
}

fn has_route(configuration: &Configuration, path: &str) -> bool {
    let target = crate::hygiene::Target { host: "h", path: crate::RoutePath::new(path).unwrap() };
    configuration.current().load().find(&target, &http::Method::GET).is_some()
}

#[tokio::test]
async fn it_is_ready_with_all_that_stood_in_the_store_at_the_start() {
    let store = Arc::new(MemoryStore::new());
    for id in 0..2500 {
        put(&store, "routes", &format!("r{id}"), &json!({"uri": format!("/{id}"), "plugins": {}})).await;
    }
    let configuration = start(&store);
    assert!(!configuration.ready());
    configuration.applied(store.revision().await.unwrap()).await;
    assert!(configuration.ready());
    assert!((0..2500).all(|id| has_route(&configuration, &format!("/{id}"))));
}

#[tokio::test]
async fn a_change_is_served_when_it_is_applied_and_so_is_what_concerns_others() {
    let store = Arc::new(MemoryStore::new());
    let configuration = start(&store);
    let revision = put(&store, "routes", "1", &json!({"uri": "/a", "plugins": {}})).await;
    configuration.applied(revision).await;
    assert!(has_route(&configuration, "/a"));
    let revision = put(&store, "leases", "1", &json!({})).await;
    timeout(Duration::from_secs(2), configuration.applied(revision)).await.unwrap();
    let revision = put(&store, "routes", "1", &json!({"uri": "/b", "plugins": {}})).await;
    configuration.applied(revision).await;
    assert!(!has_route(&configuration, "/a") && has_route(&configuration, "/b"));
}

#[tokio::test]
async fn a_retired_snapshot_is_freed_by_the_watcher_and_not_by_its_last_reader() {
    let store = Arc::new(MemoryStore::new());
    let configuration = start(&store);
    let revision = put(&store, "routes", "1", &json!({"uri": "/a", "plugins": {}})).await;
    configuration.applied(revision).await;
    let held = configuration.current().load_full();
    let watched = Arc::downgrade(&held);
    let revision = put(&store, "routes", "1", &json!({"uri": "/b", "plugins": {}})).await;
    configuration.applied(revision).await;
    drop(held);
    assert!(watched.upgrade().is_some(), "its last reader freed it");
    let freed = async {
        while watched.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), freed).await.unwrap();
}

#[tokio::test]
async fn the_configuration_stops_with_its_last_owner() {
    let store = Arc::new(MemoryStore::new());
    let configuration = start(&store);
    configuration.applied(Revision(0)).await;
    let current = configuration.current();
    drop(configuration);
    put(&store, "routes", "1", &json!({"uri": "/a", "plugins": {}})).await;
    let released = async {
        // The test holds one.
        while Arc::strong_count(&current) > 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), released).await.unwrap();
}
