use std::io;
use std::sync::Mutex;

use gateward_clock::SystemClock;
use gateward_net::{Client, Connector, ConnectorSettings};
use gateward_plugins::Shared;
use gateward_seal::{RootKey, Sealer};
use gateward_store::{Change, Key, MemoryStore, Precondition, Write};
use gateward_upstreams::Registry;
use gateward_vaults::{Asked, Resolver, ResolverParts};
use serde_json::{Value, json};

use super::*;
use crate::{DOCUMENT_PURPOSE, RoutePath};

impl Source {
    /// An empty store in memory, and a root key of its own.
    pub(crate) fn in_memory() -> Self {
        Self { store: Arc::new(MemoryStore::new()), sealer: Arc::new(Sealer::new(RootKey::generate())) }
    }

    /// Puts a resource as it must stand there.
    pub(crate) async fn put(&self, partition: &str, id: &str, json: &Value) -> Revision {
        let key = Key { partition: partition.to_owned(), sort: id.to_owned() };
        let version = self.store.get(&key).await.unwrap().map_or(1, |entry| entry.version + 1);
        let sealed = self.sealer.seal_at(DOCUMENT_PURPOSE, &key, version, json.to_string().as_bytes());
        self.commit(key, Change::Put(sealed)).await
    }

    /// Commits `change` as it is.
    pub(crate) async fn commit(&self, key: Key, change: Change) -> Revision {
        self.store.commit(vec![Write { key, precondition: Precondition::Any, change }]).await.unwrap()
    }
}

/// A store, and what is compiled from it.
struct Compilation {
    source: Source,
    resources: Resources,
    compiler: Compiler,
    registry: Arc<Registry>,
    snapshot: Snapshot,
    asked: usize,
    /// Whom to ask whether what the last compilation refers to was asked for.
    waiting: Vec<Asked>,
}

impl Snapshot {
    /// The route that takes a GET for `path`.
    pub(crate) fn route(&self, path: &str) -> Option<Arc<CompiledRoute>> {
        let request = http::Request::get(path).body(()).unwrap();
        let conn = gateward_net::Conn::plain(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
        let facts = gateward_vars::Facts::of(&request, "h", &conn);
        let found = self.router.find("h", &RoutePath::new(path).unwrap(), request.method(), &facts)?;
        Some(Arc::clone(found.payload))
    }
}

impl Compilation {
    fn new() -> Self {
        let connector = Arc::new(Connector::new(ConnectorSettings::default()).unwrap());
        let resolver = Resolver::new(ResolverParts {
            clock: Arc::new(SystemClock),
            client: Client::new(Arc::clone(&connector)),
            environment: [("THERE".to_owned(), "the-key".to_owned())].into(),
            runtime: tokio::runtime::Handle::current(),
        });
        let runtime = tokio::runtime::Handle::current();
        let registry = Arc::new(Registry::with_checks(Arc::new(SystemClock), runtime, connector));
        Self {
            source: Source::in_memory(),
            resources: Resources::default(),
            compiler: Compiler::new(CompilerParts {
                resolver,
                shared: Shared::new(Arc::new(SystemClock), tokio::runtime::Handle::current()),
                registry: Arc::clone(&registry),
            }),
            registry,
            snapshot: Snapshot::default(),
            asked: 0,
            waiting: Vec::new(),
        }
    }

    async fn put(&mut self, partition: &str, id: &str, json: Value) {
        let revision = self.source.put(partition, id, &json).await;
        self.follow(partition, id, revision).await;
    }

    async fn delete(&mut self, partition: &str, id: &str) {
        let key = Key { partition: partition.to_owned(), sort: id.to_owned() };
        let revision = self.source.commit(key, Change::Delete).await;
        self.follow(partition, id, revision).await;
    }

    async fn follow(&mut self, partition: &str, id: &str, revision: Revision) {
        let key = Key { partition: partition.to_owned(), sort: id.to_owned() };
        self.resources.read(&self.source, &key).await.unwrap();
        let changed = self.resources.take_changed();
        let compiled = self.compiler.compile(&self.resources, &changed, revision, &self.snapshot);
        self.snapshot = compiled.snapshot;
        self.asked = compiled.asked.len();
        self.waiting = compiled.asked;
    }

