//! The binary as a script sees it: exit codes, and nothing on stdout but results.

use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::gateway::{self, Gateway};
use crate::plot::Plot;

const GATEWARD: &str = env!("CARGO_BIN_EXE_gateward");

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `program` in `directory` with `variables` and no others.
fn run(program: &Path, directory: &Path, variables: &[(&str, &str)], words: &[&str]) -> Ran {
    let output = Command::new(program)
        .args(words)
        .current_dir(directory)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .expect("the binary runs");
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

#[test]
fn a_value_is_all_that_stdout_gets_and_a_failure_leaves_it_empty() {
    let directory = tempfile::tempdir().expect("a directory");
    let variables = [("DB_PASSWORD", "the value")];
    let get =
        |reference: &str| run(GATEWARD.as_ref(), directory.path(), &variables, &["vault", "get", reference]);
    for reference in ["{vault://env/db-password}", "env/db-password"] {
        let found = get(reference);
        assert_eq!((found.code, found.stdout.as_str(), found.stderr.as_str()), (Some(0), "the value\n", ""));
    }
    for (reference, code) in
        [("env/absent", 1), ("nobodys/secret", 1), ("{vault://env}", 2), ("", 2), ("env", 2)]
    {
        let failed = get(reference);
        assert_eq!((failed.code, failed.stdout.as_str()), (Some(code), ""), "{reference}");
        assert!(failed.stderr.starts_with("Error: "), "{}", failed.stderr);
    }
}

#[test]
fn a_secret_comes_through_a_pipe_and_stands_in_no_flag() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut configure = Command::new(GATEWARD)
        .args(["configure", "--profile", "work", "--access-id", "p-1", "--access-key-file", "-"])
        .current_dir(directory.path())
        .env_clear()
        .env("HOME", directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    configure.stdin.take().expect("a pipe").write_all(b"the-key\n").expect("it is read");
    let output = configure.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    let kept = directory.path().join(".gateward/profiles/work.json");
    let kept: Value = serde_json::from_slice(&std::fs::read(kept).expect("a profile")).expect("JSON");
    assert_eq!(kept["access_key"], "the-key");
}

#[test]
fn certificates_that_cannot_be_used_are_told_with_their_setting_and_their_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("no.pem");
    std::fs::write(&file, "canary").expect("a file");
    let words = ["dev", "--tls-ca", file.to_str().expect("text"), "--control-listen", "127.0.0.1:0"];
    let words = [&words[..], &["--proxy-listen", "127.0.0.1:0"]].concat();
    let ran = run(GATEWARD.as_ref(), directory.path(), &[], &words);
    let says = format!("tls_ca: {}: the CA certificates hold no CERTIFICATE section", file.display());
    assert!(ran.code == Some(1) && ran.stderr.contains(&says), "{}", ran.stderr);
    assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
}

#[test]
fn wrong_usage_is_2_and_help_is_0() {
    let directory = tempfile::tempdir().expect("a directory");
    for (words, code) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["help"], 0),
        (&["help", "vault", "get"], 0),
        (&[], 2),
        (&["fly"], 2),
        (&["vault", "get"], 2),
        (&["serve"], 1),
    ] {
        let ran = run(GATEWARD.as_ref(), directory.path(), &[], words);
        assert_eq!(ran.code, Some(code), "{words:?}");
        assert_eq!(ran.stdout.is_empty(), code != 0, "{words:?}");
        assert_eq!(ran.stderr.is_empty(), code == 0, "{words:?}");
    }
}

#[test]
fn it_is_akeyless_when_it_is_called_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let akeyless = directory.path().join("akeyless");
    symlink(GATEWARD, &akeyless).expect("a link");
    let help = run(&akeyless, directory.path(), &[], &["dynamic-secret", "create", "--help"]);
    assert_eq!(help.code, Some(0));
    assert!(help.stdout.contains("Usage: akeyless dynamic-secret create"), "{}", help.stdout);
}

#[test]
fn a_secret_is_kept_found_replaced_and_deleted_by_commands_alone() {
    let plot = Plot::new();
    let gateway = Gateway::start(&plot, &[]);
    // What is printed on purpose is not heard by the plot: there the value is the result.
    let said = |words: &[&str]| {
        let mut command = gateway::command(&plot, GATEWARD);
        let output = command.args(words).args(["-u", &gateway.control]).output().expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    };
    let (one, two) = (plot.plant("one"), plot.plant("two"));
    let created = said(&["create-secret", "-n", "/db/password", "--value", &one, "-t", "prod"]);
    assert_eq!((created.code, created.stdout.as_str()), (Some(0), "The secret /db/password was created.\n"));
    let value = |more: &[&str]| said(&[&["get-secret-value", "-n", "db/password"], more].concat()).stdout;
    assert_eq!(value(&[]), format!("{one}\n"));
    assert_eq!(said(&["update-secret-val", "-n", "/db/password", "--value", &two]).code, Some(0));
    assert_eq!((value(&[]), value(&["--version", "1"])), (format!("{two}\n"), format!("{one}\n")));
    assert_eq!(said(&["rollback-secret", "-n", "/db/password", "--old-version", "1"]).code, Some(0));
    assert_eq!(value(&[]), format!("{one}\n"));
    for words in [&["list-items", "--path", "/db", "--json"][..], &["describe-item", "-n", "/db/password"]] {
        let told = said(words);
        assert!(told.stdout.contains("/db/password") && !told.stdout.contains(&one), "{}", told.stdout);
        assert!(serde_json::from_str::<Value>(&told.stdout).is_ok(), "{}", told.stdout);
        plot.hear("what a list says", told.stdout);
    }
    let moved = said(&["update-item", "-n", "/db/password", "--new-name", "/db/main", "--rm-tag", "prod"]);
    assert_eq!(moved.code, Some(0), "{}", moved.stderr);
    assert_eq!(said(&["get-tags", "-n", "/db/main"]).stdout, "\n");
    let gone = said(&["get-secret-value", "-n", "/db/password"]);
    assert_eq!((gone.code, gone.stdout.as_str()), (Some(1), ""));
    assert!(gone.stderr.contains("item /db/password does not exist"), "{}", gone.stderr);
    assert_eq!(said(&["delete-item", "-n", "/db/main"]).code, Some(0));
    let listed: Value = serde_json::from_str(&said(&["list-items", "--json"]).stdout).expect("a list");
    assert!(listed["items"].as_array().is_some_and(Vec::is_empty), "{listed}");
    drop(gateway);
    plot.end();
}
