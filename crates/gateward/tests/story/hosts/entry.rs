//! The two ways into a gateway: sockets, and events.

use std::cell::Cell;

use gateward_testkit::http::{self, Response};
use gateward_testkit::{Authority, Double, Identity, Moto, Process, RuntimeApi};
use serde_json::{Value, json};

use super::event::{self, Form};
use crate::gateway::{self, GATEWARD, PATIENCE};
use crate::lambda;
use crate::one_at_a_time::one_at_a_time;
use crate::plot::{ACCESS_ID, Plot, data_directory};

/// How requests come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Over sockets.
    Server,
    /// As events of a REST API, behind a stage.
    RestApi,
    /// As events of an HTTP API or of a function URL.
    HttpApi,
    /// As events of an Application Load Balancer.
    LoadBalancer,
}

/// A gateway that runs, and the way into it.
pub struct Entry {
    pub plot: Plot,
    /// AWS, where the gateway's table, key and secrets are.
    pub moto: Moto,
    /// Whom the gateway believes who producers are.
    pub peers: Authority,
    /// What it shows to producers.
    pub shown: Identity,
    host: Host,
    process: Process,
    apisix_key: String,
    token: Cell<Option<String>>,
    _aws: Double,
}

enum Host {
    Server { traffic: String, control: String },
    Lambda { api: RuntimeApi, form: Form },
}

/// A request, as a client sends it.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    pub method: &'a str,
    /// The path, with the query.
    pub target: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
}

impl<'a> Ask<'a> {
    pub fn get(target: &'a str) -> Self {
        Self { method: "GET", target, headers: &[], body: b"" }
    }

    pub fn with(self, headers: &'a [(&'a str, &'a str)]) -> Self {
        Self { headers, ..self }
    }
}

impl Entry {
    /// Starts a gateway that is entered by `way`, tells it the story of `case`, and searches what it said for secrets.
    pub fn open(way: Way, case: impl FnOnce(&Self)) {
        let plot = Plot::new();
        let moto = Moto::start();
        moto.create_table(REGION, "gateward");
        let (apisix_key, aws_secret) = (plot.plant("apisixkey"), plot.plant("awssecret"));
        let kms_key = moto.create_kms_key(REGION);
        let aws = one_at_a_time(&moto);
        let peers = Authority::root("peers");
        let shown = peers.identity("gateway", &[]);
        let variables = [
            ("GATEWARD_PRODUCERS_CA", peers.pem.as_str()),
            ("GATEWARD_PRODUCERS_CLIENT_CERT", &shown.chain),
            ("GATEWARD_PRODUCERS_CLIENT_KEY", &shown.key),
            ("AWS_ACCESS_KEY_ID", "AKIDHOSTS"),
            ("AWS_SECRET_ACCESS_KEY", &aws_secret),
            ("AWS_ENDPOINT_URL", &aws.url()),
            ("AWS_REGION", REGION),
            ("GATEWARD_STORE", "dynamodb"),
            ("GATEWARD_ROOT_KEY", ""),
            ("GATEWARD_ROOT_KEY_KMS", &kms_key),
            ("GATEWARD_APISIX_ADMIN_KEY", &apisix_key),
            ("SHOWN_VALUE", "a value of the environment"),
        ];
        let (host, process) = match way {
            Way::Server => serve(&plot, &variables),
            Way::RestApi => function(&plot, Form::RestApi, &variables),
            Way::HttpApi => function(&plot, Form::HttpApi, &variables),
            Way::LoadBalancer => function(&plot, Form::LoadBalancer, &variables),
        };
        let token = Cell::new(None);
        let mut entry = Self { plot, moto, peers, shown, host, process, apisix_key, token, _aws: aws };
        case(&entry);
        entry.process.terminate();
        assert!(entry.process.wait(PATIENCE).success(), "{}", entry.process.text());
        let Self { plot, process, .. } = entry;
        plot.hear("what the gateway printed", process.text());
        plot.end();
    }

    /// What traffic gets.
    #[track_caller]
    pub fn ask(&self, ask: Ask<'_>) -> Response {
        self.enter(ask, |traffic, _| traffic)
    }

    /// What the control plane answers.
    #[track_caller]
    pub fn control(&self, ask: Ask<'_>) -> Response {
        self.enter(ask, |_, control| control)
    }

