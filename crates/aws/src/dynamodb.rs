//! DynamoDB: the calls of the store's engine, signed.
//!
//! One call is one request. The engine decides what is asked again, because only it knows whether something that was
//! done twice does harm; what is seen to here is that credentials which AWS no longer takes are replaced, once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gateward_clock::Clock;
use gateward_model::Invalid;
use gateward_net::{FetchError, Limits};
use gateward_store::dynamodb::{Api, Failure, Refusal};
use http::StatusCode;

use crate::service::{CallError, Service};
use crate::{Access, Credentials, ErrorType, Provider};

/// DynamoDB in one region.
pub struct DynamoDb {
    service: Service,
    provider: Arc<Provider>,
    clock: Arc<dyn Clock>,
}

impl DynamoDb {
    /// DynamoDB, as `access` says.
    pub fn new(access: &Access) -> Result<Self, Invalid> {
        let (provider, clock) = (Arc::clone(&access.provider), Arc::clone(&access.clock));
        Ok(Self { service: access.service("dynamodb")?, provider, clock })
    }

    async fn call_as(
        &self,
        credentials: &Credentials,
        target: &str,
        request: Bytes,
    ) -> Result<Bytes, Failure> {
        let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", target)];
        let sent = self.service.post_once(credentials, &headers, request, LIMITS, self.clock.now()).await;
        let (head, answer) = sent.map_err(failure)?.into_parts();
        if head.status == StatusCode::OK {
            return Ok(answer);
        }
        let error = ErrorType::of_answer(&head, &answer).as_str().to_owned();
        Err(Failure::Refused(Refusal { status: head.status.as_u16(), error, answer }))
    }
}

#[async_trait]
impl Api for DynamoDb {
    async fn call(&self, action: &'static str, request: Bytes) -> Result<Bytes, Failure> {
        let target = format!("DynamoDB_20120810.{action}");
        let credentials = self.provider.get().await.map_err(|error| Failure::Unasked(error.into()))?;
        let answer = self.call_as(&credentials, &target, request.clone()).await;
        if let Err(Failure::Refused(refusal)) = &answer
            && ErrorType::of(&refusal.error).is_about_stale_credentials()
        {
            self.provider.refused(&credentials);
            if let Some(others) = self.provider.in_place_of(&credentials).await {
                return self.call_as(&others, &target, request).await;
            }
        }
        answer
    }
}

fn failure(error: CallError) -> Failure {
    match error {
        CallError::Unsigned(error) => Failure::Unasked(error.into()),
        CallError::Unreachable(error) => match error {
            FetchError::Address | FetchError::Forbidden => Failure::Unasked(error.into()),
            FetchError::Resolve(_)
            | FetchError::Connect(_)
            | FetchError::Tls(_)
            | FetchError::ConnectTimeout => Failure::Unreached(error.into()),
            error => Failure::Unanswered(error.into()),
        },
    }
}

/// What one call may take. A page of a query has a megabyte, and as much again for base64 and the names of attributes;
/// small items have several times their size.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(3), max_body: 16 * 1024 * 1024, verify: true };
