use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gateward_clock::SystemClock;
use gateward_net::{Client, Connector, ConnectorSettings};
use gateward_seal::RootKey;
use gateward_store::{Call, Change, Watched};
use gateward_vaults::ResolverParts;
use serde_json::json;

use super::*;
use crate::DOCUMENT_PURPOSE;

fn start(source: &Source) -> Arc<Configuration> {
    start_following(source, None)
}

fn start_following(source: &Source, following: Option<Following>) -> Arc<Configuration> {
    let clock = Arc::new(SystemClock);
    let connector = Arc::new(Connector::new(ConnectorSettings::default()).unwrap());
    let resolver = Resolver::new(ResolverParts {
        clock: clock.clone(),
        client: Client::new(connector),
        environment: BTreeMap::new(),
        runtime: Handle::current(),
    });
    let parts = ConfigurationParts {
        store: source.store.clone(),
        sealer: source.sealer.clone(),
        resolver,
        shared: Shared::new(clock.clone(), Handle::current()),
        registry: Arc::new(Registry::new(clock.clone())),
        clock,
        runtime: Handle::current(),
    };
    Configuration::start_following(parts, following)
}

fn has_route(configuration: &Configuration, path: &str) -> bool {
    configuration.current().load().route(path).is_some()
}

#[tokio::test]
async fn it_is_ready_with_all_that_stood_in_the_store_at_the_start() {
    let source = Source::in_memory();
    for id in 0..2500 {
        source.put("routes", &format!("r{id}"), &json!({"uri": format!("/{id}"), "plugins": {}})).await;
    }
    let configuration = start(&source);
    assert!(!configuration.ready());
    configuration.applied(source.store.revision().await.unwrap()).await;
    assert!(configuration.ready());
    assert!((0..2500).all(|id| has_route(&configuration, &format!("/{id}"))));
}

#[tokio::test]
async fn a_route_that_does_not_open_is_left_out_and_the_others_serve() {
    let source = Source::in_memory();
    let route = |path: &str| json!({"uri": path, "plugins": {}});
    let key = |id: &str| Key { partition: "routes".to_owned(), sort: id.to_owned() };
    source.put("routes", "ours", &route("/ours")).await;
    let unsealed = route("/unsealed").to_string();
    source.commit(key("unsealed"), Change::Put(unsealed.into())).await;
    let foreign = Sealer::new(RootKey::generate());
    let foreign =
        foreign.seal_at(DOCUMENT_PURPOSE, &key("foreign"), 1, route("/foreign").to_string().as_bytes());
    source.commit(key("foreign"), Change::Put(foreign)).await;
    source.put("routes", "there", &route("/moved")).await;
    let moved = source.store.get(&key("there")).await.unwrap().unwrap();
    source.commit(key("here"), Change::Put(moved.value)).await;
    source.commit(key("there"), Change::Delete).await;

    let configuration = start(&source);
    configuration.applied(source.store.revision().await.unwrap()).await;
    assert!(configuration.ready());
    assert!(has_route(&configuration, "/ours"));
    for path in ["/unsealed", "/foreign", "/moved"] {
        assert!(!has_route(&configuration, path), "{path}");
    }
    let revision = source.put("routes", "foreign", &route("/foreign")).await;
    configuration.applied(revision).await;
    assert!(has_route(&configuration, "/foreign"), "it serves once it is written again");
}

#[tokio::test]
async fn a_change_is_served_when_it_is_applied_and_so_is_what_concerns_others() {
    let source = Source::in_memory();
    let configuration = start(&source);
    let revision = source.put("routes", "1", &json!({"uri": "/a", "plugins": {}})).await;
    configuration.applied(revision).await;
    assert!(has_route(&configuration, "/a"));
    let revision = source.put("leases", "1", &json!({})).await;
    timeout(Duration::from_secs(2), configuration.applied(revision)).await.unwrap();
    let revision = source.put("routes", "1", &json!({"uri": "/b", "plugins": {}})).await;
    configuration.applied(revision).await;
    assert!(!has_route(&configuration, "/a") && has_route(&configuration, "/b"));
}

