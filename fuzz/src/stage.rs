//! What plugins are built and run with.

use std::sync::Arc;

use gateward_clock::{ManualClock, Timestamp};
use gateward_net::{Connector, ConnectorSettings, Pool, PoolSettings};
use gateward_plugins::Shared;
use tokio::runtime::{Builder, Runtime};

/// When the targets take place, in seconds since 1970.
pub(crate) const NOW: u64 = 1_800_000_000;

/// One a thread: to make it costs a thousand times what a target does with it.
pub(crate) struct Stage {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) pool: Pool,
    /// Nothing runs on it, but plugins may ask for it.
    _runtime: Runtime,
}

thread_local! {
    static STAGE: Stage = Stage::new();
}

/// Calls `with` with this thread's stage.
pub(crate) fn with_stage<R>(with: impl FnOnce(&Stage) -> R) -> R {
    STAGE.with(with)
}

impl Stage {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().build().expect("a runtime without drivers can be built");
        let clock = Arc::new(ManualClock::at(Timestamp::from_secs(NOW)));
        let connector = Connector::new(ConnectorSettings::default()).expect("the usual settings are right");
        Self {
            shared: Shared::new(Arc::clone(&clock) as _, runtime.handle().clone()),
            clock,
            pool: Pool::new(Arc::new(connector), PoolSettings::default()),
            _runtime: runtime,
        }
    }
}
