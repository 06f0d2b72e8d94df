//! A gateway and its successors.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use gateward_testkit::{Process, eventually, http};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{status, wait_until};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The binary under test.
pub const GATEWARD: &str = env!("CARGO_BIN_EXE_gateward");

const APISIX_KEY: (&str, &str) = ("X-API-KEY", "edd1c9f034335f136f87ad84b625c8f1");

/// A gateway, and those that come after it: they print to the same place.
pub struct Gateway {
    /// `http://127.0.0.1:PORT`, for traffic.
    pub traffic: String,
    control: String,
    process: Process,
    pid: u32,
    folder: TempDir,
}

impl Gateway {
    /// Starts `gateward dev` with these variables.
    pub fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_by(Command::new(GATEWARD), Stdio::null(), "127.0.0.1:0", variables)
    }

    /// The same by a command that runs the binary with the arguments that it gets, and with traffic on `listen`.
    pub fn start_by(mut command: Command, input: Stdio, listen: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        command
            .args(["dev", "--proxy-listen", listen, "--data-threads", "2"])
            .current_dir(folder.path())
            .env_clear()
            .envs([("GATEWARD_ADMIN_ACCESS_ID", "p-admin"), ("GATEWARD_ADMIN_ACCESS_KEY", "an access key")])
            .envs(variables.iter().copied());
        std::fs::write(folder.path().join("gateward.yaml"), CONTROL).expect("a file");
        let process = Process::start_with("gateward", command, input);
        let serves = process.wait_for_prefix(PATIENCE, "Gateward serves traffic on ");
        let (traffic, control) = serves.split_once(" and control on ").expect("both addresses are told");
        let (traffic, control, pid) = (traffic.to_owned(), control.to_owned(), process.id());
        let gateway = Self { traffic, control, process, pid, folder };
        gateway.says("serving pid=");
        gateway
    }

    /// Where it was started.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process id of the one that serves now.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Asks for a restart.
    pub fn signal_restart(&self) {
        kill_process(id(self.pid), Signal::USR2).expect("it lives");
    }

    /// Restarts it, and waits until the successor serves alone.
    pub fn restart(&mut self) {
        let before = self.served();
        self.signal_restart();
        wait_until("a successor serves", || self.served().len() > before.len());
        let new = *self.served().last().expect("it is new");
        let old = std::mem::replace(&mut self.pid, new);
        assert_ne!(old, self.pid, "{}", self.process.text());
        wait_until("the old one ends", || !lives(old));
    }

    /// Waits until `words` were printed.
    pub fn says(&self, words: &str) {
        self.process.wait_for_line(PATIENCE, |line| line.contains(words));
    }

    /// Waits until `words` were printed in one more line than now.
    pub fn says_again(&self, words: &str) {
        let count = || self.process.lines().iter().filter(|line| line.text.contains(words)).count();
        wait_until(words, || count() >= 2);
    }

    /// The answer to a GET.
    pub fn get(&self, path: &str) -> u16 {
        status(&format!("{}{path}", self.traffic))
    }

    /// Puts a route, and waits until it is in force.
    #[track_caller]
    pub fn put_route(&self, id: &str, json: &str) {
        assert_eq!(self.put_route_status(id, json), 201);
    }

    /// How it is answered.
    pub fn put_route_status(&self, id: &str, json: &str) -> u16 {
        let url = format!("{}/apisix/admin/routes/{id}", self.traffic);
        http::request("PUT", &url, &[APISIX_KEY], json.as_bytes()).status
    }

    /// What it says about itself.
    pub fn ready(&self) -> serde_json::Value {
        http::get(&format!("{}/ready", self.control)).json()
    }

    /// Where its control plane listens: `HOST:PORT`.
    pub fn control(&self) -> &str {
        self.control.trim_start_matches("http://")
    }

    /// Ends the one that serves now, as a service manager does.
    pub fn ends(self) {
        self.signal_stop();
        self.ends_within(PATIENCE);
    }

    /// Asks it to end.
    pub fn signal_stop(&self) {
        kill_process(id(self.pid), Signal::TERM).expect("it lives");
    }

    /// Waits until it has ended.
    pub fn ends_within(self, patience: Duration) {
        let gone = eventually(patience, || (!lives(self.pid)).then_some(()));
        assert!(gone.is_some(), "it ends: {}", self.process.text());
        let panics = self.process.lines().into_iter().filter(|line| line.text.contains("panicked"));
        assert_eq!(panics.count(), 0, "{}", self.process.text());
    }

    /// The process ids of those that have served, in order.
    fn served(&self) -> Vec<u32> {
        let lines = self.process.lines();
        let pid = |text: &str| text.split_once("serving pid=")?.1.split(' ').next()?.parse().ok();
        lines.iter().filter_map(|line| pid(&line.text)).collect()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // A successor is no child of ours, and would outlive a test that fails.
        let _ = kill_process(id(self.pid), Signal::KILL);
    }
}

/// Whether the process has not ended; one that has may still be there to be waited for.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

fn id(pid: u32) -> Pid {
    i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id")
}

/// In the settings file, so that a test can say otherwise to a successor.
pub const CONTROL: &str = "control_listen: ['127.0.0.1:0']\n";
