//! Pebble: Let's Encrypt's own small server for tests, on loopback, and a DNS server whose records a test sets.
//!
//! It really looks whether a challenge was met: over HTTP at the port that the test chooses, or in that DNS, where every
//! name leads to 127.0.0.1. A machine without it says so, and loudly.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::deadline::eventually;
use crate::free_port;
use crate::http;
use crate::process::Process;

/// A running Pebble.
pub struct Pebble {
    directory: String,
    management: String,
    dns: String,
    http_port: u16,
    certificate: PathBuf,
    _processes: [Process; 2],
    _home: TempDir,
}

impl Pebble {
    /// Starts one whose own server shows `certificate` (PEM, for 127.0.0.1); `None` on a machine that has no Pebble.
    #[track_caller]
    pub fn start(certificate: &str, key: &str) -> Option<Self> {
        let is_there = |name: &str| PathBuf::from("/usr/bin").join(name).exists();
        if !is_there("pebble") || !is_there("pebble-challtestsrv") {
            let warning =
                "*** NOT TESTED: there is no Pebble on this machine; install it (Debian: pebble) ***";
            // Not by a macro, whose output the test harness keeps: nobody is to take the test for one that has run.
            let _ = writeln!(std::io::stderr(), "{warning}");
            return None;
        }
        let home = TempDir::new().expect("a folder for Pebble");
        let file = |name: &str, text: &str| {
            let file = home.path().join(name);
            std::fs::write(&file, text).expect("Pebble's folder can be written to");
            file
        };
        let (certificate, key) = (file("certificate.pem", certificate), file("key.pem", key));
        let [listen, management, dns, records] = [(); 4].map(|()| format!("127.0.0.1:{}", free_port()));
        let http_port = free_port();
        let settings = json!({"pebble": {
            "listenAddress": listen, "managementListenAddress": management, "certificate": certificate,
            "privateKey": key, "httpPort": http_port, "tlsPort": free_port(),
        }});
        let settings = file("pebble.json", &settings.to_string());
        let mut command = Command::new("/usr/bin/pebble-challtestsrv");
        command.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]);
        command.args(["-dns01", &dns, "-management", &records]);
        let names = Process::start("pebble-challtestsrv", command);
        let mut command = Command::new("/usr/bin/pebble");
        command.env("PEBBLE_VA_NOSLEEP", "1").arg("-config").arg(settings).args(["-dnsserver", &dns]);
        let authority = Process::start("pebble", command);
        authority.wait_for_line(Duration::from_secs(30), |line| line.contains("ACME directory available"));
        let answers = eventually(Duration::from_secs(30), || {
            let url = format!("http://{records}/clear-txt");
            http::try_request(Duration::from_secs(5), "POST", &url, &[], br#"{"host":"x."}"#).ok()
        });
        assert!(answers.is_some(), "the DNS server does not start; it printed:\n{}", names.text());
        Some(Self {
            directory: format!("https://{listen}/dir"),
            management: format!("https://{management}"),
            dns: format!("http://{records}"),
            http_port,
            certificate,
            _processes: [authority, names],
            _home: home,
        })
    }

    /// The URL of its directory.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// Where it tells about certificates: `/cert-status-by-serial/SERIAL`.
    pub fn management(&self) -> &str {
        &self.management
    }

    /// Where records of the DNS are set (`/set-txt`) and taken away (`/clear-txt`).
    pub fn dns(&self) -> &str {
        &self.dns
    }

    /// At which port it looks for the answers to HTTP-01 challenges.
    pub fn http_port(&self) -> u16 {
        self.http_port
    }

    /// The certificate of its own server, a file.
    pub fn certificate(&self) -> &std::path::Path {
        &self.certificate
    }
}
