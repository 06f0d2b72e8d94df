//! Slips on the command line: what is told, and of which command; and secrets that stand in files.

use std::fs;

use super::*;

const AWS: [&str; 6] = ["gateward", "dynamic-secret", "update", "aws", "-n", "/x"];

fn body(words: &[&str]) -> serde_json::Map<String, serde_json::Value> {
    match said(words).unwrap().command {
        Command::Ask(Ask::One(call)) => call.body().0,
        other => panic!("not one call: {other:?}"),
    }
}

fn refused(words: &[&str]) -> String {
    let stop = said(words).unwrap_err();
    assert!(!stop.is_result, "{words:?}: {}", stop.text);
    stop.text
}

#[test]
fn what_is_wrong_is_told_with_the_usage_of_the_command_that_was_meant() {
    for (words, usage) in [
        (&["auth", "--access-id", "p-1"][..], "Usage: gateward auth"),
        (&["configure", "--access-id", "p-1"], "Usage: gateward configure"),
        (
            &[
                &["dynamic-secret", "create", "-n", "/x"][..],
                &URLS,
                &["--revoke-sync-url", "http://h/2"],
                &["--revoke-sync-url", "http://h/2"],
            ]
            .concat(),
            "Usage: gateward dynamic-secret create",
        ),
        (
            &["gateway-update-allowed-access", "-n", "a", "-s", "group=x", "-s", "group=y"],
            "Usage: gateward gateway-update-allowed-access",
        ),
    ] {
        let text = refused(&[&["gateward"], words].concat());
        assert!(text.contains(usage), "{words:?}: {text}");
    }
}

#[test]
fn help_is_a_command_too() {
    for words in [&["gateward", "help"][..], &["gateward", "help", "vault", "get"]] {
        let stop = said(words).unwrap_err();
        assert!(stop.is_result && stop.text.contains("Usage: gateward"), "{}", stop.text);
    }
    refused(&["gateward", "help", "fly"]);
}

#[test]
fn what_is_not_said_of_something_that_stands_has_no_default() {
    for words in [
        &["dynamic-secret", "update"][..],
        &["dynamic-secret", "update", "postgresql"],
        &["dynamic-secret", "update", "aws"],
        &["rotated-secret", "update"],
        &["target", "update"],
    ] {
        let help = said(&[&["gateward"], words, &["--help"]].concat()).unwrap_err().text;
        let told: Vec<_> = help.lines().filter(|line| line.contains("[default:")).collect();
        assert!(told.iter().all(|line| line.contains("GATEWARD_GATEWAY_URL")), "{words:?}: {told:?}");
    }
}

#[test]
fn a_rotation_is_switched_by_the_flag_alone_or_with_its_value() {
    for (said, on) in [(&[][..], None), (&["--enable_admin_rotation"], Some(true))] {
        let (create, _) =
            created(&[&["gateward", "dynamic-secret", "create", "-n", "/x"], &URLS[..], said].concat());
        assert_eq!(create.akeyless.enable_admin_rotation, on);
    }
    let off = ["--enable-admin-rotation", "false"];
    let (create, _) =
        created(&[&["gateward", "dynamic-secret", "create", "-n", "/x"], &URLS[..], &off].concat());
    assert_eq!(create.akeyless.enable_admin_rotation, Some(false));
}

#[test]
fn a_secret_comes_out_of_a_file_and_one_line_feed_at_its_end_is_not_part_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    let path = file.to_str().unwrap();
    for (content, secret) in
        [("s3cret", "s3cret"), ("a\nb\n", "a\nb"), ("a\r\n", "a"), ("a\n\n", "a\n"), ("-x", "-x")]
    {
        fs::write(&file, content).unwrap();
        for (words, field) in [
            (&["create-secret", "-n", "/x", "--value-file", path][..], "value"),
            (&["update-secret-val", "-n", "/x", "--value-file", path], "value"),
            (&["dynamic-secret", "update", "-n", "/x", "--payload-file", path], "payload"),
            (
                &[
                    "rotated-secret",
                    "create",
                    "-n",
                    "/x",
                    "--target-name",
                    "/t",
                    "--custom-payload-file",
                    path,
                ],
                "custom-payload",
            ),
            (&["rotated-secret", "update", "-n", "/x", "--custom-payload-file", path], "custom-payload"),
            (
                &["dynamic-secret", "create", "postgresql", "-n", "/x", "--postgresql-password-file", path],
                "postgresql-password",
            ),
        ] {
            assert_eq!(body(&[&["gateward"], words].concat())[field], secret, "{words:?}");
        }
        let key = body(&[&AWS[..], &["--aws-access-secret-key-file", path]].concat());
        assert_eq!(key["aws-access-secret-key"], secret);
        let create =
            [&["gateward", "dynamic-secret", "create", "-n", "/x", "--payload-file", path], &URLS[..]];
        assert_eq!(created(&create.concat()).0.payload.unwrap().expose(), secret);
        let login =
            said(&["gateward", "auth", "--access-id", "p-1", "--access-key-file", path]).unwrap().command;
        assert!(matches!(login, Command::Auth(auth) if auth.access_key.expose() == Some(secret)));
    }
}

#[test]
fn a_value_is_never_taken_for_a_file_and_a_file_that_cannot_be_read_is_told() {
    for value in ["@/etc/hostname", "-", "--value-file", "file:///etc/hostname"] {
        assert_eq!(body(&["gateward", "create-secret", "-n", "/x", "--value", value])["value"], value);
    }
    let directory = tempfile::tempdir().unwrap();
    let nothing = directory.path().join("nothing");
    let path = nothing.to_str().unwrap();
    let text = refused(&["gateward", "create-secret", "-n", "/x", "--value-file", path]);
    assert!(text.contains("--value-file: ") && text.contains("cannot be read"), "{text}");
    fs::write(&nothing, [0xff, 0xfe]).unwrap();
    assert!(refused(&["gateward", "create-secret", "-n", "/x", "--value-file", path]).contains("no text"));
    fs::write(&nothing, vec![b'a'; 1_572_865]).unwrap();
    assert!(refused(&["gateward", "create-secret", "-n", "/x", "--value-file", path]).contains("larger"));
    let both = ["gateward", "create-secret", "-n", "/x", "--value", "canary", "--value-file", path];
    let text = refused(&both);
    assert!(text.contains("cannot be used with") && !text.contains("canary"), "{text}");
    let neither = refused(&["gateward", "create-secret", "-n", "/x"]);
    assert!(neither.contains("<--value <VALUE>|--value-file <FILE>>"), "{neither}");
}

#[test]
fn who_logs_in_by_a_url_that_is_refused_is_not_repeated() {
    for words in [
        &["dynamic-secret", "create", "-n", "/x", "--create-sync-url", "http://u:canary@h/c"][..],
        &["list-items", "-u", "http://u:canary@h:x/"],
        &["list-items", "https://u:can@ary@h/c d"],
    ] {
        let text = refused(&[&["gateward"], words].concat());
        assert!(text.contains("://***@h") && !text.contains("can"), "{text}");
    }
    assert_eq!(without_passwords("'http://h/c' and http://h:1"), "'http://h/c' and http://h:1");
    assert_eq!(without_passwords("'http://u:ca'n@h/c' is none"), "'http://***@h/c' is none");
}
