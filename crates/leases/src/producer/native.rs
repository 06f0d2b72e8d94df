//! All producers: custom ones, which are called, and native ones, which speak the same protocol in this process.
//!
//! A native producer is one file that makes a [`Producer`] of its settings, its secret and [`NativeParts`].

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gateward_aws::Chain;
use gateward_clock::Clock;
use gateward_model::{DynamicSecret, ProducerSettings, ProducerUrl};
use gateward_net::{Client, Connector};
use gateward_seal::SecretValue;

use super::allowed::NotAllowed;
use super::custom::CustomProducers;
use super::{Producer, Producers, RotateCall, RotateError, aws, postgresql};

/// Every kind of producer.
pub struct AllProducers {
    custom: CustomProducers,
    native: NativeParts,
}

/// What native producers reach the world with.
#[derive(Clone)]
pub struct NativeParts {
    /// Opens connections.
    pub connector: Arc<Connector>,
    /// Calls over HTTP.
    pub client: Client,
    /// Whom AWS takes the gateway for.
    pub aws: Arc<Chain>,
    /// Where STS is, if not where AWS has it.
    pub sts_endpoint: Option<String>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// What every native producer is told of the dynamic secret that it works for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// The dynamic secret's number.
    pub(super) item_id: u64,
    /// How long one call may take.
    pub(super) timeout: Duration,
    /// How long a credential lives, if nobody asks for less.
    pub(super) ttl: Duration,
}

impl AllProducers {
    /// The producers that are called by `custom`, and those that work with `native`.
    pub fn new(custom: CustomProducers, native: NativeParts) -> Self {
        Self { custom, native }
    }
}

#[async_trait]
impl Producers for AllProducers {
    fn of(&self, secret: &DynamicSecret, payload: SecretValue) -> Box<dyn Producer> {
        let (item_id, ttl) = (secret.id, secret.user_ttl.span());
        let work = Work { item_id, timeout: Duration::from_secs(secret.timeout_sec), ttl };
        match &secret.producer {
            ProducerSettings::Custom(settings) => self.custom.of(settings, secret, payload),
            ProducerSettings::Postgresql(settings) => {
                Box::new(postgresql::Postgresql::new(settings.clone(), payload, work, &self.native))
            }
            ProducerSettings::Aws(settings) => {
                Box::new(aws::AssumeRole::new(settings.clone(), payload, work, self.native.clone()))
            }
        }
    }

    async fn rotate(&self, call: &RotateCall) -> Result<SecretValue, RotateError> {
        self.custom.rotate(call).await
    }

    fn check(&self, url: &ProducerUrl) -> Result<(), NotAllowed> {
        self.custom.check(url)
    }
}
