//! AWS Secrets Manager as a vault.
//!
//! A secret's name is a name or an ARN. An ARN says itself in which region the secret is, and that is where it is asked
//! for, whatever the vault's own region; but where the vault has an endpoint of its own, all calls go there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gateward_aws::secrets_manager::{Secret, SecretError, SecretsManager};
use gateward_aws::{Chain, Credentials, CredentialsError, Provider, Role, check_endpoint, check_region};
use gateward_model::Invalid;
use gateward_net::Client;
use gateward_seal::SecretValue;

use super::{Backend, Kind, Surroundings, Wanted, call, text};
use crate::reference::Version;
use crate::settings::{Field, Settings};
use crate::unresolved::{Miss, MissKind};

pub(super) const KIND: Kind = Kind {
    name: "aws",
    fields: &[
        Field::text("region"),
        Field::text("endpoint_url"),
        Field::text("assume_role_arn"),
        Field::text("role_session_name"),
        Field::text("sts_endpoint_url"),
    ],
    is_constant: false,
    check: |settings| read(settings).map(|_| ()),
    open,
};

struct Aws {
    client: Client,
    chain: Arc<Chain>,
    /// The vault's own region. Secrets that are named by ARNs need none, and where there is none, the machine's will do.
    region: Option<String>,
    endpoint: Option<String>,
    /// Those that have been asked, by region.
    managers: Mutex<BTreeMap<String, Arc<SecretsManager>>>,
    /// A vault without credentials is opened all the same: references to it say what is missing.
    provider: Arc<Provider>,
}

/// What the settings say.
struct Place {
    region: Option<String>,
    endpoint: Option<String>,
    role: Option<Role>,
}

fn read(settings: &Settings<'_>) -> Result<Place, Invalid> {
    let region = settings.text("region")?;
    if let Some(region) = &region {
        check_region(region)?;
    }
    let endpoint = settings.text("endpoint_url")?;
    if let Some(url) = &endpoint {
        check_endpoint(url)?;
    }
    let session_name = settings.text("role_session_name")?.unwrap_or_else(|| SESSION.to_owned());
    let sts_endpoint = settings.text("sts_endpoint_url")?;
    let arn = settings.text("assume_role_arn")?;
    // The other two are checked even where no role makes use of them.
    let role = Role {
        arn: arn.clone().unwrap_or_else(|| "arn:aws:iam::0:role/none".to_owned()),
        session_name,
        external_id: None,
        sts_endpoint,
        region: region.clone(),
    };
    role.check().map_err(|invalid| {
        let field = match invalid.field.as_str() {
            "arn" => "assume_role_arn",
            "session_name" => "role_session_name",
            "sts_endpoint" => "sts_endpoint_url",
            other => other,
        };
        Invalid::new(field, invalid.problem)
    })?;
    Ok(Place { region, endpoint, role: arn.map(|_| role) })
}

fn open(settings: &Settings<'_>, surroundings: &Surroundings) -> Result<Arc<dyn Backend>, Invalid> {
    let Place { region, endpoint, role } = read(settings)?;
    let region = region.or_else(|| surroundings.aws.region());
    if let Some(region) = &region {
        check_region(region)?;
    }
    let mut provider = surroundings.aws.provider();
    if let Some(role) = role {
        provider = surroundings.aws.assuming(&provider, Role { region: region.clone(), ..role });
    }
    let (client, managers) = (surroundings.client.clone(), Mutex::default());
    let chain = Arc::clone(&surroundings.aws);
    Ok(Arc::new(Aws { client, chain, region, endpoint, managers, provider }))
}

