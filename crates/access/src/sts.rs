//! Sends a signed request to STS, and hears whose it was.

use std::time::Duration;

use bytes::Bytes;
use gateward_aws::sts::{Identity as CallerIdentity, StsError};
use gateward_net::{Client, Limits};
use http::{HeaderValue, Request, StatusCode, header};

use crate::cloud_id::{BODY, FORM, SignedRequest, Verifier};

/// STS, as cloud ids are judged by it.
#[derive(Clone, Debug)]
pub struct Judge {
    client: Client,
    endpoint: Option<(String, String)>,
    server_id: Option<String>,
}

/// What STS says of a signed request.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Whose it is.
    Vouched(CallerIdentity),
    /// Nobody's, as far as STS knows.
    Refused,
    /// Nothing: it was not reached, or cannot answer at the moment.
    Unreachable,
}

/// An endpoint is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is http:// or https:// and a host, with a port or without, and nothing more")]
pub struct NoEndpoint;

impl Judge {
    /// One that calls `endpoint`, or else the host that a request was signed for.
    pub fn new(client: Client, endpoint: Option<&str>) -> Result<Self, NoEndpoint> {
        let read = |url: &str| {
            let url = url.trim_end_matches('/');
            let host =
                url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).ok_or(NoEndpoint)?;
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
            if host.is_empty() || !host.bytes().all(is_plain) {
                return Err(NoEndpoint);
            }
            Ok((format!("{url}/"), host.to_owned()))
        };
        Ok(Self { client, endpoint: endpoint.map(read).transpose()?, server_id: None })
    }

    /// The same, for cloud ids only that were signed for `server_id`: one that was shown to another verifier is none here.
    #[must_use]
    pub fn for_server(self, server_id: Option<String>) -> Self {
        Self { server_id, ..self }
    }

    /// What cloud ids are held to: the host of the endpoint is one of STS too.
    pub(crate) fn verifier(&self) -> Verifier<'_> {
        let own_host = self.endpoint.as_ref().map(|(_, host)| host.as_str());
        Verifier { own_host, server_id: self.server_id.as_deref() }
    }

    /// Whose the request is. Follows no redirects.
    pub(crate) async fn ask(&self, signed: &SignedRequest) -> Verdict {
        let Some(request) = self.request(signed) else { return Verdict::Refused };
        match self.client.fetch(request, LIMITS).await {
            Ok(answer) if answer.status() == StatusCode::OK => {
                CallerIdentity::read(answer.body()).map_or(Verdict::Refused, Verdict::Vouched)
            }
            Ok(answer) => {
                let error = StsError::of_answer(answer.status(), answer.body());
                tracing::info!(%error, "STS does not vouch for a cloud id");
                if matches!(error, StsError::Unavailable { .. }) {
                    Verdict::Unreachable
                } else {
                    Verdict::Refused
                }
            }
            Err(error) => {
                tracing::warn!(%error, "STS cannot be asked about a cloud id");
                Verdict::Unreachable
            }
        }
    }

    fn request(&self, signed: &SignedRequest) -> Option<Request<Bytes>> {
        let url = match &self.endpoint {
            Some((url, _)) => url.clone(),
            None => format!("https://{}/", signed.host),
        };
        let mut request = Request::post(url).body(Bytes::from_static(BODY.as_bytes())).ok()?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, HeaderValue::from_str(&signed.host).ok()?);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FORM));
        for (name, value) in &signed.headers {
            headers.insert(name.clone(), value.clone());
        }
        Some(request)
    }
}

const LIMITS: Limits = Limits { timeout: Duration::from_secs(4), max_body: 64 * 1024, verify: true };
