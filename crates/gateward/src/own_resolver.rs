//! A resolver of this process alone: it knows the backends, and no entities unless it is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use gateward_clock::{Clock, SystemClock};
use gateward_net::{Client, Connector, ConnectorSettings, TrustError};
use gateward_vaults::{Resolver, ResolverParts};
use tokio::runtime::Handle;

use crate::clouds::clouds;
use crate::surroundings::Surroundings;

/// A resolver for a process in `surroundings`, whose backends have `defaults` where the environment says nothing, and are
/// called by `connections`.
pub fn own_resolver(
    surroundings: &Surroundings,
    defaults: &BTreeMap<String, String>,
    connections: ConnectorSettings,
) -> Result<Arc<Resolver>, TrustError> {
    let client = Client::new(Arc::new(Connector::new(connections.clone())?));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let clouds = clouds(surroundings, &client, connections, &clock)?;
    let environment = with_defaults(surroundings, defaults);
    let parts = ResolverParts { clock, client, environment, runtime: Handle::current() };
    Ok(Resolver::with_clouds(parts, clouds))
}

/// The environment, and of `defaults` what it does not set.
pub fn with_defaults(
    surroundings: &Surroundings,
    defaults: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut environment = defaults.clone();
    let set = surroundings.environment.iter();
    // An empty variable is as good as none, for vaults too.
    let set = set.filter(|(name, value)| !(value.is_empty() && defaults.contains_key(*name)));
    environment.extend(set.map(|(name, value)| (name.clone(), value.clone())));
    environment
}
