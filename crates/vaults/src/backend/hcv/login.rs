//! The ways to come by a token of Vault: one that is set, or a login by what the gateway can show.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gateward_model::Invalid;
use gateward_seal::SecretValue;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use super::super::Surroundings;
use super::secret_id::{SecretId, Source};
use super::server::{Answer, Certificate, Server, json, path};
use super::session::{Grant, Logins};
use crate::backend::Fence;
use crate::backend::call::{self, Service};
use crate::backend::file::fenced_file;
use crate::settings::Settings;
use crate::unresolved::{Miss, MissKind};

/// Comes by tokens of one server, in one way.
pub(super) struct Login {
    server: Arc<Server>,
    method: Method,
}

/// A way to come by a token.
pub(super) enum Method {
    Token(SecretValue),
    Kubernetes { path: String, role: String, token: File },
    AppRole { path: String, role_id: String, secret_id: SecretId },
    Certificate { certificate: Certificate, role: Option<String> },
    Jwt { role: String, source: TokenEndpoint },
}

/// A file with one line in it that is a secret.
pub(super) struct File {
    path: PathBuf,
    field: &'static str,
    fence: Arc<Fence>,
    runtime: Handle,
}

/// Where an OAuth2 client comes by tokens that are its own.
pub(super) struct TokenEndpoint {
    service: Service,
    url: String,
    client_id: String,
    client_secret: SecretValue,
    audiences: Vec<String>,
}

impl Login {
    pub(super) fn new(server: Arc<Server>, method: Method) -> Self {
        Self { server, method }
    }

    /// Whether it can give another token when one is dead.
    pub(super) fn is_repeatable(&self) -> bool {
        !matches!(self.method, Method::Token(_))
    }

    /// Sends what a login wants to see.
    async fn show(&self, path: &str, shown: &impl Serialize) -> Result<Grant, Miss> {
        let path = format!("auth/{path}/login");
        let answer = self.server.call(http::Method::POST, &path, None, Some(json(shown))).await?;
        match answer.status.as_u16() {
            200 => granted(&answer),
            400 | 401 | 403 => {
                let problem = format!("Vault refuses the login; see {}", self.method.advice());
                Err(Miss::new(MissKind::Denied, problem))
            }
            404 | 405 => Err(Miss::new(
                MissKind::Misconfigured,
                format!("Vault has no login at {path}; see {}", self.method.advice()),
            )),
            _ => Err(answer.refusal()),
        }
    }

    /// What Vault says of a token that was set.
    async fn look_at(&self, token: &SecretValue) -> Result<Grant, Miss> {
        #[derive(Deserialize)]
        struct Envelope {
            data: Data,
        }
        #[derive(Deserialize)]
        struct Data {
            ttl: u64,
            #[serde(default)]
            renewable: bool,
        }
        let path = "auth/token/lookup-self";
        let answer = self.server.call(http::Method::GET, path, Some(token), None).await?;
        let token = token.clone();
        match answer.status {
            StatusCode::OK => {
                let Envelope { data: Data { ttl, renewable } } = answer.parse()?;
                Ok(Grant { token, lease: lease(ttl), is_renewable: renewable })
            }
            // It may be one that may not look at itself. Whether it is good will be seen when it is used.
            StatusCode::FORBIDDEN => Ok(Grant { token, lease: Some(LOOK_AGAIN), is_renewable: false }),
            _ => Err(answer.refusal()),
        }
    }
}

#[async_trait]
impl Logins for Login {
    async fn log_in(&self) -> Result<Grant, Miss> {
        match &self.method {
            Method::Token(token) => self.look_at(token).await,
            Method::Kubernetes { path, role, token } => {
                let jwt = token.read().await?;
                self.show(path, &ByJwt { role, jwt: jwt.expose() }).await
            }
            Method::AppRole { path, role_id, secret_id } => {
                let secret_id = secret_id.get(&self.server).await?;
                self.show(path, &ByAppRole { role_id, secret_id: secret_id.expose() }).await
            }
            Method::Certificate { role, .. } => {
                self.show("cert", &ByCertificate { name: role.as_deref() }).await
            }
            Method::Jwt { role, source } => {
                let jwt = source.token().await?;
                self.show("jwt", &ByJwt { role, jwt: jwt.expose() }).await
            }
        }
    }

    async fn renew(&self, token: &SecretValue) -> Result<Grant, Miss> {
        let path = "auth/token/renew-self";
        let answer = self.server.call(http::Method::POST, path, Some(token), Some(json(&NOTHING))).await?;
        match answer.status {
            StatusCode::OK => granted(&answer),
            _ => Err(answer.refusal()),
        }
    }
}

#[derive(Serialize)]
struct ByJwt<'a> {
    role: &'a str,
    jwt: &'a str,
}

#[derive(Serialize)]
struct ByAppRole<'a> {
    role_id: &'a str,
    secret_id: &'a str,
}

