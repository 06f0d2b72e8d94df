//! `vault get`: resolves a reference in this process, with this process's environment, as Kong's command does.

use std::sync::Arc;

use gateward_clock::{Clock, SystemClock};
use gateward_net::{Client, Connector, ConnectorSettings, TrustError};
use gateward_seal::SecretValue;
use gateward_vaults::{Reference, ReferenceError, Resolver, ResolverParts, Unresolved};
use tokio::runtime::Handle;

use crate::arguments::VaultGet;
use crate::client::{AskError, Session};
use crate::clouds::clouds;
use crate::surroundings::Surroundings;

/// Why there is no value.
#[derive(Debug, thiserror::Error)]
pub enum VaultGetError {
    /// The reference cannot be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The reference is empty.
    #[error("a reference is {{vault://name/secret/field}}, or name/secret/field for short")]
    NoReference,
    /// The settings of its vault cannot be had.
    #[error("the settings of the vault {vault} cannot be had")]
    Settings {
        /// The vault's prefix.
        vault: String,
        /// Why.
        source: AskError,
    },
    /// This machine cannot make calls.
    #[error("TLS cannot be set up")]
    Trust(#[from] TrustError),
    /// The vault has no value.
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
}

/// The value of the reference.
pub async fn vault_get(get: &VaultGet, surroundings: &Surroundings) -> Result<SecretValue, VaultGetError> {
    let reference = reference(&get.reference)?;
    let client = Client::new(Arc::new(Connector::new(ConnectorSettings::default())?));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let clouds = clouds(surroundings, &client, ConnectorSettings::default(), &clock)?;
    let environment = surroundings.environment.clone();
    let parts = ResolverParts { clock, client, environment, runtime: Handle::current() };
    let resolver = Resolver::with_clouds(parts, clouds);
    let vault = reference.vault();
    if !Resolver::has_backend(vault) {
        let settings = |source| VaultGetError::Settings { vault: vault.to_owned(), source };
        let session = Session::open(&get.connection, surroundings).await.map_err(settings)?;
        resolver.set_vaults(vec![session.vault(vault).await.map_err(settings)?]);
    }
    Ok(resolver.resolve(&reference).await?)
}

/// Reads a reference, written whole or short.
fn reference(text: &str) -> Result<Reference, VaultGetError> {
    let whole = if text.starts_with("{vault://") { text.to_owned() } else { format!("{{vault://{text}}}") };
    Reference::parse(&whole)?.ok_or(VaultGetError::NoReference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_may_be_written_short() {
        for text in ["env/db-password", "{vault://env/db-password}"] {
            assert_eq!(reference(text).unwrap().to_string(), "{vault://env/db-password}");
        }
        let short = reference("aws/database/password?ttl=60").unwrap();
        assert_eq!((short.vault(), short.field()), ("aws", Some("password")));
    }

    #[test]
    fn what_is_no_reference_is_refused_with_a_sentence() {
        for text in ["", "env", "{vault://env/a", "env/a}", "http://x/y"] {
            assert!(matches!(reference(text), Err(VaultGetError::Reference(_))), "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_backend_needs_no_gateway() {
        let surroundings = Surroundings {
            environment: [("DB_PASSWORD".to_owned(), "the value".to_owned())].into(),
            ..Surroundings::default()
        };
        let get = |reference: &str| VaultGet {
            reference: reference.to_owned(),
            connection: crate::arguments::Connection::default(),
        };
        let value = vault_get(&get("env/db-password"), &surroundings).await.unwrap();
        assert_eq!(value.expose(), "the value");
        let error = vault_get(&get("env/absent"), &surroundings).await.unwrap_err();
        assert!(error.to_string().ends_with("there is no variable ABSENT"), "{error}");
    }
}
