use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::vault::Referred;

fn checked(config: &Value) -> Result<(), String> {
    let (environment, nothing) = (BTreeMap::new(), Referred::new());
    let settings = Settings {
        kind: KIND.name,
        config: config.as_object().unwrap(),
        environment: &environment,
        referred: &nothing,
    };
    let checked = settings.check(&KIND).and_then(|()| check(&settings));
    checked.map_err(|invalid| invalid.to_string().replace("property ", "").replace('"', ""))
}

#[test]
fn each_wrong_setting_has_its_own_sentence() {
    for (config, words) in [
        (
            json!({"auth_method": "gcp_iam"}),
            "auth_method: the login gcp_iam is not offered; use one of: token",
        ),
        (json!({"auth_method": "gcp_gce"}), "gcp_gce is not offered"),
        (json!({"auth_method": "azure"}), "azure is not offered"),
        (json!({"auth_method": "aws_ec2"}), "aws_ec2 is not offered"),
        (json!({"auth_method": "aws_iam"}), "aws_iam is not offered"),
        (
            json!({"auth_method": "ldap"}),
            "auth_method: expected one of: token, kubernetes, approle, cert, jwt",
        ),
        (json!({"protocol": "ftp"}), "protocol: expected one of: http, https"),
        (json!({"kv": "v3"}), "kv: expected one of: v1, v2"),
        (json!({"port": 0}), "port: value should be between 1 and 65535"),
        (json!({"host": "https://vault.example"}), "host: invalid value: a name or an address alone"),
        (json!({"host": "vault.example:8200"}), "host: invalid value"),
        (json!({"host": "user@vault.example"}), "host: invalid value"),
        (json!({"mount": "a//b"}), "mount: invalid value"),
        (json!({"mount": "../sys"}), "mount: invalid value"),
        (json!({"kube_auth_path": "a/.."}), "kube_auth_path: invalid value"),
        (json!({"namespace": "a\nb"}), "namespace: invalid value"),
        (
            json!({"oauth2_token_endpoint": "http://idp.example/token"}),
            "oauth2_token_endpoint: https is needed",
        ),
        (
            json!({"approle_secret_id": "canary", "approle_secret_id_file": "/run/secret-id"}),
            "approle_secret_id_file: the secret id is set, and a file for it too",
        ),
        (json!({"cert_auth_cert": "canary", "cert_auth_cert_key": "canary"}), "cert_auth_cert: "),
        (json!({"ssl_verify": "perhaps"}), "ssl_verify: expected a boolean"),
    ] {
        let problem = checked(&config).unwrap_err();
        assert!(problem.contains(words), "{config}: {problem}");
        assert!(!problem.contains("canary"), "{problem}");
    }
}

#[test]
fn what_kong_takes_is_taken() {
    for config in [
        json!({}),
        json!({"protocol": "https", "host": "vault.example", "port": 443, "mount": "/team/kv/", "kv": "v2"}),
        json!({"host": "::1"}),
        json!({"host": "[::1]", "port": 8200, "ssl_verify": false}),
        json!({"auth_method": "oauth2", "oauth2_token_endpoint": "https://idp.example/oauth/token"}),
    ] {
        assert_eq!(checked(&config), Ok(()), "{config}");
    }
}

#[test]
fn the_environments_secrets_go_nowhere_but_where_the_environment_says() {
    let environment: BTreeMap<String, String> =
        [("GATEWARD_VAULT_HCV_TOKEN".to_owned(), "canary".to_owned())].into();
    let nothing = Referred::new();
    let token = |config: Value| {
        let settings = Settings {
            kind: KIND.name,
            config: config.as_object().unwrap(),
            environment: &environment,
            referred: &nothing,
        };
        settings
            .secret_for("token", &["protocol", "host", "port"])
            .map_err(|invalid| invalid.to_string().replace("property ", "").replace('"', ""))
    };
    assert!(token(json!({})).unwrap().is_some());
    assert!(token(json!({"host": "evil.example", "token": "its own"})).unwrap().is_some());
    for stranger in [json!({"host": "evil.example"}), json!({"port": 81}), json!({"protocol": "http"})] {
        let problem = token(stranger).unwrap_err();
        assert!(problem.starts_with("token: the environment's own is sent only"), "{problem}");
        assert!(!problem.contains("canary"));
    }
}

#[test]
fn a_name_stays_below_its_mount() {
    assert_eq!(path_of("team/db pass+word%2F?#é").as_deref(), Ok("team/db%20pass%2Bword%252F%3F%23%C3%A9"));
    for name in ["", "..", "a/../b", "./a", "/a", "a//b", "a/"] {
        assert_eq!(path_of(name).unwrap_err().kind, MissKind::NotFound, "{name:?}");
    }
}