    /// The route that takes a GET for `path`.
    fn route(&self, path: &str) -> Option<Arc<CompiledRoute>> {
        self.snapshot.route(path)
    }
}

/// The resources whose upstreams have their nodes asked how they are.
fn checked(compilation: &Compilation) -> Vec<String> {
    compilation.registry.health().into_iter().map(|upstream| upstream.name).collect()
}

#[tokio::test]
async fn nodes_are_asked_as_long_as_a_route_or_a_service_refers_to_their_upstream() {
    let mut compilation = Compilation::new();
    let own = json!({"nodes": {"127.0.0.1:1": 1}, "checks": {"active": {}}});
    compilation.put("upstreams", "u", own.clone()).await;
    assert!(checked(&compilation).is_empty());
    compilation.put("routes", "1", json!({"uri": "/a", "upstream_id": "u"})).await;
    compilation.put("services", "3", json!({"upstream": own})).await;
    compilation.put("routes", "2", json!({"uri": "/b", "upstream": own})).await;
    let all = ["/apisix/routes/2", "/apisix/services/3", "/apisix/upstreams/u"];
    assert_eq!(checked(&compilation), all);
    // A request may hold the snapshot that it was served from.
    let held = [compilation.route("/a"), compilation.route("/b")];
    compilation.put("routes", "2", json!({"uri": "/b", "upstream": own, "status": 0})).await;
    assert_eq!(checked(&compilation), all[1..]);
    compilation.put("services", "4", json!({"upstream_id": "u"})).await;
    compilation.delete("routes", "1").await;
    assert_eq!(checked(&compilation), all[1..]);
    compilation.delete("services", "4").await;
    compilation.put("services", "3", json!({"upstream": upstream(1)})).await;
    assert!(checked(&compilation).is_empty());
    drop(held);
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
    assert_eq!(upstream.peer(0).port(), 3);
}

#[tokio::test]
async fn a_consumer_whose_secret_is_only_being_asked_for_is_no_warning_and_one_without_is_one() {
    let log = Log::default();
    let _collecting = {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone());
        tracing::subscriber::set_default(subscriber.finish())
    };
    let warnings = || {
        log.lines().iter().filter(|line| line.contains("could not be resolved")).cloned().collect::<Vec<_>>()
    };
    let mut compilation = Compilation::new();
    let shows = |name: &str, key: &str| json!({"username": name, "plugins": {"key-auth": {"key": key}}});
    compilation.put("consumers", "bob", shows("bob", "{vault://env/no-such-key}")).await;
    let mut waiting = std::mem::take(&mut compilation.waiting);
    compilation.put("consumers", "ann", shows("ann", "{vault://env/there}")).await;
    waiting.append(&mut compilation.waiting);
    assert_eq!(warnings(), Vec::<String>::new(), "nothing was asked for so far");
    for asked in waiting {
        asked.done().await;
    }
    for port in [1, 2] {
        compilation.put("upstreams", "1", upstream(port)).await;
        let warnings = warnings();
        assert!(warnings.len() == 1 && warnings[0].contains("id=\"bob\""), "{warnings:?}");
    }
    compilation.put("consumers", "bob", shows("bob", "{vault://env/there}")).await;
    for asked in std::mem::take(&mut compilation.waiting) {
        asked.done().await;
    }
    compilation.put("upstreams", "1", upstream(3)).await;
    assert!(log.lines().iter().any(|line| line.contains("is resolved now") && line.contains("id=\"bob\"")));
}

/// What this thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_plugin_keeps_its_secrets_when_only_its_route_changes() {
    let mut compilation = Compilation::new();
    compilation
        .put("routes", "1", json!({"uri": "/a", "plugins": lambda("{vault://env/no-such-key}")}))
        .await;
    assert_eq!(compilation.asked, 1);
    let slot = |route: &CompiledRoute| match &route.chain.links()[0].instance {
        Instance::Referring(slot) => Arc::clone(slot),
        _ => panic!("a plugin that refers to a secret"),
    };
    let before = slot(&compilation.route("/a").unwrap());
    compilation
        .put("routes", "1", json!({"uri": "/b", "plugins": lambda("{vault://env/no-such-key}")}))
        .await;
    assert_eq!(compilation.asked, 0);
    assert!(Arc::ptr_eq(&before, &slot(&compilation.route("/b").unwrap())));
    compilation.put("routes", "1", json!({"uri": "/b", "plugins": lambda("{vault://env/other-key}")})).await;
    assert_eq!(compilation.asked, 1);
}

#[tokio::test]
async fn a_resource_that_cannot_be_read_is_left_out_and_no_other_with_it() {
    let mut compilation = Compilation::new();
    compilation.put("routes", "1", json!({"uri": "/a", "plugins": {}})).await;
    compilation.put("routes", "2", json!({"uri": "/b", "from_the_future": true, "plugins": {}})).await;
    compilation.put("upstreams", "u", json!("nonsense")).await;
    assert!(compilation.route("/a").is_some());
    assert!(compilation.route("/b").is_none());
    compilation.delete("routes", "1").await;
    assert!(compilation.route("/a").is_none());
}

#[tokio::test]
async fn what_has_not_changed_is_not_opened_again() {
    let mut compilation = Compilation::new();
    compilation.put("routes", "1", json!({"uri": "/a", "plugins": {}})).await;
    compilation.source.sealer = Arc::new(Sealer::new(RootKey::generate()));
    compilation.resources.read_all(&compilation.source).await.unwrap();
    assert_eq!(compilation.resources.routes.iter().count(), 1);
    compilation.resources = Resources::default();
    compilation.resources.read_all(&compilation.source).await.unwrap();
    assert_eq!(compilation.resources.routes.iter().count(), 0);
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
            matches!(compilation.route("/a").unwrap().chain.links()[0].instance, Instance::Broken),
            "{plugins}"
        );
    }
}

#[tokio::test]
async fn a_route_whose_upstream_comes_later_serves_from_then_on() {
    let mut compilation = Compilation::new();
    compilation.put("routes", "1", json!({"uri": "/a", "upstream_id": "u"})).await;
    let failure = compilation.route("/a").unwrap().refused.clone().unwrap();
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
