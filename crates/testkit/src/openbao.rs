//! HashiCorp Vault's API, by its open successor: OpenBao, the real server, in development mode on loopback.
//!
//! It is unsealed from the start, keeps all in memory, and has KV version 2 mounted at `secret`. Tests administer it with
//! the root token over plain HTTP; it may listen over TLS besides.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::canary::Canary;
use crate::deadline::eventually;
use crate::free_port;
use crate::http::{self, Response};
use crate::process::Process;
use crate::workspace::python_program;

/// A running OpenBao. Each has a world of its own, gone when it is dropped.
pub struct OpenBao {
    process: Process,
    port: u16,
    tls_port: Option<u16>,
    root_token: Canary,
    _home: TempDir,
}

impl OpenBao {
    /// Starts one on a free port, and waits until it answers.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_listening(None)
    }

    /// The same, listening over TLS too, with the certificate and the key (PEM files) that are given. It asks clients for
    /// certificates, and takes any.
    #[track_caller]
    pub fn start_with_tls(certificate: &Path, key: &Path) -> Self {
        Self::start_listening(Some((certificate, key)))
    }

    #[track_caller]
    fn start_listening(tls: Option<(&Path, &Path)>) -> Self {
        // The port is free when we look, and may be another's when it starts: then it ends, and the next one is tried.
        for _ in 0..5 {
            if let Some(started) = Self::try_start(tls) {
                return started;
            }
        }
        panic!("openbao did not start on any of five ports");
    }

    #[track_caller]
    fn try_start(tls: Option<(&Path, &Path)>) -> Option<Self> {
        let home = TempDir::new().expect("a folder for OpenBao");
        let (port, root_token) = (free_port(), Canary::new("root"));
        let mut command = Command::new(python_program("bao"));
        command.env("HOME", home.path()).args(["server", "-dev", "-dev-no-store-token", "-log-level=warn"]);
        command.arg(format!("-dev-root-token-id={}", root_token.text()));
        command.arg(format!("-dev-listen-address=127.0.0.1:{port}"));
        let mut tls_port = None;
        if let Some((certificate, key)) = tls {
            let port = free_port();
            let listener = format!(
                "listener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n tls_cert_file = {certificate:?}\n tls_key_file = {key:?}\n}}\n"
            );
            let file = home.path().join("listener.hcl");
            std::fs::write(&file, listener).expect("OpenBao's configuration can be written");
            command.arg("-config").arg(file);
            tls_port = Some(port);
        }
        let mut process = Process::start("openbao", command);
        let health = format!("http://127.0.0.1:{port}/v1/sys/health");
        let answers = eventually(Duration::from_secs(60), || {
            let answer = http::try_request(Duration::from_secs(5), "GET", &health, &[], b"");
            if answer.is_ok_and(|answer| answer.status == 200) {
                return Some(true);
            }
            process.try_wait().map(|_ended| false)
        });
        match answers {
            // Another program may answer there, if ours has lost the race for the port.
            Some(true) if process.try_wait().is_none() => {
                Some(Self { process, port, tls_port, root_token, _home: home })
            }
            Some(_) => None,
            None => panic!("openbao does not answer; it printed:\n{}", process.text()),
        }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port where it speaks TLS, if it does.
    pub fn tls_port(&self) -> Option<u16> {
        self.tls_port
    }

    /// The token that may do everything.
    pub fn root_token(&self) -> &str {
        self.root_token.text()
    }

    /// The process, for ending it early.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Sends a request as root, to a path such as `secret/data/db`.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Response {
        let headers = [&[("X-Vault-Token", self.root_token())], headers].concat();
        let url = format!("{}/v1/{path}", self.url());
        // An engine that was just mounted says so, for as long as it makes itself ready for versions.
        let answered = eventually(Duration::from_secs(60), || {
            let answer = http::send_json(method, &url, &headers, body);
            (!answer.text().contains("Upgrading from non-versioned")).then_some(answer)
        });
        answered.unwrap_or_else(|| panic!("{path}: the engine is not ready for versions yet"))
    }

    /// Writes to a path, and gives the answer, `null` if it is empty.
    #[track_caller]
    pub fn write(&self, path: &str, body: &Value) -> Value {
        let answer = self.send("POST", path, &[], body);
        assert!(matches!(answer.status, 200 | 204), "{path}: {} {}", answer.status, answer.text());
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// Reads a path.
    #[track_caller]
    pub fn read(&self, path: &str) -> Value {
        let answer = http::request(
            "GET",
            &format!("{}/v1/{path}", self.url()),
            &[("X-Vault-Token", self.root_token())],
            b"",
        );
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Deletes what is at a path.
    #[track_caller]
    pub fn delete(&self, path: &str) {
        let answer = self.send("DELETE", path, &[], &json!({}));
        assert!(matches!(answer.status, 200 | 204), "{path}: {} {}", answer.status, answer.text());
    }

    /// Makes a policy that allows `capabilities` on each path.
    #[track_caller]
    pub fn write_policy(&self, name: &str, paths: &[(&str, &[&str])]) {
        let rule = |(path, capabilities): &(&str, &[&str])| {
            format!("path {path:?} {{ capabilities = {} }}\n", json!(capabilities))
        };
        let policy: String = paths.iter().map(rule).collect();
        self.write(&format!("sys/policies/acl/{name}"), &json!({"policy": policy}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_written_read_and_deleted_by_those_who_may() {
        let bao = OpenBao::start();
        bao.write("secret/data/db", &json!({"data": {"password": "p"}}));
        assert_eq!(bao.read("secret/data/db")["data"]["data"]["password"], "p");
        bao.write_policy("reader", &[("secret/data/db", &["read"])]);
        let made = bao.write("auth/token/create", &json!({"policies": ["reader"], "ttl": "60s"}));
        let token = made["auth"]["client_token"].as_str().expect("a token").to_owned();
        let url = |path: &str| format!("{}/v1/{path}", bao.url());
        let headers = [("X-Vault-Token", token.as_str())];
        assert_eq!(http::request("GET", &url("secret/data/db"), &headers, b"").status, 200);
        assert_eq!(http::request("GET", &url("secret/data/other"), &headers, b"").status, 403);
        bao.delete("secret/data/db");
        assert_eq!(http::request("GET", &url("secret/data/db"), &headers, b"").status, 404);
    }
}
