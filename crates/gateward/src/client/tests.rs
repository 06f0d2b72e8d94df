//! What goes over the wire, seen by a tiny server on loopback, and what a person reads of what comes back.

mod identity;
mod items;
mod leases;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use super::*;
use crate::arguments::{self, Command};

/// Answers one connection after the other, and tells what it was asked.
struct Server {
    url: String,
    asked: JoinHandle<Vec<Asked>>,
}

#[derive(Debug)]
struct Asked {
    line: String,
    headers: Vec<String>,
    body: Value,
}

impl Server {
    fn answering(answers: &[(u16, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers: Vec<(u16, String)> =
            answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect();
        let asked = thread::spawn(move || {
            answers
                .into_iter()
                .map(|(status, body)| serve(listener.accept().unwrap().0, status, &body))
                .collect()
        });
        Self { url, asked }
    }
}

fn serve(mut stream: TcpStream, status: u16, body: &str) -> Asked {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    let length = head
        .iter()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut sent = vec![0; length];
    reader.read_exact(&mut sent).unwrap();
    let length = body.len();
    write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .unwrap();
    Asked { line: head.remove(0), headers: head, body: serde_json::from_slice(&sent).unwrap_or(Value::Null) }
}

fn surroundings(variables: &[(&str, &str)]) -> Surroundings {
    Surroundings {
        environment: variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        // A directory that is not there: nobody's credentials are found in it.
        directory: "/nonexistent".into(),
        cores: 1,
    }
}

async fn run(words: &[&str], surroundings: &Surroundings) -> Result<String, AskError> {
    let words = std::iter::once("gateward").chain(words.iter().copied());
    let understood = arguments::parse(words.map(Into::into), surroundings).unwrap();
    match understood.command {
        Command::Auth(auth) => super::auth(&auth, surroundings).await,
        Command::Ask(ask) => super::ask(&ask, surroundings).await.map(|told| told.result),
        other => panic!("{other:?} asks no gateway"),
    }
}

/// Runs `words` with a token against a server that says `answer`. Returns what it was asked, and what was printed.
async fn asked_for(words: &[&str], answer: &str) -> (Asked, String) {
    let server = Server::answering(&[(200, answer)]);
    let with_token = [words, &["--token", "t-123", "-u", &server.url]].concat();
    let printed = run(&with_token, &surroundings(&[])).await.unwrap();
    let mut asked = server.asked.join().unwrap();
    (asked.remove(0), printed)
}

#[tokio::test]
async fn a_login_is_the_body_that_the_vendors_clients_send() {
    let server = Server::answering(&[(200, r#"{"token":"t-9"}"#)]);
    let words = ["auth", "--access-id", "p-1", "--access-key", "k", "-u", &server.url];
    let printed = run(&words, &surroundings(&[])).await.unwrap();
    assert_eq!(printed, "t-9");
    let asked = server.asked.join().unwrap().remove(0);
    assert_eq!(asked.line, "POST /api/v2/auth HTTP/1.1");
    assert!(asked.headers.contains(&"content-type: application/json".to_owned()));
    let annex = json!({
        "access-id": "p-1", "access-key": "k", "access-type": "access_key", "azure-cloud": "AzureCloud",
        "gcp-audience": "akeyless.io", "json": false, "oci-auth-type": "apikey",
    });
    assert_eq!(asked.body, annex);
}

#[tokio::test]
async fn a_creation_is_the_body_that_the_vendors_clients_send() {
    let words = [
        "dynamic-secret",
        "create",
        "custom",
        "-n",
        "/x",
        "--create-sync-url",
        "http://c",
        "--revoke-sync-url",
        "http://r",
        "--payload",
        "p",
        "-t",
        "a",
    ];
    let (asked, printed) = asked_for(&words, r#"{"dynamic_secret_details":{}}"#).await;
    assert_eq!(asked.line, "POST /api/v2/dynamic-secret-create-custom HTTP/1.1");
    let annex = json!({
        "create-sync-url": "http://c", "enable-admin-rotation": false, "json": false, "name": "/x", "payload": "p",
        "revoke-sync-url": "http://r", "tags": ["a"], "timeout-sec": 60, "token": "t-123", "user-ttl": "60m",
    });
    assert_eq!(asked.body, annex);
    assert_eq!(printed, "The dynamic secret /x was created.");
}

#[tokio::test]
async fn a_creation_sends_everything_that_was_said() {
    let words = [
        "dynamic-secret",
        "create",
        "-n",
        "/x",
        "--create-sync-url",
        "http://h/c:81",
        "--revoke-sync-url",
        "http://r",
        "--rotate-sync-url",
        "http://o",
        "--timeout-sec",
        "5",
        "--user-ttl",
        "90s",
        "--description",
        "d",
        "--delete-protection",
        "true",
        "--producer-encryption-key-name",
        "k",
        "--enable_admin_rotation",
        "--admin_rotation_interval_days",
        "7",
        "--json",
    ];
    let (asked, printed) = asked_for(&words, r#"{"dynamic_secret_details":{"id":1}}"#).await;
    let all = json!({
        "create-sync-url": "http://h:81/c", "enable-admin-rotation": true, "json": false, "name": "/x",
        "revoke-sync-url": "http://r", "rotate-sync-url": "http://o", "timeout-sec": 5, "token": "t-123",
        "user-ttl": "90s", "description": "d", "delete_protection": "true", "producer-encryption-key-name": "k",
        "admin-rotation-interval-days": 7,
    });
    assert_eq!(asked.body, all);
    assert_eq!(printed, r#"{"dynamic_secret_details":{"id":1}}"#);
}

#[tokio::test]
async fn a_credential_is_asked_for_as_the_vendors_clients_do_and_printed_as_it_came() {
    let answer = r#"{"user":"u","n":123456789012345678901234567890}"#;
    let words = ["get-dynamic-secret-value", "-n", "/x", "--args", "a=b", "--args", "{\"c\":1}"];
    let (asked, printed) = asked_for(&words, answer).await;
    assert_eq!(asked.line, "POST /api/v2/get-dynamic-secret-value HTTP/1.1");
    let annex =
        json!({"args": ["a=b", "{\"c\":1}"], "json": false, "name": "/x", "timeout": 15, "token": "t-123"});
    assert_eq!(asked.body, annex);
    assert_eq!(printed, "{\n  \"user\": \"u\",\n  \"n\": 123456789012345678901234567890\n}");

    let words = [
        "dynamic-secret",
        "get-value",
        "--name",
        "/x",
        "--timeout",
        "3",
        "--host",
        "h",
        "--target",
        "g",
        "--json",
    ];
    let (asked, printed) = asked_for(&words, answer).await;
    let all =
        json!({"json": false, "name": "/x", "timeout": 3, "token": "t-123", "host": "h", "target": "g"});
    assert_eq!(asked.body, all);
    assert_eq!(printed, answer);
}

#[tokio::test]
async fn credentials_are_listed_and_revoked_as_the_vendors_clients_do() {
    let (asked, printed) = asked_for(&["dynamic-secret", "tmp-creds", "get", "-n", "/x"], "[]").await;
    assert_eq!(asked.line, "POST /api/v2/dynamic-secret-tmp-creds-get HTTP/1.1");
    assert_eq!(asked.body, json!({"json": false, "name": "/x", "token": "t-123"}));
    assert_eq!(printed, "[]");

    let words = ["dynamic-secret", "tmp-creds", "delete", "-n", "/x", "--revoke-all"];
    let (asked, printed) = asked_for(&words, "{}").await;
    assert_eq!(asked.line, "POST /api/v2/dynamic-secret-tmp-creds-delete HTTP/1.1");
    let annex = json!({"json": false, "name": "/x", "revoke-all": true, "token": "t-123"});
    assert_eq!(asked.body, annex);
    assert_eq!(printed, "All credentials of /x were revoked.");

    let words =
        ["dynamic-secret", "tmp-creds", "delete", "-n", "/x", "-i", "one", "--soft-delete", "--host", "h"];
    let (asked, printed) = asked_for(&words, "{}").await;
    let all = json!({
        "json": false, "name": "/x", "tmp-creds-id": "one", "token": "t-123", "soft-delete": true, "host": "h",
    });
    assert_eq!(asked.body, all);
    assert_eq!(printed, "The credential one of /x was revoked.");
}

#[tokio::test]
async fn a_dynamic_secret_is_deleted_by_its_name() {
    let (asked, printed) =
        asked_for(&["dynamic-secret", "delete", "-n", "/x"], r#"{"dynamic_secret_name":"/x"}"#).await;
    assert_eq!(asked.line, "POST /api/v2/dynamic-secret-delete HTTP/1.1");
    assert_eq!(asked.body, json!({"json": false, "name": "/x", "token": "t-123"}));
    assert_eq!(printed, "The dynamic secret /x was deleted.");
}

#[tokio::test]
async fn without_a_token_the_administrator_of_the_environment_logs_in_first() {
    let server = Server::answering(&[(200, r#"{"token":"t-9","creds":null}"#), (200, "[]")]);
    let url = format!("{}/api/v2/", server.url);
    let surroundings = surroundings(&[
        ("GATEWARD_ADMIN_ACCESS_ID", "p-env"),
        ("GATEWARD_ADMIN_ACCESS_KEY", "key"),
        ("AKEYLESS_GATEWAY_URL", &url),
    ]);
    run(&["dynamic-secret", "tmp-creds", "get", "-n", "/x"], &surroundings).await.unwrap();
    let asked = server.asked.join().unwrap();
    assert_eq!(asked[0].line, "POST /api/v2/auth HTTP/1.1");
    assert_eq!(asked[0].body["access-id"], "p-env");
    assert_eq!(asked[1].line, "POST /api/v2/dynamic-secret-tmp-creds-get HTTP/1.1");
    assert_eq!(asked[1].body["token"], "t-9");
}

/// A directory in which `gateward dev` keeps the administrator p-kept.
fn directory_of_dev() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let file = crate::settings::AdminFile::within(&directory.path().join(".gateward"));
    let kept = || crate::settings::Kept {
        access_id: "p-kept".parse().unwrap(),
        access_key: "canary-key".into(),
        apisix_admin_key: "a".into(),
    };
    file.read_or_create(kept).unwrap();
    directory
}

#[tokio::test]
async fn the_administrator_that_dev_keeps_is_shown_to_nobody_on_another_machine() {
    let (directory, home) = (directory_of_dev(), tempfile::tempdir().unwrap());
    let mut surroundings = surroundings(&[("HOME", home.path().to_str().unwrap())]);
    surroundings.directory = directory.path().to_owned();
    for words in [&["auth"][..], &["list-items"], &["gateway-get-config"]] {
        let error =
            run(&[words, &["-u", "http://192.0.2.1:7998"]].concat(), &surroundings).await.unwrap_err();
        let told = error.to_string();
        let says = ["admin.json", "this machine", "http://192.0.2.1:7998", "GATEWARD_TOKEN"];
        assert!(says.iter().all(|word| told.contains(word)) && !told.contains("canary"), "{words:?}: {told}");
    }
    // Who may be shown there is found all the same.
    let words = ["gateward", "configure", "--access-id", "p-mine", "--access-key", "k"];
    let Command::Configure(said) = arguments::parse(words.map(Into::into), &surroundings).unwrap().command
    else {
        panic!("it is configure")
    };
    super::configure(&said, &surroundings).unwrap();
    for (url, who) in [("http://192.0.2.1:7998", "p-mine"), ("http://localhost:8000", "p-kept")] {
        let login = super::credentials::find_login(None, &url.parse().unwrap(), &surroundings).unwrap();
        assert_eq!(login.access_id, who, "{url}");
    }
}

#[tokio::test]
async fn the_administrator_that_dev_keeps_logs_in_when_nobody_else_does() {
    let directory = directory_of_dev();
    let server = Server::answering(&[(200, r#"{"token":"t-9"}"#)]);
    let mut surroundings = surroundings(&[]);
    surroundings.directory = directory.path().to_owned();
    let printed = run(&["auth", "--json", "-u", &server.url], &surroundings).await;
    assert_eq!(printed.unwrap(), r#"{"token":"t-9"}"#);
    let asked = server.asked.join().unwrap().remove(0);
    assert_eq!(asked.body["access-id"], "p-kept");
}

#[tokio::test]
async fn a_token_wins_over_every_other_credential() {
    let both = [
        ("GATEWARD_TOKEN", "t-env"),
        ("GATEWARD_ADMIN_ACCESS_ID", "p-env"),
        ("GATEWARD_ADMIN_ACCESS_KEY", "key"),
    ];
    for (words, token) in [(vec![], "t-env"), (vec!["--token", "t-flag"], "t-flag")] {
        let server = Server::answering(&[(200, "[]")]);
        let words =
            [&["dynamic-secret", "tmp-creds", "get", "-n", "/x", "-u", &server.url], &words[..]].concat();
        run(&words, &surroundings(&both)).await.unwrap();
        assert_eq!(server.asked.join().unwrap()[0].body["token"], token);
    }
}

#[tokio::test]
async fn without_credentials_a_sentence_says_where_to_get_some() {
    let error = run(&["auth"], &surroundings(&[])).await.unwrap_err().to_string();
    assert!(error.contains("gateward dev") && error.contains("GATEWARD_TOKEN"), "{error}");
    let half = surroundings(&[("GATEWARD_ADMIN_ACCESS_KEY", "canary")]);
    let error = run(&["auth"], &half).await.unwrap_err().to_string();
    assert!(error.contains("GATEWARD_ADMIN_ACCESS_ID") && !error.contains("canary"), "{error}");
}

#[tokio::test]
async fn what_the_gateway_refuses_is_told_in_its_own_words() {
    for status in [400, 401, 404, 502] {
        let server = Server::answering(&[(status, r#"{"error":"there is no such item"}"#)]);
        let words = ["get-dynamic-secret-value", "-n", "/x", "--token", "t", "-u", &server.url];
        let error = run(&words, &surroundings(&[])).await.unwrap_err();
        assert_eq!(error.to_string(), "there is no such item", "{status}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_the_gateways_is_said_to_be_of_the_wrong_port() {
    for (status, body) in
        [(200, "<html>"), (200, ""), (404, r#"{"error_msg":"404 Route Not Found"}"#), (502, "bad gateway")]
    {
        let server = Server::answering(&[(status, body)]);
        let words = ["get-dynamic-secret-value", "-n", "/x", "--token", "t", "-u", &server.url];
        let error = run(&words, &surroundings(&[])).await.unwrap_err().to_string();
        assert!(error.contains(&server.url) && error.contains("wrong port"), "{error}");
    }
    // A login that gives no token is none.
    let server = Server::answering(&[(200, "{}")]);
    let words = ["auth", "--access-id", "p-1", "--access-key", "k", "-u", &server.url];
    let error = run(&words, &surroundings(&[])).await.unwrap_err();
    assert!(matches!(error, AskError::NotTheGateway { status: 200, .. }), "{error}");
}

#[tokio::test]
async fn a_gateway_that_is_not_running_is_said_to_be_so() {
    let url = format!("http://{}", gateward_testkit::nobody());
    let words = ["get-dynamic-secret-value", "-n", "/x", "--token", "t", "-u", &url];
    let error = run(&words, &surroundings(&[])).await.unwrap_err().to_string();
    let expected = format!("nobody answers at {url}: is the gateway running? start it with `gateward dev`");
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_gateway_that_speaks_no_tls_is_said_to_want_http() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let _server = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream.read_exact(&mut [0; 5]).unwrap();
        write!(stream, "HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        // It closes when the client does: an end of the connection would say less.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let words = ["get-dynamic-secret-value", "-n", "/x", "--token", "t", "-u", &url];
    let error = run(&words, &surroundings(&[])).await.unwrap_err().to_string();
    assert!(error.contains(&url) && error.contains("write http://"), "{error}");
}

#[tokio::test]
async fn an_address_in_the_environment_that_is_none_is_named() {
    let wrong = surroundings(&[("GATEWARD_GATEWAY_URL", "localhost:8000")]);
    let error = run(&["auth"], &wrong).await.unwrap_err();
    assert_eq!(error.to_string(), "GATEWARD_GATEWAY_URL");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("http://localhost:8000"));
}

#[tokio::test]
async fn a_vaults_settings_are_asked_for_with_a_token_in_the_header() {
    let entity = json!({
        "id": "1", "prefix": "my-env", "name": "env", "description": null, "config": {"prefix": "SECRETS_"},
        "tags": null, "created_at": 1, "updated_at": 1,
    });
    let server = Server::answering(&[(200, &entity.to_string())]);
    let url = format!("{}/v2", server.url);
    let surroundings = surroundings(&[
        ("GATEWARD_TOKEN", "t-9"),
        ("SECRETS_FOO", "the value"),
        ("GATEWARD_GATEWAY_URL", &url),
    ]);
    let words = ["gateward", "vault", "get", "{vault://my-env/foo}"];
    let understood = arguments::parse(words.map(Into::into), &surroundings).unwrap();
    let Command::VaultGet(get) = understood.command else {
        panic!("another command");
    };
    let value = crate::vault_get::vault_get(&get, &surroundings).await.unwrap();
    assert_eq!(value.expose(), "the value");
    let asked = server.asked.join().unwrap().remove(0);
    assert_eq!(asked.line, "GET /vaults/my-env HTTP/1.1");
    assert!(asked.headers.contains(&"authorization: Bearer t-9".to_owned()), "{asked:?}");
}

#[tokio::test]
async fn a_vault_that_the_gateway_does_not_know_is_named() {
    let server = Server::answering(&[(404, r#"{"message":"Not found"}"#)]);
    let surroundings = surroundings(&[("GATEWARD_TOKEN", "t-9"), ("GATEWARD_GATEWAY_URL", &server.url)]);
    let get = arguments::VaultGet {
        reference: "nobodys/foo".to_owned(),
        json: false,
        connection: arguments::Connection::default(),
    };
    let error = crate::vault_get::vault_get(&get, &surroundings).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.starts_with("nobodys is no backend"), "{cause}");
    let server = Server::answering(&[(404, r#"{"message":"Not found"}"#)]);
    let surroundings =
        self::surroundings(&[("GATEWARD_TOKEN", "t-9"), ("GATEWARD_GATEWAY_URL", &server.url)]);
    let test = arguments::VaultTest {
        reference: "nobodys/foo".to_owned(),
        json: false,
        connection: arguments::Connection::default(),
    };
    let error = crate::vault_get::vault_test(&test, &surroundings).await.unwrap_err().to_string();
    assert!(error.starts_with("nobodys is no backend"), "{error}");
}

#[tokio::test]
async fn a_vault_whose_secrets_are_hidden_is_left_to_its_gateway() {
    let entity = json!({
        "id": "1", "prefix": "team", "name": "hidden", "config": {}, "created_at": 1, "updated_at": 1,
    });
    let server = Server::answering(&[(200, &entity.to_string()), (200, r#"{"value":"the value"}"#)]);
    let surroundings = surroundings(&[("GATEWARD_TOKEN", "t-9"), ("GATEWARD_GATEWAY_URL", &server.url)]);
    let mut get = arguments::VaultGet {
        reference: "team/foo".to_owned(),
        json: true,
        connection: arguments::Connection::default(),
    };
    // A backend that this command does not know opens nothing.
    assert!(crate::vault_get::vault_get(&get, &surroundings).await.is_err());
    get.connection.at.gateway_url = Some(server.url.parse().unwrap());
    let told = crate::vault_get::vault_get(&get, &surroundings).await.unwrap();
    assert_eq!(told.expose(), r#"{"reference":"{vault://team/foo}","value":"the value"}"#);
    let asked = server.asked.join().unwrap().remove(1);
    assert_eq!(asked.line, "POST /v1/references/value HTTP/1.1");
    assert_eq!(asked.body, json!({"reference": "{vault://team/foo}"}));
}
