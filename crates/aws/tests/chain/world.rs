//! A chain with an environment and a clock of its own.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateward_aws::{Chain, ChainParts, Credentials, CredentialsError, Provider};
use gateward_clock::{ManualClock, Timestamp};
use gateward_net::{Client, Connector, ConnectorSettings};
use tokio::runtime::Handle;
use tracing_subscriber::fmt::MakeWriter;

/// When the tests take place: 2023-11-14T22:13:20Z.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// When the sets of the doubles end: an hour and a bit later.
pub(crate) const EXPIRES: &str = "2023-11-14T23:20:00Z";

/// After how many seconds such a set is asked for anew, at the latest: four minutes before its end.
pub(crate) const UNTIL_REFRESH: u64 = 4000 - 240 + 1;

pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) chain: Arc<Chain>,
    pub(crate) provider: Arc<Provider>,
}

impl World {
    /// A chain in `environment`; to be made inside a runtime.
    pub(crate) fn new(environment: &[(&str, &str)]) -> Self {
        let client = |reaches_metadata| {
            let settings = ConnectorSettings { reaches_metadata, ..ConnectorSettings::default() };
            Client::new(Arc::new(Connector::new(settings).unwrap()))
        };
        let clock = ManualClock::at(START);
        let chain = Chain::new(ChainParts {
            environment: environment
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            client: client(false),
            metadata_client: client(true),
            clock: Arc::new(clock.clone()),
            runtime: Handle::current(),
        });
        let provider = chain.provider();
        Self { clock, chain, provider }
    }

    pub(crate) async fn get(&self) -> Result<Arc<Credentials>, CredentialsError> {
        self.provider.get().await
    }

    /// The access key id that there is.
    pub(crate) async fn key(&self) -> String {
        match self.get().await {
            Ok(credentials) => credentials.access_key.clone(),
            Err(error) => panic!("{error}"),
        }
    }

    /// What is wrong.
    pub(crate) async fn error(&self) -> String {
        match self.get().await {
            Ok(credentials) => panic!("{credentials:?}"),
            Err(error) => error.to_string(),
        }
    }

    /// The access key id that there is now, without waiting.
    pub(crate) fn current(&self) -> Option<String> {
        self.provider.current().map(|credentials| credentials.access_key.clone())
    }

    pub(crate) fn later(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    /// Lets everything happen that waits for nobody outside.
    pub(crate) async fn settle(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    /// Waits until `current` is `expected`, which something on its way will bring about.
    pub(crate) async fn becomes(&self, expected: Option<&str>) {
        eventually(
            || self.current().as_deref() == expected,
            || format!("{expected:?}, not {:?}", self.current()),
        )
        .await;
    }
}

/// Waits until `is_so`.
pub(crate) async fn eventually(is_so: impl Fn() -> bool, what: impl Fn() -> String) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain for {}", what());
}

/// All that is logged while it is there, of every level.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Collects what this thread logs.
    pub(crate) fn collect(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber =
            tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(self.clone());
        tracing::subscriber::set_default(subscriber.finish())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
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

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
