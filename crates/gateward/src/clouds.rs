//! Whom clouds take this process for.

use std::sync::Arc;

use gateward_aws::{Chain, ChainParts};
use gateward_clock::Clock;
use gateward_net::{Client, Connector, ConnectorSettings, TrustError};
use gateward_vaults::Clouds;
use tokio::runtime::Handle;

use crate::surroundings::Surroundings;

/// What proves to clouds who this process is. `client` calls STS; the metadata services are called by connections like
/// `connections`, which are let through to them and which nobody else gets.
pub fn clouds(
    surroundings: &Surroundings,
    client: &Client,
    connections: ConnectorSettings,
    clock: &Arc<dyn Clock>,
) -> Result<Clouds, TrustError> {
    let to_metadata = Connector::new(ConnectorSettings { reaches_metadata: true, ..connections })?;
    let metadata_client = Client::new(Arc::new(to_metadata));
    let aws = Chain::new(ChainParts {
        environment: surroundings.environment.clone(),
        client: client.clone(),
        metadata_client: metadata_client.clone(),
        clock: Arc::clone(clock),
        runtime: Handle::current(),
    });
    Ok(Clouds { aws, metadata_client })
}
