//! A whole custom producer: it makes and drops users in a JSON file, so that a person can see a credential come and go.
//!
//! ```text
//! cargo run -p gateward-producer-sdk --example users_file -- users.json \
//!     --jwks http://127.0.0.1:8000/.well-known/jwks.json --access-id p-1234
//! ```
//!
//! A user's entry keeps the digest of the password, as a database would. Users are named after the request that they were
//! made for: the same request again (its answer was lost) gets the same user with a fresh password, and no second user.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use clap::Parser;
use gateward_producer_sdk::{
    Capabilities, CreateRequest, CreateResponse, Failure, ListRequest, ListResponse, Payload, Producer,
    RevokeRequest, RevokeResponse, Server, Verifier, random_password,
};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::json;

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
    /// Be as Akeyless's protocol has it: promise nothing that is Gateward's own, and make a user for every request.
    #[arg(long)]
    plain: bool,
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
    let Arguments { file, fail_file, plain, .. } = arguments;
    let producer = UsersFile { file, fail_file, plain, turn: Mutex::new(()) };
    server.serve(producer, verifier).await;
    Ok(())
}

/// The users in a file.
struct UsersFile {
    file: PathBuf,
    fail_file: Option<PathBuf>,
    plain: bool,
    /// One change of the file at a time.
    turn: Mutex<()>,
}

type Users = BTreeMap<String, User>;

#[derive(Serialize, Deserialize)]
struct User {
    password_sha256: String,
}

impl Producer for UsersFile {
    fn capabilities(&self) -> Capabilities {
        if self.plain {
            Capabilities::default()
        } else {
            Capabilities { request_id: true, list: true, max_batch: None }
        }
    }

    async fn create(&self, mut request: CreateRequest) -> Result<CreateResponse, Failure> {
        self.fail_if_asked_to()?;
        if self.plain {
            request.request_id = None;
        }
        let (name, password) = (request.unique_name("user-"), random_password(32));
        let digest = digest(&SHA256, password.as_bytes());
        let password_sha256 = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        self.change(|users| users.insert(name.clone(), User { password_sha256 }))?;
        let credential = json!({"user": name, "password": *password});
        Ok(CreateResponse::new(name, credential))
    }

    async fn revoke(&self, request: RevokeRequest) -> Result<RevokeResponse, Failure> {
        self.fail_if_asked_to()?;
        self.change(|users| {
            RevokeResponse::each(request.ids, |id| Ok::<_, Failure>(users.remove(id).is_some()))
        })
    }

    async fn dry_run(&self, _payload: Payload) -> Result<(), Failure> {
        self.fail_if_asked_to()
    }

    async fn list(&self, _request: ListRequest) -> Result<ListResponse, Failure> {
        self.fail_if_asked_to()?;
        let users = self.read().map_err(|error| self.failed(&error))?;
        Ok(ListResponse { ids: users.into_keys().collect(), next: None })
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
        changed.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        Failure::Failed(format!("{}: {error}", self.file.display()))
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
