//! How TLS is spoken to producers: a CA of their own, and who we are to them.
//!
//! Each text is PEM, or the path of a file that holds it; a function has no files, and takes them from a vault.

use std::path::Path;
use std::sync::Arc;

use gateward_net::{ClientCertificate, PeerTls, PeerTlsSettings};
use gateward_seal::SecretValue;

use super::{Given, SettingsError};

/// What is special about the TLS of producers, if anything is.
pub(super) fn producers_tls(given: &Given) -> Result<Option<Arc<PeerTls>>, SettingsError> {
    let read = |key, text: &Option<SecretValue>| text.as_ref().map(|text| pem(key, text)).transpose();
    let ca = read("producers_ca", &given.producers_ca)?;
    let chain = read("producers_client_cert", &given.producers_client_cert)?;
    let key = read("producers_client_key", &given.producers_client_key)?;
    let client = match (&chain, &key) {
        (Some(chain), Some(key)) => Some(ClientCertificate { chain: chain.expose(), key: key.expose() }),
        (None, None) => None,
        (Some(_), None) => return Err(SettingsError::HalfCertificate("producers_client_key")),
        (None, Some(_)) => return Err(SettingsError::HalfCertificate("producers_client_cert")),
    };
    if ca.is_none() && client.is_none() {
        return Ok(None);
    }
    let settings =
        PeerTlsSettings { ca: ca.as_ref().map(SecretValue::expose), client, ..PeerTlsSettings::default() };
    let tls = PeerTls::new(&settings).map_err(SettingsError::ProducersTls)?;
    Ok(Some(Arc::new(tls)))
}

fn pem(key: &'static str, text: &SecretValue) -> Result<SecretValue, SettingsError> {
    if text.expose().contains("-----BEGIN ") {
        return Ok(text.clone());
    }
    let path = Path::new(text.expose());
    let failed = |source| SettingsError::PemFile { key, source };
    std::fs::read_to_string(path).map(SecretValue::new).map_err(failed)
}
