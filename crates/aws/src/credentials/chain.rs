//! The sources of credentials that a machine has, in their order.
//!
//! The first source that somebody has set up decides. If it fails, nothing is asked of the next: a call in the name of
//! the machine, because the name that was meant could not be had, is worse than none.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use gateward_clock::Clock;
use tokio::runtime::Handle;

use super::environment::Environment;
use super::provider::Provider;
use super::source::Source;

/// The sources of this process. There is one chain, shared by all that call AWS.
pub struct Chain {
    provider: Arc<Provider>,
    region: Option<String>,
}

/// What a [`Chain`] is made of.
pub struct ChainParts {
    /// The process's environment.
    pub environment: BTreeMap<String, String>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where calls run.
    pub runtime: Handle,
}

impl Chain {
    /// The sources that `parts` has.
    pub fn new(parts: ChainParts) -> Arc<Self> {
        let ChainParts { environment, clock, runtime } = parts;
        let sources: Vec<Box<dyn Source>> = vec![Box::new(Environment::of(&environment))];
        let variable = |name| environment.get(name).filter(|value: &&String| !value.is_empty());
        let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")).cloned();
        Arc::new(Self { provider: Provider::of(sources, clock, runtime), region })
    }

    /// A chain without any source: its credentials are an error.
    pub fn without_sources(clock: Arc<dyn Clock>, runtime: Handle) -> Arc<Self> {
        Arc::new(Self { provider: Provider::of(Vec::new(), clock, runtime), region: None })
    }

    /// What the sources have.
    pub fn provider(&self) -> Arc<Provider> {
        Arc::clone(&self.provider)
    }

    /// The region that this machine is set to.
    pub fn region(&self) -> Option<String> {
        self.region.clone()
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Chain").field(&self.provider).finish()
    }
}
