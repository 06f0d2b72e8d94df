//! Amazon EventBridge: one call, `PutEvents`.

use gateward_model::Invalid;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::json_service::JsonService;
use crate::{Access, ErrorType, ServiceError};

/// One event bus.
pub struct EventBus {
    service: JsonService,
    name: String,
}

#[derive(Deserialize)]
struct Taken {
    #[serde(rename = "FailedEntryCount", default)]
    failed: u32,
    #[serde(rename = "Entries", default)]
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "ErrorCode")]
    error: Option<String>,
}

impl EventBus {
    /// The bus called `name`, or with that ARN.
    pub fn new(access: &Access, name: &str) -> Result<Self, Invalid> {
        let service = JsonService::new(access, "events", "application/x-amz-json-1.1")?;
        Ok(Self { service, name: name.to_owned() })
    }

    /// Puts one event on the bus: who tells it (`source`), what it is (`kind`), and more about it.
    pub async fn put(&self, source: &str, kind: &str, detail: &Value) -> Result<(), ServiceError> {
        let entry = json!({
            "EventBusName": self.name,
            "Source": source,
            "DetailType": kind,
            "Detail": detail.to_string(),
        });
        let answer = self.service.call("AWSEvents.PutEvents", &json!({ "Entries": [entry] })).await?;
        let taken: Taken = serde_json::from_slice(&answer).map_err(|_| ServiceError::Garbage)?;
        if taken.failed == 0 {
            return Ok(());
        }
        // The call was good, and the event was not taken.
        let error = taken.entries.iter().find_map(|entry| entry.error.as_deref()).unwrap_or_default();
        Err(ServiceError::Refused { status: 200, error: ErrorType::of(error) })
    }
}
