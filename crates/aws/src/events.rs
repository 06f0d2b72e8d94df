//! Amazon EventBridge: one call, `PutEvents`.

use gateward_model::Invalid;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::json_service::JsonService;
use crate::{Access, ServiceError};

/// One event bus.
pub struct EventBus {
    service: JsonService,
    name: String,
}

/// An event to be put on a bus.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Who tells it.
    pub source: &'static str,
    /// What it is.
    pub kind: &'static str,
    /// More about it.
    pub detail: Value,
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

    /// Puts up to [`AT_ONCE`] events on the bus, in one call; says which were not taken, by their places.
    pub async fn put(&self, events: &[Event]) -> Result<Vec<usize>, ServiceError> {
        let entries: Vec<Value> = events
            .iter()
            .map(|Event { source, kind, detail }| {
                json!({
                    "EventBusName": self.name, "Source": source, "DetailType": kind, "Detail": detail.to_string(),
                })
            })
            .collect();
        let answer = self.service.call("AWSEvents.PutEvents", &json!({ "Entries": entries })).await?;
        let taken: Taken = serde_json::from_slice(&answer).map_err(|_| ServiceError::Garbage)?;
        if taken.failed == 0 {
            return Ok(Vec::new());
        }
        let refused = taken.entries.iter().enumerate().filter(|(_, entry)| entry.error.is_some());
        Ok(refused.map(|(place, _)| place).collect())
    }
}

/// The most events that one call takes.
pub const AT_ONCE: usize = 10;
