//! A certificate: for which names it is shown, and what a client must show in return.
//!
//! Any of its texts may be a reference to a vault instead; what is in it is then looked at when it is there. Whether a
//! key belongs to its certificate is for whoever has cryptography to say, and is said before anything is stored.

use std::fmt;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Description, ResourceId};
use crate::Invalid;

/// A certificate, as the Admin API has it.
#[derive(Clone, Debug)]
pub struct Ssl {
    /// Its id.
    pub id: ResourceId,
    /// What it says about itself.
    pub description: Description,
    /// Who shows it.
    pub role: SslRole,
    /// The names that it is shown for, in lower case: a host, `*.` and what follows one label, or `*` for any.
    pub names: Vec<String>,
    /// Certificates with their keys, of different kinds of key most likely; at least one.
    pub pairs: Vec<KeyPair>,
    /// What clients must show.
    pub client: Option<ClientDemand>,
    /// The versions of TLS that may be spoken.
    pub versions: Vec<TlsVersion>,
    /// Whether it is shown at all.
    pub enabled: bool,
}

/// Who shows a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SslRole {
    /// The gateway, to its clients.
    #[default]
    Server,
    /// The gateway, to upstreams that name it by `tls.client_cert_id`.
    Client,
}

/// A certificate chain and its key.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// PEM, the certificate itself first; or a reference.
    pub chain: String,
    /// PEM; or a reference.
    pub key: KeyText,
}

/// The text of a private key: wiped when dropped, and never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(Zeroizing<String>);

/// What a client must show.
#[derive(Clone, Debug)]
pub struct ClientDemand {
    /// Who must have vouched for its certificate.
    pub trust: ClientTrust,
    /// Paths that ask for none, as regular expressions; they match anywhere in the path.
    pub skip: Vec<String>,
}

/// Who may vouch for a client's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientTrust {
    /// The authorities, PEM; or a reference.
    pub ca: String,
    /// How many certificates may stand between one of them and the client's.
    pub depth: u32,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsVersion {
    /// 1.2
    Tls12,
    /// 1.3
    Tls13,
}

impl Ssl {
    /// Reads the certificate `id`, as the Admin API takes it.
    pub fn parse(id: ResourceId, json: &Value) -> Result<Self, Invalid> {
        let (description, fields): (_, Fields) = Description::and(json)?;
        let mut pairs = vec![pair(("cert", fields.cert), ("key", fields.key))?];
        if fields.certs.len() != fields.keys.len() {
            return Err(Invalid::new("keys", "give as many keys as certs, in the same order"));
        }
        for (at, (chain, key)) in fields.certs.into_iter().zip(fields.keys).enumerate() {
            pairs.push(pair((&format!("certs[{at}]"), chain), (&format!("keys[{at}]"), key))?);
        }
        let enabled = match fields.status {
            None | Some(1) => true,
            Some(0) => false,
            Some(_) => return Err(Invalid::new("status", "is 1 (shown) or 0 (not shown)")),
        };
        Ok(Self {
            id,
            description,
            role: fields.role,
            names: names(fields.role, fields.sni, fields.snis)?,
            pairs,
            client: fields.client.map(demand).transpose().map_err(|error| error.within("client"))?,
            versions: versions(fields.ssl_protocols)?,
            enabled,
        })
    }

    /// The texts that may be references, in a fixed order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let pairs = self.pairs.iter().flat_map(|pair| [pair.chain.as_str(), pair.key.expose()]);
        pairs.chain(self.client.as_ref().map(|client| client.trust.ca.as_str()))
    }

    /// The same with `texts` in place of its own, in the order of [`Ssl::texts`].
    pub fn with_texts<'t>(&self, texts: impl IntoIterator<Item = &'t str>) -> Result<Self, Invalid> {
        let mut other = self.clone();
        let mut texts = texts.into_iter().map(str::to_owned);
        for (at, own) in other.pairs.iter_mut().enumerate() {
            let field = |one: &str, many: &str| match at {
                0 => one.to_owned(),
                at => format!("{many}[{}]", at - 1),
            };
            let chain = texts.next().unwrap_or_default();
            let key = texts.next().unwrap_or_default();
            *own = pair((&field("cert", "certs"), chain), (&field("key", "keys"), key))?;
        }
        if let Some(client) = &mut other.client {
            client.trust.ca = texts.next().unwrap_or_default();
            check_certificates("client.ca", &client.trust.ca)?;
        }
        Ok(other)
    }
}

