//! Google Cloud's Secret Manager as a vault.
//!
//! The current version of a secret is its newest, as Google means it: if that is disabled, the secret has no value, though an
//! older one may be enabled. The one before it is the second newest of those that are enabled.

mod answer;
mod crc32c;
mod login;
mod service_account;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gateward_clock::Timestamp;
use gateward_model::Invalid;
use gateward_seal::SecretValue;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::authorized::Authorized;
use super::call::{Service, address};
use super::{Backend, Kind, Surroundings, Wanted, text};
use crate::reference::Version;
use crate::settings::{Field, Settings};
use crate::unresolved::{Miss, MissKind};
use login::Identity;

pub(super) const KIND: Kind = Kind {
    name: "gcp",
    fields: &[Field::text("project_id")],
    is_constant: false,
    check: |settings| project(settings).map(|_| ()),
    open,
};

struct Gcp {
    manager: Authorized,
    /// `https://secretmanager.googleapis.com/v1/projects/the-project/secrets`.
    secrets: String,
}

fn project(settings: &Settings<'_>) -> Result<Option<String>, Invalid> {
    let project = settings.text("project_id")?;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:".contains(&byte);
    if project.as_ref().is_some_and(|id| id.len() > 100 || !id.bytes().all(allowed)) {
        let problem = "a project's id is lower-case letters, digits and -, such as my-project-1";
        return Err(Invalid::new("project_id", problem));
    }
    Ok(project)
}

fn open(settings: &Settings<'_>, surroundings: &Surroundings) -> Result<Arc<dyn Backend>, Invalid> {
    let project = project(settings)?.ok_or_else(|| Invalid::new("project_id", "required field missing"))?;
    // No setting of the vault: whoever writes one could have the process's tokens sent to himself.
    let endpoint = surroundings.environment.get(ENDPOINT_VARIABLE).filter(|url| !url.is_empty());
    let endpoint = match endpoint {
        Some(url) => address(url).map_err(|problem| Invalid::new(ENDPOINT_VARIABLE, problem))?.to_string(),
        None => "https://secretmanager.googleapis.com".to_owned(),
    };
    let secrets = format!("{}/v1/projects/{project}/secrets", endpoint.trim_end_matches('/'));
    let service = Service::new(surroundings.client.clone(), "Secret Manager", TIMEOUT);
    let manager = Authorized::new(service, Identity::of(surroundings));
    Ok(Arc::new(Gcp { manager, secrets }))
}

#[async_trait]
impl Backend for Gcp {
    async fn fetch(&self, Wanted { name, version, now }: Wanted<'_>) -> Result<SecretValue, Miss> {
        check_name(name)?;
        let number = match version {
            Version::Current => "latest".to_owned(),
            Version::Previous => self.previous(name, now).await?,
        };
        let secrets = &self.secrets;
        let answer = self.manager.get(&format!("{secrets}/{name}/versions/{number}:access"), now).await?;
        text::of_bytes(&answer::payload(&self.manager.service, &answer)?)
    }
}

impl Gcp {
    /// The number of the version before the current one.
    async fn previous(&self, name: &str, now: Timestamp) -> Result<String, Miss> {
        let list = format!("{}/{name}/versions?filter=state%3AENABLED&pageSize=2", self.secrets);
        let mut enabled = Vec::new();
        let mut page = String::new();
        for _ in 0..MANY_PAGES {
            let answer = self.manager.get(&format!("{list}{page}"), now).await?;
            let versions = answer::versions(&self.manager.service, &answer)?;
            enabled.extend(versions.numbers);
            if let Some(second) = enabled.get(1) {
                return Ok(second.clone());
            }
            // A filtered page may hold fewer than there are, and even none.
            match versions.next_page {
                Some(token) => {
                    page = format!("&pageToken={}", utf8_percent_encode(&token, NON_ALPHANUMERIC));
                }
                None => break,
            }
        }
        Err(Miss::new(MissKind::NotFound, "it has no enabled version before the newest enabled one"))
    }
}

/// Refuses what no secret can be called, without a call. It counts as the vault's own word, so that where a reference
/// can be read in two ways, the other one is tried.
fn check_name(name: &str) -> Result<(), Miss> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if (1..=255).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    let problem = "no secret of Google's can be called so: names are up to 255 letters, digits, _ and -";
    Err(Miss::new(MissKind::NotFound, problem))
}

/// Google's own variable for another address of Secret Manager, such as a Private Service Connect endpoint.
const ENDPOINT_VARIABLE: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER";

/// What one call may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A secret with that many pages of versions of which fewer than two are enabled is none that anybody has.
const MANY_PAGES: usize = 20;
