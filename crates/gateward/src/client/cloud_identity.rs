//! Who this machine is to AWS, as something that can be shown to a gateway.

use std::sync::Arc;

use gateward_access::{NotSigned, sign_cloud_id};
use gateward_aws::CredentialsError;
use gateward_clock::{Clock, SystemClock};
use gateward_net::{Client, Connector, ConnectorSettings, TrustError};
use gateward_seal::SecretValue;

use crate::arguments::GetCloudIdentity;
use crate::clouds::clouds;
use crate::surroundings::Surroundings;

/// Why there is no cloud id.
#[derive(Debug, thiserror::Error)]
pub enum CloudIdentityError {
    /// This machine cannot make calls.
    #[error("TLS cannot be set up")]
    Trust(#[from] TrustError),
    /// Nobody says who this is.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// It could not be signed.
    #[error(transparent)]
    Signature(#[from] NotSigned),
}

/// `get-cloud-identity`. The answer is what to print.
pub async fn get_cloud_identity(
    get: &GetCloudIdentity,
    surroundings: &Surroundings,
) -> Result<SecretValue, CloudIdentityError> {
    let cloud_id = cloud_id(get.server_id.as_deref(), surroundings).await?;
    if !get.url_safe {
        return Ok(cloud_id);
    }
    let escaped: String = url::form_urlencoded::byte_serialize(cloud_id.expose().as_bytes()).collect();
    Ok(SecretValue::new(escaped))
}

/// A cloud id by the credentials of this machine, for STS in its region.
pub(super) async fn cloud_id(
    server_id: Option<&str>,
    surroundings: &Surroundings,
) -> Result<SecretValue, CloudIdentityError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let client = Client::new(Arc::new(Connector::new(ConnectorSettings::default())?));
    let aws = clouds(surroundings, &client, ConnectorSettings::default(), &clock)?.aws;
    let credentials = aws.provider().get().await?;
    let server_id = server_id.or_else(|| surroundings.variable("GATEWARD_AWS_IAM_SERVER_ID"));
    Ok(sign_cloud_id(&credentials, aws.region().as_deref(), server_id, clock.now())?)
}
