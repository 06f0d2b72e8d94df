//! PostgreSQL: a real server on loopback, with a cluster of its own that is gone when it is dropped.
//!
//! It refuses to run as root, so there it runs as the user `postgres`. A machine without it says so, and loudly.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;

use crate::canary::Canary;
use crate::deadline::eventually;
use crate::free_port;
use crate::process::Process;

/// A running PostgreSQL.
pub struct Postgres {
    process: Option<Process>,
    programs: PathBuf,
    port: u16,
    password: Canary,
    home: TempDir,
    encrypted: bool,
}

impl Postgres {
    /// Starts one on a free port, and waits until it answers; `None` on a machine that has no PostgreSQL.
    #[track_caller]
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            let warning = "*** NOT TESTED: there is no PostgreSQL server on this machine; install one ***";
            // Not by a macro, whose output the test harness keeps: nobody is to take the test for one that has run.
            let _ = writeln!(std::io::stderr(), "{warning}");
            return None;
        };
        let home = TempDir::new().expect("a folder for PostgreSQL");
        let everybody = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(home.path(), everybody).expect("the folder is ours");
        if is_root() {
            let owned = Command::new("chown").arg("postgres").arg(home.path()).status();
            assert!(owned.is_ok_and(|status| status.success()), "the user postgres is not there");
        }
        let password = Canary::new("postgres");
        let file = home.path().join("password");
        std::fs::write(&file, password.text()).expect("the password can be written");
        let mut started =
            Self { process: None, programs, port: free_port(), password, home, encrypted: false };
        let made = started
            .program("initdb")
            .args(["--no-sync", "--auth=scram-sha-256", "--username=admin", "--encoding=UTF8", "--locale=C"])
            .arg(format!("--pwfile={}", file.display()))
            .arg(started.data())
            .output();
        assert_succeeded("initdb", &made.expect("initdb can be started"));
        started.resume();
        Some(started)
    }

    /// Has it speak TLS with this certificate and key (PEM), and let nobody in who does not.
    #[track_caller]
    pub fn encrypt(&mut self, certificate: &str, key: &str) {
        self.stop();
        let rules = "hostssl all all 127.0.0.1/32 scram-sha-256\n";
        for (name, text) in [("server.crt", certificate), ("server.key", key), ("pg_hba.conf", rules)] {
            let file = self.data().join(name);
            std::fs::write(&file, text).expect("the server's folder can be written to");
            let own = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&file, own).expect("the file is ours");
            if is_root() {
                let owned = Command::new("chown").arg("postgres").arg(&file).status();
                assert!(owned.is_ok_and(|status| status.success()), "the user postgres is not there");
            }
        }
        self.encrypted = true;
        self.resume();
    }

    /// Starts it again after [`Postgres::stop`].
    #[track_caller]
    pub fn resume(&mut self) {
        let mut command = self.program("postgres");
        let sockets = format!("unix_socket_directories={}", self.home.path().display());
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string(), "-F", "-h", "127.0.0.1"]);
        command.args(["-c", &sockets, "-c", "log_statement=all"]);
        if self.encrypted {
            command.args(["-c", "ssl=on"]);
        }
        self.process = Some(Process::start("postgres", command));
        let answers =
            eventually(Duration::from_secs(60), || self.try_query("admin", self.password(), "SELECT 1").ok());
        assert!(answers.is_some(), "PostgreSQL does not answer; it printed:\n{}", self.printed());
    }

    /// Ends it, as a power cut would.
    pub fn stop(&mut self) {
        self.process = None;
        // Its children end when they see that it has gone, and only then can it be started again.
        let lock = self.data().join("postmaster.pid");
        let _ = eventually(Duration::from_secs(20), || {
            self.try_query("admin", self.password(), "SELECT 1").err()
        });
        let _ = std::fs::remove_file(lock);
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password of the administrator, who is called `admin`.
    pub fn password(&self) -> &str {
        self.password.text()
    }

    /// All that the server has printed; statements are in it.
    pub fn printed(&self) -> String {
        self.process.as_ref().map(Process::text).unwrap_or_default()
    }

    /// What a query finds, as the administrator, a line a row.
    #[track_caller]
    pub fn query(&self, sql: &str) -> String {
        self.try_query("admin", self.password(), sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The same as any user, by the vendor's own client; or what the client printed.
    pub fn try_query(&self, user: &str, password: &str, sql: &str) -> Result<String, String> {
        let output = self.client(user, password).args(["-c", sql]).output().expect("psql can be started");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// The vendor's own client.
    pub fn client(&self, user: &str, password: &str) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        let port = self.port.to_string();
        command.env("PGPASSWORD", password).args([
            "-XAtq",
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-U",
            user,
            "postgres",
        ]);
        command
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]);
            command.arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir("/");
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // At once, and its children with it.
            let quit = rustix::process::Signal::QUIT;
            if let Some(id) = i32::try_from(process.id()).ok().and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(id, quit);
            }
            process.wait(Duration::from_secs(20));
        }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The newest server that is installed.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut versions: Vec<PathBuf> =
        versions.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect();
    versions
        .retain(|folder| ["initdb", "postgres", "psql"].iter().all(|name| Path::join(folder, name).exists()));
    versions.sort();
    versions.pop()
}

#[track_caller]
fn assert_succeeded(name: &str, output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {said}");
}