#[derive(Serialize)]
struct ByCertificate<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

const NOTHING: ByCertificate<'_> = ByCertificate { name: None };

fn granted(answer: &Answer) -> Result<Grant, Miss> {
    #[derive(Deserialize)]
    struct Envelope {
        auth: Auth,
    }
    #[derive(Deserialize)]
    struct Auth {
        client_token: SecretValue,
        lease_duration: u64,
        #[serde(default)]
        renewable: bool,
    }
    let Envelope { auth } = answer.parse()?;
    if auth.client_token.is_empty() {
        return Err(answer.garbage());
    }
    Ok(Grant { token: auth.client_token, lease: lease(auth.lease_duration), is_renewable: auth.renewable })
}

/// Vault says 0 of what does not end.
fn lease(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds.min(LONGEST_LEASE)))
}

impl Method {
    /// The method that the settings name, with all that it needs.
    pub(super) fn read(settings: &Settings<'_>, surroundings: &Surroundings) -> Result<Self, Invalid> {
        check(settings)?;
        let required = |name: &str, method: &str| {
            let problem =
                || Invalid::new(name, format!("required field missing: auth_method {method} needs it"));
            settings.text(name)?.ok_or_else(problem)
        };
        let required_secret = |name: &str, method: &str, address: &[&str]| {
            required(name, method).map(Zeroizing::new)?;
            let secret = settings.secret_for(name, address)?.unwrap_or_default();
            Ok::<_, Invalid>(SecretValue::from(secret.expose().trim()))
        };
        let file = |path: String, field: &'static str| File {
            path: path.into(),
            field,
            fence: Arc::clone(&surroundings.fence),
            runtime: surroundings.runtime.clone(),
        };
        let method = auth_method(settings)?;
        Ok(match method {
            "kubernetes" => {
                let token_file = settings.text("kube_api_token_file")?;
                let token_file = token_file.unwrap_or_else(|| SERVICE_ACCOUNT_TOKEN.to_owned());
                Self::Kubernetes {
                    path: path(settings, "kube_auth_path", "kubernetes")?,
                    role: required("kube_role", method)?,
                    token: file(token_file, "kube_api_token_file"),
                }
            }
            "approle" => {
                let source = match settings.text("approle_secret_id_file")? {
                    Some(path) => Source::File(file(path, "approle_secret_id_file")),
                    None => Source::Text(required_secret("approle_secret_id", method, ADDRESS)?),
                };
                let is_wrapped = settings.flag("approle_response_wrapping")?.unwrap_or(false);
                let unwrapped = Arc::clone(&surroundings.unwrapped);
                Self::AppRole {
                    path: path(settings, "approle_auth_path", "approle")?,
                    role_id: required("approle_role_id", method)?,
                    secret_id: SecretId { source, is_wrapped, unwrapped },
                }
            }
            "cert" => Self::Certificate {
                certificate: Certificate {
                    chain: required("cert_auth_cert", method)?,
                    key: required_secret("cert_auth_cert_key", method, ADDRESS)?,
                },
                role: settings.text("cert_auth_role_name")?,
            },
            "jwt" => Self::Jwt {
                role: required("oauth2_role_name", method)?,
                source: TokenEndpoint {
                    service: Service::new(
                        surroundings.client.clone(),
                        "the token endpoint",
                        Duration::from_secs(5),
                    ),
                    url: required("oauth2_token_endpoint", method)?,
                    client_id: required("oauth2_client_id", method)?,
                    client_secret: required_secret(
                        "oauth2_client_secret",
                        method,
                        &["oauth2_token_endpoint"],
                    )?,
                    audiences: audiences(settings)?,
                },
            },
            _ => Self::Token(required_secret("token", method, ADDRESS)?),
        })
    }

    /// The certificate that is shown when a connection is opened.
    pub(super) fn certificate(&self) -> Option<&Certificate> {
        match self {
            Self::Certificate { certificate, .. } => Some(certificate),
            _ => None,
        }
    }

    /// Where to look when a login is refused.
    fn advice(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Kubernetes { .. } => {
                "kube_role, kube_auth_path, and which service accounts the role is for"
            }
            Self::AppRole { .. } => {
                "approle_role_id, approle_auth_path, and that the secret id has not ended or been used up"
            }
            Self::Certificate { .. } => {
                "that Vault trusts cert_auth_cert, for cert_auth_role_name if that is set"
            }
            Self::Jwt { .. } => "oauth2_role_name, and which audiences and claims the role is for",
        }
    }
}

impl File {
    /// What is in the file now: others renew it.
    async fn read_text(&self) -> std::io::Result<SecretValue> {
        let (path, fence) = (self.path.clone(), Arc::clone(&self.fence));
        let reading = self.runtime.spawn_blocking(move || fenced_file(&path, &fence));
        reading.await.map_err(std::io::Error::other)?
    }

