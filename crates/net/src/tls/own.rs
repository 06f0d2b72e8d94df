//! What is special about the TLS of one peer: whom it trusts, who we are to it, and what it is called.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ring::digest;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, Error, InconsistentKeys, RootCertStore};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::{TrustError, add, anyone, provider};

/// What a [`PeerTls`] is made of. The default trusts whom everybody trusts, and says not who we are.
#[derive(Clone, Copy)]
pub struct PeerTlsSettings<'a> {
    /// Certificates (PEM) to trust in place of all others.
    pub ca: Option<&'a str>,
    /// Who we are.
    pub client: Option<ClientCertificate<'a>>,
    /// Whether the peer's certificate must be one that we trust. Without it `ca` means nothing.
    pub verify: bool,
    /// What the peer's certificate must be for, and what it is asked for by (SNI), if not the host that is called.
    pub server_name: Option<&'a str>,
}

/// A certificate, and the key that proves that it is ours.
#[derive(Clone, Copy)]
pub struct ClientCertificate<'a> {
    /// The certificate and those that vouch for it (PEM), the certificate first.
    pub chain: &'a str,
    /// The certificate's private key (PEM).
    pub key: &'a str,
}

impl Default for PeerTlsSettings<'_> {
    fn default() -> Self {
        Self { ca: None, client: None, verify: true, server_name: None }
    }
}

/// A peer's TLS cannot be as its settings say.
#[derive(Debug, thiserror::Error)]
pub enum PeerTlsError {
    /// Its own CA cannot be used.
    #[error("the peer's own CA cannot be used")]
    Ca(#[from] TrustError),
    /// The client certificate is not PEM, or holds no certificate.
    #[error("the client certificate is not a PEM text with a CERTIFICATE section")]
    Certificate(#[source] pem::Error),
    /// The client certificate is PEM, and not a certificate.
    #[error("the client certificate cannot be used")]
    Unusable(#[source] Error),
    /// The key is not PEM, or holds no private key. The cause is left out: it may quote the text.
    #[error("the client certificate's key is not a PEM text with a PRIVATE KEY section")]
    Key,
    /// The key is of a kind that we cannot use.
    #[error("the client certificate's key is damaged, or of an unknown kind")]
    UnusableKey,
    /// Certificate and key do not belong together.
    #[error("the client certificate does not match its key")]
    Mismatch,
    /// No name that a certificate could be for.
    #[error("the server name is neither a DNS name nor an address")]
    ServerName,
}

/// What is special about the TLS of one peer. Made once, when the configuration changes. Two are equal if they were
/// made of the same.
pub struct PeerTls {
    /// Of all that it was made of, so that comparing two costs next to nothing.
    fingerprint: [u8; 32],
    verify: bool,
    verifier: Option<Arc<dyn ServerCertVerifier>>,
    client: Option<Arc<dyn ResolvesClientCert>>,
    server_name: Option<ServerName<'static>>,
    /// Sessions to resume. They know as whom they were begun, and are not to be mixed with others'.
    sessions: Resumption,
}

impl PeerTls {
    /// What `settings` say.
    pub fn new(settings: &PeerTlsSettings<'_>) -> Result<Self, PeerTlsError> {
        let client = settings.client.map(certified).transpose()?;
        let server_name = settings.server_name.map(|name| ServerName::try_from(name.to_owned()));
        Ok(Self {
            fingerprint: fingerprint(settings),
            verify: settings.verify,
            verifier: settings.ca.map(|ca| verifier(ca, settings.verify)).transpose()?,
            client: client.map(|client| Arc::new(client) as _),
            server_name: server_name.transpose().map_err(|_invalid| PeerTlsError::ServerName)?,
            sessions: Resumption::in_memory_sessions(64),
        })
    }

    /// Whether the peer's certificate must be one that is trusted.
    pub fn verify(&self) -> bool {
        self.verify
    }

    /// What the peer is called in TLS, if not by the host that is called.
    pub(crate) fn server_name(&self) -> Option<&ServerName<'static>> {
        self.server_name.as_ref()
    }

    /// `common`, and what is special here.
    pub(super) fn applied_to(&self, common: &ClientConfig) -> Arc<ClientConfig> {
        let mut config = common.clone();
        if let Some(verifier) = &self.verifier {
            config.dangerous().set_certificate_verifier(Arc::clone(verifier));
        }
        if let Some(client) = &self.client {
            config.client_auth_cert_resolver = Arc::clone(client);
        }
        config.resumption = self.sessions.clone();
        Arc::new(config)
    }
}

impl PartialEq for PeerTls {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for PeerTls {}

impl Hash for PeerTls {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

/// Nothing of it is anybody's business.
impl std::fmt::Debug for PeerTls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("PeerTls").field("verify", &self.verify).finish_non_exhaustive()
    }
}

fn certified(client: ClientCertificate<'_>) -> Result<SingleCertAndKey, PeerTlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(client.chain.as_bytes())
        .map(|certificate| certificate.map(CertificateDer::into_owned))
        .collect::<Result<_, _>>()
        .map_err(PeerTlsError::Certificate)?;
    if chain.is_empty() {
        return Err(PeerTlsError::Certificate(pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_slice(client.key.as_bytes()).map_err(|_may_quote| PeerTlsError::Key)?;
    let key =
        provider().key_provider.load_private_key(key).map_err(|_may_quote| PeerTlsError::UnusableKey)?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified.into()),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(PeerTlsError::Mismatch),
        Err(error) => Err(PeerTlsError::Unusable(error)),
    }
}

fn verifier(ca: &str, verify: bool) -> Result<Arc<dyn ServerCertVerifier>, TrustError> {
    let mut roots = RootCertStore::empty();
    add(&mut roots, ca.as_bytes())?;
    if !verify {
        return Ok(anyone());
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    Ok(verifier.map_err(|error| TrustError::Settings(Error::General(error.to_string())))?)
}

/// Tells settings apart. Each part is preceded by its length, so that no two parts can be taken for another two.
fn fingerprint(settings: &PeerTlsSettings<'_>) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    let (chain, key) = settings.client.map(|client| (client.chain, client.key)).unzip();
    for part in [settings.ca, chain, key, settings.server_name] {
        match part {
            Some(text) => {
                context.update(&text.len().to_le_bytes());
                context.update(text.as_bytes());
            }
            None => context.update(&[0xff; 8]),
        }
    }
    context.update(&[u8::from(settings.verify)]);
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(context.finish().as_ref());
    fingerprint
}

#[cfg(test)]
mod tests;
