//! The hosts, from outside: real sockets, real upstreams, a Runtime API that is the test's own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod balancing;
mod bodies;
mod chain;
mod framing;
mod health;
mod http2;
mod http2_abuse;
mod lambda;
mod lambda_clock;
mod lifecycle;
mod limits;
mod protocols;
mod proxy_protocol;
mod proxying;
mod retries;
mod support;
mod tls;
mod upgrades;
mod websockets;
