//! AWS Secrets Manager: one call, `GetSecretValue`.

mod answer;

use std::time::Duration;

use bytes::Bytes;
use gateward_clock::Timestamp;
use gateward_model::Invalid;
use gateward_net::{Client, FetchError, Limits};
use gateward_seal::SecretValue;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::endpoint::{check_endpoint, check_region, domain};
use crate::service::{CallError, Service, wipe};
use crate::sigv4::SignError;
use crate::{Credentials, ErrorType};

/// What one call may take: the time from the name's resolution to the answer's last byte, and, as a secret has at most
/// 64 KiB, six bytes of JSON for each byte of it.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(5), max_body: 512 * 1024, verify: true };

/// The Secrets Manager of one region.
pub struct SecretsManager(Service);

/// A secret, as it was put there: text, or bytes.
#[derive(Debug)]
pub enum Secret {
    /// `SecretString`.
    Text(SecretValue),
    /// `SecretBinary`, decoded.
    Binary(Bytestring),
}

/// Secret bytes, which wipe themselves and cannot be printed.
pub struct Bytestring(Zeroizing<Vec<u8>>);

impl Bytestring {
    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Bytestring {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

/// Why a secret could not be had. Carries AWS's own name for the error, and nothing else of its answer.
#[derive(Debug, Error)]
pub enum SecretError {
    /// There is no such secret, no such version of it, or it is being deleted.
    #[error("there is no such secret ({0})")]
    NotFound(ErrorType),
    /// Too many calls; the secret may well exist.
    #[error("AWS asks for fewer calls ({error})")]
    Throttled {
        /// AWS's name for it.
        error: ErrorType,
        /// How long it wants to be left alone, where it says so.
        rest: Option<Duration>,
    },
    /// The credentials are not good for this secret.
    #[error("AWS refuses the credentials for it ({0})")]
    Denied(ErrorType),
    /// The service is out of order.
    #[error("Secrets Manager is out of order (status {status}, {error})")]
    Unavailable {
        /// The status of the answer.
        status: u16,
        /// AWS's name for it.
        error: ErrorType,
        /// How long it wants to be left alone, where it says so.
        rest: Option<Duration>,
    },
    /// The service could not be reached.
    #[error("Secrets Manager cannot be reached")]
    Unreachable(#[source] FetchError),
    /// The answer is nothing that Secrets Manager would say.
    #[error("an answer that is not one of Secrets Manager's (status {status}, {error})")]
    Garbage {
        /// The status of the answer.
        status: u16,
        /// What it calls its error, if it does.
        error: ErrorType,
    },
    /// The request could not be signed.
    #[error("the request could not be signed")]
    Unsigned(#[source] SignError),
}

impl SecretsManager {
    /// Secrets Manager in `region`, at `endpoint_url` where one is given.
    pub fn new(client: Client, region: &str, endpoint_url: Option<&str>) -> Result<Self, Invalid> {
        check_region(region)?;
        let url = match endpoint_url {
            Some(url) => check_endpoint(url)?,
            None => check_endpoint(&format!("https://secretsmanager.{region}.{}", domain(region)))?,
        };
        Ok(Self(Service::new(client, region, "secretsmanager", url)?))
    }

    /// The value of the secret that is called, or has the ARN, `id`: its current version, or the one at
    /// `version_stage`.
    pub async fn get_secret_value(
        &self,
        credentials: &Credentials,
        id: &str,
        version_stage: Option<&str>,
        now: Timestamp,
    ) -> Result<Secret, SecretError> {
        let mut body = serde_json::json!({ "SecretId": id });
        if let Some(stage) = version_stage {
            body["VersionStage"] = stage.into();
        }
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "secretsmanager.GetSecretValue"),
        ];
        let body = Bytes::from(body.to_string());
        let response = self.0.post(Some(credentials), &headers, body, LIMITS, now).await;
        let (head, body) = response?.into_parts();
        let secret = answer::read(&head, &body);
        wipe(body);
        secret
    }
}

impl SecretError {
    /// How long AWS wants to be left alone, where it says so.
    pub fn rest(&self) -> Option<Duration> {
        match self {
            Self::Throttled { rest, .. } | Self::Unavailable { rest, .. } => *rest,
            _ => None,
        }
    }

    /// Whether it is the credentials that AWS no longer takes, or not yet, so that others may do better.
    pub fn is_about_stale_credentials(&self) -> bool {
        matches!(self, Self::Denied(error) if error.is_about_stale_credentials())
    }
}

impl From<CallError> for SecretError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unsigned(error) => Self::Unsigned(error),
            CallError::Unreachable(error) => Self::Unreachable(error),
        }
    }
}

#[cfg(test)]
mod tests;
