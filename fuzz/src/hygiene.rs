//! Requests: what is in order has a host and a path by which routes can be found.
//!
//! The input is lines: the target, then the Hosts. The first byte chooses the version of HTTP.

use std::net::Ipv6Addr;

use gateward_proxy::hygiene;
use http::header::HOST;
use http::{Request, Version};

use crate::choice;

pub(crate) fn run(input: &[u8]) {
    let Some((choice, rest)) = choice(input) else { return };
    let version = [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2][choice % 3];
    let mut lines = rest.split(|byte| *byte == b'\n');
    let mut request = Request::builder().version(version).uri(lines.next().unwrap_or_default());
    let hosts: Vec<&[u8]> = lines.take(3).collect();
    for host in &hosts {
        request = request.header(HOST, *host);
    }
    let Ok(request) = request.body(()) else { return };
    let Ok(target) = hygiene::check(&request) else { return };
    assert!(hosts.len() < 2, "two hosts are one too many");
    assert!(!target.host.is_empty() && target.host.len() <= 255);
    assert!(!target.host.contains(['/', ' ', '@', ',']), "{:?}", target.host);
    if let Some(address) = target.host.strip_prefix('[') {
        let address = address.strip_suffix(']').expect("what is opened is closed");
        assert!(address.parse::<Ipv6Addr>().is_ok(), "{address:?}");
    }
    assert!(target.path.normal().iter().all(|byte| *byte != 0));
}
