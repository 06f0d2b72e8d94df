//! Credentials of the machine, from the metadata service of EC2.
//!
//! Version 2 wants a token first, got with PUT, which no redirect nor a careless proxy can be talked into. Where the
//! service does not know of tokens, or its answer to PUT does not reach this far (it may travel one hop, and a container
//! is two away), version 1 is asked in its place, unless that is forbidden.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gateward_clock::Timestamp;
use gateward_net::{Client, FetchError};
use http::header::HeaderValue;
use http::{Request, Response, Uri};

use super::ask;
use super::files::Profiles;
use super::source::{Loaded, Missing, Source};
use super::variables::Variables;

/// The instance's metadata service. `AWS_EC2_METADATA_DISABLED` forbids it, `AWS_EC2_METADATA_V1_DISABLED` its first
/// version; `AWS_EC2_METADATA_SERVICE_ENDPOINT` or `…_MODE` (`IPv6`) say where it is.
pub(super) struct Instance {
    pub(super) client: Client,
    pub(super) variables: Variables,
    pub(super) profiles: Arc<Profiles>,
}

#[async_trait]
impl Source for Instance {
    fn name(&self) -> &str {
        "instance metadata"
    }

    async fn load(&self, _now: Timestamp) -> Result<Loaded, Missing> {
        if self.variables.forbids("AWS_EC2_METADATA_DISABLED") {
            return Err(Missing::not_set("AWS_EC2_METADATA_DISABLED forbids it"));
        }
        let base = self.base()?;
        let token = self.token(&base).await?;
        let roles = self.get(&base, CREDENTIALS, token.as_ref()).await?;
        if roles.status().as_u16() == 404 {
            return Err(Missing::failed("the instance has no role; attach an instance profile"));
        }
        let role = std::str::from_utf8(roles.body()).ok().and_then(|roles| roles.lines().next());
        let Some(role) = role.map(str::trim).filter(|_| roles.status().as_u16() == 200).filter(is_role)
        else {
            let status = roles.status().as_u16();
            return Err(Missing::failed(format!("it does not name the instance's role (status {status})")));
        };
        ask::read(self.get(&base, &format!("{CREDENTIALS}{role}"), token.as_ref()).await?)
    }
}

impl Instance {
    /// The region that the machine is in.
    pub(super) async fn region(&self) -> Result<String, Missing> {
        if self.variables.forbids("AWS_EC2_METADATA_DISABLED") {
            return Err(Missing::not_set("AWS_EC2_METADATA_DISABLED forbids it"));
        }
        let base = self.base()?;
        let token = self.token(&base).await?;
        let response = self.get(&base, REGION, token.as_ref()).await?;
        let status = response.status().as_u16();
        let region = std::str::from_utf8(response.body()).ok().map(str::trim).filter(|_| status == 200);
        let region = region.filter(|region| crate::check_region(region).is_ok());
        let unnamed = || Missing::failed(format!("it does not name the region (status {status})"));
        region.map(str::to_owned).ok_or_else(unnamed)
    }

    /// The token of version 2; none where version 1 is to be asked.
    async fn token(&self, base: &str) -> Result<Option<HeaderValue>, Missing> {
        let uri = address(base, "/latest/api/token")?;
        let request = Request::put(uri).header(TOKEN_TTL, "300").body(Bytes::new());
        let request = request.expect("a URI that was read makes a request");
        let refused = match ask::ask(&self.client, request, TIMEOUT).await {
            Ok(response) if response.status().as_u16() == 200 => {
                let mut token = HeaderValue::from_bytes(response.body())
                    .map_err(|_| Missing::failed("its token is none that can be sent"))?;
                token.set_sensitive(true);
                return Ok(Some(token));
            }
            Ok(response) => match response.status().as_u16() {
                status @ 403..=405 => format!("status {status}"),
                status => return Err(Missing::failed(format!("it gives no token (status {status})"))),
            },
            Err(error @ FetchError::ReadTimeout) => error.to_string(),
            Err(error) => {
                let why = ask::why(&error);
                return Err(Missing::failed(format!("nobody is there, so this is no EC2 instance ({why})")));
            }
        };
        if self.forbids_v1() {
            let why = format!("it gives no token ({refused}), and its version 1 is forbidden");
            return Err(Missing::failed(why));
        }
        tracing::debug!(
            why = refused,
            "the instance's metadata service gives no token; its version 1 is asked"
        );
        Ok(None)
    }

    async fn get(
        &self,
        base: &str,
        path: &str,
        token: Option<&HeaderValue>,
    ) -> Result<Response<Bytes>, Missing> {
        let mut request =
            Request::get(address(base, path)?).body(Bytes::new()).expect("a URI makes a request");
        if let Some(token) = token {
            request.headers_mut().insert(TOKEN, token.clone());
        }
        let response = ask::ask(&self.client, request, TIMEOUT).await;
        response.map_err(|error| Missing::failed(ask::why(&error)))
    }

    fn forbids_v1(&self) -> bool {
        self.variables.forbids("AWS_EC2_METADATA_V1_DISABLED")
            || self.profiles.forbids("ec2_metadata_v1_disabled")
    }

    fn base(&self) -> Result<String, Missing> {
        if let Some(url) = self.variables.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
            let url = crate::check_endpoint(url).map_err(|invalid| {
                Missing::failed(format!("AWS_EC2_METADATA_SERVICE_ENDPOINT: {}", invalid.problem))
            })?;
            return Ok(url.as_str().trim_end_matches('/').to_owned());
        }
        let mode = self.variables.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE").unwrap_or("IPv4");
        match mode.to_ascii_lowercase().as_str() {
            "ipv4" => Ok("http://169.254.169.254".to_owned()),
            "ipv6" => Ok("http://[fd00:ec2::254]".to_owned()),
            _ => Err(Missing::failed("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE must be IPv4 or IPv6")),
        }
    }
}

fn address(base: &str, path: &str) -> Result<Uri, Missing> {
    let address = format!("{base}{path}").parse();
    address.map_err(|_| Missing::failed("the address of the metadata service is none"))
}

/// Whether `name` can be the name of a role, and so a part of a path.
fn is_role(name: &&str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
    !name.is_empty() && name.len() <= 128 && name.bytes().all(allowed)
}

const CREDENTIALS: &str = "/latest/meta-data/iam/security-credentials/";
const REGION: &str = "/latest/meta-data/placement/region";
const TOKEN: &str = "x-aws-ec2-metadata-token";
const TOKEN_TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// The service is a part of the machine and answers at once.
const TIMEOUT: Duration = Duration::from_secs(1);
