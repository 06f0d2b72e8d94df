//! Amazon SQS: one call, `SendMessage`, with a delay.

use std::time::Duration;

use gateward_model::Invalid;
use serde_json::json;

use crate::endpoint::check_endpoint;
use crate::json_service::JsonService;
use crate::{Access, ServiceError};

/// One queue.
pub struct Queue {
    service: JsonService,
    url: String,
}

impl Queue {
    /// The queue at `url`, as SQS itself tells it. Its host is called, unless `access` names another.
    pub fn new(access: &Access, url: &str) -> Result<Self, Invalid> {
        let parsed = check_endpoint(url).map_err(|invalid| Invalid::new("queue_url", invalid.problem))?;
        let origin = parsed.origin().ascii_serialization();
        let endpoint_url = access.endpoint_url.clone().or(Some(origin));
        let access = Access { endpoint_url, ..access.clone() };
        let service = JsonService::new(&access, "sqs", "application/x-amz-json-1.0")?;
        Ok(Self { service, url: url.to_owned() })
    }

    /// Puts `body` into the queue, from where it comes after `delay`: whole seconds, at most [`LONGEST_DELAY`]. It may
    /// come more than once.
    pub async fn send(&self, body: &str, delay: Duration) -> Result<(), ServiceError> {
        let delay = delay.min(LONGEST_DELAY).as_secs();
        let request = json!({ "QueueUrl": self.url, "MessageBody": body, "DelaySeconds": delay });
        self.service.call("AmazonSQS.SendMessage", &request).await?;
        Ok(())
    }
}

/// The longest that SQS keeps a message back.
pub const LONGEST_DELAY: Duration = Duration::from_secs(15 * 60);
