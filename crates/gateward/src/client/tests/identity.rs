//! Who asks: by AWS, by a profile; and the commands that add others who may.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// What a home directory has that nothing was kept in yet.
fn at_home(home: &tempfile::TempDir, more: &[(&str, &str)]) -> Surroundings {
    let home = home.path().to_str().unwrap();
    surroundings(&[&[("HOME", home)][..], more].concat())
}

fn configured(words: &[&str], surroundings: &Surroundings) -> String {
    let words = ["gateward", "configure"].into_iter().chain(words.iter().copied());
    match arguments::parse(words.map(Into::into), surroundings).unwrap().command {
        Command::Configure(said) => crate::client::configure(&said, surroundings).unwrap(),
        other => panic!("{other:?}"),
    }
}

const AWS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "AKIDTEST"), ("AWS_SECRET_ACCESS_KEY", "canary-secret")];

#[tokio::test]
async fn a_login_by_aws_shows_a_request_that_this_machine_has_signed() {
    let server = Server::answering(&[(200, r#"{"token":"t-9"}"#)]);
    let words = ["auth", "--access-id", "p-1", "--access-type", "aws_iam", "--json", "-u", &server.url];
    let printed = run(&words, &surroundings(&AWS)).await.unwrap();
    assert_eq!(printed, r#"{"token":"t-9"}"#);
    let asked = server.asked.join().unwrap().remove(0);
    assert_eq!((&asked.body["access-type"], &asked.body["access-id"]), (&json!("aws_iam"), &json!("p-1")));
    let text = asked.body.to_string();
    assert!(!text.contains("canary-secret"), "{text}");
    let cloud_id = asked.body["cloud-id"].as_str().unwrap();
    let now = gateward_clock::Clock::now(&gateward_clock::SystemClock);
    gateward_access::SignedRequest::parse(cloud_id, gateward_access::Verifier::default(), now).unwrap();
}

#[tokio::test]
async fn a_cloud_id_from_elsewhere_is_shown_as_it_is() {
    let server = Server::answering(&[(200, r#"{"token":"t-9"}"#)]);
    let words =
        ["auth", "--access-id", "p-1", "--access-type", "aws_iam", "--cloud-id", "abc", "-u", &server.url];
    run(&words, &surroundings(&[])).await.unwrap();
    assert_eq!(server.asked.join().unwrap().remove(0).body["cloud-id"], "abc");
}

#[tokio::test]
async fn without_credentials_of_aws_a_sentence_names_what_is_missing() {
    let words = ["auth", "--access-id", "p-1", "--access-type", "aws_iam", "-u", "http://127.0.0.1:1"];
    let off = [("AWS_EC2_METADATA_DISABLED", "true")];
    let error = run(&words, &surroundings(&off)).await.unwrap_err();
    assert!(error.to_string().contains("no AWS credentials"), "{error}");
    let error = run(&["auth", "--access-type", "aws_iam"], &surroundings(&AWS)).await.unwrap_err();
    assert!(error.to_string().contains("--access-id"), "{error}");
}

#[tokio::test]
async fn a_profile_is_kept_for_its_owner_alone_and_logs_in() {
    let home = tempfile::tempdir().unwrap();
    let around = at_home(&home, &[("GATEWARD_TOKEN", "t-of-the-environment")]);
    configured(&["--profile", "work", "--access-id", "p-old", "--access-key", "x"], &around);
    let told = configured(&["--profile", "work", "--access-id", "p-7", "--access-key", "canary"], &around);
    assert_eq!(told, "The profile work was configured.");
    let file = home.path().join(".gateward/profiles/work.json");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    let server = Server::answering(&[(200, r#"{"token":"t-9"}"#), (200, r#"{"auth_methods":[]}"#)]);
    let words = ["auth-method", "list", "--profile", "work", "--json", "-u", &server.url];
    run(&words, &around).await.unwrap();
    let asked = server.asked.join().unwrap();
    assert_eq!(
        (&asked[0].body["access-id"], &asked[0].body["access-key"]),
        (&json!("p-7"), &json!("canary"))
    );
    assert_eq!(
        (asked[1].line.as_str(), &asked[1].body["token"]),
        ("POST /api/v2/auth-method-list HTTP/1.1", &json!("t-9"))
    );
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = run(&["auth", "--profile", "work"], &around).await.unwrap_err();
    assert!(error.to_string().contains("can be read by others"), "{error}");
    for (name, says) in
        [("home", "there is no profile \"home\""), ("../work", "a profile's name"), ("", "a profile's name")]
    {
        let error = run(&["auth", "--profile", name], &around).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[tokio::test]
async fn the_profile_default_logs_in_where_nothing_else_does() {
    let home = tempfile::tempdir().unwrap();
    let around = at_home(&home, &AWS);
    configured(&["--access-id", "p-aws", "--access-type", "aws_iam"], &around);
    let server = Server::answering(&[(200, r#"{"token":"t-9"}"#)]);
    run(&["auth", "-u", &server.url], &around).await.unwrap();
    let asked = server.asked.join().unwrap().remove(0);
    assert_eq!((&asked.body["access-id"], &asked.body["access-type"]), (&json!("p-aws"), &json!("aws_iam")));
}

#[tokio::test]
async fn commands_about_who_may_send_what_the_vendors_clients_send() {
    let cases: &[(&[&str], &str, Value, &str, &str)] = &[
        (
            &["auth-method", "create", "api-key", "--name", "ci", "--access-expires", "9"],
            "auth-method-create-api-key",
            json!({"name": "ci", "access-expires": 9}),
            r#"{"access_id":"p-1","access_key":"k","name":"ci"}"#,
            "The auth method ci was created.\n- Access ID: p-1\n- Access Key: k",
        ),
        (
            &[
                "auth-method",
                "create",
                "aws-iam",
                "--name",
                "aws",
                "--bound-aws-account-id",
                "123456789012",
                "--bound-role-name",
                "a",
                "--bound-role-name",
                "b",
            ],
            "auth-method-create-aws-iam",
            json!({"name": "aws", "bound-aws-account-id": ["123456789012"], "bound-role-name": ["a", "b"]}),
            r#"{"access_id":"p-2","name":"aws"}"#,
            "The auth method aws was created.\n- Access ID: p-2",
        ),
        (&["auth-method", "get", "-n", "ci"], "auth-method-get", json!({"name": "ci"}), "{}", "{}"),
        (
            &["auth-method", "delete", "-n", "ci"],
            "auth-method-delete",
            json!({"name": "ci"}),
            "{}",
            "The auth method ci was deleted.",
        ),
        (
            &["create-dfc-key", "--name", "/k", "--alg", "AES256GCM", "-f", "cf-a"],
            "create-dfc-key",
            json!({"name": "/k", "alg": "AES256GCM", "customer-frg-id": "cf-a"}),
            "{}",
            "The key /k was created.",
        ),
        (
            &["create-secret", "-n", "/s", "-v", "x", "--protection-key", "/k"],
            "create-secret",
            json!({"name": "/s", "value": "x", "type": "generic", "format": "text", "protection_key": "/k"}),
            "{}",
            "The secret /s was created.",
        ),
        (
            &["reset-access-key", "-n", "ci"],
            "reset-access-key",
            json!({"name": "ci"}),
            r#"{"access_id":"p-1","access_key":"k2","name":"ci"}"#,
            "The access key of ci was replaced.\n- Access ID: p-1\n- Access Key: k2",
        ),
        (
            &[
                "gateway-create-allowed-access",
                "-n",
                "n",
                "--access-id",
                "p-2",
                "-p",
                "dynamic_secret,targets",
                "-s",
                "group=a,b",
            ],
            "gateway-create-allowed-access",
            json!({
                "name": "n", "access-id": "p-2", "permissions": "dynamic_secret,targets", "case-sensitive": "true",
                "sub-claims": {"group": "a,b"},
            }),
            "{}",
            "p-2 may dynamic_secret,targets now.",
        ),
        (
            &[
                "gateway-update-allowed-access",
                "-n",
                "n",
                "--new-name",
                "m",
                "-p",
                "targets",
                "-s",
                "group=c",
            ],
            "gateway-update-allowed-access",
            json!({"name": "n", "new-name": "m", "permissions": "targets", "sub-claims": {"group": "c"}}),
            "{}",
            "The entry m was changed.",
        ),
        (
            &["gateway-update-allowed-access", "-n", "n", "--case-sensitive", "false", "--description", "d"],
            "gateway-update-allowed-access",
            json!({"name": "n", "case-sensitive": "false", "description": "d"}),
            "{}",
            "The entry n was changed.",
        ),
        (
            &["gateway-get-allowed-access", "-n", "n"],
            "gateway-get-allowed-access",
            json!({"name": "n"}),
            "{}",
            "{}",
        ),
    ];
    for (words, operation, body, answer, printed) in cases {
        let (asked, told) = asked_for(words, answer).await;
        assert_eq!(asked.line, format!("POST /api/v2/{operation} HTTP/1.1"));
        let mut expected = body.clone();
        expected["json"] = json!(false);
        expected["token"] = json!("t-123");
        assert_eq!((&asked.body, told.as_str()), (&expected, *printed), "{words:?}");
    }
}
