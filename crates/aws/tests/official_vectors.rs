//! AWS's own test cases for Signature V4, read from the package of `aws-sigv4`, which carries them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gateward_aws::Credentials;
use gateward_aws::sigv4::{PayloadHash, Rules, SignedHeaders, Signer};
use gateward_clock::Timestamp;
use http::Request;
use serde_json::{Value, json};

#[test]
fn every_official_vector_comes_out_as_aws_has_it() {
    let mut cases: Vec<PathBuf> =
        fs::read_dir(vectors()).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 40, "{}", cases.len());
    for case in cases {
        check(&case);
    }
}

fn check(case: &Path) {
    let name = case.file_name().unwrap().to_str().unwrap();
    let read = |file: &str| fs::read_to_string(case.join(file)).unwrap();
    let expected = header(&read("header-signed-request.txt"), "authorization");
    // Two cases have no context of their own; what they were signed with stands in their answers.
    let context = match fs::read_to_string(case.join("context.json")) {
        Ok(context) => serde_json::from_str(&context).unwrap(),
        Err(_) => context_of(&expected),
    };
    let text = |field: &str| context[field].as_str().unwrap().to_owned();
    let mut token = context["credentials"]["token"].as_str();
    if context["omit_session_token"] == json!(true) {
        // This one adds the token after signing, which no service of ours asks for: it is signed without.
        token = None;
    }
    let credentials = Credentials {
        access_key: context["credentials"]["access_key_id"].as_str().unwrap().to_owned(),
        secret_key: context["credentials"]["secret_access_key"].as_str().unwrap().into(),
        session_token: token.map(Into::into),
    };
    // The two cases with a space in their path were made for a signer that encodes a path once.
    let spaced = name.starts_with("get-space");
    let rules = Rules {
        normalize_path: context["normalize"] == json!(true),
        encode_path_again: !spaced,
        send_payload_hash: context["sign_body"] == json!(true),
        headers: SignedHeaders::All,
    };
    let (mut request, body) = parse(&read("request.txt").replace("/example space/", "/example%20space/"));
    let signer = Signer::with_rules(&text("region"), &text("service"), rules);
    let now = timestamp(&text("timestamp"));
    signer.sign(&credentials, &mut request, PayloadHash::Bytes(body.as_bytes()), now).unwrap();
    assert_eq!(request.headers()["authorization"].to_str().unwrap(), expected, "{name}");
}

fn context_of(authorization: &str) -> Value {
    let scope = authorization.split(['=', ',']).nth(1).unwrap();
    let [access_key, date, region, service] = scope.split('/').collect::<Vec<_>>()[..4] else {
        panic!("{scope}")
    };
    let secret = match access_key {
        "ANOTREAL" => "notrealrnrELgWzOk3IfjzDKtFBhDby",
        _ => "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    };
    let time = if date == "20210511" { "2021-05-11T15:40:45Z" } else { "2015-08-30T12:36:00Z" };
    json!({
        "credentials": {"access_key_id": access_key, "secret_access_key": secret},
        "normalize": true, "region": region, "service": service, "sign_body": false, "timestamp": time,
    })
}

fn header(message: &str, name: &str) -> String {
    let (_, value) = message
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .unwrap();
    value.trim().to_owned()
}

/// Reads a request as its file has it, a header that goes on in the next line included.
fn parse(message: &str) -> (Request<()>, String) {
    let (head, body) = message.split_once("\n\n").unwrap_or((message.trim_end(), ""));
    let head = head.replace("\n ", " ");
    let mut lines = head.lines();
    let first = lines.next().unwrap();
    let (method, rest) = first.split_once(' ').unwrap();
    let target = rest.strip_suffix(" HTTP/1.1").unwrap_or(rest);
    let mut builder = Request::builder().method(method).uri(target);
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        builder = builder.header(name, value);
    }
    (builder.body(()).unwrap(), body.to_owned())
}

fn timestamp(rfc3339: &str) -> Timestamp {
    match rfc3339 {
        "2015-08-30T12:36:00Z" => Timestamp::from_secs(1_440_938_160),
        "2021-05-11T15:40:45Z" => Timestamp::from_secs(1_620_747_645),
        other => panic!("a vector with a time that this test does not know: {other}"),
    }
}

/// Where cargo keeps the sources of `aws-sigv4`.
fn vectors() -> PathBuf {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let output = Command::new(cargo)
        .args(["metadata", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "aws-sigv4").unwrap();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().join("aws-signing-test-suite/v4")
}
