//! What goes wrong between the engine and DynamoDB: limits, other transactions, servers that fail, answers that are
//! lost before or after the work was done.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use fastrand::Rng;
use serde_json::{Value, json};

use super::super::{Api, Failure, Refusal};

/// An [`Api`] with faults in front of it.
pub(super) struct Faulty {
    inner: Arc<dyn Api>,
    faults: Mutex<Faults>,
}

/// Which faults come, and how many have.
pub(super) struct Faults {
    pub random: Rng,
    /// How many of a hundred calls fail.
    pub percent: u32,
    pub come: u32,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Throttled,
    Conflict,
    FailedBefore,
    FailedAfter,
    LostBefore,
    LostAfter,
    StillAtWork,
    Unreached,
}

impl Faulty {
    pub(super) fn new(inner: Arc<dyn Api>, seed: u64, percent: u32) -> Arc<Self> {
        let faults = Faults { random: Rng::with_seed(seed), percent, come: 0 };
        Arc::new(Self { inner, faults: Mutex::new(faults) })
    }

    /// How many faults have come.
    pub(super) fn come(&self) -> u32 {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).come
    }

    fn next(&self) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.random.u32(0..100) >= faults.percent {
            return None;
        }
        faults.come += 1;
        let kinds = [
            Fault::Throttled,
            Fault::Conflict,
            Fault::FailedBefore,
            Fault::FailedAfter,
            Fault::LostBefore,
            Fault::LostAfter,
            Fault::StillAtWork,
            Fault::Unreached,
        ];
        Some(kinds[faults.random.usize(0..kinds.len())])
    }
}

#[async_trait]
impl Api for Faulty {
    async fn call(&self, action: &'static str, request: Bytes) -> Result<Bytes, Failure> {
        let is_transaction = action.starts_with("Transact");
        match self.next() {
            None => self.inner.call(action, request).await,
            Some(Fault::Throttled) => Err(refused(400, "ProvisionedThroughputExceededException", &json!({}))),
            Some(Fault::Conflict) if is_transaction => {
                let parts: Value = serde_json::from_slice(&request).expect("a request in JSON");
                let parts = parts["TransactItems"].as_array().map_or(0, Vec::len);
                let mut reasons = vec![json!({ "Code": "None" }); parts];
                reasons[0] = json!({ "Code": "TransactionConflict" });
                Err(refused(400, "TransactionCanceledException", &json!({ "CancellationReasons": reasons })))
            }
            Some(Fault::Conflict) => Err(refused(400, "TransactionConflictException", &json!({}))),
            Some(Fault::FailedBefore) => Err(refused(500, "InternalServerError", &json!({}))),
            Some(Fault::LostBefore) => Err(lost()),
            Some(Fault::Unreached) => Err(Failure::Unreached("a fault".into())),
            Some(Fault::StillAtWork) if action == "TransactWriteItems" => {
                let _ = self.inner.call(action, request).await;
                Err(refused(400, "TransactionInProgressException", &json!({})))
            }
            Some(Fault::FailedAfter) => {
                let _ = self.inner.call(action, request).await;
                Err(refused(503, "", &json!({})))
            }
            Some(Fault::LostAfter | Fault::StillAtWork) => {
                let _ = self.inner.call(action, request).await;
                Err(lost())
            }
        }
    }
}

fn lost() -> Failure {
    Failure::Unanswered("a fault".into())
}

fn refused(status: u16, error: &str, answer: &Value) -> Failure {
    Failure::Refused(Refusal { status, error: error.to_owned(), answer: Bytes::from(answer.to_string()) })
}
