//! Whom AWS takes a caller for, and where that comes from.
//!
//! [`Credentials`] are one access key. Most of them end soon, so whoever needs some holds a [`Provider`], which keeps
//! fresh ones ([`keeper`] decides when it asks), and a [`Chain`] has a provider for each way to come by them: the
//! sources of this machine in their order, and roles assumed on top.

mod ask;
mod chain;
mod container;
mod environment;
mod file;
mod files;
mod instance;
mod keeper;
mod provider;
mod role;
mod source;
mod variables;
mod web_identity;

use std::sync::Arc;

use gateward_seal::SecretValue;
use thiserror::Error;

pub use chain::{Chain, ChainParts};
pub(crate) use files::property as profile_property;
pub use provider::Provider;
pub use role::Role;

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

/// Why there are no credentials.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CredentialsError {
    /// Nobody has some. Where one source has failed, those after it were not asked: they would be somebody else's.
    #[error("no AWS credentials: {}", in_words(.0))]
    Nothing(Arc<[Tried]>),
    /// They may still come.
    #[error("AWS credentials have not come in time")]
    Late,
}

/// A source that had no credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Which one.
    pub source: Arc<str>,
    /// What it lacks, or what went wrong. Never a secret, nor any part of an answer.
    pub why: String,
}

fn in_words(tried: &[Tried]) -> String {
    if tried.is_empty() {
        return "this process has no source of them".to_owned();
    }
    let each: Vec<String> = tried.iter().map(|tried| format!("{}: {}", tried.source, tried.why)).collect();
    each.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_credentials_shows_no_secret() {
        let credentials = Credentials {
            access_key: "AKID".to_owned(),
            secret_key: "canary-1".into(),
            session_token: Some("canary-2".into()),
        };
        let printed = format!("{credentials:?}");
        assert!(printed.contains("AKID") && !printed.contains("canary"), "{printed}");
    }

    #[test]
    fn an_error_names_each_source_and_what_it_lacks() {
        let tried = |source: &str, why: &str| Tried { source: source.into(), why: why.to_owned() };
        let sources =
            [tried("environment", "AWS_ACCESS_KEY_ID is not set"), tried("container", "status 500")];
        assert_eq!(
            CredentialsError::Nothing(sources.into()).to_string(),
            "no AWS credentials: environment: AWS_ACCESS_KEY_ID is not set; container: status 500"
        );
    }
}