#[async_trait]
impl Backend for Aws {
    async fn fetch(&self, wanted: Wanted<'_>) -> Result<SecretValue, Miss> {
        let manager = match region_of(wanted.name).or(self.region.as_deref()) {
            Some(region) => self.manager(region)?,
            None => match self.chain.machine_region().await {
                Some(region) => self.manager(&region)?,
                None => {
                    let why = self.chain.why_no_region();
                    let problem = format!("{why}; set the vault's, or AWS_REGION in the environment");
                    return Err(Miss::new(MissKind::Misconfigured, problem));
                }
            },
        };
        let credentials = self.provider.get().await.map_err(|error| {
            let kind = match error {
                CredentialsError::Nothing(_) => MissKind::Misconfigured,
                CredentialsError::Late => MissKind::Unavailable,
            };
            Miss::because(kind, &error)
        })?;
        let secret = match ask(&manager, &credentials, wanted).await {
            Err(refused) if refused.is_about_stale_credentials() => {
                match self.provider.in_place_of(&credentials).await {
                    Some(others) => ask(&manager, &others, wanted).await,
                    None => Err(refused),
                }
            }
            other => other,
        };
        match secret.map_err(|error| Miss::because(kind_of(&error), &error).resting(error.rest()))? {
            Secret::Text(text) => text::not_empty(text),
            Secret::Binary(bytes) => text::of_bytes(bytes.expose()),
        }
    }
}

async fn ask(
    manager: &SecretsManager,
    credentials: &Credentials,
    wanted: Wanted<'_>,
) -> Result<Secret, SecretError> {
    let stage = match wanted.version {
        Version::Current => None,
        Version::Previous => Some("AWSPREVIOUS"),
    };
    manager.get_secret_value(credentials, wanted.name, stage, wanted.now).await
}

impl Aws {
    /// Whom to ask for secrets in `region`.
    fn manager(&self, region: &str) -> Result<Arc<SecretsManager>, Miss> {
        let mut managers = self.managers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(manager) = managers.get(region) {
            return Ok(Arc::clone(manager));
        }
        let manager = SecretsManager::new(self.client.clone(), region, self.endpoint.as_deref());
        let manager = manager.map_err(|invalid| Miss::because(MissKind::Misconfigured, &invalid))?;
        let manager = Arc::new(manager);
        // There are some forty regions, and whoever writes references could make up more.
        if managers.len() < MANY_REGIONS {
            managers.insert(region.to_owned(), Arc::clone(&manager));
        }
        Ok(manager)
    }
}

/// The region in `name`, if that is a secret's ARN (`arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf`).
fn region_of(name: &str) -> Option<&str> {
    let mut parts = name.split(':');
    let is_arn = parts.next() == Some("arn")
        && parts.next().is_some_and(|partition| partition.starts_with("aws"))
        && parts.next() == Some("secretsmanager");
    let region = parts.next().filter(|region| is_arn && check_region(region).is_ok())?;
    let (_account, kind) = (parts.next()?, parts.next()?);
    (kind == "secret" && parts.next().is_some_and(|name| !name.is_empty())).then_some(region)
}

fn kind_of(error: &SecretError) -> MissKind {
    match error {
        SecretError::NotFound(_) => MissKind::NotFound,
        SecretError::Throttled { .. } => MissKind::Throttled,
        SecretError::Denied(_) => MissKind::Denied,
        SecretError::Unavailable { .. } => MissKind::Unavailable,
        SecretError::Unreachable(error) => call::kind_of(error),
        SecretError::Garbage { .. } => MissKind::Garbage,
        SecretError::Unsigned(_) => MissKind::Misconfigured,
    }
}

/// What Kong calls its sessions.
const SESSION: &str = "KongVault";

const MANY_REGIONS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_says_itself_where_its_secret_is() {
        let arn =
            |region: &str| format!("arn:aws:secretsmanager:{region}:123456789012:secret:prod/db-AbCdEf");
        assert_eq!(region_of(&arn("eu-west-1")), Some("eu-west-1"));
        let china = "arn:aws-cn:secretsmanager:cn-north-1:1:secret:x-AbCdEf";
        assert_eq!(region_of(china), Some("cn-north-1"));
        for other in [
            "prod/db",
            "arn",
            "arn:aws:ssm:eu-west-1:1:parameter:x",
            "arn:aws:secretsmanager:eu-west-1:1:secret:",
            "arn:aws:secretsmanager::1:secret:x",
            "xarn:aws:secretsmanager:eu-west-1:1:secret:x",
        ] {
            assert_eq!(region_of(other), None, "{other}");
        }
        assert_eq!(region_of(&arn("evil.example/")), None);
    }
}
