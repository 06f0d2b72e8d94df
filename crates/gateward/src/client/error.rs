//! Why there is no answer, said so that a person knows what to do.

use gateward_net::FetchError;

use super::cloud_identity::CloudIdentityError;
use super::credentials::CredentialsError;
use super::gateway_url::GatewayUrlError;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The address in the environment is none.
    #[error("{variable}")]
    Address {
        /// Where it stands.
        variable: &'static str,
        /// What is wrong with it.
        source: GatewayUrlError,
    },
    /// Nobody says who asks.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// Nobody says who this machine is to AWS.
    #[error(transparent)]
    CloudIdentity(#[from] CloudIdentityError),
    /// This machine cannot make calls.
    #[error("TLS cannot be set up")]
    Trust(#[from] gateward_net::TrustError),
    /// Nobody listens there.
    #[error("nobody answers at {url}: is the gateway running? start it with `gateward dev`")]
    NotRunning {
        /// The gateway's address.
        url: String,
    },
    /// What listens there speaks no TLS.
    #[error(
        "{url} speaks no TLS: write http:// where it says https://, which `gateward dev` and loopback are without"
    )]
    NoTls {
        /// The gateway's address.
        url: String,
    },
    /// No whole answer came.
    #[error("{url} gave no answer")]
    NoAnswer {
        /// The gateway's address.
        url: String,
        /// Why.
        source: FetchError,
    },
    /// Something answered that is no gateway.
    #[error(
        "{url} answers (with status {status}), but not as the gateway does: it may be the wrong port; the gateway's \
         control port is 8000"
    )]
    NotTheGateway {
        /// The gateway's address.
        url: String,
        /// What it answered.
        status: u16,
    },
    /// The gateway said no, in its own words.
    #[error("{0}")]
    Refused(String),
    /// The gateway knows no such vault.
    #[error("{prefix} is no backend, and the gateway at {url} knows no vault with that prefix")]
    NoVault {
        /// What references name it by.
        prefix: String,
        /// The gateway's address.
        url: String,
    },
}
