//! The process's environment as a vault.
//!
//! `{vault://env/db-password}` is the variable `DB_PASSWORD`; with the prefix `SECRETS_`, `SECRETS_DB_PASSWORD`. What
//! configures the gateway itself, or proves to a cloud who it is, is never given out, whatever the prefix.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use gateward_model::Invalid;
use gateward_seal::SecretValue;

use super::{Backend, Kind, Wanted};
use crate::reference::Version;
use crate::settings::{Field, Settings};
use crate::unresolved::{Miss, MissKind};

pub(super) const KIND: Kind = Kind {
    name: "env",
    fields: &[Field::text("prefix")],
    is_constant: true,
    check: |settings| prefix(settings).map(|_| ()),
    open: |settings, surroundings| {
        let prefix = prefix(settings)?;
        let environment = Arc::clone(&surroundings.environment);
        Ok(Arc::new(Environment { prefix, environment }))
    },
};

struct Environment {
    prefix: String,
    environment: Arc<BTreeMap<String, String>>,
}

#[async_trait]
impl Backend for Environment {
    async fn fetch(&self, wanted: Wanted<'_>) -> Result<SecretValue, Miss> {
        let suffix = match wanted.version {
            Version::Current => "",
            Version::Previous => "_PREVIOUS",
        };
        let variable =
            format!("{}{}", self.prefix, wanted.name).to_ascii_uppercase().replace('-', "_") + suffix;
        if is_the_gateways_own(&variable) {
            let problem =
                format!("the variable {variable} is the gateway's own, which no reference may name");
            return Err(Miss::new(MissKind::Denied, problem));
        }
        match self.environment.get(&variable) {
            Some(value) if value.is_empty() => {
                Err(Miss::new(MissKind::NotFound, format!("the variable {variable} is empty")))
            }
            Some(value) => Ok(SecretValue::from(value.as_str())),
            None => Err(Miss::new(MissKind::NotFound, format!("there is no variable {variable}"))),
        }
    }
}

fn is_the_gateways_own(variable: &str) -> bool {
    ["GATEWARD_", "AWS_", "KONG_VAULT_"].iter().any(|prefix| variable.starts_with(prefix))
        || ["CUSTOMER_FRAGMENTS", "GCP_SERVICE_ACCOUNT", "AZURE_CLIENT_SECRET", "IDENTITY_HEADER"]
            .contains(&variable)
}

fn prefix(settings: &Settings<'_>) -> Result<String, Invalid> {
    let prefix = settings.text("prefix")?.unwrap_or_default();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if prefix.bytes().all(allowed) && !prefix.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(prefix);
    }
    Err(Invalid::new(
        "prefix",
        "invalid value: a prefix is letters, digits, _ and -, and does not begin with a digit",
    ))
}
