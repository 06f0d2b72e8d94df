//! Whom the deployment trusts: the administrator of AWS, entries of allowed access, customer fragments.

use super::*;

#[test]
fn an_administrator_whom_aws_knows_has_no_key_and_others_are_allowed_something() {
    let allowed = r#"[{"name": "", "p-other": "", "permissions": ["admin"]}]"#;
    let aws = [
        ("GATEWARD_ADMIN_ACCESS_ID", "p-admin"),
        ("GATEWARD_ADMIN_ACCESS_ID_TYPE", "aws_iam"),
        ("GATEWARD_ADMIN_BOUND_AWS_ACCOUNTS", "123456789012"),
    ];
    let place = place().with(&aws);
    let error = place.refused(Mode::Serve, &[]);
    assert!(error.contains("set allowed_access_permissions"), "{error}");
    let settings = place.decide(Mode::Serve, &["--allowed-access-permissions", allowed]).unwrap();
    assert_eq!(settings.admin.access_key(), None);
    assert_eq!(settings.allowed[0].access_id.as_str(), "p-other");
    let error = place.refused(Mode::Serve, &["--admin-access-key", "canary"]);
    assert!(error.contains("drop the key"), "{error}");
    let error = super::place().with_admin().refused(Mode::Serve, &["--admin-bound-arns", "a"]);
    assert!(error.contains("set the type to aws_iam"), "{error}");
    let error = super::place().with_admin().refused(Mode::Serve, &["--allowed-access-permissions", "{"]);
    assert!(error.contains("allowed_access_permissions: allowed access permissions are JSON"), "{error}");
}

#[test]
fn an_administrator_of_aws_without_bounds_that_name_an_account_stops_the_start() {
    let allowed = r#"[{"name": "", "access_id": "p-other", "permissions": ["admin"]}]"#;
    let aws = [
        ("GATEWARD_ADMIN_ACCESS_ID", "p-admin"),
        ("GATEWARD_ADMIN_ACCESS_ID_TYPE", "aws_iam"),
        ("GATEWARD_ALLOWED_ACCESS_PERMISSIONS", allowed),
    ];
    for mode in [Mode::Serve, Mode::Lambda] {
        let place = place().with(&aws).with(&[("GATEWARD_ROOT_KEY", &"11".repeat(32))]);
        let cases = [
            (&[][..], "set admin_bound_arns"),
            (&["--admin-bound-arns", "*"], "names its account"),
            (&["--admin-bound-arns", "arn:aws:iam::*:user/ann"], "names its account"),
            (&["--admin-bound-aws-accounts", "1234"], "12 digits"),
        ];
        for (arguments, says) in cases {
            let error = place.refused(mode, arguments);
            assert!(error.contains(says), "{arguments:?}: {error}");
        }
        place.decide(mode, &["--admin-bound-arns", "arn:aws:iam::123456789012:user/ann"]).unwrap();
        let error = place
            .refused(mode, &["--admin-bound-aws-accounts", "123456789012", "--aws-iam-server-id", "a b"]);
        assert!(error.contains("aws_iam_server_id"), "{error}");
    }
}

#[test]
fn customer_fragments_come_from_a_variable_of_either_name_from_the_file_and_from_a_file_of_their_own() {
    let value = "Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2E=";
    let json = format!(r#"{{"customer_fragments": [{{"id": "cf-a", "value": "{value}"}}]}}"#);
    let ids = |settings: &Settings| {
        settings.fragments.iter().map(|fragment| fragment.id().to_string()).collect::<Vec<_>>()
    };
    for name in ["GATEWARD_CUSTOMER_FRAGMENTS", "CUSTOMER_FRAGMENTS"] {
        let settings = place().with_admin().with(&[(name, &json)]).decide(Mode::Serve, &[]).unwrap();
        assert_eq!(ids(&settings), ["cf-a"]);
        assert!(!format!("{settings:?}").contains(value));
    }
    let yaml =
        format!("customer_fragments:\n  - id: cf-a\n    value: {value}\ndefault_customer_fragment: cf-a\n");
    let settings = place().with_admin().with_file(&yaml).decide(Mode::Serve, &[]).unwrap();
    assert_eq!(ids(&settings), ["cf-a"]);
    let place = place().with_admin();
    let path = place.directory.path().join("fragments.json");
    fs::write(&path, &json).unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(ids(&place.decide(Mode::Serve, &["--customer-fragments-file", path]).unwrap()), ["cf-a"]);
    let referred =
        place.with(&[("FRAGMENTS", &json), ("GATEWARD_CUSTOMER_FRAGMENTS", "{vault://env/fragments}")]);
    assert_eq!(ids(&referred.decide(Mode::Serve, &[]).unwrap()), ["cf-a"]);
    let error = referred.refused(Mode::Serve, &["--default-customer-fragment", "cf-b"]);
    assert!(error.contains("cf-b is none of those"), "{error}");
    let error = super::place().with_admin().refused(Mode::Serve, &["--customer-fragments", "canary"]);
    assert!(error.contains("customer_fragments: customer fragments are JSON"), "{error}");
    let error = super::place().with_admin().refused(Mode::Serve, &["--customer-fragments-file", "/nowhere"]);
    assert!(error.contains("customer_fragments_file: /nowhere cannot be read"), "{error}");
}

#[test]
fn what_producers_are_shown_is_a_certificate_with_its_key_or_the_start_stops() {
    let cases = [
        (&["--producers-client-cert", "-----BEGIN X-----"][..], "producers_client_key is not set"),
        (&["--producers-client-key", "-----BEGIN canary-----"], "producers_client_cert is not set"),
        (&["--producers-ca", "/nonexistent/ca.pem"], "producers_ca: it is neither PEM nor a file"),
        (&["--producers-ca", "-----BEGIN CERTIFICATE-----\ncanary"], "the peer's own CA cannot be used"),
        (
            &[
                "--producers-client-cert",
                "-----BEGIN X-----",
                "--producers-client-key",
                "-----BEGIN canary-----",
            ],
            "the client certificate",
        ),
    ];
    for (arguments, says) in cases {
        let error = place().with_admin().refused(Mode::Serve, arguments);
        assert!(error.contains(says), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
    assert!(place().with_admin().decide(Mode::Serve, &[]).unwrap().producers_tls.is_none());
}
