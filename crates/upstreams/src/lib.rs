//! Upstreams: which of its nodes a request goes to, and which of them are down.
//!
//! ```text
//! Upstream (model) ──compile──► Balanced ──pick──► Turn (one request's time with one node)
//!                                  │                 │ answered, failed, dropped
//!                                  ▼                 ▼
//!                              Registry ───────► a state per node: calls under way, latency, health
//!                                  ▲
//!                            active checks (tasks on the control runtime)
//! ```
//!
//! A [`Balanced`] is compiled with each snapshot; what is known of the nodes outlives it in the [`Registry`]. A request
//! touches atomics only, and as few as its balancing needs: with `roundrobin` and no checks it is one.

mod balanced;
mod balancer;
mod hashing;
mod health;
mod node;
mod peers;
mod registry;
mod retry;
mod tried;
mod turn;

pub use balanced::{Balanced, Key, check};
pub use health::{Counters, Health, NodeHealth, UpstreamHealth};
pub use registry::Registry;
pub use retry::{Failed, may_try_another};
pub use tried::Tried;
pub use turn::Turn;

#[cfg(test)]
mod testing;
