//! `vault get`: resolves a reference in this process, with this process's environment, as Kong's command does; or has a
//! running gateway resolve it. `vault list` and `vault test` ask a running gateway.

use gateward_seal::SecretValue;
use gateward_vaults::{Reference, ReferenceError, Resolver, Unresolved};

use crate::arguments::{VaultGet, VaultList, VaultTest};
use crate::client::{AskError, Session};
use crate::settings::{self, SettingsError};
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
    /// What the environment or the settings file says of vaults cannot be used.
    #[error(transparent)]
    Process(#[from] SettingsError),
    /// The vault has no value.
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
    /// The vault needs a secret that no reading API shows.
    #[error(
        "the vault {vault} has the secret {setting} in its settings, which only its gateway knows; name that with \
         --gateway-url, and it reads the reference"
    )]
    Hidden {
        /// The vault's prefix.
        vault: String,
        /// The setting.
        setting: &'static str,
    },
    /// The gateway did not do it.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The gateway tried it, and there is no value.
    #[error("{0}")]
    Tried(String),
}

impl VaultGetError {
    /// Whether the command was written wrongly, and nobody was asked.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Reference(_) | Self::NoReference)
    }
}

/// What is to be printed for `get`: the value of the reference, read here or, where a gateway is named, by that gateway.
pub async fn vault_get(get: &VaultGet, surroundings: &Surroundings) -> Result<SecretValue, VaultGetError> {
    let reference = reference(&get.reference)?;
    let value = match get.connection.at.gateway_url {
        Some(_) => Session::open(&get.connection, surroundings).await?.value(&reference).await?,
        None => read_here(&reference, get, surroundings).await?,
    };
    if !get.json {
        return Ok(value);
    }
    let mut json = serde_json::json!({"reference": reference.to_string(), "value": value.expose()});
    let text = SecretValue::new(json.to_string());
    gateward_seal::wipe(&mut json);
    Ok(text)
}

async fn read_here(
    reference: &Reference,
    get: &VaultGet,
    surroundings: &Surroundings,
) -> Result<SecretValue, VaultGetError> {
    let resolver = settings::resolver_of_a_command(surroundings)?;
    let vault = reference.vault();
    if !Resolver::has_backend(vault) {
        let settings = |source| VaultGetError::Settings { vault: vault.to_owned(), source };
        let session = Session::open(&get.connection, surroundings).await.map_err(settings)?;
        let vault = session.vault(vault).await.map_err(settings)?;
        let is_hidden = |name: &&str| vault.config.get(*name).is_some_and(|value| value == "***");
        if let Some(setting) = Resolver::secret_fields(&vault.name).into_iter().find(is_hidden) {
            return Err(VaultGetError::Hidden { vault: vault.prefix, setting });
        }
        resolver.set_vaults(vec![vault]);
    }
    Ok(resolver.resolve(reference).await?)
}

/// Lists the vaults of a running gateway: what to print.
pub async fn vault_list(list: &VaultList, surroundings: &Surroundings) -> Result<String, AskError> {
    let vaults = Session::open(&list.connection, surroundings).await?.vaults().await?;
    if list.json {
        return Ok(serde_json::Value::from(vaults).to_string());
    }
    let text = |vault: &serde_json::Value, field: &str| vault[field].as_str().unwrap_or_default().to_owned();
    let widest = vaults.iter().map(|vault| text(vault, "prefix").len()).max().unwrap_or_default().max(6);
    let line = |prefix: &str, name: &str, description: &str| {
        format!("{prefix:widest$}  {name:8}  {description}").trim_end().to_owned()
    };
    let mut lines = vec![line("PREFIX", "BACKEND", "DESCRIPTION")];
    lines.extend(
        vaults
            .iter()
            .map(|vault| line(&text(vault, "prefix"), &text(vault, "name"), &text(vault, "description"))),
    );
    Ok(lines.join("\n"))
}

/// Lets a running gateway try a reference: what to print, and whether there is a value. For people the lack of one is an error.
pub async fn vault_test(
    test: &VaultTest,
    surroundings: &Surroundings,
) -> Result<(String, bool), VaultGetError> {
    let reference = reference(&test.reference)?;
    let tried = Session::open(&test.connection, surroundings).await?.test(&reference).await?;
    let is_ok = tried["result"] == "ok";
    match (test.json, is_ok) {
        (true, is_ok) => Ok((tried.to_string(), is_ok)),
        (false, true) => Ok((format!("{reference} has a value."), true)),
        (false, false) => {
            let problem = tried["problem"].as_str().unwrap_or_default();
            Err(VaultGetError::Tried(format!("{reference} has no value: {problem}")))
        }
    }
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
            json: false,
            connection: crate::arguments::Connection::default(),
        };
        let value = vault_get(&get("env/db-password"), &surroundings).await.unwrap();
        assert_eq!(value.expose(), "the value");
        let error = vault_get(&get("env/absent"), &surroundings).await.unwrap_err();
        assert!(error.to_string().ends_with("there is no variable ABSENT"), "{error}");
        for unknown in ["GATEWARD_VAULT_AWS_REGIO", "GATEWARD_VAULT_NOSUCH_X"] {
            let mut surroundings = surroundings.clone();
            surroundings.environment.insert("KONG_VAULT_NOSUCH_X".to_owned(), "canary".to_owned());
            assert!(
                vault_get(&get("env/db-password"), &surroundings).await.is_ok(),
                "Kong's may be for others"
            );
            surroundings.environment.insert(unknown.to_owned(), "canary".to_owned());
            let error = vault_get(&get("env/db-password"), &surroundings).await.unwrap_err().to_string();
            assert!(error.contains(unknown) && !error.contains("canary"), "{error}");
        }
    }
}