    /// APISIX's Admin API, with its key.
    #[track_caller]
    pub fn apisix(&self, method: &str, path: &str, body: &Value) -> Response {
        let target = format!("/apisix/admin{path}");
        let headers = [("X-API-KEY", self.apisix_key.as_str()), JSON];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.control(Ask { method, target: &target, headers: &headers, body: body.as_bytes() })
    }

    /// Puts a resource by the Admin API.
    #[track_caller]
    pub fn put(&self, path: &str, resource: &Value) {
        let answer = self.apisix("PUT", path, resource);
        assert!(matches!(answer.status, 200 | 201), "{path}: {}", answer.text());
    }

    /// Calls the Akeyless API.
    #[track_caller]
    pub fn akeyless(&self, operation: &str, body: &Value) -> Response {
        let (target, body) = (format!("/{operation}"), body.to_string());
        self.control(Ask { method: "POST", target: &target, headers: &[JSON], body: body.as_bytes() })
    }

    /// The same with a token of the administrator's, and wants a success.
    #[track_caller]
    pub fn done(&self, operation: &str, mut body: Value) -> Value {
        body["token"] = self.token().into();
        let answer = self.akeyless(operation, &body);
        assert_eq!(answer.status, 200, "{operation}: {}", answer.text());
        answer.json()
    }

    /// A token of the administrator's.
    #[track_caller]
    pub fn token(&self) -> String {
        let token = self.token.take().unwrap_or_else(|| {
            let login = self.login(self.plot.access_key());
            let answer = self.akeyless("auth", &login);
            assert_eq!(answer.status, 200, "{}", answer.text());
            answer.json()["token"].as_str().expect("a token").to_owned()
        });
        self.token.set(Some(token.clone()));
        token
    }

    pub fn login(&self, access_key: &str) -> Value {
        json!({"access-id": ACCESS_ID, "access-key": access_key, "access-type": "access_key"})
    }

    /// What a schedule does once a minute. A server needs none.
    pub fn tick(&self) {
        if let Host::Lambda { api, .. } = &self.host {
            assert_eq!(api.invoke(&event::tick(), PATIENCE), Value::Null);
        }
    }

    /// The client's address, and the scheme that it used, as the gateway should see them.
    pub fn client(&self) -> (&'static str, &'static str) {
        match &self.host {
            Host::Server { .. } => ("127.0.0.1", "http"),
            Host::Lambda { .. } => (event::CLIENT, "https"),
        }
    }

    #[track_caller]
    fn enter<'s>(&'s self, ask: Ask<'_>, choose: impl Fn(&'s str, &'s str) -> &'s str) -> Response {
        let answer = match &self.host {
            Host::Server { traffic, control } => {
                let url = format!("{}{}", choose(traffic, control), ask.target);
                let host = [("Host", event::DOMAIN)];
                http::request(ask.method, &url, &[ask.headers, &host].concat(), ask.body)
            }
            Host::Lambda { api, form } => {
                event::response(*form, &api.invoke(&event::request(*form, ask), PATIENCE))
            }
        };
        let about = format!("the answer to {} {}", ask.method, ask.target);
        assert!(answer.header("x-request-id").is_some(), "{about}: no request id");
        self.plot.hear(about, [answer.body.clone(), format!("{:?}", answer.headers).into_bytes()].concat());
        answer
    }
}

#[track_caller]
fn serve(plot: &Plot, variables: &[(&str, &str)]) -> (Host, Process) {
    let mut command = gateway::command(plot, GATEWARD);
    command.args(["serve", "--proxy-listen", "127.0.0.1:0", "--control-listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(data_directory(plot.folder())).args(["--log", "trace"]).envs(variables.iter().copied());
    let process = Process::start("the server", command);
    let serves = process.wait_for_line(PATIENCE, |line| line.contains("control=Some("));
    let address = |before: &str, after: char| {
        let rest = serves.split_once(before).map(|(_, rest)| rest).expect("both addresses are told");
        format!("http://{}", rest.split(after).next().unwrap_or_default())
    };
    (Host::Server { traffic: address("traffic=[", ']'), control: address("control=Some(", ')') }, process)
}

#[track_caller]
fn function(plot: &Plot, form: Form, variables: &[(&str, &str)]) -> (Host, Process) {
    let api = RuntimeApi::start();
    let process = lambda::start_with(plot, &api, variables);
    api.wait_until_asked(PATIENCE);
    (Host::Lambda { api, form }, process)
}

const REGION: &str = "eu-west-1";

const JSON: (&str, &str) = ("Content-Type", "application/json");
