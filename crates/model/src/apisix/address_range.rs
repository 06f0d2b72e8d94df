//! An address, or all addresses of a network.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::Deserialize;

use crate::Invalid;

/// `192.0.2.1`, `2001:db8::1`, `10.0.0.0/8` or `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct AddressRange(IpNet);

impl AddressRange {
    /// Whether `address` is in the range. An IPv4 address within an IPv6 one is an IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for AddressRange {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let network = match text.parse::<IpAddr>() {
            Ok(address) => Ok(IpNet::from(address.to_canonical())),
            Err(_) => text.parse::<IpNet>(),
        };
        let wrong =
            |_| Invalid::new("", "an address is like 192.0.2.1 or 2001:db8::1, a range like 10.0.0.0/8");
        network.map(|network| Self(canonical(network.trunc()))).map_err(wrong)
    }
}

/// An IPv4 network within the IPv6 addresses as the IPv4 network that it is, for no address is compared in that form.
fn canonical(network: IpNet) -> IpNet {
    let (address, length) = (network.addr().to_canonical(), network.prefix_len());
    match length.checked_sub(IPV4_WITHIN_IPV6) {
        Some(length) if address.is_ipv4() && network.addr().is_ipv6() => {
            IpNet::new(address, length).unwrap_or(network)
        }
        _ => network,
    }
}

/// The bits that all IPv4 addresses have in common as IPv6 addresses.
const IPV4_WITHIN_IPV6: u8 = 96;

impl TryFrom<String> for AddressRange {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(range: &str, address: &str) -> bool {
        range.parse::<AddressRange>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_range_holds_the_addresses_of_its_network() {
        assert!(contains("10.1.2.3/8", "10.200.0.1") && !contains("10.1.2.3/8", "11.0.0.1"));
        assert!(contains("192.0.2.1", "192.0.2.1") && !contains("192.0.2.1", "192.0.2.2"));
        assert!(contains("2001:db8::/32", "2001:db8:1::1") && !contains("2001:db8::/32", "2001:db9::1"));
        assert!(contains("0.0.0.0/0", "192.0.2.1") && !contains("0.0.0.0/0", "2001:db8::1"));
    }

    #[test]
    fn an_ipv4_address_may_come_as_an_ipv6_one() {
        assert!(contains("192.0.2.0/24", "::ffff:192.0.2.9"));
        assert!(contains("::ffff:192.0.2.9", "192.0.2.9"));
        assert!(contains("::ffff:192.0.2.0/120", "192.0.2.9"));
        assert!(!contains("::ffff:192.0.2.0/120", "192.0.3.9"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "a", "10.0.0.0/33", "10.0.0/8", "2001:db8::/129", "10.0.0.1 "] {
            assert!(text.parse::<AddressRange>().is_err(), "{text}");
        }
    }
}
