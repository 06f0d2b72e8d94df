//! Compiles upstreams, those that stand on their own and those of a route or a service.

use std::collections::HashMap;
use std::sync::Arc;

use gateward_model::apisix::{ClientCertificate, Kind, Ssl, Upstream};
use gateward_model::{ErrorStatus, Failure, Origin};
use gateward_net::ClientCertificate as ClientPair;
use gateward_upstreams::{Balanced, Registry};
use serde_json::Value;

use super::references::Resolved;
use super::resources::Collection;
use super::secrets::Secrets;
use super::ssls::Ssls;
use super::{Broken, Target};
use crate::typed::{self, Filled};

/// The upstreams that stand on their own, by id.
#[derive(Default)]
pub(super) struct Upstreams(HashMap<String, Arc<KnownUpstream>>);

/// What upstreams are compiled with.
pub(super) struct Foundry<'f> {
    /// What is known of their nodes.
    pub(super) registry: &'f Registry,
    /// The certificates that they may name.
    pub(super) ssls: &'f Ssls,
    /// Where the values of their references come from.
    pub(super) secrets: &'f Secrets<'f>,
}

/// An upstream, and what it was compiled from.
pub(super) struct KnownUpstream {
    source: Arc<Upstream>,
    resolved: Option<Arc<Resolved>>,
    json: Option<Arc<Filled>>,
    certificate: Option<Arc<Ssl>>,
    pub(super) target: Target,
    /// Why it cannot be used, if it is its configuration's fault.
    pub(super) problem: Option<String>,
}

impl Upstreams {
    /// Compiles what is new or has changed.
    pub(super) fn refresh(&mut self, resources: &Collection<Upstream>, foundry: &Foundry<'_>) {
        let mut before = std::mem::take(&mut self.0);
        for (id, standing) in resources.iter() {
            let (before, identity) = (before.remove(id), || format!("upstreams/{id}"));
            let referring = standing.referring.as_ref();
            let known = foundry.compile(identity, &standing.parsed, || referring.cloned(), before.as_ref());
            self.0.insert(id.to_owned(), known);
        }
    }

    /// Those that cannot be used.
    pub(super) fn broken(&self) -> impl Iterator<Item = Broken> {
        self.0.iter().filter_map(|(id, known)| {
            let problem = known.problem.clone()?;
            Some(Broken { kind: Kind::Upstreams.plural(), id: id.clone(), problem })
        })
    }

    /// The one of that id.
    pub(super) fn get(&self, id: &str) -> Option<&Arc<KnownUpstream>> {
        self.0.get(id)
    }
}

impl Foundry<'_> {
    /// Compiles an upstream; the very one that was there `before`, if nothing about it has changed. `referring` is its
    /// JSON, if that holds references.
    pub(super) fn compile(
        &self,
        identity: impl Fn() -> String,
        source: &Arc<Upstream>,
        referring: impl Fn() -> Option<Arc<Value>>,
        before: Option<&Arc<KnownUpstream>>,
    ) -> Arc<KnownUpstream> {
        let certificate = match &source.tls.client {
            Some(ClientCertificate::Id(id)) => self.ssls.get(id.as_str()),
            _ => None,
        };
        let same_source = before.filter(|known| Arc::ptr_eq(&known.source, source));
        if let Some(known) = same_source
            && known.is_current(certificate)
        {
            return Arc::clone(known);
        }
        let identity = identity();
        let mut problem = None;
        let resolved = match same_source {
            Some(known) => known.resolved.clone(),
            None => referring().and_then(|json| match self.secrets.bind_as(&json, typed::upstream) {
                Ok(resolved) => Some(Arc::new(resolved)),
                Err(error) => {
                    tracing::error!(identity, %error, "a reference cannot be read");
                    problem = Some(error.to_string());
                    None
                }
            }),
        };
        let json = resolved.as_ref().and_then(|resolved| resolved.json());
        let target = match (&resolved, &json) {
            // The text of a reference must never stand in the secret's place.
            (None, _) if problem.is_some() => Target::unusable(secret_missing(&identity)),
            (Some(_), None) => Target::unusable(secret_missing(&identity)),
            (Some(_), Some(json)) => match Upstream::parse(json) {
                Ok(parsed) => self.target(&identity, &Arc::new(parsed), certificate, &mut problem),
                Err(error) => {
                    tracing::error!(
                        identity,
                        field = error.field,
                        "a resolved secret does not fit its field"
                    );
                    Target::unusable(secret_missing(&identity))
                }
            },
            (None, _) => self.target(&identity, source, certificate, &mut problem),
        };
        let certificate = certificate.cloned();
        Arc::new(KnownUpstream { source: Arc::clone(source), resolved, json, certificate, target, problem })
    }

    fn target(
        &self,
        identity: &str,
        source: &Arc<Upstream>,
        certificate: Option<&Arc<Ssl>>,
        problem: &mut Option<String>,
    ) -> Target {
        let pair = certificate.and_then(|ssl| ssl.pairs.first());
        let client = pair.map(|pair| ClientPair { chain: &pair.chain, key: pair.key.expose() });
        match Balanced::compile(identity, source, client, self.registry) {
            Ok(balanced) => Target::Upstream(Arc::new(balanced)),
            Err(error) => {
                tracing::error!(identity, %error, "an upstream cannot be used; its requests are answered with 503");
                *problem = Some(error.to_string());
                Target::unusable(unusable(identity))
            }
        }
    }
}

impl KnownUpstream {
    /// A node refused a request: what it was sent may come of values that have changed.
    pub(super) fn refused(&self) {
        if let Some(resolved) = &self.resolved {
            resolved.refused();
        }
    }

    /// Whether nothing that it was compiled from has changed.
    fn is_current(&self, certificate: Option<&Arc<Ssl>>) -> bool {
        let json = self.resolved.as_ref().and_then(|resolved| resolved.json());
        json.as_ref().map(Arc::as_ptr) == self.json.as_ref().map(Arc::as_ptr)
            && certificate.map(Arc::as_ptr) == self.certificate.as_ref().map(Arc::as_ptr)
    }
}

fn secret_missing(identity: &str) -> Failure {
    let message = format!("{identity}: a secret that it refers to could not be resolved");
    Failure::new(ErrorStatus::UNAVAILABLE, Origin::Vault, "secret_unresolved", message)
}

fn unusable(identity: &str) -> Failure {
    let message = format!("{identity} cannot be used; the gateway's log names what is wrong");
    Failure::new(ErrorStatus::UNAVAILABLE, Origin::Gateway, "upstream_invalid", message)
}
