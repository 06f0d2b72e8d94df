//! Tries a producer out, in whatever language it is written, and says in sentences what it does and what it does not.
//!
//! ```text
//! cargo run -p gateward-producer-sdk --example check_producer -- http://127.0.0.1:8090/sync
//! ```
//!
//! It plays the gateway: it prints where its keys are, waits until the producer that is to believe them is up, makes
//! credentials there, and revokes each of them.

use std::io::{self, BufRead as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use gateward_producer_sdk::testing::{Caller, Conformance, Gateway, Published};
use serde_json::{Map, Value};

#[derive(Parser)]
struct Arguments {
    /// What the producer's URLs begin with: `/create` and `/revoke` are added
    url: String,
    /// Where to publish the keys; port 0 lets the system choose
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The producer's own secret
    #[arg(long, default_value = "")]
    payload: String,
    /// What a user gives, a JSON object
    #[arg(long, default_value = "{}", value_parser = object)]
    input: Map<String, Value>,
    /// Have the payload rotated, too
    #[arg(long)]
    rotate: bool,
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let gateway = Gateway::new();
    let published = Published::start(&gateway, arguments.listen).await?;
    let mut out = io::stdout();
    writeln!(out, "the gateway's access id  {}", Gateway::ACCESS_ID)?;
    writeln!(out, "the item                 {}", Gateway::ITEM_NAME)?;
    writeln!(out, "its keys                 {}/.well-known/jwks.json", published.url())?;
    writeln!(out, "or its word on a token   {}/validate-producer-credentials", published.url())?;
    writeln!(out, "start the producer with these, and then press Enter")?;
    tokio::task::spawn_blocking(|| io::stdin().lock().read_line(&mut String::new())).await??;

    let conformance = Conformance::default().payload(&arguments.payload).input(arguments.input.into());
    let conformance = if arguments.rotate { conformance.rotating() } else { conformance };
    let report = conformance.check(&Caller::to(&arguments.url, gateway)).await;
    write!(out, "{report}")?;
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn object(text: &str) -> Result<Map<String, Value>, serde_json::Error> {
    serde_json::from_str(text)
}
