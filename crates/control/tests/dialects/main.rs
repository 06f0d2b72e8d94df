//! The control plane's three dialects, asked as their clients ask, without sockets.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on is a test that fails")]

mod access;
mod akeyless;
mod akeyless_items;
mod akeyless_native;
mod apisix;
mod apisix_consumers;
mod apisix_expiry;
mod apisix_lists;
mod apisix_refusals;
mod apisix_resources;
mod apisix_schemas;
mod apisix_serving;
mod apisix_store;
mod failing_store;
mod holders;
mod keys;
mod kong;
mod kong_secrets;
mod leases;
mod listening;
mod metrics;
mod references;
mod repointing;
mod slips;
mod spelling;
mod too_large;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use gateward_access::{AdminIdentity, AllowedAccess, Authenticator, Directory, Tokens};
use gateward_aws::Chain;
use gateward_clock::{Clock, ManualClock, Timestamp};
use gateward_control::{Control, ControlParts, Surface};
use gateward_items::{StaticSecrets, Tree};
use gateward_leases::producer::allowed::AllowedProducers;
use gateward_leases::producer::custom::CustomProducers;
use gateward_leases::producer::native::{AllProducers, NativeParts};
use gateward_leases::producer::token::ProducerTokens;
use gateward_leases::{Catalog, Engine, EngineParts, RotatedSecrets, Rotator, RotatorParts};
use gateward_net::{Client, Connector, ConnectorSettings};
use gateward_proxy::declarative::Declared;
use gateward_proxy::{Configuration, ConfigurationParts};
use gateward_seal::{Fragments, RootKey, Sealer, SecretValue};
use gateward_store::{Key, MemoryStore, Store};
use gateward_upstreams::Registry;
use gateward_vaults::{Resolver, ResolverParts};
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// A control plane with nothing behind it but memory.
pub(crate) struct Plane {
    pub(crate) control: Control,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: ManualClock,
    pub(crate) tokens: Arc<ProducerTokens>,
    /// What the gateway's own callers show.
    pub(crate) access_tokens: Tokens,
    pub(crate) configuration: Arc<Configuration>,
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body; a text, if it is no JSON.
    pub(crate) json: Value,
}

impl Plane {
    pub(crate) async fn new() -> Self {
        Self::on(Arc::new(MemoryStore::new()), None).await
    }

    /// One that is not for this machine alone.
    pub(crate) async fn guarded() -> Self {
        Self::made(Arc::new(MemoryStore::new()), None, false, Fragments::default()).await
    }

    /// One on a store that stands already, with these customer fragments.
    pub(crate) async fn with_fragments(store: Arc<dyn Store>, fragments: Fragments) -> Self {
        Self::made(store, None, true, fragments).await
    }

    /// One that has resources in a declarative file.
    pub(crate) async fn with(declared: watch::Receiver<Arc<Declared>>) -> Self {
        Self::on(Arc::new(MemoryStore::new()), Some(declared)).await
    }

    /// One on a store that stands already.
    pub(crate) async fn on(store: Arc<dyn Store>, declared: Option<watch::Receiver<Arc<Declared>>>) -> Self {
        Self::made(store, declared, true, Fragments::default()).await
    }

