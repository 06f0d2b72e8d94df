//! The binary as a script sees it: exit codes, and nothing on stdout but results.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

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
    for reference in ["env/absent", "{vault://env}", "nobodys/secret"] {
        let failed = get(reference);
        assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), ""), "{reference}");
        assert!(failed.stderr.starts_with("Error: "), "{}", failed.stderr);
    }
}

#[test]
fn wrong_usage_is_2_and_help_is_0() {
    let directory = tempfile::tempdir().expect("a directory");
    for (words, code) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
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
