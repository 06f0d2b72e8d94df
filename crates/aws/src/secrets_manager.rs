//! AWS Secrets Manager: one call, `GetSecretValue`.

mod answer;

use std::time::Duration;

use bytes::Bytes;
use gateward_clock::Timestamp;
use gateward_model::Invalid;
use gateward_net::{Client, FetchError, Limits};
use gateward_seal::SecretValue;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Request};
use thiserror::Error;
use url::Url;
use zeroize::Zeroizing;

use crate::Credentials;
use crate::sigv4::{PayloadHash, SignError, Signer};
pub use answer::ErrorType;

/// What one call may take, from the name's resolution to the answer's last byte.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A secret has at most 64 KiB; in JSON, each byte of it at most six.
const MAX_ANSWER: usize = 512 * 1024;

/// The Secrets Manager of one region.
pub struct SecretsManager {
    client: Client,
    signer: Signer,
    endpoint: String,
    host: HeaderValue,
}

/// A secret, as it was put there: text, or bytes.
#[derive(Debug)]
pub enum Secret {
    /// `SecretString`.
    Text(SecretValue),
    /// `SecretBinary`, decoded.
    Binary(Bytestring),
}

/// Secret bytes, which wipe themselves and cannot be printed.
pub struct Bytestring(Zeroizing<Vec<u8>>);

impl Bytestring {
    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Bytestring {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

/// Why a secret could not be had. Carries AWS's own name for the error, and nothing else of its answer.
#[derive(Debug, Error)]
pub enum SecretError {
    /// There is no such secret, no such version of it, or it is being deleted.
    #[error("there is no such secret ({0})")]
    NotFound(ErrorType),
    /// Too many calls; the secret may well exist.
    #[error("AWS asks for fewer calls ({0})")]
    Throttled(ErrorType),
    /// The credentials are not good for this secret.
    #[error("AWS refuses the credentials for it ({0})")]
    Denied(ErrorType),
    /// The service is out of order.
    #[error("Secrets Manager is out of order (status {status}, {error})")]
    Unavailable {
        /// The status of the answer.
        status: u16,
        /// AWS's name for it.
        error: ErrorType,
    },
    /// The service could not be reached.
    #[error("Secrets Manager cannot be reached")]
    Unreachable(#[source] FetchError),
    /// The answer is nothing that Secrets Manager would say.
    #[error("an answer that is not one of Secrets Manager's (status {status}, {error})")]
    Garbage {
        /// The status of the answer.
        status: u16,
        /// What it calls its error, if it does.
        error: ErrorType,
    },
    /// The request could not be signed.
    #[error("the request could not be signed")]
    Unsigned(#[source] SignError),
}

impl SecretsManager {
    /// Secrets Manager in `region`, at `endpoint_url` where one is given.
    pub fn new(client: Client, region: &str, endpoint_url: Option<&str>) -> Result<Self, Invalid> {
        check_region(region)?;
        let url = match endpoint_url {
            Some(url) => check_endpoint(url)?,
            None => check_endpoint(&default_endpoint(region))?,
        };
        let broken = |_| Invalid::new("endpoint_url", "it names no host");
        let host = HeaderValue::from_str(&authority(&url)).map_err(broken)?;
        Ok(Self { client, signer: Signer::new(region, "secretsmanager"), endpoint: url.into(), host })
    }

    /// The value of the secret that is called, or has the ARN, `id`: its current version, or the one at
    /// `version_stage`.
    pub async fn get_secret_value(
        &self,
        credentials: &Credentials,
        id: &str,
        version_stage: Option<&str>,
        now: Timestamp,
    ) -> Result<Secret, SecretError> {
        let mut body = serde_json::json!({ "SecretId": id });
        if let Some(stage) = version_stage {
            body["VersionStage"] = stage.into();
        }
        let body = Bytes::from(body.to_string());
        let request = self.signed_request(credentials, body, now)?;
        let limits = Limits { timeout: TIMEOUT, max_body: MAX_ANSWER, verify: true };
        let response = match self.client.fetch(request.clone(), limits).await {
            // A kept connection that had ended unseen. To read twice does no harm, so the call is made again.
            Err(FetchError::Closed(_)) => self.client.fetch(request, limits).await,
            other => other,
        };
        let response = response.map_err(SecretError::Unreachable)?;
        let (head, body) = response.into_parts();
        let secret = answer::read(&head, &body);
        answer::wipe(body);
        secret
    }

    fn signed_request(
        &self,
        credentials: &Credentials,
        body: Bytes,
        now: Timestamp,
    ) -> Result<Request<Bytes>, SecretError> {
        let request = Request::post(self.endpoint.as_str())
            .header(HOST, self.host.clone())
            .header(CONTENT_TYPE, "application/x-amz-json-1.1")
            .header("x-amz-target", "secretsmanager.GetSecretValue")
            .body(());
        // The endpoint was checked when it was set, and the rest is ours.
        let (mut head, ()) = request.expect("an endpoint that was checked makes a request").into_parts();
        self.signer
            .sign(credentials, &mut head, PayloadHash::Bytes(&body), now)
            .map_err(SecretError::Unsigned)?;
        Ok(Request::from_parts(head, body))
    }
}

/// Checks that `region` could be the name of one.
pub fn check_region(region: &str) -> Result<(), Invalid> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !region.is_empty() && region.len() <= 64 && region.bytes().all(allowed) {
        return Ok(());
    }
    Err(Invalid::new("region", "a region is lower-case letters, digits and -, such as us-east-1"))
}

/// Checks an endpoint: `http` or `https`, a host, perhaps a port and a path; nothing else.
pub fn check_endpoint(url: &str) -> Result<Url, Invalid> {
    let wrong = |problem: &str| Invalid::new("endpoint_url", problem);
    let url = Url::parse(url).map_err(|_| wrong("a complete URL is needed, such as https://host:port"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("only http and https are known"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("a user or password cannot stand in it"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("a query or fragment cannot stand in it"));
    }
    if authority(&url).is_empty() || url.as_str().parse::<http::Uri>().is_err() {
        return Err(wrong("it names no host"));
    }
    Ok(url)
}

fn default_endpoint(region: &str) -> String {
    // The regions in China are a world of their own, with a domain of its own.
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://secretsmanager.{region}.{domain}")
}

/// The host, and the port where it is not the scheme's own.
fn authority(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests;
