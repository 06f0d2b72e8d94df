//! What the process tells of itself, kept for as long as it lives: what its data threads count, and the access log.

use std::sync::Arc;

use gateward_plugins::Confidential;
use gateward_proxy::Traffic;

use crate::access_log::{AccessLog, Writes};
use crate::settings::{Mode, Settings};

/// What the process tells of itself.
pub struct Telemetry {
    /// What data threads count.
    pub traffic: Arc<Traffic>,
    /// What must not be written down.
    pub confidential: Arc<Confidential>,
    /// The access log, if there is to be one.
    pub access_log: Option<Arc<AccessLog>>,
    /// What this machine is called.
    pub host_name: Box<str>,
}

impl Telemetry {
    /// Opens what must be opened.
    pub fn open(settings: &Settings) -> Result<Self, String> {
        let confidential = Arc::<Confidential>::default();
        let writes = if settings.mode == Mode::Lambda { Writes::AtOnce } else { Writes::Later };
        let access_log = AccessLog::open(&settings.access_log, writes, Arc::clone(&confidential))?;
        let host_name = rustix::system::uname().nodename().to_string_lossy().into();
        Ok(Self { traffic: Arc::default(), confidential, access_log, host_name })
    }

    /// Takes up what somebody has moved away.
    pub fn reopen(&self) {
        if let Some(access_log) = &self.access_log {
            access_log.reopen();
        }
    }

    /// Writes down what is still to be written.
    pub fn finish(&self) {
        if let Some(access_log) = &self.access_log {
            access_log.finish();
        }
    }
}
