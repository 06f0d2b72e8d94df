//! The KV engine of HashiCorp Vault, and of OpenBao, as a vault.
//!
//! A secret is the JSON object that stands at a path. Version 2 of the engine keeps earlier versions: `#2` is the one
//! before the current one, whatever has become of it, so that a version that was taken back is never replaced by an
//! older one. It is found by reading the current version first, which needs no other right than to read the secret.

mod login;
mod secret_id;
mod server;
mod session;

use std::sync::Arc;

use async_trait::async_trait;
use gateward_model::Invalid;
use gateward_seal::SecretValue;
use http::{Method, StatusCode};
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Backend, Kind, Surroundings, Wanted};
use crate::reference::Version;
use crate::settings::{Field, Settings};
use crate::unresolved::{Miss, MissKind};
use login::Login;
pub(crate) use secret_id::Unwrapped;
use server::{Answer, SEGMENT, Server};
use session::Session;

pub(super) const KIND: Kind = Kind {
    name: "hcv",
    fields: &[
        Field::one_of("protocol", server::PROTOCOLS),
        Field::text("host"),
        Field::whole("port", 1, 65_535),
        Field::flag("ssl_verify"),
        Field::text("namespace"),
        Field::text("mount"),
        Field::one_of("kv", ENGINES),
        Field::text("auth_method"),
        Field::secret("token", SERVER),
        Field::text("kube_role"),
        Field::text("kube_auth_path"),
        Field::text("kube_api_token_file"),
        Field::text("approle_auth_path"),
        Field::text("approle_role_id"),
        Field::secret("approle_secret_id", SERVER),
        Field::text("approle_secret_id_file"),
        Field::flag("approle_response_wrapping"),
        Field::text("cert_auth_cert"),
        Field::secret("cert_auth_cert_key", SERVER),
        Field::text("cert_auth_role_name"),
        Field::text("oauth2_token_endpoint"),
        Field::text("oauth2_client_id"),
        Field::secret("oauth2_client_secret", &["oauth2_token_endpoint"]),
        Field::text("oauth2_audiences"),
        Field::text("oauth2_role_name"),
    ],
    is_constant: false,
    check,
    open,
};

/// The settings that say which server is told a secret, and who else could listen.
const SERVER: &[&str] = &["protocol", "host", "port", "ssl_verify"];

struct Hcv {
    server: Arc<Server>,
    session: Arc<Session<Login>>,
    /// Where the engine is mounted, as it stands in a URL.
    mount: String,
    engine: Engine,
}

/// The two versions of the KV engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Engine {
    V1,
    V2,
}

fn check(settings: &Settings<'_>) -> Result<(), Invalid> {
    server::check(settings)?;
    mount(settings)?;
    login::check(settings)
}

fn open(settings: &Settings<'_>, surroundings: &Surroundings) -> Result<Arc<dyn Backend>, Invalid> {
    let method = login::Method::read(settings, surroundings)?;
    let server = Arc::new(Server::open(settings, method.certificate(), surroundings)?);
    let engine = match settings.word("kv", ENGINES)? {
        Some("v2") => Engine::V2,
        _ => Engine::V1,
    };
    let login = Login::new(Arc::clone(&server), method);
    let session = Session::new(login, Arc::clone(&surroundings.clock), surroundings.runtime.clone());
    Ok(Arc::new(Hcv { server, session, mount: mount(settings)?, engine }))
}

fn mount(settings: &Settings<'_>) -> Result<String, Invalid> {
    server::path(settings, "mount", "secret")
}

#[async_trait]
impl Backend for Hcv {
    async fn fetch(&self, wanted: Wanted<'_>) -> Result<SecretValue, Miss> {
        let path = path_of(wanted.name)?;
        let token = self.session.token().await?;
        let read = self.read(token.value(), &path, wanted.version).await;
        // Vault says the same of a token that is dead and of one that may not read this.
        let Err(Miss { kind: MissKind::Denied, .. }) = &read else { return read };
        if !self.session.login().is_repeatable() || self.server.knows(token.value()).await? {
            return read;
        }
        let another = self.session.another(&token).await?;
        self.read(another.value(), &path, wanted.version).await
    }
}

impl Hcv {
    async fn read(&self, token: &SecretValue, path: &str, version: Version) -> Result<SecretValue, Miss> {
        match (self.engine, version) {
            (Engine::V1, Version::Current) => {
                let answer = self.get(token, &format!("{}/{path}", self.mount)).await?;
                let secret = answer.parse::<Envelope<'_>>()?.data.ok_or_else(|| answer.garbage())?;
                object(secret, &answer)
            }
            (Engine::V1, Version::Previous) => Err(Miss::new(
                MissKind::NotFound,
                "version 1 of the KV engine keeps one version of a secret only, and so has none before it",
            )),
            (Engine::V2, Version::Current) => self.version(token, path, None).await?.secret(),
            (Engine::V2, Version::Previous) => {
                let current = self.version(token, path, None).await?.number()?;
                let previous = current.checked_sub(1).filter(|previous| *previous > 0);
                let only = || Miss::new(MissKind::NotFound, "the secret has one version only");
                self.version(token, path, Some(previous.ok_or_else(only)?)).await?.secret()
            }
        }
    }

