//! One small request to the gateway: its key set, or its word on a token.
//!
//! A new connection each time, because such calls are rare. Redirects are not followed, and an answer is read up to
//! a limit and a deadline, so that a gateway in trouble does not take its producers with it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The whole call, from the name's resolution to the last byte.
const DEADLINE: Duration = Duration::from_secs(5);

/// More than any key set.
const LARGEST_ANSWER: usize = 256 * 1024;

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// Gets `url`.
pub(crate) async fn get(url: &Uri) -> Result<Answer, FetchError> {
    within_deadline(url, Method::GET, Bytes::new()).await
}

/// Posts JSON to `url`.
pub(crate) async fn post(url: &Uri, json: Bytes) -> Result<Answer, FetchError> {
    within_deadline(url, Method::POST, json).await
}

async fn within_deadline(url: &Uri, method: Method, body: Bytes) -> Result<Answer, FetchError> {
    tokio::time::timeout(DEADLINE, call(url, method, body)).await.map_err(|_| FetchError::Slow)?
}

async fn call(url: &Uri, method: Method, body: Bytes) -> Result<Answer, FetchError> {
    let host = url.host().ok_or(FetchError::Url)?;
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let tls = match url.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(FetchError::Url),
    };
    let port = url.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, authority)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))?;

    let stream = TcpStream::connect((name, port)).await?;
    if tls {
        let name = ServerName::try_from(name.to_owned()).map_err(|_| FetchError::Url)?;
        let stream = TlsConnector::from(tls_config()).connect(name, stream).await?;
        exchange(stream, request).await
    } else {
        exchange(stream, request).await
    }
}

/// Drives the connection and the request side by side; both end with the answer.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST_ANSWER);
        let body = body.collect().await.map_err(|_| FetchError::Cut)?.to_bytes();
        Ok(Answer { status, body })
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => {
            ended?;
            // Closed by the gateway; what it sent before is with the request already.
            answer.await
        }
    }
}

/// The public certificate authorities, compiled in.
fn tls_config() -> Arc<ClientConfig> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks the default versions of TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    });
    Arc::clone(config)
}

/// Why the gateway could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It is not the URL of a web server.
    #[error("the gateway's URL must start with http:// or https:// and name a host")]
    Url,
    /// No connection, or no TLS.
    #[error("the gateway cannot be reached")]
    Unreachable(#[from] std::io::Error),
    /// It did not answer in HTTP.
    #[error("the gateway gave no HTTP answer")]
    Protocol(#[from] hyper::Error),
    /// The request cannot be written down.
    #[error("the gateway's URL cannot be called")]
    Request(#[from] http::Error),
    /// The answer is too long, or ended early.
    #[error("the gateway's answer is too long, or was cut off")]
    Cut,
    /// It took too long.
    #[error("the gateway did not answer in time")]
    Slow,
    /// It did not answer a moment ago, and was not asked again.
    #[error("the gateway did not answer a moment ago")]
    JustFailed,
    /// It answered with something else.
    #[error("the gateway answered with status {0}")]
    Status(StatusCode),
    /// It answered with something that is no key set.
    #[error("the gateway's key set cannot be read")]
    Jwks(#[from] crate::JwksError),
}
