//! Whom we believe to be who they say they are.
//!
//! Trusted are the roots compiled into the binary (reading the system's costs milliseconds of a cold start) and
//! those that the operator adds. A peer for which verification is off may show any certificate, but must still prove
//! that it holds that certificate's key.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Certificates that were to be trusted cannot be.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not PEM.
    #[error("the extra CA certificates are not PEM")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// PEM, with no certificate in it.
    #[error("the extra CA certificates hold no CERTIFICATE section")]
    Empty,
    /// A certificate is not one.
    #[error("an extra CA certificate cannot be used")]
    Certificate(#[source] rustls::Error),
    /// The TLS library refuses our settings.
    #[error("TLS cannot be set up")]
    Settings(#[source] rustls::Error),
}

/// How TLS is spoken, by whether the peer's certificate is verified.
#[derive(Debug)]
pub(crate) struct TlsSettings {
    pub(crate) verifying: Arc<ClientConfig>,
    pub(crate) trusting: Arc<ClientConfig>,
}

impl TlsSettings {
    /// Trusts the compiled-in roots and those in `extra_ca`, which is PEM.
    pub(crate) fn new(extra_ca: Option<&[u8]>) -> Result<Self, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(pem) = extra_ca {
            add(&mut roots, pem)?;
        }
        let builder = || {
            ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .map_err(TrustError::Settings)
        };
        let mut verifying = builder()?.with_root_certificates(roots).with_no_client_auth();
        let anyone = Arc::new(Anyone(Arc::clone(&provider)));
        let mut trusting =
            builder()?.dangerous().with_custom_certificate_verifier(anyone).with_no_client_auth();
        for config in [&mut verifying, &mut trusting] {
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
        }
        Ok(Self { verifying: Arc::new(verifying), trusting: Arc::new(trusting) })
    }
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
