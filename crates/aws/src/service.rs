//! One service of AWS, at one endpoint: requests to it are signed, sent, and answered whole.

use bytes::Bytes;
use gateward_clock::Timestamp;
use gateward_model::Invalid;
use gateward_net::{Client, FetchError, Limits, OverKept};
use http::header::HOST;
use http::{HeaderValue, Request, Response};
use thiserror::Error;
use url::Url;
use zeroize::Zeroize as _;

use crate::Credentials;
use crate::endpoint::authority;
use crate::sigv4::{PayloadHash, SignError, Signer};

/// One service, at one endpoint.
pub(crate) struct Service {
    client: Client,
    signer: Signer,
    endpoint: String,
    host: HeaderValue,
}

/// Why a call had no answer.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    #[error("the request could not be signed")]
    Unsigned(#[from] SignError),
    #[error("the service cannot be reached")]
    Unreachable(#[from] FetchError),
}

impl Service {
    /// The service called `name` in `region`, at `endpoint`.
    pub(crate) fn new(client: Client, region: &str, name: &str, endpoint: Url) -> Result<Self, Invalid> {
        let broken = |_| Invalid::new("endpoint_url", "it names no host");
        let host = HeaderValue::from_str(&authority(&endpoint)).map_err(broken)?;
        Ok(Self { client, signer: Signer::new(region, name), endpoint: endpoint.into(), host })
    }

    /// Opens a connection for the first call, while there is time.
    pub(crate) async fn warm(&self) {
        if let Ok(endpoint) = self.endpoint.parse() {
            self.client.warm(&endpoint).await;
        }
    }

    /// Posts `body`, signed where there are `credentials` to sign with.
    pub(crate) async fn post(
        &self,
        credentials: Option<&Credentials>,
        headers: &[(&str, &str)],
        body: Bytes,
        limits: Limits,
        now: Timestamp,
    ) -> Result<Response<Bytes>, CallError> {
        let request = self.request(credentials, headers, body, now)?;
        let mut first = request.clone();
        first.extensions_mut().insert(OverKept);
        Ok(match self.client.fetch(first, limits).await {
            // A kept connection that had ended unseen. To ask twice does no harm, so the call is made again, over a new one.
            Err(FetchError::Closed(_)) => self.client.fetch(request, limits).await,
            other => other,
        }?)
    }

    /// The same for what is asked often and must not be sent twice unseen: over a kept connection where there is one, and
    /// whoever calls hears if that was ending.
    pub(crate) async fn post_once(
        &self,
        credentials: &Credentials,
        headers: &[(&str, &str)],
        body: Bytes,
        limits: Limits,
        now: Timestamp,
    ) -> Result<Response<Bytes>, CallError> {
        let mut request = self.request(Some(credentials), headers, body, now)?;
        request.extensions_mut().insert(OverKept);
        Ok(self.client.fetch(request, limits).await?)
    }

    fn request(
        &self,
        credentials: Option<&Credentials>,
        headers: &[(&str, &str)],
        body: Bytes,
        now: Timestamp,
    ) -> Result<Request<Bytes>, SignError> {
        let mut request = Request::post(self.endpoint.as_str()).header(HOST, self.host.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        // The endpoint was checked when it was set, and the rest is ours.
        let mut request = request.body(body).expect("an endpoint that was checked makes a request");
        if let Some(credentials) = credentials {
            let bytes = request.body().clone();
            self.signer.sign(credentials, &mut request, PayloadHash::Bytes(&bytes), now)?;
        }
        Ok(request)
    }
}

/// Wipes an answer, unless somebody else still holds it.
pub(crate) fn wipe(body: Bytes) {
    if let Ok(mut body) = body.try_into_mut() {
        body.as_mut().zeroize();
    }
}