impl KeyText {
    /// The text, for who signs with it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

fn pair((cert_field, chain): (&str, String), (key_field, key): (&str, String)) -> Result<KeyPair, Invalid> {
    let key = KeyText(Zeroizing::new(key));
    check_certificates(cert_field, &chain)?;
    if !holds_reference(key.expose()) && PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).is_err() {
        return Err(Invalid::new(
            key_field,
            "is not a private key in PEM (PKCS #8, PKCS #1 or SEC1, not encrypted)",
        ));
    }
    Ok(KeyPair { chain, key })
}

fn check_certificates(field: &str, pem: &str) -> Result<(), Invalid> {
    if holds_reference(pem) {
        return Ok(());
    }
    let mut certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).peekable();
    if certificates.peek().is_none() || certificates.any(|certificate| certificate.is_err()) {
        return Err(Invalid::new(field, "is not one or more certificates in PEM"));
    }
    Ok(())
}

/// Whether `text` is whole only when what a reference in it stands for is there. What that says is for the resolver.
fn holds_reference(text: &str) -> bool {
    text.contains("{vault://")
}

fn names(role: SslRole, sni: Option<String>, snis: Option<Vec<String>>) -> Result<Vec<String>, Invalid> {
    let (field, names) = match (sni, snis) {
        (Some(_), Some(_)) => return Err(Invalid::new("sni", "give either sni or snis, not both")),
        (Some(sni), None) => ("sni", vec![sni]),
        (None, Some(snis)) => ("snis", snis),
        (None, None) if role == SslRole::Client => return Ok(Vec::new()),
        (None, None) => {
            return Err(Invalid::new("sni", "is required; give sni, or snis with at least one name"));
        }
    };
    if names.is_empty() {
        return Err(Invalid::new(field, "has at least one name"));
    }
    names.iter().map(|name| checked_name(name).ok_or_else(|| wrong_name(field))).collect()
}

/// In lower case and without the root's dot, as names in a handshake are compared.
fn checked_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if name == "*" {
        return Some(name);
    }
    let host = name.strip_prefix("*.").unwrap_or(&name);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(allowed);
    (host.len() <= 253 && host.split('.').all(label)).then_some(name)
}

fn wrong_name(field: &str) -> Invalid {
    Invalid::new(
        field,
        "a name is a host such as a.example.com, *.example.com for one label in its place, or * for any",
    )
}

fn demand(fields: ClientFields) -> Result<ClientDemand, Invalid> {
    check_certificates("ca", &fields.ca)?;
    let trust = ClientTrust { ca: fields.ca, depth: fields.depth.unwrap_or(1) };
    for (at, pattern) in fields.skip_mtls_uri_regex.iter().enumerate() {
        if regex::Regex::new(pattern).is_err() {
            let problem = "is not a regular expression that can be used (no look-around, no back-references)";
            return Err(Invalid::new(format!("skip_mtls_uri_regex[{at}]"), problem));
        }
    }
    Ok(ClientDemand { trust, skip: fields.skip_mtls_uri_regex })
}

fn versions(named: Option<Vec<Protocol>>) -> Result<Vec<TlsVersion>, Invalid> {
    let Some(named) = named else { return Ok(vec![TlsVersion::Tls12, TlsVersion::Tls13]) };
    let versions: Vec<TlsVersion> = named
        .iter()
        .filter_map(|protocol| match protocol {
            Protocol::Tls11 => None,
            Protocol::Tls12 => Some(TlsVersion::Tls12),
            Protocol::Tls13 => Some(TlsVersion::Tls13),
        })
        .collect();
    if versions.is_empty() {
        return Err(Invalid::new("ssl_protocols", "name TLSv1.2 or TLSv1.3; TLSv1.1 is not spoken"));
    }
    Ok(versions)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default, rename = "type")]
    role: SslRole,
    cert: String,
    key: String,
    #[serde(default)]
    certs: Vec<String>,
    #[serde(default)]
    keys: Vec<String>,
    sni: Option<String>,
    snis: Option<Vec<String>>,
    client: Option<ClientFields>,
    status: Option<u8>,
    ssl_protocols: Option<Vec<Protocol>>,
    // APISIX wrote these two into what it stored, and reads them no more.
    #[serde(rename = "validity_start")]
    _validity_start: Option<u64>,
    #[serde(rename = "validity_end")]
    _validity_end: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientFields {
    ca: String,
    depth: Option<u32>,
    #[serde(default)]
    skip_mtls_uri_regex: Vec<String>,
}

/// APISIX knows the first one too; it is dropped where another stands beside it.
#[derive(Deserialize)]
enum Protocol {
    #[serde(rename = "TLSv1.1")]
    Tls11,
    #[serde(rename = "TLSv1.2")]
    Tls12,
    #[serde(rename = "TLSv1.3")]
    Tls13,
}

#[cfg(test)]
mod tests;
