//! The lease machine, the producer protocol, and what revokes each credential on time.
//!
//! A *lease* is one credential that was issued and must be revoked. Its life is a record in the store:
//!
//! ```text
//!  INTENT ──create──► ACTIVE ──due──► REVOKING ──► REVOKED
//!     │                  │ renew        │ retried for ever, ever slower; PARKED after an hour
//!     └─ answer lost ─► UNKNOWN         └─ an operator may ABANDON a parked one
//! ```
//!
//! INTENT is durable before the producer is called, and the caller hears of a credential only after ACTIVE is
//! durable. Each transition is one commit that also moves the lease in the due index, so there is no moment at
//! which a credential may exist and nothing durable knows of it.
//!
//! [`lease`] is the machine: pure functions from a record to the next. [`ledger`] keeps the records, [`due`] is the
//! order in which they fall due, [`producer`] is what makes and unmakes credentials, [`items`] names the dynamic
//! secrets, and [`Engine`] drives them all. [`rotation`] replaces what producers are called with, and rotated secrets.

mod backoff;
mod call_end;
mod due;
mod engine;
mod failpoint;
pub mod items;
pub mod lease;
pub mod ledger;
pub mod producer;
pub mod rotation;
pub mod status;
mod turns;
mod watchman;
pub mod witness;

pub use call_end::CallEnd;
pub use engine::{
    Asked, Attention, Engine, EngineParts, EngineSettings, Held, IssueError, Issued, Listed, OperatorError,
    Query, Reconciled, RenewError, Report, ReportError, RevokeError, Settlement, TurnError, Wish,
};
pub use items::{Catalog, CatalogError, DynamicSecretChange, KnownSecret, NewDynamicSecret};
pub use lease::{Lease, LeaseId, LeaseState, Verdict};
pub use ledger::{Cap, Caps};
pub use rotation::{RotateFailure, RotatedSecrets, Rotator, RotatorParts};
pub use turns::{Announcer, Turns};
