//! A restart that nobody notices: a process starts its successor, and hands everything on to it.
//!
//! ```text
//! old: SIGUSR2 ─ starts the binary anew ─ hands on its sockets ────────────────► new: reads its settings and files
//! old: serves traffic, control, leases              ◄──────── "prepared" ────────────
//! old: lets control and leases end, closes the store ──────── "yours" ─────────► new: opens the store, serves
//! old: takes no more connections, drains, ends      ◄──────── "serving" ─────────────
//! ```
//!
//! Both hold the same listening sockets, so that no connection ever waits at a door that nobody opens: traffic is served
//! by the old one until the new one serves it too, and who calls the control plane meanwhile waits in its queue. The
//! leases have one engine at a time, because the store has. A successor that does not come up changes nothing: the old
//! process takes the store back, if it had given it up, and serves on.
//!
//! The two talk over a Unix socket, which is the successor's standard input: that is how a file descriptor reaches
//! another process without a word of unsafe code.

mod inherited;
mod notify;
mod predecessor;
mod successor;

pub use inherited::{Handed, Inherited, Plane, Role};
pub use notify::notify;
pub use predecessor::Predecessor;
pub use successor::Successor;

/// Tells a process that its standard input is its predecessor. Set by the predecessor alone.
pub const VARIABLE: &str = "GATEWARD_PREDECESSOR";

/// Variables by which a service manager hands on sockets; what they say holds for one process, not for its successor.
const LISTEN_VARIABLES: [&str; 3] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// What the two say.
mod words {
    pub(super) const PREPARED: &str = "prepared";
    pub(super) const YOURS: &str = "yours";
    pub(super) const SERVING: &str = "serving";
}

/// As many sockets go in one message; the kernel takes 253.
const SOCKETS_A_MESSAGE: usize = 64;

/// Why a restart did not happen.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// The two could not talk.
    #[error("the other process cannot be talked to")]
    Io(#[from] std::io::Error),
    /// The other one has gone.
    #[error("the other process has ended; what it printed says why")]
    Ended,
    /// The other one says nothing.
    #[error("the other process was not {0} in time")]
    Late(&'static str),
    /// The other one speaks of something else.
    #[error("the other process is no gateway of this kind")]
    Foreign,
}
