//! The producer of certificates, as a program, with Pebble as the authority.
#![expect(clippy::unwrap_used, reason = "in a test, an unwrap that fails is the finding")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use gateward_producer_sdk::Web;
use gateward_producer_sdk::testing::{Caller, Conformance, Gateway};
use gateward_testkit::{Pebble, Process, nobody, workspace};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

const SOON: Duration = Duration::from_secs(60);

fn authority() -> Option<Pebble> {
    let names = vec!["127.0.0.1".to_owned()];
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
    Pebble::start(&cert.pem(), &signing_key.serialize_pem())
}

fn program(authority: &Pebble) -> Command {
    let mut command = Command::new(workspace::example("lets_encrypt"));
    command.env("ACME_CA_FILE", authority.certificate());
    command
}

/// The payload: a fresh account.
fn account(authority: &Pebble) -> String {
    let mut command = program(authority);
    command.args(["new-account", "--directory", authority.directory(), "--email", "ops@example.com"]);
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The producer, with `more` arguments, and a gateway that calls it.
fn started(authority: &Pebble, more: &[&str]) -> (Caller, Process) {
    let gateway = Gateway::new();
    let mut command = program(authority);
    command
        .args(["serve", "--allow", "example.com,example.org"])
        .args(more)
        .env("PRODUCER_ACCESS_ID", Gateway::ACCESS_ID)
        .env("PRODUCER_JWKS", serde_json::to_string(&gateway.jwks()).unwrap())
        .env("PRODUCER_LISTEN", "127.0.0.1:0");
    let producer = Process::start("lets_encrypt", command);
    let url = producer.wait_for_prefix(SOON, "listening on ");
    (Caller::to(&format!("{url}/sync"), gateway), producer)
}

/// Whether the authority calls the certificate `Valid` or `Revoked`.
async fn status(authority: &Pebble, serial: &str) -> Value {
    let pem = std::fs::read(authority.certificate()).unwrap();
    let url = format!("{}/cert-status-by-serial/{serial}", authority.management());
    let web = Web::trusting(&pem).unwrap();
    let answer = web.send(http::Request::get(url).body(Bytes::new()).unwrap()).await.unwrap();
    serde_json::from_slice::<Value>(answer.body()).unwrap()["Status"].clone()
}

/// The serial number of the certificate, and the names that it is for.
fn read(chain: &str) -> (String, Vec<String>) {
    let der = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap().value.general_names.iter();
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    (certificate.tbs_certificate.raw_serial_as_string().replace(':', ""), names.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_proven_over_http_issued_and_revoked() {
    let Some(authority) = authority() else { return };
    let payload = account(&authority);
    let listen = format!("127.0.0.1:{}", authority.http_port());
    let (caller, _producer) = started(&authority, &["--http-listen", &listen]);
    let input = json!({"domain": "www.example.com, Example.com"});
    let made = caller.create(&payload, &input, "r1").await.unwrap();
    assert_eq!(made.status, 200, "{}", made.body);
    let field = |name: &str| made.body["response"][name].as_str().unwrap_or_default();
    assert!(field("private_key").starts_with("-----BEGIN PRIVATE KEY-----"));
    let (serial, mut names) = read(field("certificate"));
    names.sort();
    assert_eq!(names, ["example.com", "www.example.com"]);
    assert_eq!(status(&authority, &serial).await, "Valid");

    let id = made.body["id"].as_str().unwrap();
    for _ in 0..2 {
        let revoked = caller.revoke(&payload, &[id, "acme.0.nonsense"]).await.unwrap();
        assert_eq!(revoked.body, json!({"revoked": [id], "not_found": ["acme.0.nonsense"]}));
        assert_eq!(status(&authority, &serial).await, "Revoked");
    }
    let report = Conformance::default().payload(&payload).input(json!({"domain": "a.example.org"}));
    let report = report.check(&caller).await;
    assert!(report.holds(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_below_a_domain_is_proven_in_the_dns_and_nothing_is_left_there() {
    let Some(authority) = authority() else { return };
    let folder = tempfile::tempdir().unwrap();
    let hook = folder.path().join("hook");
    write_hook(&hook, authority.dns(), folder.path());
    let payload = account(&authority);
    let (caller, _producer) = started(&authority, &["--dns-hook", hook.to_str().unwrap()]);
    let made = caller.create(&payload, &json!({"domain": ["*.example.org"]}), "r1").await.unwrap();
    assert_eq!(made.status, 200, "{}", made.body);
    let (_, names) = read(made.body["response"]["certificate"].as_str().unwrap());
    assert_eq!(names, ["*.example.org"]);
    let ran = std::fs::read_to_string(folder.path().join("ran")).unwrap();
    assert_eq!(ran, "add _acme-challenge.example.org.\nremove _acme-challenge.example.org.\n");
}

/// Changes the records of the test's DNS server, as a program of one's own changes those of one's provider.
fn write_hook(hook: &Path, dns: &str, folder: &Path) {
    let ran = folder.join("ran");
    let text = format!(
        "#!/bin/sh\necho $1 $2 >> {}\n[ $1 = add ] && call=set-txt || call=clear-txt\n\
         exec curl -sf -d \"{{\\\"host\\\": \\\"$2\\\", \\\"value\\\": \\\"$3\\\"}}\" {dns}/$call\n",
        ran.display()
    );
    std::fs::write(hook, text).unwrap();
    std::fs::set_permissions(hook, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_certified_is_said_and_no_certificate_is_made() {
    let Some(authority) = authority() else { return };
    let payload = account(&authority);
    // Nobody listens where the authority looks.
    let (caller, _producer) = started(&authority, &["--http-listen", &nobody().to_string()]);
    for (payload, input, status, words) in [
        (payload.as_str(), json!({}), 400, "say which domain"),
        (
            &payload,
            json!({"domain": "example.net"}),
            400,
            "example.net is no domain that certificates may be for here",
        ),
        (&payload, json!({"domain": "notexample.com"}), 400, "notexample.com is no domain"),
        (&payload, json!({"domain": "www.example.com"}), 400, "cannot be shown that the domains are ours"),
        ("{}", json!({"domain": "www.example.com"}), 403, "the payload is no account"),
    ] {
        let answered = caller.create(payload, &input, "r1").await.unwrap();
        let why = answered.body["error"].as_str().unwrap_or_default();
        assert!(answered.status == status && why.contains(words), "{}: {}", answered.status, answered.body);
    }
    assert_eq!(caller.dry_run("not an account").await.unwrap().status, 403);
}
