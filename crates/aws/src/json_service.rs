//! Services that speak AWS's JSON protocols: an action, a request and an answer in JSON.
//!
//! For calls of which a second one does no harm: what is throttled or out of order is asked again, after pauses with full
//! jitter, and credentials that AWS no longer takes are replaced once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateward_clock::Clock;
use gateward_model::Invalid;
use gateward_net::{Client, FetchError, Limits};
use http::StatusCode;
use serde_json::Value;
use thiserror::Error;

use crate::endpoint::{check_endpoint, check_region, domain};
use crate::service::{CallError, Service, wipe};
use crate::sigv4::SignError;
use crate::{Credentials, CredentialsError, ErrorType, Provider};

/// Where a service of AWS is, and how it is called.
#[derive(Clone)]
pub struct Access {
    /// What carries the calls.
    pub client: Client,
    /// The region.
    pub region: String,
    /// A URL to use in place of AWS's own.
    pub endpoint_url: Option<String>,
    /// Whom AWS takes us for.
    pub provider: Arc<Provider>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Access {
    /// The service whose host and signatures say `name`.
    pub(crate) fn service(&self, name: &str) -> Result<Service, Invalid> {
        let region = self.region.as_str();
        check_region(region)?;
        let url = match &self.endpoint_url {
            Some(url) => check_endpoint(url)?,
            None => check_endpoint(&format!("https://{name}.{region}.{}", domain(region)))?,
        };
        Service::new(self.client.clone(), region, name, url)
    }
}

/// One such service.
pub(crate) struct JsonService {
    service: Service,
    content_type: &'static str,
    provider: Arc<Provider>,
    clock: Arc<dyn Clock>,
}

/// Why a service has not done it. Carries AWS's own name for the error, and nothing else of its answer.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// There are no credentials.
    #[error("AWS cannot be asked")]
    Unasked(#[from] CredentialsError),
    /// The credentials may not do it, or they are wrong.
    #[error("AWS refuses the credentials for it ({0})")]
    Denied(ErrorType),
    /// The service refuses it.
    #[error("the service refuses it ({error}, status {status})")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// AWS's name for it.
        error: ErrorType,
    },
    /// The service is out of order, or wants fewer calls.
    #[error("the service is out of order or overloaded ({error}, status {status})")]
    Unavailable {
        /// The status of the answer.
        status: u16,
        /// AWS's name for it.
        error: ErrorType,
    },
    /// The service could not be reached.
    #[error("the service cannot be reached")]
    Unreachable(#[source] FetchError),
    /// The answer is nothing that the service would say.
    #[error("the answer is not one of the service's")]
    Garbage,
    /// The request could not be signed.
    #[error("the request could not be signed")]
    Unsigned(#[source] SignError),
}

impl JsonService {
    /// The service called `name`, which speaks `content_type`.
    pub(crate) fn new(access: &Access, name: &str, content_type: &'static str) -> Result<Self, Invalid> {
        let (provider, clock) = (Arc::clone(&access.provider), Arc::clone(&access.clock));
        Ok(Self { service: access.service(name)?, content_type, provider, clock })
    }

    /// Opens a connection for the first call, while there is time.
    pub(crate) async fn warm(&self) {
        self.service.warm().await;
    }

    /// The body of a good answer to `target` (`TrentService.Decrypt`, say).
    pub(crate) async fn call(&self, target: &str, request: &Value) -> Result<Bytes, ServiceError> {
        let request = Bytes::from(request.to_string());
        let mut credentials = self.provider.get().await?;
        let mut are_first = true;
        let mut ceiling = FIRST_PAUSE;
        loop {
            let error = match self.call_as(&credentials, target, request.clone()).await {
                Err(error) => error,
                answer => return answer,
            };
            match &error {
                ServiceError::Denied(refused) if are_first && refused.is_about_stale_credentials() => {
                    self.provider.refused(&credentials);
                    are_first = false;
                    match self.provider.in_place_of(&credentials).await {
                        Some(others) => credentials = others,
                        None => return Err(error),
                    }
                }
                ServiceError::Unavailable { .. } | ServiceError::Unreachable(_)
                    if ceiling <= LONGEST_PAUSE =>
                {
                    tokio::time::sleep(ceiling.mul_f64(fastrand::f64())).await;
                    ceiling *= 2;
                }
                _ => return Err(error),
            }
        }
    }

    async fn call_as(
        &self,
        credentials: &Credentials,
        target: &str,
        request: Bytes,
    ) -> Result<Bytes, ServiceError> {
        let headers = [("content-type", self.content_type), ("x-amz-target", target)];
        let now = self.clock.now();
        let response = self.service.post(Some(credentials), &headers, request, LIMITS, now).await;
        let (head, answer) = response?.into_parts();
        if head.status == StatusCode::OK {
            return Ok(answer);
        }
        let error = classify(head.status, ErrorType::of_answer(&head, &answer));
        wipe(answer);
        Err(error)
    }
}

impl From<CallError> for ServiceError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unsigned(error) => Self::Unsigned(error),
            CallError::Unreachable(error) => Self::Unreachable(error),
        }
    }
}

fn classify(status: StatusCode, error: ErrorType) -> ServiceError {
    let status = status.as_u16();
    match (error.as_str(), status) {
        // AWS throttles with 400, so the name decides before the status.
        (
            "ThrottlingException"
            | "RequestThrottled"
            | "LimitExceededException"
            | "KeyUnavailableException"
            | "DependencyTimeoutException",
            _,
        )
        | (_, 429 | 500..=599) => ServiceError::Unavailable { status, error },
        (
            "AccessDeniedException"
            | "AccessDenied"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "ExpiredTokenException"
            | "ExpiredToken"
            | "InvalidClientTokenId"
            | "MissingAuthenticationTokenException"
            | "IncompleteSignatureException"
            | "OptInRequired",
            _,
        )
        | (_, 401 | 403) => ServiceError::Denied(error),
        _ => ServiceError::Refused { status, error },
    }
}

/// What one call may take.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(3), max_body: 64 * 1024, verify: true };

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

#[cfg(test)]
mod tests;
