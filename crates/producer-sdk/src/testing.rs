//! For tests of producers: plays the gateway.
//!
//! [`Gateway`] has a key of its own, makes real tokens with it and publishes it, as a gateway does. [`Caller`] makes the
//! calls of one item to one producer. [`Conformance`] makes all the calls that a producer must stand, and says in sentences
//! which of them it did.
//!
//! ```
//! # use gateward_producer_sdk::testing::{Caller, Conformance, Producers};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let caller = Caller::of(Producers::echo()).await;
//! let report = Conformance::default().check(&caller).await;
//! assert!(report.holds(), "{report}");
//! # }
//! ```

mod caller;
mod conformance;
mod gateway;
mod published;
mod samples;

pub use caller::{Answered, Caller};
pub use conformance::{Conformance, Finding, Outcome, Report};
pub use gateway::Gateway;
pub use published::Published;
pub use samples::Producers;
