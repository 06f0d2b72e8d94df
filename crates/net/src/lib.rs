//! What touches the network: bodies, the one connector, and the two ways to call somebody.
//!
//! A data thread calls through its [`Pool`], which is cheap and stays on that thread. The control runtime calls
//! through a [`Client`], which may be sent between threads and answers with whole bodies. Both reach the world
//! through one [`Connector`], so there is one place that decides whom the gateway may call and whom it trusts.

mod address;
mod body;
mod client;
mod conn;
mod connector;
mod dns;
mod fetch_error;
mod forward_proxy;
mod hop_by_hop;
mod peer;
mod pool;
mod retry_after;
mod stream;
#[cfg(test)]
mod testing;
mod tls;
mod upgraded;

pub use body::{Body, BodyEnd, BodyError, CollectError, Progress, Turn};
pub use client::{Client, Limits, OverKept};
pub use conn::{Conn, TlsFacts};
pub use connector::{Connector, ConnectorSettings};
pub use fetch_error::FetchError;
pub use forward_proxy::ForwardProxy;
pub use gateward_model::apisix::Scheme;
pub use hop_by_hop::remove_hop_by_hop;
pub use peer::{Keepalive, Peer, Protocol};
// For fuzz/ alone: nobody else reads an answer by hand.
#[doc(hidden)]
pub use pool::incoming;
pub use pool::{Left, Missed, Pool, PoolSettings, Timeouts};
pub use retry_after::retry_after;
pub use stream::Stream;
pub use tls::{ClientCertificate, PeerTls, PeerTlsError, PeerTlsSettings, TrustError};
pub use upgraded::Upgraded;
