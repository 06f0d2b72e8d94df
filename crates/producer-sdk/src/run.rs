//! A producer as a program: what it is told by its environment, and whether it is a server or a Lambda function.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use http::Uri;

use crate::function::{Function, RuntimeApiError};
use crate::jwks::{Jwks, JwksError};
use crate::producer::Producer;
use crate::server::{BindError, Server};
use crate::verifier::Verifier;
use crate::web::{NoCertificate, Web};

/// Runs `producer` until SIGTERM or Ctrl-C, with the settings of the environment:
///
/// | variable | |
/// |---|---|
/// | `PRODUCER_ACCESS_ID` | the gateway's own access id; nobody else may call |
/// | `PRODUCER_GATEWAY_URL` | where the gateway's control plane is: its keys are fetched from there, and kept |
/// | `PRODUCER_JWKS` | in place of that, the gateway's key set itself, or the file that it is in: nothing is ever fetched |
/// | `PRODUCER_VALIDATE_URL` | in place of both, where to ask about each token, as with Akeyless |
/// | `PRODUCER_CA_FILE` | certificates to trust besides the public ones, when the gateway is asked (PEM) |
/// | `PRODUCER_ITEM_NAME` | the only item that is served; any of the gateway's if it is not set |
/// | `PRODUCER_LISTEN` | where to listen, `127.0.0.1:8090` if it is not set; port 0 lets the system choose |
/// | `PRODUCER_ORIGIN` | under which origin it is called, where that is not where it listens: `https://producers.example` |
///
/// With `AWS_LAMBDA_RUNTIME_API` in the environment it is a Lambda function, and listens nowhere.
pub async fn run<P: Producer>(producer: P) -> Result<(), RunError> {
    // Where somebody has a better one already, that one stays.
    let _ = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        // A log that nobody reads any more ends no call.
        .log_internal_errors(false)
        .with_ansi(false)
        .try_init();
    run_with(producer, environment).await
}

/// [`run`], with the variables that `variable` knows.
pub async fn run_with<P: Producer>(
    producer: P,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<(), RunError> {
    let origin = variable("PRODUCER_ORIGIN");
    let verifier = verifier(&variable);
    if let Some(address) = variable("AWS_LAMBDA_RUNTIME_API") {
        let function = Function::new(address);
        let function = match &origin {
            Some(origin) => function.origin(origin),
            None => function,
        };
        return Err(match verifier {
            Ok(verifier) => function.serve(producer, verifier).await,
            Err(error) => function.cannot_start(&error.to_string()).await,
        }
        .into());
    }
    let listen = variable("PRODUCER_LISTEN").unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    let listen: SocketAddr = listen.parse().map_err(|_| SettingsError::Listen)?;
    let verifier = verifier?;
    let server = Server::bind(listen).await?;
    let server = match &origin {
        Some(origin) => server.origin(origin),
        None => server,
    };
    // For whoever started it with port 0; if nobody reads it, nothing is lost.
    let _ = writeln!(std::io::stdout(), "listening on http://{}", server.address());
    let handle = server.handle();
    let stop = async {
        stopped().await;
        handle.stop();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = server.serve(producer, verifier) => {}
        () = stop => {}
    }
    Ok(())
}

/// Whom to believe.
fn verifier(variable: &impl Fn(&str) -> Option<String>) -> Result<Verifier, SettingsError> {
    let access_id = variable("PRODUCER_ACCESS_ID").ok_or(SettingsError::AccessId)?;
    let url = |name: &'static str| {
        let url = variable(name).map(|text| text.trim_end_matches('/').parse::<Uri>()).transpose();
        url.map_err(|_| SettingsError::Url(name))
    };
    let gateway = url("PRODUCER_GATEWAY_URL")?;
    let judges = (variable("PRODUCER_JWKS"), gateway, url("PRODUCER_VALIDATE_URL")?);
    let verifier = match judges {
        (Some(keys), None, None) => Verifier::with_keys(key_set(&keys)?, access_id),
        (None, Some(gateway), None) => {
            let keys = format!("{gateway}/.well-known/jwks.json").replace("//.well-known", "/.well-known");
            let keys = keys.parse().map_err(|_| SettingsError::Url("PRODUCER_GATEWAY_URL"))?;
            Verifier::with_jwks_url(keys, access_id)
        }
        (None, None, Some(validate)) => Verifier::with_validate_url(validate, access_id),
        _ => return Err(SettingsError::Judge),
    };
    let verifier = match variable("PRODUCER_CA_FILE").map(PathBuf::from) {
        Some(file) => {
            let pem = std::fs::read(&file).map_err(|cause| SettingsError::File { file, cause })?;
            verifier.web(Web::trusting(&pem)?)
        }
        None => verifier,
    };
    Ok(match variable("PRODUCER_ITEM_NAME") {
        Some(name) => verifier.item_name(name),
        None => verifier,
    })
}

/// The key set that was given, or that is in the file that was given.
fn key_set(text: &str) -> Result<Jwks, SettingsError> {
    if text.trim_start().starts_with('{') {
        return Ok(Jwks::parse(text.as_bytes())?);
    }
    let file = PathBuf::from(text);
    let json = std::fs::read(&file).map_err(|cause| SettingsError::File { file, cause })?;
    Ok(Jwks::parse(&json)?)
}

/// Waits until somebody wants the process to end.
async fn stopped() {
    let interrupted = tokio::signal::ctrl_c();
    let Ok(mut terminated) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        let _ = interrupted.await;
        return;
    };
    tokio::select! {
        _ = interrupted => {}
        _ = terminated.recv() => {}
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a producer stands alone: here is its one look at its environment"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Why a producer does not run, or runs no more.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// What it was told cannot be.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Where it should listen.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Lambda has failed it.
    #[error(transparent)]
    Lambda(#[from] RuntimeApiError),
}

/// What is wrong with the settings of a producer.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Nobody could call.
    #[error("PRODUCER_ACCESS_ID is not set: it is the gateway's own access id, p-…")]
    AccessId,
    /// It says how tokens are checked.
    #[error("set one of PRODUCER_GATEWAY_URL, PRODUCER_JWKS and PRODUCER_VALIDATE_URL, and one only")]
    Judge,
    /// It is none.
    #[error("{0} is no URL")]
    Url(&'static str),
    /// It is no address.
    #[error("PRODUCER_LISTEN is an address and a port: 127.0.0.1:8090")]
    Listen,
    /// It cannot be read.
    #[error("{} cannot be read: {cause}", file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// PRODUCER_JWKS is none.
    #[error("PRODUCER_JWKS: {0}")]
    Jwks(#[from] JwksError),
    /// PRODUCER_CA_FILE has none.
    #[error("PRODUCER_CA_FILE: {0}")]
    Certificates(#[from] NoCertificate),
}

#[cfg(test)]
mod tests;
