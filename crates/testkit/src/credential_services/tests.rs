use std::time::Duration;

use super::*;
use crate::http::{get, request, try_request};

const EXPIRES: &str = "2030-01-01T00:00:00Z";

#[test]
fn each_answer_holds_another_set_and_every_secret_is_known() {
    let services = CredentialServices::start(EXPIRES);
    let one = get(&format!("{}/container", services.url())).json();
    let two = get(&format!("{}/container", services.url())).json();
    assert_eq!((one["AccessKeyId"].as_str(), two["AccessKeyId"].as_str()), (Some("ASIA1"), Some("ASIA2")));
    assert_eq!(services.handed_out(), 2);
    for value in [&one["SecretAccessKey"], &two["Token"]] {
        assert!(services.secrets().iter().any(|secret| value == secret.as_str()));
    }
    assert_eq!(services.asked()[1].what, "GET /container");
}

#[test]
fn metadata_are_given_for_a_token_only_unless_a_test_says_otherwise() {
    let services = CredentialServices::start(EXPIRES);
    let role = format!("{}/latest/meta-data/iam/security-credentials/", services.url());
    assert_eq!(get(&role).status, 401);
    let ttl = [("x-aws-ec2-metadata-token-ttl-seconds", "60")];
    let token = request("PUT", &format!("{}/latest/api/token", services.url()), &ttl, b"").text();
    let shown = [("x-aws-ec2-metadata-token", token.as_str())];
    assert_eq!(request("GET", &role, &shown, b"").text(), "the-role\nanother");
    services.set(|manners| manners.answers_without_token = true);
    assert_eq!(get(&role).status, 200);
}

#[test]
fn what_is_wrong_is_so_for_as_many_requests_as_was_said() {
    let services = CredentialServices::start(EXPIRES);
    let url = format!("{}/container", services.url());
    services.fail(Fault::Status(500), 1);
    assert_eq!(get(&url).status, 500);
    assert_eq!(get(&url).status, 200);
    for fault in [Fault::Silence, Fault::Cut] {
        services.fail(fault, 1);
        assert!(try_request(Duration::from_millis(200), "GET", &url, &[], b"").is_err(), "{fault:?}");
    }
}
