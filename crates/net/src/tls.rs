//! Whom we believe to be who they say they are.
//!
//! Trusted are the roots compiled into the binary (reading the system's costs milliseconds of a cold start) and
//! those that the operator adds. A peer for which verification is off may show any certificate, but must still prove
//! that it holds that certificate's key.

mod own;

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

pub use own::{ClientCertificate, PeerTls, PeerTlsError, PeerTlsSettings};

use crate::{Peer, Protocol};

/// Certificates that were to be trusted cannot be.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not PEM.
    #[error("the CA certificates are not PEM")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// PEM, with no certificate in it.
    #[error("the CA certificates hold no CERTIFICATE section")]
    Empty,
    /// A certificate is not one.
    #[error("a CA certificate cannot be used")]
    Certificate(#[source] rustls::Error),
    /// The TLS library refuses our settings.
    #[error("TLS cannot be set up")]
    Settings(#[source] rustls::Error),
}

/// How TLS is spoken to peers.
#[derive(Debug)]
pub(crate) struct TlsSettings {
    verifying: ByProtocol,
    trusting: ByProtocol,
}

/// Both protocols, which differ in what the handshake offers.
#[derive(Debug)]
struct ByProtocol {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

impl TlsSettings {
    /// Trusts the compiled-in roots and those in `extra_ca`, which is PEM.
    pub(crate) fn new(extra_ca: Option<&[u8]>) -> Result<Self, TrustError> {
        let provider = provider();
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(pem) = extra_ca {
            add(&mut roots, pem)?;
        }
        let builder = || {
            ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .map_err(TrustError::Settings)
        };
        let verifying = builder()?.with_root_certificates(roots).with_no_client_auth();
        let trusting =
            builder()?.dangerous().with_custom_certificate_verifier(anyone()).with_no_client_auth();
        Ok(Self { verifying: ByProtocol::new(verifying), trusting: ByProtocol::new(trusting) })
    }

    /// How TLS is spoken to `peer` when `protocol` will be spoken over it. What a peer has of its own costs a copy of
    /// the settings, which is little beside the handshake that follows.
    pub(crate) fn for_peer(&self, peer: &Peer, protocol: Protocol) -> Arc<ClientConfig> {
        let by_protocol = if peer.verify() { &self.verifying } else { &self.trusting };
        let common = match protocol {
            Protocol::Http1 => &by_protocol.http1,
            Protocol::Http2 => &by_protocol.http2,
        };
        match peer.tls() {
            Some(own) => own.applied_to(common),
            None => Arc::clone(common),
        }
    }
}

impl ByProtocol {
    fn new(mut http1: ClientConfig) -> Self {
        let mut http2 = http1.clone();
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        http2.alpn_protocols = vec![b"h2".to_vec()];
        Self { http1: Arc::new(http1), http2: Arc::new(http2) }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn anyone() -> Arc<dyn ServerCertVerifier> {
    Arc::new(Anyone(provider()))
}

fn add(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), TrustError> {
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(TrustError::Pem)?).map_err(TrustError::Certificate)?;
    }
    if roots.len() == before { Err(TrustError::Empty) } else { Ok(()) }
}

/// Takes any certificate, from a peer that has its key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
