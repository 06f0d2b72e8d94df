//! Whom a request goes out to.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gateward_model::apisix::Scheme;
use http::Uri;
use rustc_hash::FxBuildHasher;

use crate::{ForwardProxy, PeerTls};

/// How a peer is spoken to, once connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1: one exchange at a time on a connection.
    #[default]
    Http1,
    /// HTTP/2: many at a time. With prior knowledge over plain TCP, by ALPN over TLS.
    Http2,
}

/// How the connections to one peer are kept, on each data thread unless the peer says otherwise; in place of what the pool does otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Keepalive {
    /// How many idle connections are kept. Of HTTP/2 the pool keeps as many as are needed.
    pub size: usize,
    /// How long one may be idle; zero means for as long as the peer likes.
    pub idle_timeout: Duration,
    /// After how many requests a connection is not used again; zero means never.
    pub requests: u64,
}

/// Whom the gateway calls. Connections are kept and shared by this: two peers that differ in anything share none.
///
/// A peer is made when the configuration changes and looked up with every request, so it is cheap to clone and knows its
/// own hash.
#[derive(Clone)]
pub struct Peer(Arc<Hashed>);

struct Hashed {
    hash: u64,
    identity: Identity,
}

/// All that two peers may differ in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    scheme: Scheme,
    protocol: Protocol,
    host: Box<str>,
    port: u16,
    verify: bool,
    tls: Option<Arc<PeerTls>>,
    keepalive: Option<Keepalive>,
    /// Whether the limit on idle connections is one for the whole process.
    together: bool,
    proxy: Option<ForwardProxy>,
}

impl Peer {
    /// The peer at `host`, which may be an IPv6 address with or without brackets. It speaks HTTP/1.1; `verify` is
    /// whether its certificate must be one that we trust, and means nothing without TLS.
    pub fn new(scheme: Scheme, host: &str, port: u16, verify: bool) -> Self {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let host = host.to_ascii_lowercase().into();
        let protocol = Protocol::Http1;
        Self::hashed(Identity {
            scheme,
            protocol,
            host,
            port,
            verify,
            tls: None,
            keepalive: None,
            together: false,
            proxy: None,
        })
    }

    /// The peer that an absolute `http` or `https` address names, if it names one.
    pub fn of(address: &Uri, verify: bool) -> Option<Self> {
        let scheme = match address.scheme_str()? {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        let host = address.host().filter(|host| !host.is_empty())?;
        let port = match address.authority()?.as_str().rsplit_once(':') {
            // `http://host:99999/` parses as an address, and has no port that could be called.
            Some((_, digits)) if !digits.ends_with(']') && !digits.is_empty() => address.port_u16()?,
            _ => default_port(scheme),
        };
        (port != 0).then(|| Self::new(scheme, host, port, verify))
    }

    /// This peer, spoken to by `protocol`.
    #[must_use]
    pub fn with_protocol(&self, protocol: Protocol) -> Self {
        Self::hashed(Identity { protocol, ..self.0.identity.clone() })
    }

    /// This peer, with TLS as `tls` says, its `verify` among it. It changes nothing for a peer without TLS.
    #[must_use]
    pub fn with_tls(&self, tls: Arc<PeerTls>) -> Self {
        Self::hashed(Identity { verify: tls.verify(), tls: Some(tls), ..self.0.identity.clone() })
    }

    /// This peer, with connections kept as `keepalive` says.
    #[must_use]
    pub fn with_keepalive(&self, keepalive: Keepalive) -> Self {
        Self::hashed(Identity { keepalive: Some(keepalive), ..self.0.identity.clone() })
    }

    /// This peer, with connections kept as `keepalive` says, whose `size` holds for all data threads together.
    #[must_use]
    pub fn with_keepalive_of_all(&self, keepalive: Keepalive) -> Self {
        let identity = self.0.identity.clone();
        Self::hashed(Identity { keepalive: Some(keepalive), together: true, ..identity })
    }

    /// This peer, reached through `proxy`.
    #[must_use]
    pub fn with_proxy(&self, proxy: ForwardProxy) -> Self {
        Self::hashed(Identity { proxy: Some(proxy), ..self.0.identity.clone() })
    }

    fn hashed(identity: Identity) -> Self {
        Self(Arc::new(Hashed { hash: FxBuildHasher.hash_one(&identity), identity }))
    }

    /// Plain, or over TLS.
    pub fn scheme(&self) -> Scheme {
        self.0.identity.scheme
    }

    /// How it is spoken to.
    pub fn protocol(&self) -> Protocol {
        self.0.identity.protocol
    }

    /// A name in lower case or an address, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.0.identity.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.identity.port
    }

