//! The example of the documentation is a whole producer, and really has thirty lines.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use gateward_producer_sdk::testing::{Caller, Conformance, Gateway, Outcome};
use gateward_testkit::{Process, workspace};

const SOURCE: &str = include_str!("../examples/thirty_lines.rs");

#[test]
fn the_example_has_thirty_lines_of_code() {
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    let lines = SOURCE.lines().filter(is_code).count();
    assert!(lines <= 30, "{lines}");
}

#[test]
fn the_documentation_shows_the_example_as_it_is() {
    let docs = std::fs::read_to_string(workspace::root().join("docs/producers.md")).unwrap();
    let code = SOURCE.split_once("\n\n").map(|(_, code)| code.trim()).unwrap();
    assert!(docs.contains(code), "docs/producers.md does not show examples/thirty_lines.rs as it is");
}

#[tokio::test]
async fn the_example_keeps_the_protocol_and_fetches_nothing_if_it_has_the_keys() {
    let (gateway, folder) = (Gateway::new(), tempfile::tempdir().unwrap());
    let mut command = Command::new(workspace::example("thirty_lines"));
    command
        .current_dir(folder.path())
        .env("PRODUCER_ACCESS_ID", Gateway::ACCESS_ID)
        .env("PRODUCER_JWKS", serde_json::to_string(&gateway.jwks()).unwrap())
        .env("PRODUCER_LISTEN", "127.0.0.1:0");
    let mut producer = Process::start("thirty_lines", command);
    let url = producer.wait_for_prefix(Duration::from_secs(60), "listening on ");
    let report = Conformance::default().check(&Caller::to(&format!("{url}/sync"), gateway)).await;
    assert!(report.holds(), "{report}");
    let again = report.findings.iter().find(|finding| finding.sentence.contains("the same request again"));
    assert_eq!(again.unwrap().outcome, Outcome::Holds);
    assert_eq!(std::fs::read_dir(folder.path().join("users")).unwrap().count(), 0);
    producer.terminate();
    assert!(producer.wait(Duration::from_secs(60)).success());
}

#[test]
fn a_producer_of_any_language_is_tried_by_a_program_that_says_where_its_keys_are() {
    let folder = tempfile::tempdir().unwrap();
    let port = gateward_testkit::free_port().to_string();
    let mut check = Command::new(workspace::example("check_producer"))
        .arg(format!("http://127.0.0.1:{port}/sync"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = BufReader::new(check.stdout.take().unwrap());
    let keys = loop {
        let mut line = String::new();
        assert!(told.read_line(&mut line).unwrap() > 0, "it does not say where its keys are");
        if let Some(url) = line.strip_prefix("its keys").and_then(|url| url.trim().strip_suffix(KEYS)) {
            break url.to_owned();
        }
    };
    let mut command = Command::new(workspace::example("thirty_lines"));
    command
        .current_dir(folder.path())
        .env("PRODUCER_ACCESS_ID", Gateway::ACCESS_ID)
        .env("PRODUCER_GATEWAY_URL", keys)
        .env("PRODUCER_LISTEN", format!("127.0.0.1:{port}"));
    let producer = Process::start("thirty_lines", command);
    producer.wait_for_prefix(Duration::from_secs(60), "listening on ");
    check.stdin.take().unwrap().write_all(b"\n").unwrap();
    let mut report = String::new();
    told.read_to_string(&mut report).unwrap();
    assert!(check.wait().unwrap().success(), "{report}");
    assert!(report.contains("holds      two requests make two credentials"), "{report}");
}

const KEYS: &str = "/.well-known/jwks.json";
