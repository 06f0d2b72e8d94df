use std::collections::BTreeMap;

use gateward_clock::SystemClock;
use gateward_net::{Client, Connector, ConnectorSettings};
use gateward_store::{Change, Key, MemoryStore, Precondition, Store, Write};
use gateward_vaults::{Resolver, ResolverParts};
use serde_json::{Value, json};

use super::*;
use crate::RoutePath;

/// A store, and what is compiled from it.
struct Compilation {
    store: MemoryStore,
    resources: Resources,
    compiler: Compiler,
    snapshot: Snapshot,
    new_slots: usize,
}

impl Compilation {
    fn new() -> Self {
        let connector = Arc::new(Connector::new(ConnectorSettings::default()).unwrap());
        let resolver = Resolver::new(ResolverParts {
            clock: Arc::new(SystemClock),
            client: Client::new(connector),
            environment: BTreeMap::new(),
            runtime: tokio::runtime::Handle::current(),
        });
        Self {
            store: MemoryStore::new(),
            resources: Resources::default(),
            compiler: Compiler::new(resolver),
            snapshot: Snapshot::default(),
            new_slots: 0,
        }
    }

    async fn change(&mut self, partition: &str, id: &str, json: Option<Value>) {
        let key = Key { partition: partition.to_owned(), sort: id.to_owned() };
        let change = json.map_or(Change::Delete, |json| Change::Put(json.to_string().into()));
        let write = Write { key: key.clone(), precondition: Precondition::Any, change };
        self.store.commit(vec![write]).await.unwrap();
        self.resources.read(&self.store, &key).await.unwrap();
        let revision = self.store.revision().await.unwrap();
        let compiled = self.compiler.compile(&self.resources, revision, &self.snapshot);
        self.snapshot = compiled.snapshot;
        self.new_slots = compiled.new_slots.len();
    }

    async fn put(&mut self, partition: &str, id: &str, json: Value) {
        self.change(partition, id, Some(json)).await;
    }

    /// The route that takes a GET for `path`.
    fn route(&self, path: &str) -> Option<Arc<CompiledRoute>> {
        let target = hygiene::Target { host: "h", path: RoutePath::new(path).unwrap() };
        let (found, _) = self.snapshot.find(&target, &Method::GET)?;
        self.snapshot.routes.iter().find(|route| std::ptr::eq(&raw const ***route, found)).cloned()
    }
}

fn upstream(port: u16) -> Value {
    json!({"type": "roundrobin", "nodes": {format!("127.0.0.1:{port}"): 1}})
}

fn lambda(key: &str) -> Value {
    json!({"aws-lambda": {"function_uri": "http://127.0.0.1:1/", "authorization": {"apikey": key}}})
}

#[tokio::test]
async fn what_has_not_changed_is_shared_with_the_snapshot_before() {
    let mut compilation = Compilation::new();
    compilation.put("upstreams", "u", upstream(1)).await;
    compilation.put("routes", "1", json!({"uri": "/a", "upstream_id": "u"})).await;
    compilation.put("routes", "2", json!({"uri": "/b", "upstream": upstream(2)})).await;
    let before = (compilation.route("/a").unwrap(), compilation.route("/b").unwrap());
    compilation.put("routes", "3", json!({"uri": "/c", "plugins": {}})).await;
    assert!(Arc::ptr_eq(&before.0, &compilation.route("/a").unwrap()));
    assert!(Arc::ptr_eq(&before.1, &compilation.route("/b").unwrap()));
    compilation.put("upstreams", "u", upstream(3)).await;
    assert!(!Arc::ptr_eq(&before.0, &compilation.route("/a").unwrap()));
    assert!(Arc::ptr_eq(&before.1, &compilation.route("/b").unwrap()));
    let Target::Upstream(upstream) = &compilation.route("/a").unwrap().target else { panic!("an upstream") };
    assert_eq!(upstream.peers[0].port, 3);
}

#[tokio::test]
async fn a_plugin_keeps_its_secrets_when_only_its_route_changes() {
    let mut compilation = Compilation::new();
    compilation
        .put("routes", "1", json!({"uri": "/a", "plugins": lambda("{vault://env/no-such-key}")}))
        .await;
    assert_eq!(compilation.new_slots, 1);
    let slot = |route: &CompiledRoute| match &route.plugins[0].instance {
        Instance::Referring(slot) => Arc::clone(slot),
        _ => panic!("a plugin that refers to a secret"),
    };
    let before = slot(&compilation.route("/a").unwrap());
    compilation
        .put("routes", "1", json!({"uri": "/b", "plugins": lambda("{vault://env/no-such-key}")}))
        .await;
    assert_eq!(compilation.new_slots, 0);
    assert!(Arc::ptr_eq(&before, &slot(&compilation.route("/b").unwrap())));
    compilation.put("routes", "1", json!({"uri": "/b", "plugins": lambda("{vault://env/other-key}")})).await;
    assert_eq!(compilation.new_slots, 1);
}

#[tokio::test]
async fn a_resource_that_cannot_be_read_is_left_out_and_no_other_with_it() {
    let mut compilation = Compilation::new();
    compilation.put("routes", "1", json!({"uri": "/a", "plugins": {}})).await;
    compilation.put("routes", "2", json!({"uri": "/b", "from_the_future": true, "plugins": {}})).await;
    compilation.put("upstreams", "u", json!("nonsense")).await;
    assert!(compilation.route("/a").is_some());
    assert!(compilation.route("/b").is_none());
    compilation.change("routes", "1", None).await;
    assert!(compilation.route("/a").is_none());
}

#[tokio::test]
async fn a_plugin_that_cannot_be_used_stays_in_the_routes_way() {
    let mut compilation = Compilation::new();
    for plugins in
        [json!({"no-such-plugin": {}}), json!({"aws-lambda": {"function_uri": 1}}), lambda("{vault://}")]
    {
        compilation
            .put("routes", "1", json!({"uri": "/a", "plugins": plugins, "upstream": upstream(1)}))
            .await;
        assert!(
            matches!(compilation.route("/a").unwrap().plugins[0].instance, Instance::Broken),
            "{plugins}"
        );
    }
}

#[tokio::test]
async fn a_route_whose_upstream_comes_later_serves_from_then_on() {
    let mut compilation = Compilation::new();
    compilation.put("routes", "1", json!({"uri": "/a", "upstream_id": "u"})).await;
    let Target::Missing(failure) = compilation.route("/a").unwrap().target.clone() else { panic!("missing") };
    assert!(failure.message.contains("upstream \"u\" does not exist"), "{}", failure.message);
    compilation.put("upstreams", "u", upstream(1)).await;
    assert!(matches!(compilation.route("/a").unwrap().target, Target::Upstream(_)));
}

#[tokio::test]
async fn the_routes_timeout_wins_over_the_upstreams() {
    let seconds = |seconds: u8| json!({"connect": seconds, "send": seconds, "read": seconds});
    let mut own = upstream(1);
    let mut compilation = Compilation::new();
    compilation.put("routes", "1", json!({"uri": "/a", "upstream": own})).await;
    assert_eq!(compilation.route("/a").unwrap().timeouts.read.as_secs(), 60);
    own["timeout"] = seconds(5);
    compilation.put("routes", "1", json!({"uri": "/a", "upstream": own})).await;
    assert_eq!(compilation.route("/a").unwrap().timeouts.read.as_secs(), 5);
    compilation.put("routes", "1", json!({"uri": "/a", "upstream": own, "timeout": seconds(2)})).await;
    assert_eq!(compilation.route("/a").unwrap().timeouts.read.as_secs(), 2);
}
