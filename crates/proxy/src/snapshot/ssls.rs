//! Certificates that upstreams may name, with the values of their references in place.

use std::collections::HashMap;
use std::sync::Arc;

use gateward_model::apisix::{Ssl, SslRole};

use super::references::Resolved;
use super::resources::{Collection, Resource, Standing};
use super::secrets::Secrets;
use crate::typed::Filled;

/// All `ssl` resources that can be used, by id.
#[derive(Default)]
pub(super) struct Ssls(HashMap<String, Known>);

struct Known {
    source: Arc<Ssl>,
    resolved: Option<Resolved>,
    json: Option<Arc<Filled>>,
    /// None as long as a value is missing.
    ready: Option<Arc<Ssl>>,
}

impl Ssls {
    /// Parses what is new or has changed, and tells whether anything was.
    pub(super) fn refresh(&mut self, resources: &Collection<Ssl>, secrets: &Secrets<'_>) -> bool {
        let mut before = std::mem::take(&mut self.0);
        let mut any_changed = false;
        let for_upstreams =
            |standing: &Standing<Ssl>| standing.parsed.role == SslRole::Client && standing.parsed.enabled;
        for (id, standing) in resources.iter().filter(|(_, standing)| for_upstreams(standing)) {
            let known = before.remove(id).filter(|known| Arc::ptr_eq(&known.source, &standing.parsed));
            let (mut known, is_new) = match known {
                Some(known) => (known, false),
                None => {
                    let source = Arc::clone(&standing.parsed);
                    let referring = standing.referring.as_ref();
                    let bound = referring.map(|json| secrets.bind(json)).transpose();
                    let resolved = bound.unwrap_or_else(|error| {
                        tracing::error!(ssl = id, %error, "a certificate cannot be used");
                        None
                    });
                    let ready = standing.referring.is_none().then(|| Arc::clone(&source));
                    (Known { source, resolved, json: None, ready }, true)
                }
            };
            any_changed |= known.catch_up(id) || is_new;
            self.0.insert(id.to_owned(), known);
        }
        any_changed || !before.is_empty()
    }

    /// The one of that id.
    pub(super) fn get(&self, id: &str) -> Option<&Arc<Ssl>> {
        self.0.get(id)?.ready.as_ref()
    }
}

impl Known {
    /// Takes over values that have come, changed or gone; whether there were any.
    fn catch_up(&mut self, id: &str) -> bool {
        let Some(resolved) = &self.resolved else { return false };
        let json = resolved.json();
        if json.as_ref().map(Arc::as_ptr) == self.json.as_ref().map(Arc::as_ptr) {
            return false;
        }
        self.ready = json.as_ref().and_then(|json| match Ssl::read(id, json) {
            Ok(ssl) => Some(Arc::new(ssl)),
            Err(error) => {
                tracing::error!(ssl = id, field = error.field, "a resolved secret does not fit its field");
                None
            }
        });
        self.json = json;
        true
    }
}