    /// A version of a secret of the engine's version 2; it may have been deleted.
    async fn version(
        &self,
        token: &SecretValue,
        path: &str,
        version: Option<u64>,
    ) -> Result<Versioned, Miss> {
        let query = version.map(|version| format!("?version={version}")).unwrap_or_default();
        let path = format!("{}/data/{path}{query}", self.mount);
        Ok(Versioned(self.server.call(Method::GET, &path, Some(token), None).await?))
    }

    async fn get(&self, token: &SecretValue, path: &str) -> Result<Answer, Miss> {
        let answer = self.server.call(Method::GET, path, Some(token), None).await?;
        match answer.status {
            StatusCode::OK => Ok(answer),
            StatusCode::NOT_FOUND => Err(not_there(&answer)),
            _ => Err(answer.refusal()),
        }
    }
}

/// What Vault answers with, as far as it matters here.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    errors: Option<Vec<String>>,
    warnings: Option<Vec<String>>,
}

/// An answer of the engine's version 2.
struct Versioned(Answer);

#[derive(Deserialize)]
struct Version2<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    version: u64,
    #[serde(default)]
    destroyed: bool,
}

impl Versioned {
    fn secret(&self) -> Result<SecretValue, Miss> {
        match self.0.status {
            StatusCode::OK => {
                let version = self.parsed()?.ok_or_else(|| self.0.garbage())?;
                object(version.data.ok_or_else(|| self.0.garbage())?, &self.0)
            }
            StatusCode::NOT_FOUND => Err(match self.parsed() {
                Ok(Some(Version2 { metadata: Metadata { version, destroyed }, .. })) => {
                    let what = if destroyed { "destroyed" } else { "deleted" };
                    let problem = format!("version {version} of the secret, the one meant, was {what}");
                    Miss::new(MissKind::NotFound, problem)
                }
                _ => not_there(&self.0),
            }),
            _ => Err(self.0.refusal()),
        }
    }

    /// Its number, also when it was deleted.
    fn number(&self) -> Result<u64, Miss> {
        match (self.0.status, self.parsed()) {
            (StatusCode::OK | StatusCode::NOT_FOUND, Ok(Some(version))) => Ok(version.metadata.version),
            (StatusCode::OK, _) => Err(self.0.garbage()),
            (StatusCode::NOT_FOUND, _) => Err(not_there(&self.0)),
            _ => Err(self.0.refusal()),
        }
    }

    fn parsed(&self) -> Result<Option<Version2<'_>>, Miss> {
        let Some(data) = self.0.parse::<Envelope<'_>>()?.data else { return Ok(None) };
        serde_json::from_str(data.get()).map(Some).map_err(|_| self.0.garbage())
    }
}

/// The secret, if it is a JSON object, as it was written.
fn object(secret: &RawValue, answer: &Answer) -> Result<SecretValue, Miss> {
    let text = secret.get();
    if text.starts_with('{') { Ok(SecretValue::from(text)) } else { Err(answer.garbage()) }
}

/// What a 404 means. Only an empty list of errors is Vault's word that there is no such secret; whatever else comes with a 404
/// is about the way there, and must not be taken for a deletion.
fn not_there(answer: &Answer) -> Miss {
    let Ok(envelope) = answer.parse::<Envelope<'_>>() else { return answer.garbage() };
    if envelope.errors.as_ref().is_some_and(Vec::is_empty) {
        return Miss::new(MissKind::NotFound, "Vault has no such secret there");
    }
    let (errors, warnings) = (envelope.errors.unwrap_or_default(), envelope.warnings.unwrap_or_default());
    let says = |what: &str| errors.iter().chain(&warnings).any(|text| text.contains(what));
    let problem = if says("no handler for route") || says("unsupported path") {
        "no KV engine is mounted there; see that mount is right, and namespace"
    } else if says("versioned") {
        "the engine that is mounted there is KV version 2; set kv to v2"
    } else if errors.is_empty() && warnings.is_empty() {
        return answer.garbage();
    } else {
        "Vault does not know the path (status 404); see that mount, kv and namespace are right"
    };
    Miss::new(MissKind::Misconfigured, problem)
}

/// The secret's name as it stands in a URL.
fn path_of(name: &str) -> Result<String, Miss> {
    let mut path = String::with_capacity(name.len());
    for segment in name.split('/') {
        // Vault would take these for other paths, and lead there.
        if matches!(segment, "" | "." | "..") {
            let problem = "no secret of a KV engine is called so: a part of its path is empty, . or ..";
            return Err(Miss::new(MissKind::NotFound, problem));
        }
        if !path.is_empty() {
            path.push('/');
        }
        path.extend(utf8_percent_encode(segment, SEGMENT));
    }
    Ok(path)
}

/// The words for [`Engine`].
const ENGINES: &[&str] = &["v1", "v2"];

#[cfg(test)]
mod tests;
