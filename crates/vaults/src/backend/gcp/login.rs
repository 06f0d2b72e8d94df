//! Whom Google takes this process for: a service account whose key it was given, else the one of its machine or pod.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gateward_clock::Timestamp;
use gateward_seal::SecretValue;
use http::Request;
use serde::Deserialize;

use super::service_account::ServiceAccount;
use crate::backend::Surroundings;
use crate::backend::call::{Answer, Service, form, word};
use crate::backend::small_file;
use crate::backend::tokens::{Given, Login};
use crate::unresolved::{Miss, MissKind};

/// Where tokens come from. The first of these that is set up decides, as elsewhere: `GCP_SERVICE_ACCOUNT` (the key
/// itself), `GOOGLE_APPLICATION_CREDENTIALS` (its file, read each time), else the metadata server.
pub(super) struct Identity {
    environment: Arc<BTreeMap<String, String>>,
    tokens: Service,
    metadata: Service,
}

impl Identity {
    pub(super) fn of(surroundings: &Surroundings) -> Self {
        let tokens = Service::new(surroundings.client.clone(), "Google's token service", TIMEOUT);
        let metadata =
            Service::new(surroundings.metadata_client.clone(), "Google's metadata server", METADATA_TIMEOUT);
        Self { environment: Arc::clone(&surroundings.environment), tokens, metadata }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

#[async_trait]
impl Login for Identity {
    async fn log_in(&self, now: Timestamp) -> Result<Given, Miss> {
        let wrong = |source: &str, problem: String| {
            Miss::new(MissKind::Misconfigured, format!("{source} cannot be used: {problem}"))
        };
        if let Some(json) = self.variable(KEY_VARIABLE) {
            let account =
                ServiceAccount::read(&json.into()).map_err(|problem| wrong(KEY_VARIABLE, problem))?;
            return self.exchange(&account, now).await;
        }
        if let Some(path) = self.variable(FILE_VARIABLE) {
            let json =
                small_file(Path::new(path)).map_err(|error| wrong(FILE_VARIABLE, error.to_string()))?;
            let account = ServiceAccount::read(&json).map_err(|problem| wrong(FILE_VARIABLE, problem))?;
            return self.exchange(&account, now).await;
        }
        self.ask_metadata().await
    }
}

impl Identity {
    /// Has what `account` signs exchanged for a token.
    async fn exchange(&self, account: &ServiceAccount, now: Timestamp) -> Result<Given, Miss> {
        let assertion =
            account.assertion(now).map_err(|problem| Miss::new(MissKind::Misconfigured, problem))?;
        let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        let request = form(&account.token_uri, &[("grant_type", grant), ("assertion", assertion.expose())]);
        let broken = |_| Miss::new(MissKind::Misconfigured, "the key's token_uri cannot be called");
        let answer = self.tokens.call(request.map_err(broken)?).await?;
        if answer.status.is_client_error()
            && let Some(refusal) = answer.read::<Refusal>()
        {
            let problem = format!(
                "Google does not take the service account's key ({}); see that the key is enabled, and this machine's \
                 clock right",
                word(&refusal.error)
            );
            return Err(Miss::new(MissKind::Denied, problem));
        }
        read(&self.tokens, &answer)
    }

    /// The token of the machine's, or the pod's, own service account.
    async fn ask_metadata(&self) -> Result<Given, Miss> {
        let host = self.variable("GCE_METADATA_HOST").unwrap_or("metadata.google.internal");
        let request = Request::get(format!("http://{host}{TOKEN_PATH}"))
            .header("metadata-flavor", "Google")
            .body(Bytes::new());
        let wrong = |_| Miss::new(MissKind::Misconfigured, "GCE_METADATA_HOST is no host");
        let asked = self.metadata.call(request.map_err(wrong)?).await;
        let answer = asked.map_err(|miss| {
            let problem = format!("neither {KEY_VARIABLE} nor {FILE_VARIABLE} is set, and {}", miss.problem);
            Miss::new(miss.kind, problem).resting(miss.rest)
        })?;
        // Whoever else may answer under that name does not say this.
        let is_googles = answer.headers.get("metadata-flavor").is_some_and(|flavor| flavor == "Google");
        match answer.status.as_u16() {
            200 if is_googles => read(&self.metadata, &answer),
            404 if is_googles => {
                let problem = "this machine has no service account; attach one, or set GCP_SERVICE_ACCOUNT";
                Err(Miss::new(MissKind::Misconfigured, problem))
            }
            403 if is_googles => {
                let problem = "the metadata server gives this machine, or pod, no token (status 403)";
                Err(Miss::new(MissKind::Denied, problem))
            }
            _ => Err(self.metadata.garbage(answer.status)),
        }
    }
}

/// The token in an answer.
fn read(service: &Service, answer: &Answer) -> Result<Given, Miss> {
    let token = match answer.status.as_u16() {
        200 => answer.read::<Token>(),
        _ => None,
    };
    let token = token.filter(|token| !token.access_token.is_empty());
    let token = token.ok_or_else(|| service.garbage(answer.status))?;
    Ok(Given { token: token.access_token, lasts: Duration::from_secs(token.expires_in) })
}

#[derive(Deserialize)]
struct Token {
    access_token: SecretValue,
    expires_in: u64,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    error: String,
}

const KEY_VARIABLE: &str = "GCP_SERVICE_ACCOUNT";
const FILE_VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const TOKEN_PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
const TIMEOUT: Duration = Duration::from_secs(5);

/// It is a part of the machine, but a pod's may take a moment after the start.
const METADATA_TIMEOUT: Duration = Duration::from_secs(3);
