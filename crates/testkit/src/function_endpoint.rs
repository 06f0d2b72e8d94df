//! A Lambda function behind an API Gateway that wants a signature, or behind one that wants an API key; and Lambda's Invoke
//! API, with functions that are called `echo`, `integration`, `crash`, `busy-N`, `slow`, `stream` and `stream-crash`.
//!
//! The script computes the signature again with botocore, which shares no code with Gateward.

use std::process::Command;
use std::time::Duration;

use crate::process::Process;
use crate::workspace::{peer, python_program};

/// A running endpoint. It answers what it got as JSON: `message` ("Hello, NAME!", the name from the query or from a
/// JSON body), `method`, `path`, `query`, `headers`, `body_sha256`; 403 with a `message` that says why.
pub struct FunctionEndpoint {
    process: Process,
    url: String,
}

impl FunctionEndpoint {
    /// One that wants requests signed with this access key, for this region and service (`execute-api`, `lambda`).
    #[track_caller]
    pub fn start(access_key: &str, secret_key: &str, region: &str, service: &str) -> Self {
        let settings = ["--access-key", access_key, "--secret-key", secret_key];
        Self::with_arguments(&[&settings[..], &["--region", region, "--service", service]].concat())
    }

    /// One that wants this key in `x-api-key`, and no signature.
    #[track_caller]
    pub fn start_with_api_key(api_key: &str) -> Self {
        Self::with_arguments(&["--api-key", api_key])
    }

    #[track_caller]
    fn with_arguments(arguments: &[&str]) -> Self {
        let mut command = Command::new(python_program("python"));
        command.arg("-u").arg(peer("function_endpoint.py")).args(arguments);
        let process = Process::start("the function endpoint", command);
        let url = process.wait_for_prefix(Duration::from_secs(60), "listening on ");
        Self { process, url }
    }

    /// `http://127.0.0.1:PORT`, to which any path may be added.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process, for what it printed (a line for each request) and for ending it early.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

#[cfg(test)]
mod tests;