    /// Whether its certificate must be one that we trust.
    pub fn verify(&self) -> bool {
        self.0.identity.verify
    }

    /// What is special about its TLS, if anything is.
    pub fn tls(&self) -> Option<&PeerTls> {
        self.0.identity.tls.as_deref()
    }

    /// How its connections are kept, if not as the pool does otherwise.
    pub fn keepalive(&self) -> Option<Keepalive> {
        self.0.identity.keepalive
    }

    /// Whom it is reached through.
    pub(crate) fn proxy(&self) -> Option<&ForwardProxy> {
        self.0.identity.proxy.as_ref()
    }

    /// The host and the port that a connection is opened to: its own, or those of the proxy.
    pub(crate) fn dialled(&self) -> (&str, u16) {
        self.proxy().map_or((self.host(), self.port()), |proxy| (proxy.host(), proxy.port()))
    }

    /// Whether its idle connections are counted in the whole process.
    pub(crate) fn counts_together(&self) -> bool {
        self.0.identity.together
    }

    /// `host[:port]` as a Host header says it: no default port, brackets around an IPv6 address.
    pub fn authority(&self) -> String {
        let (host, port) = (self.host(), self.port());
        let brackets = host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6());
        let (open, close) = if brackets { ("[", "]") } else { ("", "") };
        if port == default_port(self.scheme()) {
            return format!("{open}{host}{close}");
        }
        format!("{open}{host}{close}:{port}")
    }
}

impl PartialEq for Peer {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.hash == other.0.hash && self.0.identity == other.0.identity
    }
}

impl Eq for Peer {}

impl Hash for Peer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.identity.fmt(formatter)
    }
}

fn default_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PeerTlsSettings;

    #[test]
    fn an_authority_has_no_default_port_and_brackets_around_ipv6() {
        let authority =
            |address: &str| Peer::of(&address.parse().unwrap(), true).map(|peer| peer.authority());
        assert_eq!(authority("http://Example.com/x").as_deref(), Some("example.com"));
        assert_eq!(authority("https://example.com:443/").as_deref(), Some("example.com"));
        assert_eq!(authority("https://example.com:80/").as_deref(), Some("example.com:80"));
        assert_eq!(authority("http://[::1]:8080/").as_deref(), Some("[::1]:8080"));
        assert_eq!(authority("http://[::1]/").as_deref(), Some("[::1]"));
    }

    #[test]
    fn an_address_that_cannot_be_called_names_no_peer() {
        for address in ["ftp://example.com/", "/path", "http://example.com:99999/", "http://example.com:0/"] {
            assert_eq!(Peer::of(&address.parse().unwrap(), true), None, "{address}");
        }
    }
    #[test]
    fn peers_that_differ_in_anything_are_different() {
        let plain = Peer::new(Scheme::Http, "a", 80, true);
        assert_eq!(plain, Peer::new(Scheme::Http, "A", 80, true));
        let tls = |server_name| {
            let settings = PeerTlsSettings { server_name: Some(server_name), ..PeerTlsSettings::default() };
            plain.with_tls(Arc::new(PeerTls::new(&settings).unwrap()))
        };
        assert_eq!(tls("one"), tls("one"));
        let keepalive = Keepalive { size: 1, idle_timeout: Duration::from_secs(1), requests: 1 };
        let different = [
            plain.clone(),
            Peer::new(Scheme::Https, "a", 80, true),
            Peer::new(Scheme::Http, "b", 80, true),
            Peer::new(Scheme::Http, "a", 81, true),
            Peer::new(Scheme::Http, "a", 80, false),
            plain.with_protocol(Protocol::Http2),
            tls("one"),
            tls("other"),
            plain.with_keepalive(keepalive),
            plain.with_keepalive(Keepalive { requests: 2, ..keepalive }),
            plain.with_keepalive_of_all(keepalive),
            plain.with_proxy(ForwardProxy::new("p", 80, None)),
            plain.with_proxy(ForwardProxy::new("p", 80, Some(http::HeaderValue::from_static("x")))),
        ];
        for (at, one) in different.iter().enumerate() {
            for other in &different[at + 1..] {
                assert_ne!(one, other);
            }
        }
    }
}
