//! One request to a web server: for the gateway's key set, its word on a token, or whatever a producer has to ask for.
//!
//! A new connection each time, because such calls are rare. Redirects are not followed, and an answer is read up to
//! a limit and a deadline, so that a server in trouble does not take the producer with it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A small HTTP client.
#[derive(Clone)]
pub struct Web {
    tls: Arc<ClientConfig>,
    deadline: Duration,
}

impl Default for Web {
    fn default() -> Self {
        Self::new()
    }
}

impl Web {
    /// Trusts the public certificate authorities, and waits 5 s for an answer.
    pub fn new() -> Self {
        static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        let config = CONFIG.get_or_init(|| tls_config(RootCertStore::from_iter(public_authorities())));
        Self { tls: Arc::clone(config), deadline: USUAL_DEADLINE }
    }

    /// Trusts the certificates in `pem` besides: a gateway's own authority, for example.
    pub fn trusting(pem: &[u8]) -> Result<Self, NoCertificate> {
        let mut roots = RootCertStore::from_iter(public_authorities());
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let certificates = certificates.ok().filter(|found| !found.is_empty()).ok_or(NoCertificate)?;
        for certificate in certificates {
            roots.add(certificate).map_err(|_| NoCertificate)?;
        }
        Ok(Self { tls: tls_config(roots), deadline: USUAL_DEADLINE })
    }

    /// Waits so long, from the name's resolution to the last byte.
    #[must_use]
    pub fn patient(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sends `request` to its URL and reads the whole answer, up to 256 KiB.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, WebError> {
        tokio::time::timeout(self.deadline, self.call(request)).await.map_err(|_elapsed| WebError::Slow)?
    }

    pub(crate) async fn get(&self, url: &Uri) -> Result<Response<Bytes>, WebError> {
        self.send(Request::get(url).body(Bytes::new())?).await
    }

    pub(crate) async fn post(
        &self,
        url: &Uri,
        headers: &[(&str, &str)],
        json: Bytes,
    ) -> Result<Response<Bytes>, WebError> {
        let mut request = Request::post(url).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(json)?).await
    }

    async fn call(&self, request: Request<Bytes>) -> Result<Response<Bytes>, WebError> {
        let (mut head, body) = request.into_parts();
        let url = std::mem::take(&mut head.uri);
        let host = url.host().ok_or(WebError::Url)?;
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let tls = match url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(WebError::Url),
        };
        let port = url.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let authority = HeaderValue::try_from(authority).map_err(http::Error::from)?;
        head.headers.insert(header::HOST, authority);
        head.uri =
            url.path_and_query().map_or("/", |path| path.as_str()).parse().map_err(http::Error::from)?;
        let request = Request::from_parts(head, Full::new(body));

        let stream = TcpStream::connect((name, port)).await?;
        if tls {
            let name = ServerName::try_from(name.to_owned()).map_err(|_| WebError::Url)?;
            let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await?;
            exchange(stream, request).await
        } else {
            exchange(stream, request).await
        }
    }
}

/// Drives the connection and the request side by side; both end with the answer.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, WebError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(|_| WebError::Cut)?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => {
            ended?;
            // Closed by the server; what it sent before is with the request already.
            answer.await
        }
    }
}

fn public_authorities() -> impl Iterator<Item = tokio_rustls::rustls::pki_types::TrustAnchor<'static>> {
    webpki_roots::TLS_SERVER_ROOTS.iter().cloned()
}

fn tls_config(roots: RootCertStore) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks the default versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// Why a server could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// It is not the URL of a web server.
    #[error("the URL must start with http:// or https:// and name a host")]
    Url,
    /// No connection, or no TLS.
    #[error("the server cannot be reached: {0}")]
    Unreachable(#[from] std::io::Error),
    /// It did not answer in HTTP.
    #[error("the server gave no HTTP answer")]
    Protocol(#[from] hyper::Error),
    /// The request cannot be written down.
    #[error("the URL cannot be called")]
    Request(#[from] http::Error),
    /// The answer is too long, or ended early.
    #[error("the server's answer is too long, or was cut off")]
    Cut,
    /// It took too long.
    #[error("the server did not answer in time")]
    Slow,
    /// It did not answer a moment ago, and was not asked again.
    #[error("the server did not answer a moment ago")]
    JustFailed,
    /// It answered with something else.
    #[error("the server answered with status {0}")]
    Status(StatusCode),
    /// It answered with something that is no key set.
    #[error("the gateway's key set cannot be read")]
    Jwks(#[from] crate::JwksError),
}

/// What should hold certificates holds none that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no certificate in it: PEM with CERTIFICATE blocks is expected")]
pub struct NoCertificate;

const USUAL_DEADLINE: Duration = Duration::from_secs(5);

/// More than any key set, or any chain of certificates.
const LARGEST_ANSWER: usize = 256 * 1024;
