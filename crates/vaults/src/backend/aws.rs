//! AWS Secrets Manager as a vault.

use std::sync::Arc;

use async_trait::async_trait;
use gateward_aws::secrets_manager::{Secret, SecretError, SecretsManager};
use gateward_aws::{CredentialsError, Provider, check_endpoint, check_region};
use gateward_model::Invalid;
use gateward_seal::SecretValue;

use super::{Backend, Kind, Surroundings, Wanted};
use crate::reference::Version;
use crate::settings::{Field, Settings};
use crate::unresolved::{Miss, MissKind};

pub(super) const KIND: Kind = Kind {
    name: "aws",
    fields: &[Field::text("region"), Field::text("endpoint_url")],
    is_constant: false,
    check,
    open,
};

struct Aws {
    manager: SecretsManager,
    /// A vault without credentials is opened all the same: references to it say what is missing.
    provider: Arc<Provider>,
}

fn check(settings: &Settings<'_>) -> Result<(), Invalid> {
    if let Some(region) = settings.text("region")? {
        check_region(&region)?;
    }
    if let Some(url) = settings.text("endpoint_url")? {
        check_endpoint(&url)?;
    }
    Ok(())
}

fn open(settings: &Settings<'_>, surroundings: &Surroundings) -> Result<Arc<dyn Backend>, Invalid> {
    check(settings)?;
    let region = settings.text("region")?.or_else(|| surroundings.aws.region());
    let missing = "no region is set; set it here, or AWS_REGION in the environment";
    let region = region.ok_or_else(|| Invalid::new("region", missing))?;
    let endpoint = settings.text("endpoint_url")?;
    let manager = SecretsManager::new(surroundings.client.clone(), &region, endpoint.as_deref())?;
    let provider = surroundings.aws.provider();
    Ok(Arc::new(Aws { manager, provider }))
}

#[async_trait]
impl Backend for Aws {
    async fn fetch(&self, wanted: Wanted<'_>) -> Result<SecretValue, Miss> {
        let credentials = self.provider.get().await.map_err(|error| {
            let kind = match error {
                CredentialsError::Nothing(_) => MissKind::Misconfigured,
                CredentialsError::Late => MissKind::Unavailable,
            };
            Miss::because(kind, &error)
        })?;
        let stage = match wanted.version {
            Version::Current => None,
            Version::Previous => Some("AWSPREVIOUS"),
        };
        let secret = self.manager.get_secret_value(&credentials, wanted.name, stage, wanted.now).await;
        match secret.map_err(|error| Miss::because(kind_of(&error), &error))? {
            Secret::Text(text) if text.is_empty() => {
                Err(Miss::new(MissKind::NotFound, "the secret is empty"))
            }
            Secret::Text(text) => Ok(text),
            Secret::Binary(bytes) => match std::str::from_utf8(bytes.expose()) {
                Ok("") => Err(Miss::new(MissKind::NotFound, "the secret is empty")),
                Ok(text) => Ok(SecretValue::from(text)),
                Err(_) => Err(Miss::new(MissKind::Garbage, "the secret is binary, and not text")),
            },
        }
    }
}

fn kind_of(error: &SecretError) -> MissKind {
    match error {
        SecretError::NotFound(_) => MissKind::NotFound,
        SecretError::Throttled(_) => MissKind::Throttled,
        SecretError::Denied(_) => MissKind::Denied,
        SecretError::Unavailable { .. } | SecretError::Unreachable(_) => MissKind::Unavailable,
        SecretError::Garbage { .. } => MissKind::Garbage,
        SecretError::Unsigned(_) => MissKind::Misconfigured,
    }
}
