//! Names to addresses, for all threads.
//!
//! Each name that is called is asked for once, whoever calls it, and again when its TTL has run out and somebody still
//! calls it. Those who already have a connection never wait for that, and hear of a change by a number that has grown.
//!
//! The names of this machine itself (`localhost`, `*.localhost`) and addresses are never asked for.

mod name;
mod resolver;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::FetchError;
pub(crate) use name::Name;
use resolver::Resolver;

/// The names that are called.
#[derive(Debug)]
pub(crate) struct Dns {
    resolver: Arc<Resolver>,
    names: Mutex<HashMap<Box<str>, Arc<Name>>>,
}

impl Dns {
    /// Asks `servers`, or whom `/etc/resolv.conf` names if there are none; and `/etc/hosts` before either.
    pub(crate) fn new(servers: Vec<SocketAddr>) -> Self {
        Self { resolver: Arc::new(Resolver::new(servers)), names: Mutex::default() }
    }

    /// What is known of `host`, unless its addresses never change.
    pub(crate) fn name(&self, host: &str) -> Option<Arc<Name>> {
        if constant(host).is_some() {
            return None;
        }
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = names.get(host) {
            return Some(Arc::clone(name));
        }
        // A name that has left the configuration goes when another one comes.
        names.retain(|_, name| Arc::strong_count(name) > 1 || name.was_asked_lately());
        let name = Arc::new(Name::new(host, Arc::clone(&self.resolver)));
        names.insert(host.into(), Arc::clone(&name));
        Some(name)
    }

    /// The addresses of `host`, the one whose turn it is first. Never an empty list.
    pub(crate) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, FetchError> {
        if let Some(addresses) = constant(host) {
            return Ok(addresses);
        }
        match self.name(host) {
            Some(name) => name.addresses().await.map_err(FetchError::Resolve),
            None => Err(FetchError::Address),
        }
    }
}

/// The addresses of a host for which nobody has to be asked.
fn constant(host: &str) -> Option<Vec<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Some(vec![address]);
    }
    let name = host.trim_end_matches('.');
    let is_here = name == "localhost" || name.ends_with(".localhost");
    is_here.then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
}

#[cfg(test)]
mod tests;
