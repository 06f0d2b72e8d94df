//! The status of an answer where the store has not done what was asked of it, in every dialect.
//!
//! What is too large for it is too large the next time, too: whoever sent it has to hear that. Everything else may be over
//! then, and clients try again at a 503.

use gateward_leases::ledger::LedgerError;
use gateward_store::StoreError;
use http::StatusCode;

/// The status for what the store says.
pub(crate) fn of_store(error: &StoreError) -> StatusCode {
    match error {
        StoreError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        StoreError::Unacceptable(_) => StatusCode::BAD_REQUEST,
        StoreError::Engine(_) | StoreError::Closed => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The status for a lease that cannot be read or written.
pub(crate) fn of_ledger(error: &LedgerError) -> StatusCode {
    match error {
        LedgerError::Store(error) => of_store(error),
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}
