//! As whom a running gateway is asked.
//!
//! A token that was given, the one in the environment, the administrator in the environment, or the one whom
//! `gateward dev` keeps in its directory: the first that there is.

use gateward_seal::SecretValue;

use crate::settings::{AdminFile, AdminFileError};
use crate::surroundings::Surroundings;

/// As whom a gateway is asked.
#[derive(Debug)]
pub(super) enum Credentials {
    /// As whom a login has said already.
    Token(SecretValue),
    /// As somebody who has to log in.
    Identity(Login),
}

/// What one logs in with.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) access_id: String,
    pub(super) access_key: SecretValue,
}

/// Why nobody can be asked as anybody.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// There are none.
    #[error(
        "there are no credentials: start `gateward dev` in this directory, or set GATEWARD_ADMIN_ACCESS_ID and \
         GATEWARD_ADMIN_ACCESS_KEY, or give a token (GATEWARD_TOKEN, --token)"
    )]
    None,
    /// Half an identity.
    #[error(
        "the environment has {0} alone; GATEWARD_ADMIN_ACCESS_ID and GATEWARD_ADMIN_ACCESS_KEY go together"
    )]
    Half(&'static str),
    /// What `gateward dev` keeps cannot be used.
    #[error(transparent)]
    File(#[from] AdminFileError),
}

/// The credentials for any command.
pub(super) fn find(
    token: Option<&SecretValue>,
    surroundings: &Surroundings,
) -> Result<Credentials, CredentialsError> {
    if let Some(token) = token {
        return Ok(Credentials::Token(token.clone()));
    }
    match surroundings.variable("GATEWARD_TOKEN") {
        Some(token) => Ok(Credentials::Token(SecretValue::from(token))),
        None => find_login(surroundings).map(Credentials::Identity),
    }
}

/// What to log in with, when it was not said.
pub(super) fn find_login(surroundings: &Surroundings) -> Result<Login, CredentialsError> {
    let access_id = surroundings.variable("GATEWARD_ADMIN_ACCESS_ID");
    let access_key = surroundings.variable("GATEWARD_ADMIN_ACCESS_KEY");
    match (access_id, access_key) {
        (Some(access_id), Some(access_key)) => {
            return Ok(Login { access_id: access_id.to_owned(), access_key: SecretValue::from(access_key) });
        }
        (Some(_), None) => return Err(CredentialsError::Half("GATEWARD_ADMIN_ACCESS_ID")),
        (None, Some(_)) => return Err(CredentialsError::Half("GATEWARD_ADMIN_ACCESS_KEY")),
        (None, None) => {}
    }
    let kept = AdminFile::of_dev(surroundings).read()?.ok_or(CredentialsError::None)?;
    Ok(Login { access_id: kept.access_id.to_string(), access_key: kept.access_key })
}
