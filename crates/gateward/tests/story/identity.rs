//! Somebody whom AWS knows logs in with the command line, and seals a secret with a customer fragment that it has made.

use std::process::Command;

use gateward_testkit::Moto;
use serde_json::Value;

use crate::gateway::{GATEWARD, Gateway};
use crate::plot::Plot;

#[test]
fn who_logs_in_by_aws_does_what_was_allowed_and_a_fragment_that_is_missing_takes_its_secrets_alone() {
    let plot = Plot::new();
    let moto = Moto::start();
    let (key_id, secret_key) = moto.create_access_key("deploy", &["sts:*"]);
    moto.check_signatures();
    let home = tempfile::tempdir().expect("a folder");
    let run = |gateway: Option<&Gateway<'_>>, variables: &[(&str, &str)], words: &[&str]| {
        let mut command = Command::new(GATEWARD);
        command.args(words).env_clear().env("HOME", home.path()).current_dir(home.path());
        if let Some(gateway) = gateway {
            command.env("GATEWARD_GATEWAY_URL", &gateway.control);
        }
        let output = command.envs(variables.iter().copied()).output().expect("the binary runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let json = |(succeeds, out, error): (bool, String, String)| -> Value {
        assert!(succeeds, "{error}");
        serde_json::from_str(&out).expect("JSON")
    };

    // As the vendor's document has it, and as its file is read.
    let made =
        json(run(None, &[], &["gen-customer-fragment", "--name", "f", "--description", "d", "--json"]));
    let fragment = made["customer_fragments"][0].clone();
    assert_eq!((&fragment["name"], &fragment["description"]), (&"f".into(), &"d".into()));
    let id = fragment["id"].as_str().expect("an id").to_owned();
    let made = made.to_string();
    let sts = ("GATEWARD_STS_ENDPOINT_URL", moto.url());
    let gateway = Gateway::start(&plot, &[("CUSTOMER_FRAGMENTS", &made), sts]);

    let token = gateway.token();
    let admin = [("GATEWARD_TOKEN", token.as_str())];
    let method = [
        "auth-method",
        "create",
        "aws-iam",
        "--name",
        "deploy",
        "--bound-aws-account-id",
        "123456789012",
        "--bound-user-name",
        "deploy",
        "--json",
    ];
    let access_id =
        json(run(Some(&gateway), &admin, &method))["access_id"].as_str().expect("an id").to_owned();
    let allow = [
        "gateway-create-allowed-access",
        "-n",
        "deploy",
        "--access-id",
        &access_id,
        "-p",
        "static_secret,zero_knowledge_encryption",
        "-s",
        "user_name=deploy",
    ];
    assert!(run(Some(&gateway), &admin, &allow).0);

    let aws = [("AWS_ACCESS_KEY_ID", key_id.as_str()), ("AWS_SECRET_ACCESS_KEY", secret_key.as_str())];
    let wrong = [("AWS_ACCESS_KEY_ID", key_id.as_str()), ("AWS_SECRET_ACCESS_KEY", "wrong")];
    let auth = ["auth", "--access-id", &access_id, "--access-type", "aws_iam", "--json"];
    let (succeeds, _, error) = run(Some(&gateway), &wrong, &auth);
    assert!(!succeeds && error.contains("the access id or the cloud id is wrong"), "{error}");
    let token = json(run(Some(&gateway), &aws, &auth))["token"].as_str().expect("a token").to_owned();
    // What it was shown can be shown once; made elsewhere, it can be handed over.
    let (_, cloud_id, _) = run(None, &aws, &["get-cloud-identity", "--cloud-provider", "aws_iam"]);
    let shown = [&auth[..], &["--cloud-id", cloud_id.trim()]].concat();
    assert!(run(Some(&gateway), &[], &shown).0);
    assert!(!run(Some(&gateway), &[], &shown).0, "it was taken twice");
    assert!(run(None, &[], &["configure", "--access-id", &access_id, "--access-type", "aws_iam"]).0);

    let deploy = [("GATEWARD_TOKEN", token.as_str())];
    let key = ["create-dfc-key", "--name", "/keys/f", "--alg", "AES256GCM", "-f", &id];
    assert!(run(Some(&gateway), &deploy, &key).0);
    let value = plot.plant("value");
    let create = ["create-secret", "--name", "/s", "--value", &value, "--protection-key", "/keys/f"];
    // By the profile `default`, which logs in by AWS again.
    let (succeeds, _, error) = run(Some(&gateway), &aws, &create);
    assert!(succeeds, "{error}");
    let get = ["get-secret-value", "--name", "/s"];
    assert_eq!(run(Some(&gateway), &deploy, &get).1.trim(), value);
    let (succeeds, _, error) = run(Some(&gateway), &deploy, &["auth-method", "list"]);
    assert!(!succeeds && error.contains("you may not do this"), "{error}");
    drop(gateway);

    let gateway = Gateway::start(&plot, &[sts]);
    let token = gateway.token();
    let admin = [("GATEWARD_TOKEN", token.as_str())];
    let (succeeds, out, error) = run(Some(&gateway), &admin, &get);
    assert!(!succeeds && out.is_empty() && error.contains(&id), "{error}");
    assert!(run(Some(&gateway), &admin, &["create-secret", "--name", "/other", "--value", "x"]).0);
    assert!(run(Some(&gateway), &admin, &["list-items"]).0);
    drop(gateway);
    plot.end();
}
