//! How much a client may take.

use std::time::Duration;

/// How much time and room a client may take, and how many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the head of a request, from its first byte; the first one from the beginning of the connection.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// For all that comes before the first request: the PROXY protocol's header, the handshake of TLS.
    pub handshake: Duration,
    /// Between two parts of a request's body, and between two parts of an answer that the client takes.
    pub body_idle: Duration,
    /// The head of a request, in bytes; at least 8 KiB.
    pub head_bytes: usize,
    /// The header fields of a request.
    pub head_fields: usize,
    /// The path and query of a request, in bytes.
    pub target_bytes: usize,
    /// The body of a request, in bytes.
    pub body_bytes: Option<u64>,
    /// Connections at a time.
    pub connections: usize,
    /// Connections at a time from one address; the /64 of an IPv6 address counts as one.
    pub connections_per_address: Option<usize>,
    /// Requests at a time that have no answer yet.
    pub requests: usize,
    /// Requests on one connection.
    pub requests_per_connection: u64,
    /// For how long a connection takes requests.
    pub connection_age: Option<Duration>,
    /// Requests at a time on one HTTP/2 connection.
    pub streams: u32,
    /// How much of a body may be on its way to us, in bytes, on one stream of HTTP/2.
    pub stream_window: u32,
    /// The same for all streams of a connection.
    pub connection_window: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            handshake: Duration::from_secs(10),
            body_idle: Duration::from_secs(60),
            head_bytes: 32 * 1024,
            head_fields: USUAL_FIELDS,
            target_bytes: 8 * 1024,
            body_bytes: None,
            connections: 100_000,
            connections_per_address: None,
            requests: 50_000,
            requests_per_connection: 100_000,
            connection_age: None,
            streams: 100,
            stream_window: 256 * 1024,
            connection_window: 1024 * 1024,
        }
    }
}

/// As many fields hyper has room for without asking the allocator for it.
pub(super) const USUAL_FIELDS: usize = 100;
