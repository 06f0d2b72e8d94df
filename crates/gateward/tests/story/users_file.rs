//! The sample producer, which keeps its users in a file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use gateward_testkit::{Process, workspace};
use serde_json::Value;

use crate::gateway::PATIENCE;
use crate::plot::{ACCESS_ID, Plot};

/// The running producer.
pub struct UsersFile {
    /// `127.0.0.1:PORT`.
    pub address: String,
    file: PathBuf,
    outage: PathBuf,
    _process: Process,
}

impl UsersFile {
    /// Starts one that checks tokens by `how` (`--jwks`, `--validate`) at the control plane on `control_port`. Its
    /// files are called `name`.
    #[track_caller]
    pub fn start(plot: &Plot, name: &str, how: &str, control_port: &str) -> Self {
        Self::start_as(plot, name, &[], how, control_port)
    }

    /// One that knows of no more than Akeyless's protocol has: it makes a user for every request.
    #[track_caller]
    pub fn start_plain(plot: &Plot, name: &str, how: &str, control_port: &str) -> Self {
        Self::start_as(plot, name, &["--plain"], how, control_port)
    }

    #[track_caller]
    fn start_as(plot: &Plot, name: &str, manner: &[&str], how: &str, control_port: &str) -> Self {
        let path = match how {
            "--jwks" => ".well-known/jwks.json",
            _ => "validate-producer-credentials",
        };
        let file = plot.folder().join(format!("{name}.json"));
        let outage = plot.folder().join(format!("{name}.outage"));
        let mut command = Command::new(workspace::example("users_file"));
        command.arg(&file).args(manner).args(["--listen", "127.0.0.1:0", "--access-id", ACCESS_ID]);
        command
            .args([how, &format!("http://127.0.0.1:{control_port}/{path}")])
            .arg("--fail-file")
            .arg(&outage);
        let process = Process::start("users_file", command);
        let address = process.wait_for_prefix(PATIENCE, "listening on http://");
        Self { address, file, outage, _process: process }
    }

    /// The URL of one of its calls: `create`, `revoke`.
    pub fn url(&self, call: &str) -> String {
        format!("http://{}/sync/{call}", self.address)
    }

    /// The names of the users that there are.
    #[track_caller]
    pub fn users(&self) -> Vec<String> {
        let Ok(json) = std::fs::read(&self.file) else { return Vec::new() };
        let users: BTreeMap<String, Value> = serde_json::from_slice(&json).expect("the file is whole");
        users.into_keys().collect()
    }

    /// Whether there is this user.
    #[track_caller]
    pub fn has(&self, user: &Value) -> bool {
        self.users().iter().any(|name| user == name)
    }

    /// From now on every call fails.
    pub fn fail(&self) {
        std::fs::write(&self.outage, b"").expect("a file can be written");
    }

    /// From now on calls succeed again.
    pub fn heal(&self) {
        std::fs::remove_file(&self.outage).expect("the outage is on");
    }
}
