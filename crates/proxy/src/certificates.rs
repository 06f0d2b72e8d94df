//! Which certificate a client is shown, and which clients must show one of their own.
//!
//! A name in a handshake picks a certificate: the exact name, then `*.` and what follows its first label, then `*`. Each
//! certificate brings the whole configuration of a handshake with it: keys, versions, whom to ask for a certificate,
//! and keys of its own for session tickets. So a session can only be resumed where it began, and a client that was
//! never asked for its certificate cannot carry that over to a name where clients are.
//!
//! A connection is good for other hosts than the one in its handshake. So each request is looked at again: where its
//! host asks for a client's certificate, its connection must have shown one that the same authorities vouch for.

mod certificate;
mod client_auth;
mod validity;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gateward_model::apisix::{ResourceId, Ssl, SslRole};
use gateward_model::{ErrorStatus, Failure, Invalid, Origin};
use gateward_net::{Conn, Scheme};
use gateward_vars::RoutePath;
use gateward_vaults::Resolver;
use http::StatusCode;

pub(crate) use certificate::Served;
pub use certificate::{Certificate, check};
pub use validity::warnings;

/// All certificates that the gateway shows to clients. Never changes; a new one takes its place.
#[derive(Default)]
pub struct Certificates {
    exact: HashMap<Box<str>, Arc<Certificate>>,
    /// By what follows `*.`.
    below: HashMap<Box<str>, Arc<Certificate>>,
    any: Option<Arc<Certificate>>,
    by_id: BTreeMap<ResourceId, Arc<Certificate>>,
    demanding: bool,
}

/// Certificates, and what there is to say about them.
#[derive(Default)]
pub struct CompiledCertificates {
    /// Those that can be shown.
    pub certificates: Certificates,
    /// Those that refer to secrets and that the ones before did not have; see [`Certificate::asked`].
    pub new: Vec<Arc<Certificate>>,
    /// Those that cannot be shown, and why, the ones that stayed as they were included.
    pub broken: Vec<(ResourceId, Invalid)>,
}

