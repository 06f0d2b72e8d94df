//! Whom a client's certificate must come from, and how directly.

use std::sync::Arc;

use gateward_model::Invalid;
use gateward_model::apisix::ClientTrust;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

/// Asks clients for certificates that `trust` vouches for; where `optional`, a client may show none at all.
pub(super) fn verifier(
    trust: &ClientTrust,
    optional: bool,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Invalid> {
    let unusable = || Invalid::new("client.ca", "holds a certificate that cannot vouch for others");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(trust.ca.as_bytes()) {
        roots.add(certificate.map_err(|_| unusable())?).map_err(|_| unusable())?;
    }
    let roots = Arc::new(roots);
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(provider));
    if optional {
        builder = builder.allow_unauthenticated();
    }
    let inner = builder.build().map_err(|_| unusable())?;
    let depth = usize::try_from(trust.depth).unwrap_or(usize::MAX);
    Ok(Arc::new(NoDeeper { inner, roots, depth, algorithms: provider.signature_verification_algorithms }))
}

/// Looks at how many certificates stand between the client's and the authority, besides all else.
#[derive(Debug)]
struct NoDeeper {
    inner: Arc<dyn ClientCertVerifier>,
    roots: Arc<RootCertStore>,
    depth: usize,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for NoDeeper {
    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(certificate, intermediates, now)?;
        if intermediates.len() <= self.depth {
            return Ok(verified);
        }
        // More came than may be used; whether they are is another question.
        let near_enough =
            |path: &VerifiedPath<'_>| match path.intermediate_certificates().count() <= self.depth {
                true => Ok(()),
                false => Err(webpki::Error::UnknownIssuer),
            };
        let unknown = |_| Error::InvalidCertificate(CertificateError::UnknownIssuer);
        EndEntityCert::try_from(certificate)
            .and_then(|certificate| {
                let usage = KeyUsage::client_auth();
                let (algorithms, roots) = (self.algorithms.all, &self.roots.roots);
                certificate
                    .verify_for_usage(algorithms, roots, intermediates, now, usage, None, Some(&near_enough))
                    .map(drop)
            })
            .map_err(unknown)?;
        Ok(verified)
    }

    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
