//! A resolver in a world that a test makes: its environment, its time, and all that it says.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};

use gateward_aws::{Chain, ChainParts};
use gateward_clock::{Clock, ManualClock, Timestamp};
use gateward_model::Vault;
use gateward_net::{Client, Connector, ConnectorSettings};
use gateward_testkit::{Authority, Canary};
use gateward_vaults::{Clouds, MissKind, Own, Reference, Resolver, ResolverParts, Unresolved};
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tracing::subscriber::DefaultGuard;

pub(crate) const START: Timestamp = Timestamp::from_secs(1_793_000_000);

/// Whom the process in these tests trusts besides the usual authorities.
pub(crate) static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::root("the company"));

/// A resolver, and what it said.
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) resolver: Arc<Resolver>,
    said: Said,
    _logging: DefaultGuard,
}

/// The log, and the errors.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Write for Said {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl World {
    /// One whose process has `environment`. It must live on a runtime of one thread, so that the whole log is seen.
    pub(crate) fn new(environment: &[(&str, &str)]) -> Self {
        Self::with_own(environment, Own::default())
    }

    /// [`Self::new`] in a gateway that has secrets of its own.
    pub(crate) fn with_own(environment: &[(&str, &str)], own: Own) -> Self {
        let said = Said::default();
        let writer = said.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        let logging = tracing::subscriber::set_default(subscriber);
        let clock = ManualClock::at(START);
        let environment: BTreeMap<String, String> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let extra_ca = Some(AUTHORITY.pem.clone().into_bytes());
        let connections = ConnectorSettings { extra_ca, ..ConnectorSettings::default() };
        let client = Client::new(Arc::new(Connector::new(connections).unwrap()));
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let aws = Chain::new(ChainParts {
            environment: environment.clone(),
            client: client.clone(),
            metadata_client: client.clone(),
            clock: Arc::clone(&shared),
            runtime: Handle::current(),
        });
        let clouds = Clouds { aws, metadata_client: client.clone() };
        let parts = ResolverParts { clock: shared, client, environment, runtime: Handle::current() };
        let resolver = Resolver::with_own(parts, clouds, own);
        Self { clock, resolver, said, _logging: logging }
    }

    /// Has these entities: the prefix, the kind, the settings.
    pub(crate) fn has(&self, entities: &[(&str, &str, Value)]) {
        let entities = entities.iter().map(|(prefix, name, config)| entity(prefix, name, config)).collect();
        self.resolver.set_vaults(entities);
    }

    /// The value of a reference, written short.
    pub(crate) async fn get(&self, text: &str) -> Result<String, Unresolved> {
        let reference = Reference::parse(&format!("{{vault://{text}}}")).unwrap().unwrap();
        let resolved = self.resolver.resolve(&reference).await;
        if let Err(unresolved) = &resolved {
            writeln!(self.said.clone(), "{unresolved} {unresolved:?}").unwrap();
        }
        resolved.map(|value| value.expose().to_owned())
    }

    /// [`Self::get`], where only the kind of the error matters.
    pub(crate) async fn kind(&self, text: &str) -> Result<String, MissKind> {
        self.get(text).await.map_err(|unresolved| unresolved.kind)
    }

    /// Sees that none of `canaries` was said, and that anything was.
    #[track_caller]
    pub(crate) fn kept_to_itself<'a>(&self, canaries: impl IntoIterator<Item = &'a Canary>) {
        let said = self.said.0.lock().unwrap();
        for canary in canaries {
            let leaks = canary.search([("the log or an error", said.as_slice())]);
            assert!(leaks.is_empty(), "{} in {}", leaks[0], String::from_utf8_lossy(&said));
        }
        assert!(!said.is_empty());
    }

    /// Sees that `text` was not said.
    #[track_caller]
    pub(crate) fn did_not_say(&self, text: &str) {
        let said = String::from_utf8_lossy(&self.said.0.lock().unwrap()).into_owned();
        assert!(!said.contains(text), "{text} in {said}");
    }
}

pub(crate) fn entity(prefix: &str, name: &str, config: &Value) -> Vault {
    let entity = json!({
        "id": "1", "prefix": prefix, "name": name, "created_at": 1, "updated_at": 1, "config": config,
    });
    serde_json::from_value(entity).unwrap()
}

/// Why an entity is refused.
#[track_caller]
pub(crate) fn refused(name: &str, config: &Value) -> String {
    Resolver::check_vault(&entity("my-vault", name, config)).unwrap_err().to_string()
}
