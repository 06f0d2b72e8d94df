//! Whom nobody may call through the gateway.
//!
//! The filter looks at addresses, not at names, and it does so after DNS has answered and before anything is sent.
//! A name under somebody else's control can therefore not lead to where an address could not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The addresses that no request may reach.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddressFilter {
    /// Listeners that are nobody's upstream: our own control plane, the Lambda Runtime API.
    listeners: Vec<SocketAddr>,
    /// Whether metadata addresses can be called after all.
    reaches_metadata: bool,
}

impl AddressFilter {
    pub(crate) fn new(listeners: &[SocketAddr]) -> Self {
        let listeners = listeners.iter().map(|at| SocketAddr::new(canonical(at.ip()), at.port())).collect();
        Self { listeners, reaches_metadata: false }
    }

    /// The same filter, past which metadata addresses can be called.
    pub(crate) fn with_metadata(self) -> Self {
        Self { reaches_metadata: true, ..self }
    }

    /// Whether `address` must not be called.
    pub(crate) fn forbids(&self, address: SocketAddr) -> bool {
        let ip = canonical(address.ip());
        (METADATA.contains(&ip) && !self.reaches_metadata)
            || self.listeners.iter().any(|listener| {
                listener.port() == address.port()
                    && (listener.ip() == ip
                        || listener.ip().is_unspecified() && is_own(ip)
                        // To call the unspecified address is to call the loopback address.
                        || ip.is_unspecified() && is_own(listener.ip()))
            })
    }

    /// Whether a connection that stands must not be used, because it turned out to be one to this very machine.
    ///
    /// A listener on all addresses listens on those of every interface too; a connection to one of them has the same
    /// address at both of its ends, so no list of interfaces is needed.
    pub(crate) fn forbids_connection(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        canonical(local.ip()) == canonical(remote.ip())
            && self.listeners.iter().any(|own| own.ip().is_unspecified() && own.port() == remote.port())
    }
}

fn is_own(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified()
}

/// The IPv4 address within an IPv6 one (mapped, or translated by NAT64), else the address itself.
fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
            }
            _ => v6.to_canonical(),
        },
        IpAddr::V4(_) => ip,
    }
}

/// Where clouds hand out the credentials of the machine, the task or the pod to whoever asks.
const METADATA: [IpAddr; 8] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    // Azure's, Alibaba's and Oracle's own; others use the first.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(listeners: &[&str]) -> AddressFilter {
        let listeners: Vec<SocketAddr> = listeners.iter().map(|at| at.parse().unwrap()).collect();
        AddressFilter::new(&listeners)
    }

    fn forbids(listeners: &[&str], address: &str) -> bool {
        filter(listeners).forbids(address.parse().unwrap())
    }

    #[test]
    fn metadata_addresses_are_forbidden_on_any_port_and_in_any_spelling() {
        for address in [
            "169.254.169.254:80",
            "169.254.169.254:8080",
            "169.254.170.2:80",
            "169.254.170.23:80",
            "168.63.129.16:32526",
            "100.100.100.200:80",
            "192.0.0.192:80",
            "[::ffff:169.254.169.254]:80",
            "[64:ff9b::a9fe:a9fe]:80",
            "[fd00:ec2::254]:80",
            "[fd00:ec2::23]:80",
        ] {
            assert!(forbids(&[], address), "{address}");
        }
        for address in ["169.254.169.253:80", "127.0.0.1:80", "[fd00:ec2::255]:80", "[::ffff:10.0.0.1]:80"] {
            assert!(!forbids(&[], address), "{address}");
        }
    }

    #[test]
    fn who_may_call_metadata_addresses_may_call_no_listener_of_ours() {
        let filter = filter(&["127.0.0.1:8000"]).with_metadata();
        assert!(!filter.forbids("169.254.169.254:80".parse().unwrap()));
        assert!(filter.forbids("127.0.0.1:8000".parse().unwrap()));
    }

    #[test]
    fn a_listener_of_ours_is_forbidden_in_any_spelling_and_its_neighbours_are_not() {
        for address in ["127.0.0.1:8000", "[::ffff:127.0.0.1]:8000", "0.0.0.0:8000"] {
            assert!(forbids(&["127.0.0.1:8000"], address), "{address}");
        }
        for address in ["127.0.0.1:8001", "127.0.0.2:8000", "10.0.0.1:8000"] {
            assert!(!forbids(&["127.0.0.1:8000"], address), "{address}");
        }
    }

    #[test]
    fn a_listener_on_all_addresses_forbids_loopback_and_every_connection_to_oneself() {
        for listener in ["0.0.0.0:8000", "[::]:8000"] {
            for address in ["127.0.0.1:8000", "127.9.9.9:8000", "[::1]:8000", "0.0.0.0:8000", "[::]:8000"] {
                assert!(forbids(&[listener], address), "{listener} {address}");
            }
            let at = |text: &str| text.parse::<SocketAddr>().unwrap();
            assert!(filter(&[listener]).forbids_connection(at("10.0.0.1:40000"), at("10.0.0.1:8000")));
            assert!(!filter(&[listener]).forbids_connection(at("10.0.0.1:40000"), at("10.0.0.2:8000")));
            assert!(!filter(&[listener]).forbids_connection(at("10.0.0.1:40000"), at("10.0.0.1:8001")));
        }
    }
}
