//! As whom a running gateway is asked.
//!
//! A token that was given, the profile that was, the token in the environment, the administrator there, the one whom
//! `gateward dev` keeps in its directory, the profile `default`: the first that there is. Whom `gateward dev` keeps is known
//! to a gateway on this machine alone, so nobody elsewhere is shown that key.

use gateward_seal::SecretValue;

use super::GatewayUrl;
use super::profile::{self, ProfileError};
use crate::arguments::Connection;
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
    pub(super) proof: Proof,
}

/// How one shows who one is.
#[derive(Debug)]
pub(super) enum Proof {
    /// With an access key.
    AccessKey(SecretValue),
    /// As somebody whom AWS knows, by this machine's credentials.
    AwsIam,
    /// The same, shown already.
    CloudId(SecretValue),
}

/// Why nobody can be asked as anybody.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// There are none.
    #[error(
        "there are no credentials: start `gateward dev` in this directory, or set GATEWARD_ADMIN_ACCESS_ID and \
         GATEWARD_ADMIN_ACCESS_KEY, or give a token (GATEWARD_TOKEN, --token), or keep a profile (`gateward configure`)"
    )]
    None,
    /// The only ones are for a gateway on this machine.
    #[error(
        "the key in {file} is for the gateway that `gateward dev` runs on this machine, and is not sent to {url}; give a token \
         (GATEWARD_TOKEN, --token), or keep a profile (`gateward configure`), or set GATEWARD_ADMIN_ACCESS_ID and \
         GATEWARD_ADMIN_ACCESS_KEY"
    )]
    NotForThere {
        /// Where they are kept.
        file: String,
        /// Which gateway was to be asked.
        url: String,
    },
    /// Half an identity.
    #[error(
        "the environment has {0} alone; GATEWARD_ADMIN_ACCESS_ID and GATEWARD_ADMIN_ACCESS_KEY go together"
    )]
    Half(&'static str),
    /// Nobody to log in as.
    #[error("a login with aws_iam wants --access-id, or GATEWARD_ADMIN_ACCESS_ID")]
    NoAccessId,
    /// What `gateward dev` keeps cannot be used.
    #[error(transparent)]
    File(#[from] AdminFileError),
    /// What `gateward configure` keeps cannot be used.
    #[error(transparent)]
    Profile(#[from] ProfileError),
}

/// The credentials for any command.
pub(super) fn find(
    connection: &Connection,
    url: &GatewayUrl,
    surroundings: &Surroundings,
) -> Result<Credentials, CredentialsError> {
    if let Some(token) = &connection.token {
        return Ok(Credentials::Token(token.clone()));
    }
    let profile = connection.at.profile.as_deref();
    match surroundings.variable("GATEWARD_TOKEN").filter(|_| profile.is_none()) {
        Some(token) => Ok(Credentials::Token(SecretValue::from(token))),
        None => find_login(profile, url, surroundings).map(Credentials::Identity),
    }
}

/// What to log in with at `url`: by the profile that was named, else by what there is.
pub(super) fn find_login(
    profile: Option<&str>,
    url: &GatewayUrl,
    surroundings: &Surroundings,
) -> Result<Login, CredentialsError> {
    if let Some(name) = profile {
        let login = profile::read(name, surroundings)?;
        return login.ok_or_else(|| ProfileError::Missing(name.to_owned()).into());
    }
    let access_id = surroundings.variable("GATEWARD_ADMIN_ACCESS_ID");
    let access_key = surroundings.variable("GATEWARD_ADMIN_ACCESS_KEY");
    let is_aws = surroundings.variable("GATEWARD_ADMIN_ACCESS_ID_TYPE") == Some("aws_iam");
    match (access_id, access_key) {
        (Some(access_id), Some(access_key)) => {
            let proof = Proof::AccessKey(SecretValue::from(access_key));
            return Ok(Login { access_id: access_id.to_owned(), proof });
        }
        (Some(access_id), None) if is_aws => {
            return Ok(Login { access_id: access_id.to_owned(), proof: Proof::AwsIam });
        }
        (Some(_), None) => return Err(CredentialsError::Half("GATEWARD_ADMIN_ACCESS_ID")),
        (None, Some(_)) => return Err(CredentialsError::Half("GATEWARD_ADMIN_ACCESS_KEY")),
        (None, None) => {}
    }
    let file = AdminFile::of_dev(surroundings);
    if url.is_loopback()
        && let Some(kept) = file.read()?
    {
        let proof = Proof::AccessKey(kept.access_key);
        return Ok(Login { access_id: kept.access_id.to_string(), proof });
    }
    match profile::read("default", surroundings) {
        Ok(Some(login)) => Ok(login),
        Ok(None) | Err(ProfileError::NoHome) if file.path().exists() => Err(CredentialsError::NotForThere {
            file: file.path().display().to_string(),
            url: url.to_string(),
        }),
        Ok(None) | Err(ProfileError::NoHome) => Err(CredentialsError::None),
        Err(error) => Err(error.into()),
    }
}
