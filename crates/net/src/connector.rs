//! The one way out: a name to addresses, addresses past the filter, a connection, TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use gateward_model::apisix::Scheme;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::address::AddressFilter;
use crate::dns::{Dns, Name};
use crate::forward_proxy;
use crate::pool::{Tallies, Tally};
use crate::tls::TlsSettings;
use crate::{FetchError, Peer, PeerTls, Protocol, Stream, TrustError};

/// What a [`Connector`] must know.
#[derive(Clone, Debug, Default)]
pub struct ConnectorSettings {
    /// Listeners that nobody may call through the gateway: its own control plane, the Lambda Runtime API. One on the
    /// unspecified address forbids its port on every address of this machine.
    pub forbidden: Vec<SocketAddr>,
    /// Whether the addresses where clouds hand out credentials can be called, as they are for this process's own sake
    /// and for nobody else's.
    pub reaches_metadata: bool,
    /// Certificates (PEM) to trust besides the compiled-in roots.
    pub extra_ca: Option<Vec<u8>>,
    /// Who is asked for names (DNS over UDP, and TCP where an answer is long), in place of those that
    /// `/etc/resolv.conf` names, its search list included. `/etc/hosts` comes before either.
    pub dns_servers: Vec<SocketAddr>,
}

/// Opens connections. Shared by every thread; knows nothing of HTTP.
#[derive(Debug)]
pub struct Connector {
    filter: AddressFilter,
    tls: TlsSettings,
    dns: Dns,
    tallies: Tallies,
}

impl Connector {
    /// A connector with `settings`.
    pub fn new(settings: ConnectorSettings) -> Result<Self, TrustError> {
        let ConnectorSettings { forbidden, reaches_metadata, extra_ca, dns_servers } = settings;
        let filter = AddressFilter::new(&forbidden);
        Ok(Self {
            filter: if reaches_metadata { filter.with_metadata() } else { filter },
            tls: TlsSettings::new(extra_ca.as_deref())?,
            dns: Dns::new(dns_servers),
            tallies: Tallies::default(),
        })
    }

    /// Connects to `peer`. Takes as long as it takes: the caller holds the clock.
    pub async fn connect(&self, peer: &Peer) -> Result<Stream, FetchError> {
        self.connect_for(peer, peer.protocol()).await
    }

    /// Connects to `peer`, to speak `protocol` there.
    pub(crate) async fn connect_for(&self, peer: &Peer, protocol: Protocol) -> Result<Stream, FetchError> {
        let (host, port) = peer.dialled();
        let addresses = self.dns.addresses(host).await?;
        let addresses: Vec<_> = addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        // One bad address condemns the name: whoever answers with a metadata address means no good with the others.
        let literal = peer.host().parse().map(|ip: IpAddr| SocketAddr::new(ip, peer.port())).ok();
        if addresses.iter().chain(&literal).any(|address| self.filter.forbids(*address)) {
            return Err(FetchError::Forbidden);
        }
        if peer.proxy().is_some() && forward_proxy::may_be_an_address(peer.host()) {
            return Err(FetchError::Forbidden);
        }
        let unreachable = |error: io::Error| match peer.proxy() {
            Some(_) => io::Error::new(error.kind(), format!("the forward proxy: {error}")),
            None => error,
        };
        let mut tcp = first_to_connect(&addresses).await.map_err(unreachable).map_err(FetchError::Connect)?;
        let (local, remote) =
            (tcp.local_addr().map_err(FetchError::Connect)?, tcp.peer_addr().map_err(FetchError::Connect)?);
        if self.filter.forbids_connection(local, remote) {
            return Err(FetchError::Forbidden);
        }
        // Requests are written whole; to wait for more would only delay them.
        tcp.set_nodelay(true).map_err(FetchError::Connect)?;
        if let Some(proxy) = peer.proxy() {
            proxy.open(&mut tcp, peer.host(), peer.port()).await?;
        }
        match peer.scheme() {
            Scheme::Http => Ok(Stream::plain(tcp, remote)),
            Scheme::Https => Ok(Stream::tls(self.encrypt(peer, protocol, tcp).await?, remote)),
        }
    }

    /// Speaks TLS from here on over `stream`, a plain one to `peer`, for protocols that begin without it; `inside` is what
    /// is spoken there, as ALPN calls it.
    pub async fn encrypt_begun(
        &self,
        peer: &Peer,
        stream: Stream,
        inside: &[u8],
    ) -> Result<Stream, FetchError> {
        let remote = stream.address();
        let begun = || FetchError::Tls(std::io::Error::other("TLS is spoken there already"));
        let tcp = stream.into_plain().ok_or_else(begun)?;
        let mut settings = ClientConfig::clone(&self.tls.for_peer(peer, Protocol::Http1));
        settings.alpn_protocols = vec![inside.to_vec()];
        let name = server_name(peer)?;
        let connector = TlsConnector::from(Arc::new(settings));
        Ok(Stream::tls(connector.connect(name, tcp).await.map_err(FetchError::Tls)?, remote))
    }

    /// What DNS says of `peer`, if it has a name of which DNS may say something new.
    pub(crate) fn name(&self, peer: &Peer) -> Option<Arc<Name>> {
        self.dns.name(peer.dialled().0)
    }

    /// Where the idle connections to `peer` are counted, those of all threads that call by this connector.
    pub(crate) fn tally(&self, peer: &Peer) -> Arc<Tally> {
        self.tallies.of(peer)
    }

    async fn encrypt(
        &self,
        peer: &Peer,
        protocol: Protocol,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, FetchError> {
        let name = server_name(peer)?;
        let settings = self.tls.for_peer(peer, protocol);
        TlsConnector::from(settings).connect(name, tcp).await.map_err(FetchError::Tls)
    }
}

/// Whom the peer's certificate must name.
fn server_name(peer: &Peer) -> Result<ServerName<'static>, FetchError> {
    match peer.tls().and_then(PeerTls::server_name) {
        Some(name) => Ok(name.clone()),
        // The dot at the end of a name means something to DNS only.
        None => ServerName::try_from(peer.host().trim_end_matches('.').to_owned())
            .map_err(|error| FetchError::Tls(std::io::Error::other(error))),
    }
}

/// Tries the addresses in their order, the next one when the last has failed or has kept us waiting for long, and
/// keeps the connection that stands first (RFC 8305 in small): one dead address costs a moment, not the whole timeout.
async fn first_to_connect(addresses: &[SocketAddr]) -> std::io::Result<TcpStream> {
    let mut waiting = addresses.iter();
    let mut attempts = FuturesUnordered::new();
    let mut last_error = std::io::Error::other("there is no address to connect to");
    loop {
        match waiting.next() {
            Some(address) => attempts.push(TcpStream::connect(*address)),
            None if attempts.is_empty() => return Err(last_error),
            None => {}
        }
        let patience = async {
            if waiting.len() == 0 {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(PATIENCE).await;
        };
        tokio::select! {
            attempt = attempts.next() => match attempt {
                Some(Ok(tcp)) => return Ok(tcp),
                Some(Err(error)) => last_error = error,
                None => {}
            },
            () = patience => {}
        }
    }
}

/// How long an address may stay silent before the next one is tried beside it.
const PATIENCE: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests;
