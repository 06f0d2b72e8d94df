//! References in settings. The process does not start before each has its value.
//!
//! Entities stand in the store, which is not open yet: only backends are known here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use gateward_net::ConnectorSettings;
use gateward_seal::SecretValue;
use gateward_vaults::{Reference, Resolver, Template};
use serde_json::{Map, Value};

use super::{SettingsError, VaultDefaults};
use crate::own_resolver::own_resolver;
use crate::surroundings::Surroundings;

/// Where values come from: the backends, with these defaults, called so.
pub(super) struct Source<'s> {
    pub(super) surroundings: &'s Surroundings,
    pub(super) defaults: VaultDefaults,
    /// Certificates to trust besides the usual ones.
    pub(super) tls_ca: Option<PathBuf>,
    /// Who is asked for names.
    pub(super) dns_servers: Vec<SocketAddr>,
}

impl Source<'_> {
    /// Puts the values in the places of the references in `fields`; `place` says where a field stands.
    pub(super) fn fill(
        &self,
        fields: &mut Map<String, Value>,
        place: &dyn Fn(&str) -> String,
    ) -> Result<(), SettingsError> {
        let mut wanted = Vec::new();
        for (name, value) in &*fields {
            collect(value, &place(name), &mut wanted)?;
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let mut values = self.resolve(&wanted)?.into_iter();
        fields.values_mut().for_each(|value| substitute(value, &mut values));
        Ok(())
    }

    /// A resolver that knows the backends alone.
    pub(super) fn resolver(&self) -> Result<Arc<Resolver>, String> {
        let extra_ca = self.tls_ca.as_deref().map(|path| {
            std::fs::read(path).map_err(|error| format!("tls_ca: {} cannot be read: {error}", path.display()))
        });
        let connections = ConnectorSettings {
            extra_ca: extra_ca.transpose()?,
            dns_servers: self.dns_servers.clone(),
            ..ConnectorSettings::default()
        };
        own_resolver(self.surroundings, &self.defaults.0, connections).map_err(|error| match &self.tls_ca {
            Some(path) => format!("tls_ca: {}: {error}", path.display()),
            None => error.to_string(),
        })
    }

    /// The values of `wanted`, in order. On a thread of its own, because whoever decides may be on a runtime already.
    pub(super) fn resolve(&self, wanted: &[(String, Reference)]) -> Result<Vec<SecretValue>, SettingsError> {
        let failed = |place: &str, problem: String| SettingsError::Value { place: place.to_owned(), problem };
        let first = wanted.first().map_or("", |(place, _)| place.as_str());
        let ask = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime =
                runtime.map_err(|error| failed(first, format!("no vault can be asked: {error}")))?;
            runtime.block_on(async {
                let resolver = self
                    .resolver()
                    .map_err(|problem| failed(first, format!("no vault can be asked: {problem}")))?;
                let patience = match self.surroundings.variable("AWS_LAMBDA_RUNTIME_API") {
                    Some(_) => PATIENCE_OF_A_FUNCTION,
                    None => PATIENCE,
                };
                // All at once: each may be behind a handshake, and a start waits for the slowest.
                let asked = wanted.iter().map(|(place, reference)| {
                    let asked = ask_one(&resolver, reference, patience);
                    async move { asked.await.map_err(|problem| failed(place, problem)) }
                });
                try_join_all(asked).await
            })
        };
        std::thread::scope(|scope| scope.spawn(ask).join())
            .unwrap_or_else(|_| Err(failed(first, "no vault can be asked".to_owned())))
    }
}

async fn ask_one(
    resolver: &Resolver,
    reference: &Reference,
    patience: Duration,
) -> Result<SecretValue, String> {
    let vault = reference.vault();
    if !Resolver::has_backend(vault) {
        return Err(format!(
            "{reference} names {vault:?}, which is no backend; vault entities are not known before the start, and the \
             backends are {}",
            Resolver::kinds().join(", ")
        ));
    }
    match tokio::time::timeout(patience, resolver.resolve(reference)).await {
        Ok(resolved) => resolved.map_err(|unresolved| unresolved.to_string()),
        Err(_) => {
            Err(format!("{reference} has no value: its vault did not answer in {} s", patience.as_secs()))
        }
    }
}

/// Refuses references in `value`, which stands at `place`, that cannot be read.
pub(super) fn check(value: &Value, place: &str) -> Result<(), SettingsError> {
    collect(value, place, &mut Vec::new())
}

/// The references in `value`, which stands at `place`.
pub(super) fn collect(
    value: &Value,
    place: &str,
    wanted: &mut Vec<(String, Reference)>,
) -> Result<(), SettingsError> {
    let wrong = |problem: String| SettingsError::Value { place: place.to_owned(), problem };
    match value {
        Value::String(text) => {
            let template = Template::parse(text)
                .map_err(|error| wrong(format!("the reference cannot be read: {}", error.problem())))?;
            let references = template.iter().flat_map(Template::references);
            wanted.extend(references.map(|reference| (place.to_owned(), reference.clone())));
            Ok(())
        }
        Value::Array(elements) => elements.iter().try_for_each(|element| collect(element, place, wanted)),
        // Without quotes YAML takes the braces for a table.
        Value::Object(fields) if fields.keys().any(|name| name.starts_with("vault://")) => {
            Err(wrong("a reference stands in quotes: \"{vault://the-vault/the-secret}\"".to_owned()))
        }
        Value::Object(fields) => fields.values().try_for_each(|field| collect(field, place, wanted)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// In the order in which [`collect`] goes.
fn substitute(value: &mut Value, values: &mut std::vec::IntoIter<SecretValue>) {
    match value {
        Value::String(text) => {
            if let Ok(Some(template)) = Template::parse(text) {
                let own: Vec<SecretValue> = values.take(template.references().count()).collect();
                if let Some(filled) = template.fill(&mut own.iter()) {
                    filled.expose().clone_into(text);
                }
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| substitute(element, values)),
        Value::Object(fields) => fields.values_mut().for_each(|field| substitute(field, values)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// How long a start waits for a vault.
const PATIENCE: Duration = Duration::from_secs(30);

/// And where Lambda ends a start after 10 s.
const PATIENCE_OF_A_FUNCTION: Duration = Duration::from_secs(5);
