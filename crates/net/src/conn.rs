//! The connection that a request came in by.

use std::net::SocketAddr;
use std::sync::Arc;

use gateward_model::apisix::{ClientTrust, Scheme};

/// The connection that a request came in by. A clone is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conn {
    /// The client's end; behind a balancer that speaks the PROXY protocol, what that says.
    pub client: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
    /// Whether it is encrypted.
    pub scheme: Scheme,
    /// What the handshake said; None where there was none.
    pub tls: Option<Arc<TlsFacts>>,
}

/// What a client and the gateway told each other in the handshake of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// The name that the client asked for, in lower case.
    pub sni: Option<Box<str>>,
    /// The version that is spoken, `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// Who vouched for the client's certificate; None if it showed none.
    pub vouched_by: Option<Arc<ClientTrust>>,
    /// The client's certificate itself, in DER; only one that somebody vouched for.
    pub certificate: Option<Arc<[u8]>>,
}

impl Conn {
    /// A connection without TLS from `client` to `local`.
    pub fn plain(client: SocketAddr, local: SocketAddr) -> Self {
        Self { client, local, scheme: Scheme::Http, tls: None }
    }
}
