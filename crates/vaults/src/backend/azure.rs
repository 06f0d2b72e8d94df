//! Azure Key Vault as a vault: its secrets, not its keys and certificates.
//!
//! The current version of a secret is its newest, as Azure means it: if that is disabled, the secret has no value, though
//! an older one may be enabled. The one before it is the second newest of those that are enabled.
//!
//! Calls carry a token that any key vault takes, so they go to Azure's own domains, or to an address that the process's
//! environment names: whoever writes a vault entity cannot have the token sent to himself.

mod answer;
mod cloud;
mod login;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gateward_clock::Timestamp;
use gateward_model::Invalid;
use gateward_seal::SecretValue;

use super::authorized::Authorized;
use super::call::{Service, address};
use super::{Backend, Kind, Surroundings, Wanted, text};
use crate::reference::Version;
use crate::settings::{Field, Settings};
use crate::unresolved::{Miss, MissKind};
use cloud::Cloud;
use login::Identity;

pub(super) const KIND: Kind = Kind {
    name: "azure",
    fields: &[
        Field::text("vault_uri"),
        Field::text("client_id"),
        Field::text("tenant_id"),
        // Kong has it for an address that Azure no longer uses; it is read and means nothing.
        Field::text("location"),
        Field::one_of("type", &["secrets"]),
        Field::text("credentials_prefix"),
    ],
    is_constant: false,
    check: |settings| read(settings).map(|_| ()),
    open,
};

struct Azure {
    key_vault: Authorized,
    /// `https://my-vault.vault.azure.net`.
    vault: String,
}

/// What the settings say.
struct Place {
    vault: Option<(String, Cloud)>,
    client_id: Option<String>,
    tenant_id: Option<String>,
    credentials_prefix: String,
}

fn read(settings: &Settings<'_>) -> Result<Place, Invalid> {
    let vault = settings.text("vault_uri")?.map(|uri| {
        let is_the_environments = settings.config.get("vault_uri").is_none_or(serde_json::Value::is_null);
        vault(&uri, is_the_environments).map_err(|problem| Invalid::new("vault_uri", problem))
    });
    let id = |name: &str| match settings.text(name)? {
        Some(id) if !login::is_id(&id) => {
            Err(Invalid::new(name, "must be an id as Azure shows it: letters, digits, - and ."))
        }
        id => Ok(id),
    };
    let prefix = settings.text("credentials_prefix")?.unwrap_or_else(|| "AZURE".to_owned());
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !prefix.bytes().all(allowed) || prefix.starts_with("GATEWARD") {
        let problem =
            "must be what the names of variables begin with: letters, digits and _, and not GATEWARD";
        return Err(Invalid::new("credentials_prefix", problem));
    }
    Ok(Place {
        vault: vault.transpose()?,
        client_id: id("client_id")?,
        tenant_id: id("tenant_id")?,
        credentials_prefix: prefix,
    })
}

/// Reads the address of a key vault. One that the environment names may be anywhere.
fn vault(uri: &str, is_the_environments: bool) -> Result<(String, Cloud), String> {
    let url = address(uri)?;
    let cloud = url.host_str().and_then(Cloud::of);
    if url.path() != "/" {
        return Err("a path cannot stand in it; the secret's name stands in the reference".to_owned());
    }
    let base = url.as_str().trim_end_matches('/').to_owned();
    match cloud {
        Some(cloud) if url.scheme() == "https" && url.port().is_none() => Ok((base, cloud)),
        _ if is_the_environments => Ok((base, cloud.unwrap_or_default())),
        _ => Err(format!(
            "must be https://NAME.{}; any other address only the environment may name, as GATEWARD_VAULT_AZURE_VAULT_URI",
            Cloud::domains()
        )),
    }
}

fn open(settings: &Settings<'_>, surroundings: &Surroundings) -> Result<Arc<dyn Backend>, Invalid> {
    let Place { vault, client_id, tenant_id, credentials_prefix } = read(settings)?;
    let (vault, cloud) = vault.ok_or_else(|| Invalid::new("vault_uri", "required field missing"))?;
    let identity = Identity::new(surroundings, cloud, &credentials_prefix, tenant_id, client_id);
    let service = Service::new(surroundings.client.clone(), "Key Vault", TIMEOUT);
    Ok(Arc::new(Azure { key_vault: Authorized::new(service, identity), vault }))
}

#[async_trait]
impl Backend for Azure {
    async fn fetch(&self, Wanted { name, version, now }: Wanted<'_>) -> Result<SecretValue, Miss> {
        check_name(name)?;
        let secret = format!("{}/secrets/{name}", self.vault);
        let secret = match version {
            Version::Current => secret,
            Version::Previous => format!("{secret}/{}", self.previous(&secret, now).await?),
        };
        let answer = self.key_vault.get(&format!("{secret}?{API_VERSION}"), now).await?;
        text::not_empty(answer::value(&self.key_vault.service, &answer)?)
    }
}

impl Azure {
    /// The id of the version before the current one. Azure gives versions in no order, so all are looked at.
    async fn previous(&self, secret: &str, now: Timestamp) -> Result<String, Miss> {
        let list = format!("{secret}/versions?");
        let mut url = format!("{list}{API_VERSION}&maxresults=25");
        let mut enabled = Vec::new();
        for _ in 0..MANY_PAGES {
            let answer = self.key_vault.get(&url, now).await?;
            let page = answer::versions(&self.key_vault.service, &answer)?;
            enabled.extend(page.enabled);
            match page.next {
                // It names an address, and the token goes only where this page came from.
                Some(next) if next.starts_with(&list) => url = next,
                Some(_) => return Err(self.key_vault.service.garbage(answer.status)),
                None => {
                    enabled.sort_unstable();
                    let none = "it has no enabled version before the newest enabled one";
                    let previous = enabled.into_iter().rev().nth(1);
                    return previous
                        .map(|version| version.id)
                        .ok_or_else(|| Miss::new(MissKind::NotFound, none));
                }
            }
        }
        Err(Miss::new(MissKind::Garbage, "it has more versions than are looked through; delete old ones"))
    }
}

/// Refuses what no secret can be called, without a call. It counts as the vault's own word, so that where a reference
/// can be read in two ways, the other one is tried.
fn check_name(name: &str) -> Result<(), Miss> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if (1..=127).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    let problem = "no secret of Azure's can be called so: names are up to 127 letters, digits and -";
    Err(Miss::new(MissKind::NotFound, problem))
}

const API_VERSION: &str = "api-version=7.4";

/// What one call may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Azure keeps at most 500 versions of which a backup can be made, and gives 25 on a page.
const MANY_PAGES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_names_a_vault_of_azures_and_only_the_environment_another() {
        for uri in ["https://my-vault.vault.azure.net", "https://my-vault.vault.azure.net/"] {
            assert_eq!(vault(uri, false).unwrap().0, "https://my-vault.vault.azure.net");
        }
        assert!(vault("https://v.vault.azure.cn", false).is_ok());
        for elsewhere in [
            "https://evil.example",
            "https://vault.azure.net.evil.example",
            "https://evilvault.azure.net",
            "https://my-vault.vault.azure.net:444",
            "http://127.0.0.1:5000",
        ] {
            assert!(vault(elsewhere, false).is_err(), "{elsewhere}");
            assert!(vault(elsewhere, true).is_ok(), "{elsewhere}");
        }
        for never in ["http://my-vault.vault.azure.net", "my-vault", "https://v.vault.azure.net/secrets/x"] {
            assert!(vault(never, true).is_err(), "{never}");
        }
    }
}
