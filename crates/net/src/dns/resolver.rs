//! Asks for a name: `/etc/hosts` first, then the servers of the settings or of `/etc/resolv.conf`.
//!
//! Both files may change while the gateway runs (a laptop moves, an operator edits); they are read again when they have.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;

/// Who is asked.
#[derive(Debug)]
pub(super) struct Resolver {
    servers: Vec<SocketAddr>,
    /// Held while it is looked whether the files have changed.
    built: Mutex<Option<Built>>,
}

struct Built {
    resolver: Arc<TokioResolver>,
    /// When the files that it was built from were written.
    written: [Option<SystemTime>; 2],
}

/// There is no address.
#[derive(Debug)]
pub(super) struct Unresolved {
    /// Whether there may be one all the same, for nobody said that there is none.
    pub(super) exists: bool,
    pub(super) reason: String,
}

impl Resolver {
    pub(super) fn new(servers: Vec<SocketAddr>) -> Self {
        Self { servers, built: Mutex::default() }
    }

    /// The addresses of `host`, and for how long they hold. Those of IPv6 only if there are none of IPv4.
    pub(super) async fn ask(&self, host: &str) -> Result<(Vec<IpAddr>, Duration), Unresolved> {
        let resolver = self.current().map_err(|error| Unresolved::of(&error))?;
        let answer = resolver.lookup_ip(host).await.map_err(|error| Unresolved::of(&error))?;
        let ttls = answer.as_lookup().answers().iter().map(|record| record.ttl);
        let ttl = Duration::from_secs(u64::from(ttls.min().unwrap_or(0)));
        let addresses: Vec<IpAddr> = answer.iter().map(|address| address.to_canonical()).collect();
        if addresses.is_empty() {
            return Err(Unresolved { exists: false, reason: "the name has no address".to_owned() });
        }
        Ok((addresses, ttl))
    }

    fn current(&self) -> Result<Arc<TokioResolver>, NetError> {
        let written = FILES.map(|file| std::fs::metadata(file).and_then(|file| file.modified()).ok());
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(built) = built.as_ref().filter(|built| built.written == written) {
            return Ok(Arc::clone(&built.resolver));
        }
        let resolver = Arc::new(build(&self.servers)?);
        *built = Some(Built { resolver: Arc::clone(&resolver), written });
        Ok(resolver)
    }
}

fn build(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let (config, mut options) = if servers.is_empty() {
        // Without the file, it is this machine that is asked (resolv.conf(5)).
        hickory_resolver::system_conf::read_system_conf()
            .unwrap_or_else(|_| (asking(&[(Ipv4Addr::LOCALHOST, 53).into()]), ResolverOpts::default()))
    } else {
        (asking(servers), ResolverOpts::default())
    };
    options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
    // What is known is kept with each name.
    options.cache_size = 0;
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.build()
}

fn asking(servers: &[SocketAddr]) -> ResolverConfig {
    let servers = servers.iter().map(|server| {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        });
        NameServerConfig::new(server.ip(), true, connections.into())
    });
    ResolverConfig::from_parts(None, Vec::new(), servers.collect())
}

impl Unresolved {
    fn of(error: &NetError) -> Self {
        Self { exists: !error.is_no_records_found() && !error.is_nx_domain(), reason: error.to_string() }
    }
}

impl std::fmt::Debug for Built {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Built").field("written", &self.written).finish_non_exhaustive()
    }
}

const FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];
