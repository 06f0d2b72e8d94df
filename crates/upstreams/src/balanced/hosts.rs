//! The Host that nodes hear of, written once.

use gateward_model::Invalid;
use gateward_model::apisix::PassHost;
use gateward_net::Peer;
use http::HeaderValue;

/// The Host that nodes hear of.
#[derive(Debug)]
pub(super) enum Hosts {
    /// The one that the client named.
    Clients,
    /// Their own.
    Nodes(Box<[HeaderValue]>),
    /// All the same one.
    One(HeaderValue),
}

impl Hosts {
    pub(super) fn new(pass_host: &PassHost, peers: &[Peer]) -> Result<Self, Invalid> {
        Ok(match pass_host {
            PassHost::Pass => Self::Clients,
            PassHost::Node => {
                let hosts = peers.iter().map(|peer| HeaderValue::try_from(peer.authority()));
                Self::Nodes(hosts.collect::<Result<_, _>>().map_err(|_| unsendable("nodes"))?)
            }
            PassHost::Rewrite(host) => {
                Self::One(HeaderValue::from_str(host).map_err(|_| unsendable("upstream_host"))?)
            }
        })
    }

    pub(super) fn of(&self, node: usize) -> Option<&HeaderValue> {
        match self {
            Self::Clients => None,
            Self::Nodes(hosts) => hosts.get(node),
            Self::One(host) => Some(host),
        }
    }
}

fn unsendable(field: &str) -> Invalid {
    Invalid::new(field, "cannot be sent as a Host header")
}
