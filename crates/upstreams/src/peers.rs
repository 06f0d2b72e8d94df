//! Nodes as peers: whom the pool calls, with all that their connections differ in.

use std::sync::Arc;
use std::time::Duration;

use gateward_model::Invalid;
use gateward_model::apisix::{self, KeepalivePool, PassHost, Upstream};
use gateward_net::{
    ClientCertificate, Keepalive, Peer, PeerTls, PeerTlsError, PeerTlsSettings, Protocol, Scheme,
};

/// The peers of all nodes.
pub(crate) fn peers(upstream: &Upstream, tls: Option<&Arc<PeerTls>>) -> Box<[Peer]> {
    let scheme = upstream.scheme.transport();
    let keepalive = upstream.keepalive_pool.map(keepalive);
    let peer = |node: &apisix::Node| {
        let mut peer = Peer::new(scheme, &node.host, node.port, upstream.tls.verify);
        if upstream.scheme.is_grpc() {
            peer = peer.with_protocol(Protocol::Http2);
        }
        if let Some(tls) = tls {
            peer = peer.with_tls(Arc::clone(tls));
        }
        if let Some(keepalive) = keepalive {
            peer = peer.with_keepalive(keepalive);
        }
        peer
    };
    upstream.nodes.iter().map(peer).collect()
}

/// What is special about the TLS of all nodes, if anything is.
pub(crate) fn tls(
    upstream: &Upstream,
    client: Option<ClientCertificate<'_>>,
) -> Result<Option<Arc<PeerTls>>, Invalid> {
    let server_name = match &upstream.pass_host {
        PassHost::Rewrite(host) if upstream.scheme.transport() == Scheme::Https => Some(name_of(host)),
        _ => None,
    };
    special_tls(upstream, client, upstream.tls.verify, server_name)
}

/// The TLS of `upstream`'s nodes with these `verify` and `server_name`, if they need any of their own.
pub(crate) fn special_tls(
    upstream: &Upstream,
    client: Option<ClientCertificate<'_>>,
    verify: bool,
    server_name: Option<&str>,
) -> Result<Option<Arc<PeerTls>>, Invalid> {
    let client = match &upstream.tls.client {
        None => None,
        Some(apisix::ClientCertificate::Own { certificate, key }) => {
            Some(ClientCertificate { chain: certificate, key })
        }
        Some(apisix::ClientCertificate::Id(_)) if client.is_some() => client,
        Some(apisix::ClientCertificate::Id(id)) => {
            let problem = format!("there is no ssl \"{id}\" of type client that can be used");
            return Err(Invalid::new("tls.client_cert_id", problem));
        }
    };
    // An own CA is what verifying goes by; where nothing is verified it means nothing.
    let ca = upstream.tls.ca.as_deref().filter(|_| verify);
    if client.is_none() && ca.is_none() && server_name.is_none() {
        return Ok(None);
    }
    let settings = PeerTlsSettings { ca, client, verify, server_name };
    PeerTls::new(&settings).map(|tls| Some(Arc::new(tls))).map_err(|error| invalid(&error))
}

/// The name in `host`, without its port and without brackets.
pub(crate) fn name_of(host: &str) -> &str {
    if let Some(bracketed) = host.strip_prefix('[') {
        return bracketed.split(']').next().unwrap_or(bracketed);
    }
    match host.split_once(':') {
        Some((name, port)) if !port.contains(':') => name,
        _ => host,
    }
}

fn keepalive(pool: KeepalivePool) -> Keepalive {
    Keepalive {
        size: pool.size as usize,
        idle_timeout: pool.idle_timeout.unwrap_or(Duration::ZERO),
        requests: pool.requests.into(),
    }
}

fn invalid(error: &PeerTlsError) -> Invalid {
    let field = match error {
        PeerTlsError::Ca(_) => "tls.ca",
        PeerTlsError::Certificate(_) | PeerTlsError::Unusable(_) | PeerTlsError::Mismatch => {
            "tls.client_cert"
        }
        PeerTlsError::Key | PeerTlsError::UnusableKey => "tls.client_key",
        PeerTlsError::ServerName => "upstream_host",
    };
    Invalid::new(field, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn the_name_in_a_host_has_no_port_and_no_brackets() {
        for (host, name) in [("a", "a"), ("a:1", "a"), ("[::1]:1", "::1"), ("[::1]", "::1"), ("::1", "::1")] {
            assert_eq!(name_of(host), name);
        }
    }
}
