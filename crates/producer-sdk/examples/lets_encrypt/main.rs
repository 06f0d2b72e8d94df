//! A producer of TLS certificates, from Let's Encrypt or any other certificate authority that speaks ACME (RFC 8555).
//!
//! ```text
//! lets_encrypt new-account --directory https://acme-staging-v02.api.letsencrypt.org/directory --email ops@example.com
//! lets_encrypt serve --http-listen 0.0.0.0:80 --allow example.com
//! gateward dynamic-secret create custom -n /tls/www --payload "$ACCOUNT" --timeout-sec 120 --user-ttl 168h …
//! gateward get-dynamic-secret-value -n /tls/www --args domain=www.example.com --timeout 120
//! ```
//!
//! The payload is the account, as `new-account` prints it; a credential is a key and a certificate, and its revocation
//! revokes the certificate. Nothing is kept here, so there may be any number of these; a certificate's id holds all that
//! it takes to revoke it.

mod account;
mod certificate;
mod challenge;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use gateward_producer_sdk::{
    CreateRequest, CreateResponse, Failure, Payload, Producer, RevokeRequest, RevokeResponse, Web, run,
};
use serde_json::json;

use account::Authority;
use certificate::Domains;
use challenge::Proof;

#[derive(Parser)]
#[command(version, about = "A producer of TLS certificates by ACME")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Said>,
    /// Answer HTTP-01 challenges here; the domains must lead to it, on port 80
    #[arg(long, env = "ACME_HTTP_LISTEN", global = true, value_name = "ADDRESS")]
    http_listen: Option<SocketAddr>,
    /// Answer DNS-01 challenges by this program: it is run with `add` or `remove`, a record's name and its text
    #[arg(
        long,
        env = "ACME_DNS_HOOK",
        global = true,
        value_name = "PROGRAM",
        conflicts_with = "http_listen"
    )]
    dns_hook: Option<PathBuf>,
    /// Certify these domains and those below them, and no others; separated by commas
    #[arg(long, env = "ACME_ALLOW", global = true, value_delimiter = ',', value_name = "DOMAINS")]
    allow: Vec<String>,
    /// Trust this certificate (PEM) of an authority's own server, besides the public ones
    #[arg(long, env = "ACME_CA_FILE", global = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Said {
    /// Serve, by the PRODUCER_… variables of the environment; it is what is done without a command
    Serve,
    /// Open an account, agreeing to the authority's terms of service, and print it: the payload
    NewAccount {
        /// The authority's directory
        #[arg(long, default_value = "https://acme-v02.api.letsencrypt.org/directory")]
        directory: String,
        /// Whom the authority writes to
        #[arg(long)]
        email: Option<String>,
    },
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Arguments { command, http_listen, dns_hook, allow, ca_file } = Arguments::parse();
    let web = match ca_file {
        Some(file) => Web::trusting(&std::fs::read(file)?)?,
        None => Web::new(),
    };
    let authority = Authority::reached_by(web.patient(PATIENCE));
    if let Some(Said::NewAccount { directory, email }) = command {
        let account = authority.open_account(directory, email.as_deref()).await?;
        return Ok(writeln!(std::io::stdout(), "{account}")?);
    }
    let proof = match (http_listen, dns_hook) {
        (Some(listen), None) => Proof::by_http(listen).await?,
        (None, Some(program)) => Proof::by_dns(program),
        _ => return Err("give --http-listen or --dns-hook: how domains are proven to be ours".into()),
    };
    if allow.is_empty() {
        return Err("give --allow: the domains that certificates may be for".into());
    }
    Ok(run(LetsEncrypt { authority, proof, allow }).await?)
}

/// Certificates of one authority's accounts.
struct LetsEncrypt {
    authority: Authority,
    proof: Proof,
    allow: Vec<String>,
}

impl Producer for LetsEncrypt {
    async fn create(&self, request: CreateRequest) -> Result<CreateResponse, Failure> {
        let domains = Domains::of(&request.input, &self.allow)?;
        let account = self.authority.account(&request.payload).await?;
        let issued = certificate::issue(&account, &domains, &self.proof).await?;
        let credential = json!({
            "domains": domains.names(), "private_key": *issued.private_key, "certificate": issued.chain,
            "expires_at": issued.ends.to_rfc2822().unwrap_or_default(),
        });
        Ok(CreateResponse::new(issued.id(), credential))
    }

    async fn revoke(&self, request: RevokeRequest) -> Result<RevokeResponse, Failure> {
        let account = self.authority.account(&request.payload).await?;
        let mut answer = RevokeResponse::default();
        for id in request.ids {
            let outcome = certificate::revoke(&account, &id).await;
            answer.note(id, outcome);
        }
        Ok(answer)
    }

    async fn dry_run(&self, payload: Payload) -> Result<(), Failure> {
        self.authority.account(&payload).await.map(drop)
    }
}

/// For one request to the authority.
const PATIENCE: Duration = Duration::from_secs(20);
