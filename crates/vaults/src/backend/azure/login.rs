//! Whom Azure takes this process for.
//!
//! With a client's secret, that client; with a token of an identity provider (AKS workload identity), the client that it is
//! federated with; else the managed identity of the app, or of the machine. The first of these that is set up decides.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gateward_clock::Timestamp;
use gateward_seal::SecretValue;
use http::{HeaderValue, Request};
use serde::Deserialize;
use url::Url;

use super::cloud::Cloud;
use crate::backend::call::{Answer, Service, address, form, word};
use crate::backend::tokens::{Given, Login};
use crate::backend::{Surroundings, small_file};
use crate::unresolved::{Miss, MissKind};

/// Whom Azure takes this process for.
pub(super) struct Identity {
    environment: Arc<BTreeMap<String, String>>,
    cloud: Cloud,
    prefix: String,
    tenant_id: Option<String>,
    client_id: Option<String>,
    authority: Service,
    metadata: Service,
}

impl Identity {
    /// An identity of `cloud`. Ids that are not given are looked for in the environment, in variables that begin with
    /// `prefix`.
    pub(super) fn new(
        surroundings: &Surroundings,
        cloud: Cloud,
        prefix: &str,
        tenant_id: Option<String>,
        client_id: Option<String>,
    ) -> Self {
        let metadata = surroundings.metadata_client.clone();
        Self {
            environment: Arc::clone(&surroundings.environment),
            cloud,
            prefix: prefix.to_owned(),
            tenant_id,
            client_id,
            authority: Service::new(surroundings.client.clone(), "Microsoft Entra", TIMEOUT),
            metadata: Service::new(metadata, "Azure's managed identity service", METADATA_TIMEOUT),
        }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// `{prefix}_{name}`.
    fn own(&self, name: &str) -> Option<&str> {
        self.variable(&format!("{}_{name}", self.prefix))
    }

    /// The tenant and the client, which `whom` cannot do without.
    fn ids(&self, whom: &str) -> Result<(&str, &str), Miss> {
        let tenant = self.tenant_id.as_deref().or_else(|| self.own("TENANT_ID"));
        let client = self.client_id.as_deref().or_else(|| self.own("CLIENT_ID"));
        match (tenant.filter(|id| is_id(id)), client.filter(|id| is_id(id))) {
            (Some(tenant), Some(client)) => Ok((tenant, client)),
            (None, _) => Err(misconfigured(format!("{whom} needs tenant_id, or {}_TENANT_ID", self.prefix))),
            (_, None) => Err(misconfigured(format!("{whom} needs client_id, or {}_CLIENT_ID", self.prefix))),
        }
    }
}

#[async_trait]
impl Login for Identity {
    async fn log_in(&self, now: Timestamp) -> Result<Given, Miss> {
        if let Some(secret) = self.own("CLIENT_SECRET") {
            let ids = self.ids(&format!("{}_CLIENT_SECRET", self.prefix))?;
            return self.ask_authority(ids, &[("client_secret", secret)], now).await;
        }
        if let Some(path) = self.variable(FEDERATED) {
            let ids = self.ids(FEDERATED)?;
            let token = small_file(Path::new(path));
            let token =
                token.map_err(|error| misconfigured(format!("{FEDERATED} cannot be read: {error}")))?;
            let proof = [
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ("client_assertion", token.expose().trim()),
            ];
            return self.ask_authority(ids, &proof, now).await;
        }
        self.ask_metadata(now).await
    }
}

impl Identity {
    /// A token for a client, who shows `proof` of being it.
    async fn ask_authority(
        &self,
        (tenant, client): (&str, &str),
        proof: &[(&str, &str)],
        now: Timestamp,
    ) -> Result<Given, Miss> {
        let authority = self.variable("AZURE_AUTHORITY_HOST").unwrap_or(self.cloud.authority);
        let authority = address(authority)
            .map_err(|problem| misconfigured(format!("AZURE_AUTHORITY_HOST: {problem}")))?;
        let url = format!("{}/{tenant}/oauth2/v2.0/token", authority.as_str().trim_end_matches('/'));
        let scope = format!("https://{}/.default", self.cloud.vaults);
        let who = [("grant_type", "client_credentials"), ("client_id", client), ("scope", &scope)];
        let request = form(&url, &[&who, proof].concat());
        let request = request.map_err(|_| misconfigured("AZURE_AUTHORITY_HOST cannot be called"))?;
        let answer = self.authority.call(request).await?;
        if answer.status.is_client_error()
            && let Some(refusal) = answer.read::<Refusal>()
        {
            let problem = format!(
                "Microsoft Entra does not take the client's credentials ({}); see that tenant_id and client_id are \
                 right, and the secret or federation still good",
                refusal.in_words()
            );
            return Err(Miss::new(MissKind::Denied, problem));
        }
        read(&self.authority, &answer, now)
    }