    /// Its one line. Nothing else is sent anywhere, whichever file the setting names.
    pub(super) async fn read(&self) -> Result<SecretValue, Miss> {
        let field = self.field;
        let unread = |error: std::io::Error| {
            let problem = format!("the file that {field} names cannot be read: {error}");
            Miss::new(MissKind::Misconfigured, problem)
        };
        let text = self.read_text().await.map_err(unread)?;
        let line = text.expose().trim();
        if line.is_empty() || line.len() > LONGEST_LINE || !line.bytes().all(|byte| byte.is_ascii_graphic()) {
            let problem = format!("the file that {field} names is not one line without blanks");
            return Err(Miss::new(MissKind::Misconfigured, problem));
        }
        Ok(SecretValue::from(line))
    }
}

impl TokenEndpoint {
    /// A token of the client's own (RFC 6749, 4.4).
    async fn token(&self) -> Result<SecretValue, Miss> {
        #[derive(Deserialize)]
        struct Given {
            access_token: SecretValue,
        }
        let mut fields = vec![
            ("grant_type", "client_credentials"),
            ("client_id", self.client_id.as_str()),
            ("client_secret", self.client_secret.expose()),
        ];
        fields.extend(self.audiences.iter().map(|audience| ("audience", audience.as_str())));
        let no_url = |_| Miss::new(MissKind::Misconfigured, "oauth2_token_endpoint is no URL");
        let request = call::form(&self.url, &fields).map_err(no_url)?;
        let answer = self.service.call(request).await?;
        match answer.status.as_u16() {
            200 => match answer.read::<Given>() {
                Some(Given { access_token }) if !access_token.is_empty() => Ok(access_token),
                _ => Err(self.service.garbage(answer.status)),
            },
            400 | 401 | 403 => Err(Miss::new(
                MissKind::Denied,
                "the token endpoint refuses the client; see oauth2_client_id, oauth2_client_secret and oauth2_audiences",
            )),
            404 | 405 => Err(Miss::new(
                MissKind::Misconfigured,
                "there is no token endpoint at that address; see oauth2_token_endpoint",
            )),
            _ => Err(self.service.garbage(answer.status)),
        }
    }
}

/// Checks what the settings' forms do not say, as far as they are there: others may come from the environment.
pub(super) fn check(settings: &Settings<'_>) -> Result<(), Invalid> {
    auth_method(settings)?;
    path(settings, "kube_auth_path", "kubernetes")?;
    path(settings, "approle_auth_path", "approle")?;
    if settings.text("approle_secret_id")?.is_some() && settings.text("approle_secret_id_file")?.is_some() {
        let problem = "the secret id is set, and a file for it too; leave one of them out";
        return Err(Invalid::new("approle_secret_id_file", problem));
    }
    if let Some(endpoint) = settings.text("oauth2_token_endpoint")? {
        call::address(&endpoint).map_err(|problem| Invalid::new("oauth2_token_endpoint", problem))?;
    }
    let (chain, key) = (settings.text("cert_auth_cert")?, settings.secret("cert_auth_cert_key")?);
    if let (Some(chain), Some(key)) = (chain, key) {
        Certificate { chain, key }.check()?;
    }
    Ok(())
}

fn auth_method(settings: &Settings<'_>) -> Result<&'static str, Invalid> {
    let Some(name) = settings.text("auth_method")? else { return Ok("token") };
    if let Some(offered) = OFFERED.iter().find(|offered| **offered == name) {
        return Ok(offered);
    }
    let problem = match name.as_str() {
        // What Kong's own guide calls it.
        "oauth2" => return Ok("jwt"),
        "gcp_iam" | "gcp_gce" | "azure" | "aws_ec2" | "aws_iam" => {
            format!("the login {name} is not offered; use one of: {}", OFFERED.join(", "))
        }
        _ => format!("expected one of: {}", OFFERED.join(", ")),
    };
    Err(Invalid::new("auth_method", problem))
}

fn audiences(settings: &Settings<'_>) -> Result<Vec<String>, Invalid> {
    let text = settings.text("oauth2_audiences")?.unwrap_or_default();
    let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
    Ok(parts.map(str::to_owned).collect())
}

/// What says where Vault is.
const ADDRESS: &[&str] = &["protocol", "host", "port"];

const OFFERED: &[&str] = &["token", "kubernetes", "approle", "cert", "jwt"];

const SERVICE_ACCOUNT_TOKEN: &str = "/run/secrets/kubernetes.io/serviceaccount/token";

/// Tokens of service accounts have one or two kilobytes.
const LONGEST_LINE: usize = 16 * 1024;

/// How long a token that cannot be looked at is used before that is tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// What no clock reaches, so that no sum overflows.
const LONGEST_LEASE: u64 = 100 * 365 * 24 * 3600;
