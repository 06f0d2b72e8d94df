//! Credentials of the container: a task of ECS, a pod of EKS (Pod Identity).
//!
//! The platform says in the environment where to ask. Where it gives a whole URL, that may be anybody's, and the token
//! that goes along is a secret: without TLS it must be an address that does not leave the machine.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gateward_clock::Timestamp;
use gateward_net::Client;
use gateward_seal::SecretValue;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, Uri};

use super::source::{Loaded, Missing, Source};
use super::variables::Variables;
use super::{ask, file};

/// `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`, else `AWS_CONTAINER_CREDENTIALS_FULL_URI`; with the token of
/// `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`, else `AWS_CONTAINER_AUTHORIZATION_TOKEN`.
pub(super) struct Container {
    pub(super) client: Client,
    pub(super) variables: Variables,
}

#[async_trait]
impl Source for Container {
    fn name(&self) -> &str {
        "container"
    }

    async fn load(&self, _now: Timestamp) -> Result<Loaded, Missing> {
        let uri = self.uri()?;
        let mut request = Request::get(uri).body(Bytes::new()).expect("a URI that was read makes a request");
        request.headers_mut().insert("accept", HeaderValue::from_static("application/json"));
        if let Some(token) = self.token()? {
            request.headers_mut().insert(AUTHORIZATION, token);
        }
        let response = ask::ask(&self.client, request, TIMEOUT).await;
        ask::read(response.map_err(|error| Missing::failed(ask::why(&error)))?)
    }
}

impl Container {
    fn uri(&self) -> Result<Uri, Missing> {
        let relative = self.variables.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        if let Some(path) = relative {
            let uri = path.starts_with('/').then(|| format!("http://{ECS}{path}").parse().ok()).flatten();
            return uri.ok_or_else(|| {
                Missing::failed(
                    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI must be a path, such as /v2/credentials/ID",
                )
            });
        }
        let Some(url) = self.variables.get("AWS_CONTAINER_CREDENTIALS_FULL_URI") else {
            return Err(Missing::not_set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and _FULL_URI are not set"));
        };
        let uri: Uri = url.parse().map_err(|_| not_callable())?;
        match (uri.scheme_str(), uri.host()) {
            (Some("https"), Some(_)) => Ok(uri),
            (Some("http"), Some(host)) if stays_here(host) => Ok(uri),
            (Some("http"), Some(_)) => Err(Missing::failed(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI without TLS must name localhost, a loopback address, \
                 169.254.170.2, 169.254.170.23 or [fd00:ec2::23]",
            )),
            _ => Err(not_callable()),
        }
    }

    /// What the service wants to see. The file's wins, and is read each time: it is written anew before it ends.
    fn token(&self) -> Result<Option<HeaderValue>, Missing> {
        let token = match self.variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            Some(path) => file::read(&self.variables.path(path)).map_err(|error| {
                Missing::failed(format!("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE cannot be read: {error}"))
            })?,
            None => match self.variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN") {
                Some(token) => SecretValue::from(token),
                None => return Ok(None),
            },
        };
        let mut value = HeaderValue::from_str(token.expose().trim_end_matches(['\r', '\n']))
            .map_err(|_| Missing::failed("the authorization token holds characters that no header can"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// Whether requests to `host` stay on this machine, or go to one of the addresses that AWS has for this.
fn stays_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match address {
        Ok(address) => address.is_loopback() || ALLOWED.contains(&address.to_string().as_str()),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

fn not_callable() -> Missing {
    Missing::failed("AWS_CONTAINER_CREDENTIALS_FULL_URI must be an absolute http or https address")
}

const ECS: &str = "169.254.170.2";

/// ECS, and EKS Pod Identity by both families.
const ALLOWED: [&str; 3] = [ECS, "169.254.170.23", "fd00:ec2::23"];

const TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_only_this_machine_and_the_addresses_of_aws_are_asked() {
        for host in [
            "localhost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "169.254.170.2",
            "169.254.170.23",
            "[fd00:ec2::23]",
        ] {
            assert!(stays_here(host), "{host}");
        }
        for host in [
            "169.254.169.254",
            "10.0.0.1",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "[::2]",
            "2130706433",
        ] {
            assert!(!stays_here(host), "{host}");
        }
    }
}
