//! Whom a request goes out to.

use std::net::IpAddr;
use std::sync::Arc;

use gateward_model::apisix::Scheme;
use http::Uri;

/// Whom the gateway calls. Connections are kept and shared by this: two peers that differ in anything share none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Plain, or over TLS.
    pub scheme: Scheme,
    /// A name or an address, an IPv6 address without its brackets.
    pub host: Arc<str>,
    /// The port.
    pub port: u16,
    /// Whether the peer's certificate must be one that we trust; means nothing without TLS.
    pub verify: bool,
}

impl Peer {
    /// The peer at `host`, which may be an IPv6 address with or without brackets.
    pub fn new(scheme: Scheme, host: &str, port: u16, verify: bool) -> Self {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Self { scheme, host: host.to_ascii_lowercase().into(), port, verify }
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

    /// `host[:port]` as a Host header says it: no default port, brackets around an IPv6 address.
    pub fn authority(&self) -> String {
        let brackets = self.host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6());
        let (open, close) = if brackets { ("[", "]") } else { ("", "") };
        if self.port == default_port(self.scheme) {
            return format!("{open}{}{close}", self.host);
        }
        format!("{open}{}{close}:{}", self.host, self.port)
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
}
