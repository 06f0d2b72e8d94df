//! How an authority is shown that a domain is ours: a file that the domain's web server gives (HTTP-01), or a record in its
//! DNS (DNS-01).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use gateward_producer_sdk::Failure;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use instant_acme::{ChallengeHandle, ChallengeType};
use tokio::net::TcpListener;
use tokio::runtime::Handle;

/// The answers to challenges that stand, by their paths.
type Files = Arc<Mutex<BTreeMap<String, String>>>;

/// One of the two ways.
pub enum Proof {
    Http(Files),
    Dns(PathBuf),
}

/// What was put somewhere for one challenge.
pub enum Shown {
    File(String),
    Record { name: String, text: String },
}

impl Proof {
    /// By a web server of our own, at `listen`.
    pub async fn by_http(listen: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let files = Files::default();
        Handle::current().spawn(serve(listener, Arc::clone(&files)));
        Ok(Self::Http(files))
    }

    /// By `program`, which changes the DNS.
    pub fn by_dns(program: PathBuf) -> Self {
        Self::Dns(program)
    }

    /// The kind of challenge that is met.
    pub fn kind(&self) -> ChallengeType {
        match self {
            Self::Http(_) => ChallengeType::Http01,
            Self::Dns(_) => ChallengeType::Dns01,
        }
    }

    /// Puts the answer to `challenge`, which is for `domain`, where the authority looks for it.
    pub async fn show(&self, domain: &str, challenge: &ChallengeHandle<'_>) -> Result<Shown, Failure> {
        let answer = challenge.key_authorization();
        match self {
            Self::Http(files) => {
                let path = format!("/.well-known/acme-challenge/{}", challenge.token);
                lock(files).insert(path.clone(), answer.as_str().to_owned());
                Ok(Shown::File(path))
            }
            Self::Dns(program) => {
                // A certificate for all below a domain is proven at the domain.
                let name = format!("_acme-challenge.{}.", domain.trim_start_matches("*."));
                let text = answer.dns_value();
                run(program.clone(), "add", &name, &text).await?;
                Ok(Shown::Record { name, text })
            }
        }
    }

    /// Takes away what was shown.
    pub async fn take_away(&self, shown: Shown) {
        let taken = match (self, shown) {
            (Self::Http(files), Shown::File(path)) => {
                lock(files).remove(&path);
                Ok(())
            }
            (Self::Dns(program), Shown::Record { name, text }) => {
                run(program.clone(), "remove", &name, &text).await
            }
            _ => Ok(()),
        };
        if let Err(error) = taken {
            tracing::warn!(%error, "the answer to a challenge still stands in the DNS");
        }
    }
}

/// Runs the program that changes the DNS, which ends when the change can be seen.
async fn run(program: PathBuf, change: &'static str, name: &str, text: &str) -> Result<(), Failure> {
    let (name, text) = (name.to_owned(), text.to_owned());
    let run = move || {
        let output = Command::new(program)
            .args([change, &name, &text])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(std::io::Error::other(format!("it ended with {}: {}", output.status, said.trim())))
    };
    let ended = tokio::task::spawn_blocking(run).await.map_err(std::io::Error::other).flatten();
    ended.map_err(|error| {
        Failure::Unavailable(format!("the DNS hook has failed to {change} a record: {error}"))
    })
}

async fn serve(listener: TcpListener, files: Files) {
    while let Ok((stream, _)) = listener.accept().await {
        let files = Arc::clone(&files);
        let service = service_fn(move |request: Request<Incoming>| {
            let file = lock(&files).get(request.uri().path()).cloned();
            async move {
                let status = if file.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
                let mut response = Response::new(Full::new(Bytes::from(file.unwrap_or_default())));
                *response.status_mut() = status;
                Ok::<_, Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        Handle::current().spawn(async move { drop(connection.await) });
    }
}

fn lock(files: &Files) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}
