//! The data plane: how a request comes in, finds its route, and gets its answer.
//!
//! ```text
//! host: server (sockets) ──┐
//!                          ├─► Gateway::handle ─► hygiene ─► router ─► plugins ─► balancer ─► pool
//! host: lambda (events)  ──┘                         ▲
//!                                                Snapshot ◄── Configuration ◄── store
//! ```
//!
//! Nothing on the way of a request waits for the store, a vault or a lock that another thread holds: what it needs was
//! compiled into the [`Snapshot`] when the configuration changed.

pub mod certificates;
mod configuration;
pub mod declarative;
mod gateway;
pub mod host;
pub mod hygiene;
mod snapshot;
pub mod splice;
mod traffic;
mod typed;
pub mod validation;

pub use configuration::{Configuration, ConfigurationParts};
pub use gateward_vars::{PathError, RoutePath};
pub use gateway::{AccessLog, Current, Gateway};
pub use host::Door;
pub use snapshot::{Broken, Snapshot};
pub use traffic::{Totals, Traffic};

/// What routing resources are sealed for in the store: a route may hold somebody's access key.
pub const DOCUMENT_PURPOSE: &str = "routing document";
