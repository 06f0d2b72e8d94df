//! A running gateway, and the token that it knows us by.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateward_model::Vault;
use gateward_net::{Client, Connector, ConnectorSettings, FetchError, Limits};
use gateward_seal::SecretValue;
use gateward_vaults::Reference;
use http::{Method, Request, Response, StatusCode, header};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::json;

use super::call::Call;
use super::credentials::{self, Credentials, CredentialsError, Login, Proof};
use super::{AskError, GatewayUrl, cloud_identity};
use crate::arguments::{At, Auth, Connection};
use crate::surroundings::Surroundings;

/// A running gateway, and the token that it knows us by.
pub struct Session {
    gateway: Gateway,
    token: SecretValue,
}

/// What a call was answered with.
pub(super) struct Answered {
    /// JSON.
    pub(super) body: String,
    /// The lease of a credential that was issued, and when it ends.
    pub(super) lease: Option<(String, String)>,
}

impl Session {
    /// Finds out which gateway to ask and as whom, and logs in where there is no token.
    pub async fn open(connection: &Connection, surroundings: &Surroundings) -> Result<Self, AskError> {
        let gateway = Gateway::find(&connection.at, surroundings)?;
        let token = match credentials::find(connection, &gateway.url, surroundings)? {
            Credentials::Token(token) => token,
            Credentials::Identity(login) => gateway.log_in(&login, None, surroundings).await?,
        };
        Ok(Self { gateway, token })
    }

    /// Makes `call`. The answer is JSON, as it came.
    pub(super) async fn call(&self, mut call: Call) -> Result<Answered, AskError> {
        call.body.insert("token".to_owned(), self.token.expose().into());
        let answer = self.gateway.call(call).await?;
        let text = String::from_utf8(answer.body().to_vec());
        let is_json = read::<IgnoredAny>(&answer).is_some();
        let body = text.ok().filter(|_| is_json).ok_or_else(|| self.gateway.is_none(&answer))?;
        let header = |name| Some(answer.headers().get(name)?.to_str().ok()?.to_owned());
        let lease = header("x-gateward-lease-id").zip(header("x-gateward-lease-expires"));
        Ok(Answered { body, lease })
    }

    /// The settings of the vault called `prefix`, with `***` in the places of secrets.
    pub async fn vault(&self, prefix: &str) -> Result<Vault, AskError> {
        let request = Request::get(self.gateway.url.vault(prefix))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.expose()))
            .header(header::ACCEPT, "application/json");
        let answer = self.gateway.send(request, Bytes::new(), USUAL_PATIENCE).await?;
        let says = read::<Message>(&answer);
        if answer.status().is_success() {
            return read(&answer).ok_or_else(|| self.gateway.is_none(&answer));
        }
        Err(match says {
            Some(_) if answer.status() == StatusCode::NOT_FOUND => {
                AskError::NoVault { prefix: prefix.to_owned(), url: self.gateway.url.to_string() }
            }
            Some(says) => AskError::Refused(says.message),
            None => self.gateway.is_none(&answer),
        })
    }
}

impl Session {
    /// The value of `reference`, which the gateway reads.
    pub async fn value(&self, reference: &Reference) -> Result<SecretValue, AskError> {
        let body = json!({"reference": reference.to_string()});
        let answer = self.ask(Method::POST, "v1/references/value", body).await?;
        let read: Option<Value> = read(&answer);
        read.map(|value| value.value).ok_or_else(|| self.gateway.is_none(&answer))
    }

    /// What happens when the gateway reads `reference`.
    pub async fn test(&self, reference: &Reference) -> Result<serde_json::Value, AskError> {
        let vault = reference.vault();
        let body = json!({"reference": reference.to_string()});
        let answer = self.send(Method::POST, &format!("vaults/{vault}/test"), body).await?;
        if answer.status() == StatusCode::NOT_FOUND && read::<Message>(&answer).is_some() {
            let url = self.gateway.url.to_string();
            return Err(AskError::NoVault { prefix: vault.to_owned(), url });
        }
        let answer = self.accepted(answer)?;
        read(&answer).ok_or_else(|| self.gateway.is_none(&answer))
    }

    /// All vaults of the gateway, as its API shows them.
    pub async fn vaults(&self) -> Result<Vec<serde_json::Value>, AskError> {
        let mut vaults = Vec::new();
        let mut path = "vaults?size=1000".to_owned();
        loop {
            let answer = self.ask(Method::GET, &path, serde_json::Value::Null).await?;
            let page: Page = read(&answer).ok_or_else(|| self.gateway.is_none(&answer))?;
            vaults.extend(page.data);
            match page.next {
                Some(next) => next.trim_start_matches('/').clone_into(&mut path),
                None => return Ok(vaults),
            }
        }
    }