    async fn made(
        store: Arc<dyn Store>,
        declared: Option<watch::Receiver<Arc<Declared>>>,
        local_only: bool,
        fragments: Fragments,
    ) -> Self {
        let runtime = Handle::current();
        let clock = ManualClock::at(Timestamp::from_secs(1_700_000_000));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let root_key = RootKey::from_text(&"ab".repeat(32)).unwrap();
        let sealer = Arc::new(Sealer::with_fragments(root_key, &fragments, None).unwrap());
        let connector = Arc::new(Connector::new(ConnectorSettings::default()).unwrap());
        let client = Client::new(Arc::clone(&connector));
        let registry = Registry::with_checks(Arc::clone(&shared), runtime.clone(), connector);
        let registry = Arc::new(registry);
        let resolver = Resolver::new(ResolverParts {
            clock: Arc::clone(&shared),
            client: client.clone(),
            environment: [("SECRET", "canary-value"), ("PLAIN", "the plain value")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            runtime: runtime.clone(),
        });
        let admin = AdminIdentity::new("p-admin".parse().unwrap(), SecretValue::from("canary-key")).unwrap();
        let access_id = admin.access_id().clone();
        let tokens = ProducerTokens::open(&*store, &sealer, access_id, Arc::clone(&shared)).await.unwrap();
        let tokens = Arc::new(tokens);
        let plugins = gateward_plugins::Shared::new(Arc::clone(&shared), runtime.clone());
        let configuration = Configuration::start(ConfigurationParts {
            registry: Arc::clone(&registry),
            store: Arc::clone(&store),
            sealer: Arc::clone(&sealer),
            resolver: Arc::clone(&resolver),
            shared: Arc::clone(&plugins),
            clock: Arc::clone(&shared),
            runtime: runtime.clone(),
        });
        let catalog = Arc::new(Catalog::new(Arc::clone(&store), Arc::clone(&sealer), Arc::clone(&shared)));
        let tree = Tree::new(Arc::clone(&store));
        let static_secrets = StaticSecrets::new(tree.clone(), Arc::clone(&sealer), Arc::clone(&shared));
        let rotated_secrets = Arc::new(RotatedSecrets::new(tree, Arc::clone(&sealer), Arc::clone(&shared)));
        let allowed = AllowedProducers::default();
        let custom = CustomProducers::new(client.clone(), Arc::clone(&tokens), Arc::clone(&catalog), allowed);
        let native = NativeParts {
            connector: Arc::new(Connector::new(ConnectorSettings::default()).unwrap()),
            client,
            aws: Chain::without_sources(Arc::clone(&shared), runtime.clone()),
            sts_endpoint: None,
            clock: Arc::clone(&shared),
        };
        let producers = Arc::new(AllProducers::new(custom, native));
        let rotator = Rotator::new(RotatorParts {
            store: Arc::clone(&store),
            catalog: Arc::clone(&catalog),
            secrets: Arc::clone(&rotated_secrets),
            producers: producers.clone(),
            clock: Arc::clone(&shared),
            runtime: runtime.clone(),
            listener: None,
            call_end: Arc::default(),
        });
        let engine = Engine::new(EngineParts {
            store: Arc::clone(&store),
            catalog: Arc::clone(&catalog),
            producers: producers.clone(),
            clock: Arc::clone(&shared),
            runtime,
            owner: "only".to_owned(),
            settings: gateward_leases::EngineSettings::default(),
        });
        let directory = Directory::new(Arc::clone(&store), Arc::clone(&sealer), Arc::clone(&shared));
        let access_tokens = || Tokens::new(&sealer, Arc::clone(&shared), Duration::from_secs(60));
        let (own_tokens, access_tokens) = (access_tokens(), access_tokens());
        let deployed = AllowedAccess::parse_list(DEPLOYED).unwrap();
        let authenticator =
            Authenticator::new(admin, own_tokens).with_allowed(deployed).with_directory(directory);
        let control = Control::new(ControlParts {
            store: Arc::clone(&store),
            sealer: Arc::clone(&sealer),
            clock: Arc::clone(&shared),
            fragments,
            authenticator,
            apisix_admin_key: Some(SecretValue::from("canary-admin")),
            apisix_viewer_key: Some(SecretValue::from("canary-viewer")),
            declared,
            configuration: Arc::clone(&configuration),
            resolver,
            registry,
            shared: plugins,
            traffic: Arc::default(),
            access_log: Some(Arc::new(|| (5, 2))),
            log_lost: || 3,
            static_secrets: Arc::new(static_secrets),
            catalog,
            rotated_secrets,
            rotator: Some(rotator),
            engine: Some(engine),
            producers,
            producer_tokens: Arc::clone(&tokens),
            local_only,
        });
        Handle::current().spawn(control.clone().expire());
        Self { control, store, clock, tokens, access_tokens, configuration }
    }

    pub(crate) async fn ask(
        &self,
        surface: Surface,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(Method::try_from(method).unwrap()).uri(path);
        for (name, value) in [("host", "localhost:8000")].iter().chain(headers) {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.control.answer(surface, request).await;
        assert!(response.headers().contains_key("x-request-id"), "{method} {path}");
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(!text.contains("canary"), "{method} {path} answered {text}");
        assert!(text.is_empty() || text.ends_with('\n'), "{method} {path} ends without a line feed");
        let json = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.trim_end())),
        };
        Answer { status, headers, json }
    }

    /// Waits until the resource `id` of `kind` is gone from the store.
    pub(crate) async fn gone(&self, kind: &str, id: &str) {
        let key = Key { partition: kind.to_owned(), sort: id.to_owned() };
        let gone = async {
            loop {
                let seen = self.store.revision().await.unwrap();
                if self.store.get(&key).await.unwrap().is_none() {
                    return;
                }
                self.store.changes(seen).await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(60), gone).await.unwrap();
    }

    /// A token of the administrator.
    pub(crate) async fn token(&self) -> String {
        let body = r#"{"access-id": "p-admin", "access-key": "canary-key", "access-type": "access_key", "json": false}"#;
        let answer = self.ask(Surface::All, "POST", "/auth", &[], body).await;
        answer.json["token"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn each_surface_shows_its_own_dialect_and_no_other() {
    let plane = Plane::new().await;
    let cases = [
        (Surface::Apisix, "GET", "/vaults", StatusCode::NOT_FOUND),
        (Surface::Apisix, "POST", "/auth", StatusCode::NOT_FOUND),
        (Surface::KongOpen, "GET", "/apisix/admin/routes", StatusCode::NOT_FOUND),
        (Surface::KongOpen, "GET", "/vaults", StatusCode::OK),
        (Surface::Akeyless, "GET", "/vaults", StatusCode::NOT_FOUND),
        (Surface::All, "GET", "/vaults", StatusCode::UNAUTHORIZED),
        (Surface::All, "GET", "/nothing", StatusCode::NOT_FOUND),
        (Surface::All, "GET", "/health", StatusCode::OK),
        (Surface::Akeyless, "GET", "/ready", StatusCode::OK),
    ];
    // Ready once the first, empty configuration is served.
    plane.ask(Surface::KongOpen, "PUT", "/vaults/demo", &[JSON], r#"{"name": "env"}"#).await;
    for (surface, method, path, status) in cases {
        let answer = plane.ask(surface, method, path, &[], "{}").await;
        assert_eq!(answer.status, status, "{surface:?} {path}");
    }
}

#[tokio::test]
async fn pages_of_another_place_are_refused_before_anything_is_looked_at() {
    let plane = Plane::new().await;
    let answer =
        plane.ask(Surface::KongOpen, "GET", "/vaults", &[("origin", "https://evil.example")], "").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

/// What the deployment allows others.
const DEPLOYED: &str = r#"[{"name": "deployed", "p-deployed": "", "permissions": ["admin"]}]"#;

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");
