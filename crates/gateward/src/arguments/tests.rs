//! Command lines, the ones that people paste among them, and what `--help` says.

mod slips;

use super::*;

fn said(words: &[&str]) -> Result<Understood, Stop> {
    parse(words.iter().map(Into::into), &Surroundings::default())
}

fn created(words: &[&str]) -> (Create, Vec<String>) {
    match said(words).unwrap() {
        Understood { command: Command::Ask(Ask::Create(create)), warnings } => (create, warnings),
        other => panic!("not a creation: {other:?}"),
    }
}

const URLS: [&str; 4] = ["--create-sync-url", "http://h/c", "--revoke-sync-url", "http://h/r"];

#[test]
fn help_is_as_it_was() {
    for words in [
        &[][..],
        &["dev"],
        &["serve"],
        &["check"],
        &["vault"],
        &["vault", "get"],
        &["vault", "list"],
        &["vault", "test"],
        &["auth"],
        &["dynamic-secret"],
        &["dynamic-secret", "create"],
        &["dynamic-secret", "create", "postgresql"],
        &["dynamic-secret", "create", "aws"],
        &["dynamic-secret", "get-value"],
        &["dynamic-secret", "delete"],
        &["dynamic-secret", "tmp-creds"],
        &["dynamic-secret", "tmp-creds", "get"],
        &["dynamic-secret", "tmp-creds", "delete"],
        &["get-dynamic-secret-value"],
        &["dynamic-secret", "update"],
        &["dynamic-secret", "update", "postgresql"],
        &["rotated-secret", "update"],
        &["dynamic-secret", "tmp-creds", "update"],
        &["create-secret"],
        &["get-secret-value"],
        &["update-secret-val"],
        &["rollback-secret"],
        &["list-items"],
        &["describe-item"],
        &["delete-item"],
        &["update-item"],
        &["set-item-state"],
        &["target"],
        &["target", "create"],
        &["rotated-secret"],
        &["rotated-secret", "create"],
        &["gateway-rotate-secret"],
        &["leases"],
        &["leases", "report"],
        &["leases", "list"],
        &["leases", "settle"],
        &["gen-customer-fragment"],
        &["get-cloud-identity"],
        &["configure"],
        &["auth-method"],
        &["auth-method", "create", "api-key"],
        &["auth-method", "create", "aws-iam"],
        &["reset-access-key"],
        &["create-dfc-key"],
        &["gateway-create-allowed-access"],
        &["gateway-update-allowed-access"],
    ] {
        let stop = said(&[&["gateward"], words, &["--help"]].concat()).unwrap_err();
        assert!(stop.is_result, "{words:?}");
        let name = ["help", &words.join("-")].join("-");
        insta::assert_snapshot!(name.trim_end_matches('-'), stop.text);
    }
}

#[test]
fn the_command_of_the_akeyless_document_works_as_printed() {
    let (create, warnings) = created(&[
        "akeyless",
        "dynamic-secret",
        "create",
        "--name",
        "/x",
        "--gateway-url",
        "http://localhost:8000",
        "--create-sync-url",
        "https://example.com/sync/create:8443",
        "--revoke-sync-url",
        "https://example.com/sync/revoke:8443",
        "--revoke-sync-url",
        "https://example.com/sync/rotate:8443",
    ]);
    assert_eq!(create.name, "/x");
    assert_eq!(create.create_sync_url, "https://example.com:8443/sync/create");
    assert_eq!(create.revoke_sync_url, "https://example.com:8443/sync/revoke");
    assert_eq!(create.rotate_sync_url.as_deref(), Some("https://example.com:8443/sync/rotate"));
    insta::assert_snapshot!("the-document-warnings", warnings.join("\n"));
}

#[test]
fn the_word_custom_may_be_said_or_not() {
    for before in [&["dynamic-secret", "create"][..], &["dynamic-secret", "create", "custom"]] {
        let (create, warnings) = created(&[&["akeyless"], before, &["-n", "/x"], &URLS].concat());
        assert_eq!((create.name.as_str(), create.user_ttl.as_str()), ("/x", "60m"));
        assert_eq!(create.create_sync_url, "http://h/c");
        assert_eq!(warnings, Vec::<String>::new());
    }
    let other = [&["gateward", "dynamic-secret", "create", "oracle", "-n", "/x"][..], &URLS].concat();
    assert!(!said(&other).unwrap_err().is_result);
    let native = [&["gateward", "dynamic-secret", "create", "postgresql", "-n", "/x"][..], &URLS].concat();
    assert!(!said(&native).unwrap_err().is_result);
}

#[test]
fn a_second_revoke_url_is_a_guess_only_where_no_rotate_url_is_given() {
    let start = ["gateward", "dynamic-secret", "create", "-n", "/x"];
    let second = ["--revoke-sync-url", "http://h/2"];
    let rotate = ["--rotate-sync-url", "http://h/o"];
    let (create, _) = created(&[&start[..], &URLS, &rotate].concat());
    assert_eq!(create.rotate_sync_url.as_deref(), Some("http://h/o"));
    let (create, warnings) = created(&[&start[..], &URLS, &second].concat());
    assert_eq!(create.rotate_sync_url.as_deref(), Some("http://h/2"));
    assert_eq!(warnings.len(), 1);
    for wrong in
        [[&start[..], &URLS, &second, &rotate].concat(), [&start[..], &URLS, &second, &second].concat()]
    {
        let stop = said(&wrong).unwrap_err();
        assert!(stop.text.contains("--revoke-sync-url is given"), "{}", stop.text);
    }
}