    /// Asks something of the gateway's own or Kong's API, and takes a refusal for an error.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: serde_json::Value,
    ) -> Result<Response<Bytes>, AskError> {
        let answer = self.send(method, path, body).await?;
        self.accepted(answer)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: serde_json::Value,
    ) -> Result<Response<Bytes>, AskError> {
        let request = Request::builder()
            .method(method)
            .uri(self.gateway.url.beside(path))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.expose()))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json");
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        self.gateway.send(request, body, USUAL_PATIENCE).await
    }

    /// `answer`, unless it is a refusal.
    fn accepted(&self, answer: Response<Bytes>) -> Result<Response<Bytes>, AskError> {
        if answer.status().is_success() {
            return Ok(answer);
        }
        let refused: Option<Refused> = read(&answer);
        let says: Option<Message> = read(&answer);
        let says = refused.map(|refused| refused.error).or(says.map(|says| says.message));
        Err(says.map_or_else(|| self.gateway.is_none(&answer), AskError::Refused))
    }
}

/// What a reference stands for.
#[derive(Deserialize)]
struct Value {
    value: SecretValue,
}

/// One page of vaults.
#[derive(Deserialize)]
struct Page {
    data: Vec<serde_json::Value>,
    next: Option<String>,
}

/// Logs in with what `auth` says, else with what there is.
pub(super) async fn log_in(auth: &Auth, surroundings: &Surroundings) -> Result<SecretValue, AskError> {
    let gateway = Gateway::find(&auth.at, surroundings)?;
    let login = match (&auth.access_id, auth.access_key.get()) {
        _ if auth.is_aws() => {
            let access_id = auth.access_id.as_deref().or(surroundings.variable("GATEWARD_ADMIN_ACCESS_ID"));
            let access_id = access_id.ok_or(CredentialsError::NoAccessId)?.to_owned();
            let proof = auth.cloud_id.clone().map_or(Proof::AwsIam, Proof::CloudId);
            Login { access_id, proof }
        }
        (Some(access_id), Some(access_key)) => {
            Login { access_id: access_id.clone(), proof: Proof::AccessKey(access_key.clone()) }
        }
        _ => credentials::find_login(auth.at.profile.as_deref(), &gateway.url, surroundings)?,
    };
    gateway.log_in(&login, auth.server_id.as_deref(), surroundings).await
}

/// A running gateway.
struct Gateway {
    url: GatewayUrl,
    client: Client,
}

impl Gateway {
    fn find(at: &At, surroundings: &Surroundings) -> Result<Self, AskError> {
        let connector = Connector::new(ConnectorSettings::default())?;
        Ok(Self { url: GatewayUrl::of(at, surroundings)?, client: Client::new(Arc::new(connector)) })
    }

    async fn log_in(
        &self,
        Login { access_id, proof }: &Login,
        server_id: Option<&str>,
        surroundings: &Surroundings,
    ) -> Result<SecretValue, AskError> {
        let call = match proof {
            Proof::AccessKey(key) => Call::log_in(access_id, key),
            Proof::CloudId(cloud_id) => Call::log_in_with_aws(access_id, cloud_id),
            Proof::AwsIam => {
                Call::log_in_with_aws(access_id, &cloud_identity::cloud_id(server_id, surroundings).await?)
            }
        };
        let answer = self.call(call).await?;
        let granted: Option<Granted> = read(&answer);
        granted.map(|granted| granted.token).ok_or_else(|| self.is_none(&answer))
    }

    /// Makes `call`, and takes a refusal for an error.
    async fn call(&self, call: Call) -> Result<Response<Bytes>, AskError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url.akeyless(call.operation))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json");
        let mut body = serde_json::Value::Object(call.body);
        let text = Bytes::from(body.to_string());
        gateward_seal::wipe(&mut body);
        let answer = self.send(request, text, call.patience).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let refused: Option<Refused> = read(&answer);
        Err(refused.map_or_else(|| self.is_none(&answer), |refused| AskError::Refused(refused.error)))
    }

    async fn send(
        &self,
        request: http::request::Builder,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Response<Bytes>, AskError> {
        let no_answer = |source| AskError::NoAnswer { url: self.url.to_string(), source };
        // A token with a line break in it cannot be sent, nor a URL that HTTP does not allow.
        let request = request.body(body).map_err(|_| no_answer(FetchError::Address))?;
        let limits = Limits { timeout, max_body: LARGEST_ANSWER, verify: true };
        self.client.fetch(request, limits).await.map_err(|error| match error {
            FetchError::Connect(cause) if cause.kind() == ErrorKind::ConnectionRefused => {
                AskError::NotRunning { url: self.url.to_string() }
            }
            error if error.is_no_tls() => AskError::NoTls { url: self.url.to_string() },
            // What is not HTTP at all is not the gateway either, but no status tells of it.
            error => no_answer(error),
        })
    }

    fn is_none(&self, answer: &Response<Bytes>) -> AskError {
        AskError::NotTheGateway { url: self.url.to_string(), status: answer.status().as_u16() }
    }
}

/// The Akeyless API's answer to a login.
#[derive(Deserialize)]
struct Granted {
    token: SecretValue,
}

/// The Akeyless API's error.
#[derive(Deserialize)]
struct Refused {
    error: String,
}

/// Kong's error.
#[derive(Deserialize)]
struct Message {
    message: String,
}

fn read<T: DeserializeOwned>(answer: &Response<Bytes>) -> Option<T> {
    serde_json::from_slice(answer.body()).ok()
}

/// How long the settings of a vault may take.
const USUAL_PATIENCE: Duration = Duration::from_secs(30);

/// Far beyond any answer of the gateway's.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;
