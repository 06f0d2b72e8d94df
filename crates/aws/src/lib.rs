//! What Gateward needs of AWS: Signature V4, credentials, and the few calls that the other crates make.
//!
//! Written here and not taken from the AWS SDK, which costs eight times the time a signature and most of a cold
//! start; the tests hold it against AWS's official vectors and against `aws-sigv4`.

mod credentials;
pub mod dynamodb;
mod endpoint;
mod error_type;
pub mod events;
mod json_service;
pub mod kms;
#[doc(hidden)]
pub mod readers;
pub mod secrets_manager;
mod service;
pub mod sigv4;
pub mod sqs;
pub mod sts;

pub use credentials::{Chain, ChainParts, Credentials, CredentialsError, Provider, Role, Tried};
pub use endpoint::{check_endpoint, check_region, domain};
pub use error_type::ErrorType;
pub use json_service::{Access, ServiceError};
