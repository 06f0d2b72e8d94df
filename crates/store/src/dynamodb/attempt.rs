//! Asks DynamoDB until it answers for good, or until time is up.
//!
//! Pauses have full jitter: a random part of a span that doubles, so that those who were sent away together do not come
//! back together. What is remembered of the attempts is whether one of them may have been done without our hearing of
//! it; only then may the engine find its own work in its way.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use super::{Failure, Table, wire};

/// What came of all attempts.
pub(super) struct Answered {
    /// The good answer, or the last bad one.
    pub result: Result<Bytes, Failure>,
    /// Whether an attempt before, or the last one, may have been done although it was not answered.
    pub in_doubt: bool,
}

/// What is to be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is the answer.
    Final,
    /// Nothing was done; try again.
    Again,
    /// It may have been done; try again.
    Doubtful,
}

impl Table {
    /// Asks until there is an answer, or until `deadline`. The same bytes every time, so that a transaction's token
    /// stays what it was.
    pub(super) async fn ask(&self, action: &'static str, request: &Value, deadline: Instant) -> Answered {
        let request = Bytes::from(request.to_string());
        let mut in_doubt = false;
        let mut ceiling = FIRST_PAUSE;
        loop {
            let until = deadline.min(Instant::now() + ATTEMPT);
            let attempt = tokio::time::timeout_at(until, self.api.call(action, request.clone())).await;
            let failure = match attempt {
                Ok(Ok(answer)) => return Answered { result: Ok(answer), in_doubt },
                Ok(Err(failure)) => failure,
                Err(elapsed) => Failure::Unanswered(elapsed.into()),
            };
            let verdict = judge(&failure);
            in_doubt |= verdict == Verdict::Doubtful;
            let pause = ceiling.mul_f64(fastrand::f64());
            if verdict == Verdict::Final || Instant::now() + pause >= deadline {
                return Answered { result: Err(failure), in_doubt };
            }
            tracing::debug!(action, %failure, "DynamoDB is asked again");
            tokio::time::sleep(pause).await;
            ceiling = LONGEST_PAUSE.min(ceiling * 2);
        }
    }
}

fn judge(failure: &Failure) -> Verdict {
    let refusal = match failure {
        Failure::Unanswered(_) => return Verdict::Doubtful,
        Failure::Unreached(_) => return Verdict::Again,
        Failure::Unasked(_) => return Verdict::Final,
        Failure::Refused(refusal) => refusal,
    };
    match refusal.error.as_str() {
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded"
        | "TransactionConflictException" => Verdict::Again,
        // The attempt before this one, whose answer we have not heard, is still at work.
        "TransactionInProgressException" => Verdict::Doubtful,
        "TransactionCanceledException" => judge_canceled(refusal.answer.as_ref()),
        // Also if it is a balancer that says so, with no error of DynamoDB's.
        _ if refusal.status >= 500 => Verdict::Doubtful,
        _ => Verdict::Final,
    }
}

/// A condition that failed is an answer; having met another transaction, or a limit, is none.
fn judge_canceled(answer: &[u8]) -> Verdict {
    let Ok(reasons) = wire::reasons(answer) else { return Verdict::Final };
    if reasons.iter().any(wire::Reason::is_failed_condition) {
        return Verdict::Final;
    }
    let transient = |code: &str| {
        matches!(code, "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded" | "None")
    };
    if reasons.iter().all(|reason| transient(&reason.code)) { Verdict::Again } else { Verdict::Final }
}

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(3);

/// The first pause is at most this, and twice that each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