impl Certificates {
    /// Compiles `ssls`. One that is the same [`Arc`] as in `before` stays, with its sessions.
    pub fn compile<'s>(
        ssls: impl IntoIterator<Item = &'s Arc<Ssl>>,
        before: &Self,
        resolver: &Arc<Resolver>,
    ) -> CompiledCertificates {
        let mut compiled = CompiledCertificates::default();
        for ssl in ssls {
            if !ssl.enabled || ssl.role != SslRole::Server {
                continue;
            }
            let same = before.by_id.get(&ssl.id).filter(|certificate| certificate.is_of(ssl));
            let certificate = match same {
                Some(same) => Arc::clone(same),
                None => match Certificate::compile(ssl, resolver) {
                    Ok(certificate) => {
                        let certificate = Arc::new(certificate);
                        if certificate.refers() {
                            compiled.new.push(Arc::clone(&certificate));
                        }
                        certificate
                    }
                    Err(invalid) => {
                        tracing::error!(ssl = %ssl.id, error = %invalid, "a certificate cannot be used");
                        // It still stands for its names: another one, of less demands, must not take its place.
                        Arc::new(Certificate::broken(ssl, invalid))
                    }
                },
            };
            if let Some(problem) = certificate.problem() {
                compiled.broken.push((ssl.id.clone(), problem.clone()));
            }
            compiled.certificates.add(certificate);
        }
        compiled
    }

    /// What to go on with for a client that asks for `sni`; for one that asks for nothing, `fallback` if there is one.
    pub(crate) fn for_handshake(
        &self,
        sni: Option<&str>,
        fallback: Option<&str>,
    ) -> Result<Arc<Served>, NoCertificate> {
        let certificate = match sni.or(fallback) {
            Some(name) => self.of(&lower(name)),
            None => self.any.as_ref(),
        };
        certificate.ok_or(NoCertificate::Unknown)?.served().ok_or(NoCertificate::Unavailable)
    }

    /// Whether any host asks for clients' certificates. Where none does, [`Certificates::permits`] permits everything.
    pub fn has_client_auth(&self) -> bool {
        self.demanding
    }

    /// Whether a request for `path` on `host` may come by `conn`.
    pub fn permits(&self, conn: &Conn, host: &str, path: &RoutePath<'_>) -> Result<(), Failure> {
        if !self.demanding {
            return Ok(());
        }
        let Some(certificate) = self.guardian(&lower(host)) else { return Ok(()) };
        if !certificate.is_demanding() {
            return Ok(());
        }
        let Some(served) = certificate.served() else { return Err(misdirected(conn)) };
        let Some(demand) = &served.demand else { return Ok(()) };
        let vouched_by = conn.tls.as_ref().and_then(|tls| tls.vouched_by.as_ref());
        let shown =
            vouched_by.is_some_and(|trust| Arc::ptr_eq(trust, &demand.trust) || *trust == demand.trust);
        if shown || demand.skips(path) { Ok(()) } else { Err(misdirected(conn)) }
    }

    fn add(&mut self, certificate: Arc<Certificate>) {
        self.demanding |= certificate.is_demanding();
        for name in certificate.names() {
            let place = match name.strip_prefix("*.") {
                Some(parent) => self.below.entry(parent.into()),
                None if name == "*" => {
                    if self.any.is_none() {
                        self.any = Some(Arc::clone(&certificate));
                    } else {
                        hidden(&certificate, name);
                    }
                    continue;
                }
                None => self.exact.entry(name.as_str().into()),
            };
            match place {
                std::collections::hash_map::Entry::Vacant(vacant) => {
                    vacant.insert(Arc::clone(&certificate));
                }
                std::collections::hash_map::Entry::Occupied(_) => hidden(&certificate, name),
            }
        }
        self.by_id.insert(certificate.id().clone(), certificate);
    }

    /// The certificate of `name`, which is in lower case and has no dot at its end.
    fn of(&self, name: &str) -> Option<&Arc<Certificate>> {
        let below = || self.below.get(name.split_once('.')?.1);
        self.exact.get(name).or_else(below).or(self.any.as_ref())
    }

    /// The certificate whose demands a request for `name` must meet. A `*` in a route's host stands for any number of
    /// labels, in a certificate's name for one: what guards `*.a.example` guards all that such a route can take.
    fn guardian(&self, name: &str) -> Option<&Arc<Certificate>> {
        let mut parents = std::iter::successors(name.split_once('.'), |(_, parent)| parent.split_once('.'));
        let below = || parents.find_map(|(_, parent)| self.below.get(parent));
        self.exact.get(name).or_else(below).or(self.any.as_ref())
    }
}

/// Why a handshake cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoCertificate {
    #[error("no certificate has the name that the client asked for")]
    Unknown,
    #[error("the certificate cannot be used, or a secret that it refers to is not there")]
    Unavailable,
}

fn hidden(certificate: &Certificate, name: &str) {
    tracing::warn!(ssl = %certificate.id(), name, "another certificate already has this name, and is shown for it");
}

fn lower(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(name.to_ascii_lowercase());
    }
    Cow::Borrowed(name)
}

fn misdirected(conn: &Conn) -> Failure {
    let status = ErrorStatus::new(StatusCode::MISDIRECTED_REQUEST).unwrap_or(ErrorStatus::BAD_REQUEST);
    let message = match conn.scheme {
        Scheme::Http => "this host asks for a client certificate, which a connection without TLS cannot show",
        Scheme::Https => {
            "this host asks for a client certificate, which this connection did not show; open another one with the \
             host's own name in the handshake, and show it"
        }
    };
    Failure::new(status, Origin::Client, "client_certificate_required", message)
}

#[cfg(test)]
mod tests;
