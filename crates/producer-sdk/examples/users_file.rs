//! A whole custom producer: it makes and drops users in a JSON file, so that a person can see a credential come and go.
//!
//! ```text
//! cargo run -p gateward-producer-sdk --example users_file -- users.json \
//!     --jwks http://127.0.0.1:8000/.well-known/jwks.json --access-id p-1234
//! ```
//!
//! A user's entry keeps the digest of the password, as a database would, and the request that it was made for: the
//! same request again (its answer was lost) gets the same user with a fresh password, and no second user.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use clap::Parser;
use gateward_producer_sdk::{
    CreateRequest, CreateResponse, Failure, Producer, RevokeRequest, RevokeResponse, Server, Verifier,
};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

#[derive(Parser)]
struct Arguments {
    /// The file that the users are in; made if it is not there.
    file: PathBuf,
    /// Where to listen; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// The gateway's own access id.
    #[arg(long)]
    access_id: String,
    /// Where the gateway publishes its keys.
    #[arg(long, required_unless_present = "validate")]
    jwks: Option<http::Uri>,
    /// Where to ask the gateway about each token, in place of --jwks.
    #[arg(long, conflicts_with = "jwks")]
    validate: Option<http::Uri>,
    /// While this file exists every call is answered with 503, to see what a gateway makes of an outage.
    #[arg(long)]
    fail_file: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let verifier = match (arguments.jwks, arguments.validate) {
        (Some(url), _) => Verifier::with_jwks_url(url, arguments.access_id),
        (None, Some(url)) => Verifier::with_validate_url(url, arguments.access_id),
        (None, None) => return Err("give --jwks or --validate".into()),
    };
    let server = Server::bind(arguments.listen).await?;
    writeln!(std::io::stdout(), "listening on http://{}", server.address())?;
    let (file, fail_file, turn) = (arguments.file, arguments.fail_file, Mutex::new(()));
    let producer = UsersFile { file, fail_file, turn };
    server.serve(producer, verifier).await;
    Ok(())
}

/// The users in a file.
struct UsersFile {
    file: PathBuf,
    fail_file: Option<PathBuf>,
    /// One change of the file at a time.
    turn: Mutex<()>,
}

type Users = BTreeMap<String, User>;

#[derive(Serialize, Deserialize)]
struct User {
    password_sha256: String,
    request_id: Option<String>,
}

/// The id that a dry run gets, and that its revocation brings back. No user has it.
const DRY_RUN_ID: &str = "dry-run";

impl Producer for UsersFile {
    async fn create(&self, request: CreateRequest) -> Result<CreateResponse, Failure> {
        self.fail_if_asked_to()?;
        if request.is_dry_run() {
            return Ok(CreateResponse::new(DRY_RUN_ID, Map::new()));
        }
        let password = random_hex(16)?;
        let password_sha256 = hex(digest(&SHA256, password.as_bytes()).as_ref());
        let request_id = request.request_id;
        let fresh_name = format!("user-{}", random_hex(4)?);
        let name = self.change(|users| {
            let name = made_for(users, request_id.as_deref()).unwrap_or(fresh_name);
            users.insert(name.clone(), User { password_sha256, request_id });
            name
        })?;
        let response = Map::from_iter([("user".into(), json!(name)), ("password".into(), json!(password))]);
        Ok(CreateResponse::new(name, response))
    }

    async fn revoke(&self, request: RevokeRequest) -> Result<RevokeResponse, Failure> {
        self.fail_if_asked_to()?;
        self.change(|users| {
            let is_gone = |id: &String| id == DRY_RUN_ID || users.remove(id).is_some();
            let (revoked, not_found) = request.ids.into_iter().partition(is_gone);
            RevokeResponse { revoked, not_found, message: None }
        })
    }
}

impl UsersFile {
    fn fail_if_asked_to(&self) -> Result<(), Failure> {
        match &self.fail_file {
            Some(file) if file.exists() => Err(Failure::Unavailable("--fail-file asks for an outage".into())),
            _ => Ok(()),
        }
    }

    /// Reads the users, has `change` done, and puts the new file in the old one's place in one step, so that a
    /// reader (or a crash) finds either the old users or the new ones.
    fn change<T>(&self, change: impl FnOnce(&mut Users) -> T) -> Result<T, Failure> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = self.read().and_then(|mut users| {
            let outcome = change(&mut users);
            self.write(&users)?;
            Ok(outcome)
        });
        changed.map_err(|error| Failure::Failed(format!("{}: {error}", self.file.display())))
    }

    fn read(&self) -> std::io::Result<Users> {
        match std::fs::read(&self.file) {
            Ok(json) => Ok(serde_json::from_slice(&json)?),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Users::new()),
            Err(error) => Err(error),
        }
    }

    fn write(&self, users: &Users) -> std::io::Result<()> {
        let new = self.file.with_extension("new");
        let mut file = std::fs::File::create(&new)?;
        serde_json::to_writer_pretty(&file, users)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        std::fs::rename(&new, &self.file)
    }
}

/// The user who was made for this request already. A request without an id is always a new one.
fn made_for(users: &Users, request_id: Option<&str>) -> Option<String> {
    let made = |user: &User| user.request_id.as_deref() == request_id;
    users.iter().find(|(_, user)| request_id.is_some() && made(user)).map(|(name, _)| name.clone())
}

fn random_hex(bytes: usize) -> Result<String, Failure> {
    let mut random = vec![0; bytes];
    match SystemRandom::new().fill(&mut random) {
        Ok(()) => Ok(hex(&random)),
        Err(_) => Err(Failure::Failed("the system gives no random numbers".into())),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