#[tokio::test]
async fn a_retired_snapshot_is_freed_by_the_watcher_and_not_by_its_last_reader() {
    let source = Source::in_memory();
    let configuration = start(&source);
    let revision = source.put("routes", "1", &json!({"uri": "/a", "plugins": {}})).await;
    configuration.applied(revision).await;
    let held = configuration.current().load_full();
    let watched = Arc::downgrade(&held);
    let revision = source.put("routes", "1", &json!({"uri": "/b", "plugins": {}})).await;
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
    let source = Source::in_memory();
    let configuration = start(&source);
    configuration.applied(Revision(0)).await;
    let current = configuration.current();
    drop(configuration);
    source.put("routes", "1", &json!({"uri": "/a", "plugins": {}})).await;
    let released = async {
        // The test holds one.
        while Arc::strong_count(&current) > 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), released).await.unwrap();
}

#[tokio::test]
async fn what_files_own_is_served_from_them_and_follows_them() {
    let source = Source::in_memory();
    let route = |path: &str| json!({"uri": path, "plugins": {}});
    source.put("routes", "stored", &route("/stored")).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resources.yaml");
    let write = |id: &str| {
        let text = format!(
            "routes:\n- {{id: same, uri: /same, plugins: {{}}}}\n- {{id: {id}, uri: /{id}, plugins: {{}}}}\n#END"
        );
        std::fs::write(&path, text).unwrap();
    };
    write("a");
    let files = crate::declarative::Files::new(vec![path.clone()], Arc::new(BTreeMap::new()));
    let following = Following::start(files, Arc::new(SystemClock), &Handle::current()).unwrap();
    let configuration = start_following(&source, Some(following));
    configuration.applied(source.store.revision().await.unwrap()).await;
    assert!(has_route(&configuration, "/a") && has_route(&configuration, "/same"));
    assert!(!has_route(&configuration, "/stored"), "what the store has of the kind is not served");

    write("b");
    let mut declared = configuration.declared().unwrap();
    declared.changed().await.unwrap();
    let swapped = async {
        while !has_route(&configuration, "/b") {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), swapped).await.expect("it is served soon");
    assert!(!has_route(&configuration, "/a") && has_route(&configuration, "/same"));

    // What the files do not own comes from the store still.
    source
        .put(
            "vaults",
            "mine",
            &json!({"id": "1", "prefix": "mine", "name": "env", "created_at": 1, "updated_at": 1}),
        )
        .await;
    configuration.applied(source.store.revision().await.unwrap()).await;
    assert!(has_route(&configuration, "/b"));

    std::fs::write(&path, "routes:\n- {id: c}\n#END").unwrap();
    let refused = async {
        while configuration.refused().is_none() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(5), refused).await.expect("it is refused soon");
    assert!(has_route(&configuration, "/b"), "what was taken before serves on");
}

#[tokio::test]
async fn a_change_of_the_files_is_not_lost_while_the_store_cannot_be_read() {
    let mut source = Source::in_memory();
    let (out_of_order, failed) = <(Arc<AtomicBool>, Arc<AtomicUsize>)>::default();
    let (is_out_of_order, fails) = (Arc::clone(&out_of_order), Arc::clone(&failed));
    source.store = Watched::new(Arc::clone(&source.store), move |call| {
        if call == Call::Revision && is_out_of_order.load(Ordering::SeqCst) {
            fails.fetch_add(1, Ordering::SeqCst);
            return Err("out of order".to_owned());
        }
        Ok(())
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resources.yaml");
    let write =
        |id: &str| std::fs::write(&path, format!("routes:\n- {{id: {id}, uri: /{id}, plugins: {{}}}}\n#END"));
    write("a").unwrap();
    let files = crate::declarative::Files::new(vec![path.clone()], Arc::new(BTreeMap::new()));
    let following = Following::start(files, Arc::new(SystemClock), &Handle::current()).unwrap();
    let configuration = start_following(&source, Some(following));
    configuration.applied(Revision(0)).await;
    assert!(has_route(&configuration, "/a"));

    out_of_order.store(true, Ordering::SeqCst);
    write("b").unwrap();
    let wait = async |done: &dyn Fn() -> bool| {
        let waits = async {
            while !done() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), waits).await.expect("it happens soon");
    };
    wait(&|| failed.load(Ordering::SeqCst) > 0).await;
    assert!(has_route(&configuration, "/a"), "what was read before serves on");
    out_of_order.store(false, Ordering::SeqCst);
    wait(&|| has_route(&configuration, "/b")).await;
}
