//! A gateway that is really running, as `gateward dev` or as a Lambda function.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Output};
use std::time::Duration;

use gateward_testkit::http::{self, Response};
use gateward_testkit::{Process, eventually, free_port};
use serde_json::{Value, json};

use crate::plot::{ACCESS_ID, Plot, data_directory};

/// The binary under test. It has the failpoints, which what ships has not.
pub const GATEWARD: &str = env!("CARGO_BIN_EXE_gateward");

/// The key that stands in APISIX's documents, and that `dev` takes.
pub const APISIX_KEY: (&str, &str) = ("X-API-KEY", "edd1c9f034335f136f87ad84b625c8f1");

/// How long anything may take that is not about time.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running gateway. What it printed is heard by the plot when it has ended.
pub struct Gateway<'p> {
    /// `http://127.0.0.1:PORT`, for traffic.
    pub traffic: String,
    /// `http://127.0.0.1:PORT`, for control.
    pub control: String,
    process: Process,
    plot: &'p Plot,
}

impl<'p> Gateway<'p> {
    /// Starts `gateward dev` with these variables besides the administrator's.
    #[track_caller]
    pub fn start(plot: &'p Plot, variables: &[(&str, &str)]) -> Self {
        Self::start_at(plot, free_port(), variables)
    }

    /// Starts it with its control plane on a port that others know already.
    #[track_caller]
    pub fn start_at(plot: &'p Plot, control_port: u16, variables: &[(&str, &str)]) -> Self {
        let mut command = command(plot, GATEWARD);
        let control = format!("127.0.0.1:{control_port}");
        command.args(["dev", "--proxy-listen", "127.0.0.1:0", "--control-listen", &control, "--data-dir"]);
        command.arg(data_directory(plot.folder())).args(["--log", "trace"]).envs(variables.iter().copied());
        let process = Process::start("gateward", command);
        let serves = process.wait_for_prefix(PATIENCE, "Gateward serves traffic on ");
        let (traffic, control) = serves.split_once(" and control on ").expect("both addresses are told");
        Self { traffic: traffic.to_owned(), control: control.to_owned(), process, plot }
    }

    /// Starts it with its log in the file or pipe `log`; nobody hears what it prints.
    #[track_caller]
    pub fn start_logging_to(plot: &'p Plot, log: &Path) -> Self {
        let [traffic, control] = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
        let mut command = command(plot, "/bin/sh");
        command.args(["-c", r#"exec "$0" "$@" 2> "$LOG""#, GATEWARD, "dev", "--proxy-listen", &traffic]);
        command.args(["--control-listen", &control, "--data-dir"]).arg(data_directory(plot.folder()));
        command.args(["--log", "trace"]).env("LOG", log);
        let process = Process::start("gateward", command);
        let [traffic, control] = [traffic, control].map(|address| format!("http://{address}"));
        Self { traffic, control, process, plot }
    }

    /// Waits until it answers.
    #[track_caller]
    pub fn wait_until_it_answers(&self) {
        let url = format!("{}/health", self.control);
        let answered = eventually(PATIENCE, || http::try_request(PATIENCE, "GET", &url, &[], b"").ok());
        assert!(answered.is_some_and(|answer| answer.status == 200), "it does not answer");
    }

    /// The port of the control plane.
    pub fn control_port(&self) -> &str {
        self.control.rsplit(':').next().expect("an address has a port")
    }

    /// Asks the gateway something, at `url`.
    #[track_caller]
    pub fn ask(&self, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let answer = http::request(method, url, headers, body.as_bytes());
        assert!(answer.header("x-request-id").is_some(), "{method} {url}: no request id");
        self.plot.hear(format!("the answer to {method} {url}"), answer.body.clone());
        let headers = format!("{:?}", answer.headers);
        self.plot.hear(format!("the headers of the answer to {method} {url}"), headers);
        answer
    }

    /// Asks for something that traffic gets.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.ask("GET", &format!("{}{path}", self.traffic), &[], "")
    }

    /// Calls APISIX's Admin API where APISIX had it, on the port of traffic.
    #[track_caller]
    pub fn apisix(&self, method: &str, path: &str, body: &str) -> Response {
        self.ask(method, &format!("{}/apisix/admin{path}", self.traffic), &[APISIX_KEY], body)
    }

    /// Calls the Akeyless API.
    #[track_caller]
    pub fn akeyless(&self, path: &str, body: &Value) -> Response {
        self.ask("POST", &format!("{}{path}", self.control), JSON, &body.to_string())
    }

    /// Calls the Akeyless API with a fresh token, and wants a success.
    #[track_caller]
    pub fn done(&self, operation: &str, mut body: Value) -> Value {
        body["token"] = self.token().into();
        let answer = self.akeyless(&format!("/{operation}"), &body);
        assert_eq!(answer.status, 200, "{operation}: {}", answer.text());
        answer.json()
    }

    /// Calls the Akeyless API with something in which it is to die.
    pub fn dies_of(&self, operation: &str, mut body: Value) {
        body["token"] = self.token().into();
        let url = format!("{}/{operation}", self.control);
        let answer = http::try_request(PATIENCE, "POST", &url, JSON, body.to_string().as_bytes());
        assert!(answer.is_err(), "{operation} was answered");
    }

    /// Logs in.
    #[track_caller]
    pub fn token(&self) -> String {
        let login = json!({"access-id": ACCESS_ID, "access-key": self.plot.access_key(), "access-type": "access_key"});
        let answer = self.akeyless("/auth", &login);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["token"].as_str().expect("a token").to_owned()
    }

    /// The leases of the dynamic secret `name`.
    #[track_caller]
    pub fn leases(&self, name: &str) -> Vec<Value> {
        let leases = self.done("dynamic-secret-tmp-creds-get", json!({"name": name, "json": false}));
        leases.as_array().expect("a list").clone()
    }

    /// Waits until it has died, and says whether that was as by `kill -9`.
    #[track_caller]
    pub fn dies_as_killed(&mut self, span: Duration) -> bool {
        self.process.wait(span).signal() == Some(9)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Asks it to end (SIGTERM), and says how it did.
    #[track_caller]
    pub fn terminate(&mut self, span: Duration) -> ExitStatus {
        self.process.terminate();
        self.process.wait(span)
    }

    /// Asks through the control plane for everything that could show a secret; the plot hears the answers.
    pub fn show_everything(&self) {
        let token = self.token();
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str())];
        for path in ["/apisix/admin/routes", "/apisix/admin/upstreams", "/vaults"] {
            let answer = self.ask("GET", &format!("{}{path}", self.control), &headers, "");
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        }
        assert_eq!(self.apisix("GET", "/routes", "").status, 200);
    }
}

impl Drop for Gateway<'_> {
    fn drop(&mut self) {
        self.process.kill9();
        self.plot.hear("what gateward printed", self.process.text());
    }
}

/// `program` in the plot's folder, with the administrator in its environment, and nothing else of ours.
pub fn command(plot: &Plot, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(plot.folder()).env_clear().envs(plot.environment());
    command
}

/// Runs a command that is about to end by itself; the plot hears what it says.
#[track_caller]
pub fn run(plot: &Plot, command: &mut Command) -> Output {
    let output = command.output().expect("the command starts");
    plot.hear(format!("stdout of {:?}", command.get_program()), output.stdout.clone());
    plot.hear(format!("stderr of {:?}", command.get_program()), output.stderr.clone());
    output
}

const JSON: &[(&str, &str)] = &[("Content-Type", "application/json")];
