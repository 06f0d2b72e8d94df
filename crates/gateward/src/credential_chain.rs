//! Whom AWS takes this process for.

use std::sync::Arc;

use gateward_aws::{Chain, ChainParts};
use gateward_clock::Clock;
use gateward_net::{Client, Connector, ConnectorSettings, TrustError};
use tokio::runtime::Handle;

use crate::surroundings::Surroundings;

/// The sources of credentials of this process. `client` calls STS; the metadata services are called by connections like
/// `connections`, which are let through to them and which nobody else gets.
pub fn credential_chain(
    surroundings: &Surroundings,
    client: &Client,
    connections: ConnectorSettings,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<Chain>, TrustError> {
    let to_metadata = Connector::new(ConnectorSettings { reaches_metadata: true, ..connections })?;
    Ok(Chain::new(ChainParts {
        environment: surroundings.environment.clone(),
        client: client.clone(),
        metadata_client: Client::new(Arc::new(to_metadata)),
        clock: Arc::clone(clock),
        runtime: Handle::current(),
    }))
}
