//! Whom AWS takes a caller for.

use std::collections::BTreeMap;

use gateward_seal::SecretValue;
use thiserror::Error;

/// An access key, with its secret; temporary ones come with a session token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The access key id. It is no secret: every signed request carries it in clear.
    pub access_key: String,
    /// What signatures are made with.
    pub secret_key: SecretValue,
    /// Sent along with each request, where the credentials are temporary.
    pub session_token: Option<SecretValue>,
}

impl Credentials {
    /// The credentials that `environment` holds in the variables that every AWS tool reads.
    pub fn from_environment(environment: &BTreeMap<String, String>) -> Result<Self, CredentialsError> {
        let variable = |name: &'static str| environment.get(name).filter(|value| !value.is_empty());
        let required = |name| variable(name).ok_or(CredentialsError::Missing { variable: name });
        Ok(Self {
            access_key: required("AWS_ACCESS_KEY_ID")?.clone(),
            secret_key: SecretValue::new(required("AWS_SECRET_ACCESS_KEY")?.clone()),
            session_token: variable("AWS_SESSION_TOKEN").map(|token| SecretValue::new(token.clone())),
        })
    }
}

/// Why there are no credentials.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CredentialsError {
    /// A variable is absent or empty.
    #[error("no AWS credentials: the environment has no {variable}")]
    Missing {
        /// Which one.
        variable: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_missing_or_empty_variable_is_named() {
        let only_the_id = environment(&[("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "")]);
        let error = Credentials::from_environment(&only_the_id).unwrap_err();
        assert_eq!(error, CredentialsError::Missing { variable: "AWS_SECRET_ACCESS_KEY" });
        assert!(Credentials::from_environment(&environment(&[])).is_err());
    }

    #[test]
    fn printing_credentials_shows_no_secret() {
        let variables = [
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "canary-1"),
            ("AWS_SESSION_TOKEN", "canary-2"),
        ];
        let credentials = Credentials::from_environment(&environment(&variables)).unwrap();
        let printed = format!("{credentials:?}");
        assert!(printed.contains("AKID") && !printed.contains("canary"), "{printed}");
    }
}