    /// A token for the managed identity, of the app where there is an endpoint for that, else of the machine. `client_id`
    /// chooses one where there are several.
    async fn ask_metadata(&self, now: Timestamp) -> Result<Given, Miss> {
        let resource = format!("https://{}", self.cloud.vaults);
        let (base, api_version, header) = match (self.variable(APP_ENDPOINT), self.variable(APP_HEADER)) {
            (Some(endpoint), Some(header)) => {
                let mut header = HeaderValue::from_str(header)
                    .map_err(|_| misconfigured("IDENTITY_HEADER is none that can be sent"))?;
                header.set_sensitive(true);
                (endpoint.to_owned(), "2019-08-01", ("x-identity-header", header))
            }
            _ => {
                let host =
                    self.variable("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or("http://169.254.169.254");
                let base = format!("{}/metadata/identity/oauth2/token", host.trim_end_matches('/'));
                (base, "2018-02-01", ("metadata", HeaderValue::from_static("true")))
            }
        };
        let mut url =
            Url::parse(&base).map_err(|_| misconfigured("the managed identity's address is none"))?;
        url.query_pairs_mut().append_pair("api-version", api_version).append_pair("resource", &resource);
        if let Some(client) = self.client_id.as_deref().or_else(|| self.own("CLIENT_ID")) {
            url.query_pairs_mut().append_pair("client_id", client);
        }
        let request = Request::get(url.as_str()).header(header.0, header.1).body(Bytes::new());
        let request = request.map_err(|_| misconfigured("the managed identity's address is none"))?;
        let answer = self.metadata.call(request).await.map_err(|miss| {
            let secret = format!("{}_CLIENT_SECRET", self.prefix);
            Miss::new(miss.kind, format!("neither {secret} nor {FEDERATED} is set, and {}", miss.problem))
                .resting(miss.rest)
        })?;
        match answer.status.as_u16() {
            400 | 403 => {
                let why = answer.read::<Refusal>();
                let why = why.map_or_else(|| word(""), |refusal| refusal.in_words());
                Err(misconfigured(format!(
                    "this machine or app has no such managed identity ({why}); assign one, or set client_id to one of its"
                )))
            }
            // The machine's service is being updated, for up to 70 seconds.
            404 | 410 => {
                let problem = "Azure's managed identity service is not there at the moment";
                Err(Miss::new(MissKind::Unavailable, problem))
            }
            _ => read(&self.metadata, &answer, now),
        }
    }
}

/// Whether `id` can be a client's or a tenant's, and so a part of a path.
pub(super) fn is_id(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    (1..=128).contains(&id.len()) && id.bytes().all(allowed) && !id.starts_with('.')
}

fn misconfigured(problem: impl Into<String>) -> Miss {
    Miss::new(MissKind::Misconfigured, problem)
}

/// The token in an answer.
fn read(service: &Service, answer: &Answer, now: Timestamp) -> Result<Given, Miss> {
    let token: Option<Token> = match answer.status.as_u16() {
        200 => answer.read(),
        _ => None,
    };
    let token = token.filter(|token| !token.access_token.is_empty());
    let Token { access_token, expires_in, expires_on } =
        token.ok_or_else(|| service.garbage(answer.status))?;
    let in_seconds = |number: &Number| match number {
        Number::Whole(whole) => Some(*whole),
        Number::Text(text) => text.trim().parse().ok(),
    };
    let lasts = expires_in.as_ref().and_then(in_seconds).or_else(|| {
        let ends = expires_on.as_ref().and_then(in_seconds)?;
        Some(Timestamp::from_secs(ends).saturating_since(now).as_secs())
    });
    let lasts = lasts.ok_or_else(|| service.garbage(answer.status))?;
    Ok(Given { token: access_token, lasts: Duration::from_secs(lasts) })
}

#[derive(Deserialize)]
struct Token {
    access_token: SecretValue,
    expires_in: Option<Number>,
    expires_on: Option<Number>,
}

/// Entra writes numbers as numbers, managed identities write them as texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(u64),
    Text(String),
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_codes: Vec<u64>,
}

impl Refusal {
    /// Entra's word, and the number under which its documentation explains it.
    fn in_words(&self) -> String {
        match self.error_codes.first() {
            Some(code) => format!("{}, AADSTS{code}", word(&self.error)),
            None => word(&self.error),
        }
    }
}

const FEDERATED: &str = "AZURE_FEDERATED_TOKEN_FILE";
const APP_ENDPOINT: &str = "IDENTITY_ENDPOINT";
const APP_HEADER: &str = "IDENTITY_HEADER";
const TIMEOUT: Duration = Duration::from_secs(5);

/// It is a part of the machine.
const METADATA_TIMEOUT: Duration = Duration::from_secs(3);