#[test]
fn wrong_usage_is_said_and_is_no_result() {
    let no_name = [&["gateward", "dynamic-secret", "create"][..], &URLS].concat();
    for words in [
        &["gateward"][..],
        &["gateward", "fly"],
        &["gateward", "vault", "get"],
        &["gateward", "auth", "--access-id", "p-1"],
        &["gateward", "auth", "--access-id", "p-1", "--access-type", "aws_iam", "--access-key", "k"],
        &["gateward", "auth", "--access-id", "p-1", "--access-key", "k", "--cloud-id", "c"],
        &["gateward", "configure", "--access-id", "p-1"],
        &["gateward", "configure", "--access-id", "x", "--access-key", "k"],
        &["gateward", "auth-method", "create", "aws-iam", "--name", "a"],
        &["gateward", "auth-method", "create", "saml", "--name", "a"],
        &[
            "gateward",
            "gateway-create-allowed-access",
            "-n",
            "a",
            "--access-id",
            "p-1",
            "-p",
            "admin",
            "-s",
            "group",
        ],
        &["gateward", "gateway-update-allowed-access", "-n", "a"],
        &[
            "gateward",
            "gateway-update-allowed-access",
            "-n",
            "a",
            "-s",
            "group=x",
            "-s",
            "role=z",
            "-s",
            "group=y",
        ],
        &["gateward", "gateway-get-allowed-access"],
        &["gateward", "get-cloud-identity", "--cloud-provider", "azure_ad"],
        &["gateward", "auth", "--access-type", "saml"],
        &["gateward", "dynamic-secret", "tmp-creds", "delete", "-n", "/x"],
        &["gateward", "dynamic-secret", "tmp-creds", "delete", "-n", "/x", "-i", "1", "--revoke-all"],
        &["gateward", "get-dynamic-secret-value", "-n", "/x", "-u", "localhost:8000"],
        &["gateward", "serve", "--data-threads", "0"],
        &["gateward", "create-secret", "-n", "/x"],
        &["gateward", "create-secret", "-n", "/x", "--value", "v", "--format", "xml"],
        &["gateward", "get-secret-value"],
        &["gateward", "describe-item"],
        &["gateward", "describe-item", "-n", "/x", "--item-id", "1"],
        &["gateward", "set-item-state", "-n", "/x", "-s", "off"],
        &["gateward", "rollback-secret", "-n", "/x"],
        &["gateward", "target", "create", "aws", "-n", "/t", "--url", "http://h"],
        &["gateward", "rotated-secret", "create", "custom", "-n", "/r"],
        &["gateward", "dynamic-secret", "tmp-creds", "update", "-n", "/x", "-i", "l-1"],
        &["gateward", "serve", "--store", "redis"],
        &no_name,
    ] {
        let stop = said(words).unwrap_err();
        assert!(!stop.is_result && !stop.text.is_empty(), "{words:?}: {}", stop.text);
    }
}

#[test]
fn without_a_command_it_is_the_lambda_host_where_there_is_a_runtime_api() {
    let surroundings = Surroundings {
        environment: [("AWS_LAMBDA_RUNTIME_API".to_owned(), "127.0.0.1:9001".to_owned())].into(),
        ..Surroundings::default()
    };
    let parsed = |words: &[&str]| parse(words.iter().map(Into::into), &surroundings).unwrap().command;
    assert!(matches!(
        parsed(&["bootstrap"]),
        Command::Lambda { runtime_api } if runtime_api == "127.0.0.1:9001"
    ));
    assert!(matches!(parsed(&["gateward", "serve"]), Command::Serve(_)));
}

#[test]
fn what_was_understood_prints_no_secret() {
    let words = [
        &["gateward", "dynamic-secret", "create", "-n", "/x", "--payload", "canary-p", "--token", "canary-t"]
            [..],
        &URLS,
    ]
    .concat();
    let printed = format!("{:?}", said(&words).unwrap());
    assert!(!printed.contains("canary"), "{printed}");
    for words in [
        &["gateward", "create-secret", "-n", "/x", "--value", "canary"][..],
        &["gateward", "update-secret-val", "-n", "/x", "--value", "canary"],
        &["gateward", "dynamic-secret", "update", "-n", "/x", "--payload", "canary"],
        &["gateward", "rotated-secret", "update", "-n", "/x", "--custom-payload", "canary"],
        &[
            "gateward",
            "dynamic-secret",
            "create",
            "postgresql",
            "-n",
            "/x",
            "--postgresql-password",
            "canary",
        ],
        &["gateward", "dynamic-secret", "update", "aws", "-n", "/x", "--aws-access-secret-key", "canary"],
        &["gateward", "configure", "--access-id", "p-1", "--access-key", "canary"],
        &["gateward", "auth", "--access-id", "p-1", "--access-type", "aws_iam", "--cloud-id", "canary"],
    ] {
        let printed = format!("{:?}", said(words).unwrap());
        assert!(!printed.contains("canary"), "{printed}");
    }
}
