//! References in settings, in each of the three places, and what vaults' own settings refer to.

use gateward_testkit::{Authority, Double, Reply};
use serde_json::json;

use super::*;

#[test]
fn references_in_settings_have_their_values_before_anything_starts() {
    let secret = [
        ("DB_KEY", "canary-key"),
        ("GATEWARD_APISIX_ADMIN_KEY", "{vault://env/db-key}-{vault://env/db-key}"),
    ];
    let settings = place().with(&secret).with_admin().decide(Mode::Serve, &[]).unwrap();
    assert!(settings.apisix_admin_key.unwrap().matches("canary-key-canary-key"));
    let file =
        "apisix_viewer_key: \"x{vault://env/db-key}\"\nproxy_listen: [\"127.0.0.1:{vault://env/port}\"]\n";
    let there = [("DB_KEY", "canary-key"), ("PORT", "1234")];
    let settings = place().with(&there).with_admin().with_file(file).decide(Mode::Serve, &[]).unwrap();
    assert!(settings.apisix_viewer_key.unwrap().matches("xcanary-key"));
    assert_eq!(settings.traffic.entrances[0].address.port(), 1234);
    for (file, problem) in [
        (
            "apisix_viewer_key: \"{vault://env/absent}\"",
            "apisix_viewer_key: {vault://env/absent} has no value",
        ),
        (
            "apisix_viewer_key: \"{vault://team/a}\"",
            "names \"team\", which is no backend; vault entities are not known",
        ),
        ("apisix_viewer_key: \"x{vault://env\"", "the reference cannot be read"),
        ("apisix_viewer_key: {vault://env/db-key}", "a reference stands in quotes"),
        ("proxy_listen: \"{vault://env/db-key}\"", "proxy_listen: addresses are an IP address"),
    ] {
        let refused = place().with(&there).with_admin().with_file(file).refused(Mode::Serve, &[]);
        assert!(refused.contains(problem) && !refused.contains("canary"), "{file}: {refused}");
    }
}

#[test]
fn the_table_of_vaults_sets_their_defaults_and_nothing_else() {
    let file = "vault:\n  aws: {region: eu-west-1, ttl: 60, endpoint_url: \"{vault://env/url}\"}\n  env:\n";
    let there = [("URL", "http://127.0.0.1:1"), ("GATEWARD_VAULT_AWS_REGION", "us-east-1")];
    let settings = place().with(&there).with_admin().with_file(file).decide(Mode::Serve, &[]).unwrap();
    let defaults = &settings.vault_defaults.0;
    assert_eq!(defaults["GATEWARD_VAULT_AWS_TTL"], "60");
    // The vault is opened with its value, and anew when that changes.
    assert_eq!(defaults["GATEWARD_VAULT_AWS_ENDPOINT_URL"], "{vault://env/url}");
    assert!(!format!("{settings:?}").contains("eu-west-1"), "what it says is not printed");
    let surroundings = Surroundings {
        environment: there.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        ..Surroundings::default()
    };
    let together = crate::own_resolver::with_defaults(&surroundings, defaults);
    assert_eq!(together["GATEWARD_VAULT_AWS_REGION"], "us-east-1", "the environment counts before the file");
    assert_eq!(together["GATEWARD_VAULT_AWS_TTL"], "60");
    for (file, problem) in [
        ("vault: {aws: {regoin: canary}}", "vault.aws.regoin: there is no such setting; there are"),
        ("vault: {was: {region: canary}}", "vault.was: there is no such setting; there are env, "),
        ("vault: canary", "vault: is a table of backends"),
        ("vault: {aws: canary}", "vault.aws: is a table of settings"),
        ("vault: {aws: {region: {a: canary}}}", "vault.aws.region: is text"),
    ] {
        let refused = place().with_admin().with_file(file).refused(Mode::Serve, &[]);
        assert!(refused.contains(problem) && !refused.contains("canary"), "{file}: {refused}");
    }
    for variable in ["GATEWARD_VAULT_AWS_REGOIN", "GATEWARD_VAULT_WAS_REGION"] {
        let refused = place().with(&[(variable, "canary")]).with_admin().refused(Mode::Serve, &[]);
        assert!(refused.contains(variable) && refused.contains("GATEWARD_VAULT_AWS_"), "{refused}");
    }
}

#[test]
fn a_flag_may_be_a_reference_and_its_text_is_never_the_setting() {
    let there =
        [("KEY", "canary-key"), ("PORT", "1234"), ("GATEWARD_APISIX_ADMIN_KEY", "of the environment")];
    let flags = [
        "--apisix-admin-key",
        "{vault://env/key}",
        "--control-listen=127.0.0.1:{vault://env/port}",
        "--log",
        "warn",
        "--drain-seconds",
        "{vault://env/port}",
    ];
    let settings = place().with(&there).with_admin().decide(Mode::Serve, &flags).unwrap();
    assert!(settings.apisix_admin_key.unwrap().matches("canary-key"));
    assert_eq!(settings.control.addresses, addresses(&["127.0.0.1:1234"]));
    assert_eq!((settings.log.as_str(), settings.drain), ("warn,audit=info", Duration::from_secs(1234)));
    for (flags, problem) in [
        (
            &["--apisix-admin-key={vault://env/absent}"][..],
            "--apisix-admin-key: {vault://env/absent} has no value",
        ),
        (
            &["--root-key", "{vault://my-vault/a}"],
            "--root-key: {vault://my-vault/a} names \"my-vault\", which is no",
        ),
        (&["--root-key", "x{vault://env"], "--root-key: the reference cannot be read"),
        (&["--data-threads", "{vault://env/key}"], "--data-threads: it is a whole number from 1 to 1024"),
    ] {
        let refused = place().with(&there).with_admin().refused(Mode::Serve, flags);
        assert!(refused.contains(problem) && !refused.contains("canary"), "{flags:?}: {refused}");
    }
    let twice = ["--root-key", "{vault://env/key}", "--root-key", "a"];
    let words = ["gateward", "serve"].iter().chain(&twice).map(Into::into);
    let stop = crate::arguments::parse(words, &Surroundings::default()).unwrap_err();
    assert!(stop.text.contains("cannot be used multiple times"), "{}", stop.text);
}

#[test]
fn what_vaults_settings_refer_to_must_have_a_value_and_no_vault_may_need_itself() {
    let set = |variables: &[(&str, &str)]| place().with(variables).with_admin();
    let good = [
        ("GATEWARD_VAULT_HCV_TOKEN", "{vault://env/hcv-token}"),
        ("GATEWARD_VAULT_HCV_PORT", "{vault://env/hcv-port}"),
        ("HCV_TOKEN", "canary-token"),
        ("HCV_PORT", "8200"),
    ];
    assert!(set(&good).decide(Mode::Serve, &[]).is_ok());
    for (variables, problem) in [
        (
            &[("GATEWARD_VAULT_HCV_TOKEN", "{vault://env/absent}")][..],
            "the environment variable GATEWARD_VAULT_HCV_TOKEN: {vault://env/absent} has no value",
        ),
        (
            &[("KONG_VAULT_HCV_TOKEN", "{vault://env/absent}")],
            "the environment variable KONG_VAULT_HCV_TOKEN: {vault://env/absent} has no value",
        ),
        (&[("GATEWARD_VAULT_HCV_TOKEN", "{vault://team/a}")], "names \"team\", which is no backend"),
        (&[("GATEWARD_VAULT_HCV_TOKEN", "{vault://env")], "the reference cannot be read"),
        (&[("GATEWARD_VAULT_ENV_PREFIX", "{vault://env/a}")], "env refers to env;"),
        (
            &[
                ("GATEWARD_VAULT_HCV_TOKEN", "{vault://conjur/a/}"),
                ("GATEWARD_VAULT_CONJUR_API_KEY", "{vault://hcv/b/}"),
            ],
            "needs itself before it can be opened: ",
        ),
        (&[("GATEWARD_VAULT_AWS_TTL", "{vault://env/ttl}")], "this says how values are kept"),
        (&[("GATEWARD_VAULT_AWS_ALLOW", "{vault://env/ttl}")], "this says how values are kept"),
    ] {
        let refused = set(variables).refused(Mode::Serve, &[]);
        assert!(refused.contains(problem) && !refused.contains("canary"), "{variables:?}: {refused}");
    }
    let file = "vault: {hcv: {token: \"{vault://env/absent}\"}}";
    let refused = place().with_admin().with_file(file).refused(Mode::Serve, &[]);
    assert!(
        refused.contains("gateward.yaml: vault.hcv.token: {vault://env/absent} has no value"),
        "{refused}"
    );
    // What Kong reads and we do not is none of our business.
    assert!(set(&[("KONG_VAULT_HCV_NOTHING", "{vault://env/absent}")]).decide(Mode::Serve, &[]).is_ok());
}

#[test]
fn vaults_that_are_asked_at_the_start_may_be_vouched_for_by_what_tls_ca_names() {
    let (company, key) = (Authority::root("the company"), "canary-key");
    let secret = json!({"data": {"data": {"key": key}, "metadata": {"version": 1, "destroyed": false}}});
    let vault = Double::start(move |asked| match asked.header("x-vault-token") {
        Some("canary-token") if asked.what.ends_with("/lookup-self") => {
            Reply::json(200, &json!({"data": {"ttl": 0, "renewable": false}}))
        }
        Some("canary-token") => Reply::json(200, &secret),
        _ => Reply::json(403, &json!({"errors": ["permission denied"]})),
    });
    let url = vault.over_tls(&company.identity("127.0.0.1", &[]));
    let port = url.rsplit(':').next().unwrap();
    let variables = [
        ("GATEWARD_VAULT_HCV_PROTOCOL", "https"),
        ("GATEWARD_VAULT_HCV_PORT", port),
        ("GATEWARD_VAULT_HCV_KV", "v2"),
        ("GATEWARD_VAULT_HCV_TOKEN", "{vault://env/my-token}"),
        ("MY_TOKEN", "canary-token"),
        ("GATEWARD_APISIX_ADMIN_KEY", "{vault://hcv/gateward/key}"),
    ];
    let place = place().with(&variables).with_admin();
    let refused = place.refused(Mode::Serve, &[]);
    assert!(refused.starts_with("GATEWARD_APISIX_ADMIN_KEY: ") && refused.contains("tls.ca"), "{refused}");
    assert_eq!(vault.asked().len(), 0);

    let ca = place.directory.path().join("ca.pem");
    fs::write(&ca, &company.pem).unwrap();
    let ca = ca.to_str().unwrap().to_owned();
    let decided = |place: &Place, flags: &[&str]| {
        let settings = place.decide(Mode::Serve, flags).unwrap();
        assert!(settings.apisix_admin_key.unwrap().matches(key));
        assert_eq!(settings.tls_ca.unwrap().to_str(), Some(ca.as_str()));
    };
    decided(&place, &["--tls-ca", &ca]);
    let place = place.with(&[("CA", &ca)]);
    decided(&place, &["--tls-ca", "{vault://env/ca}"]);
    let place = place.with_file(&format!("tls: {{ca: {ca:?}}}"));
    decided(&place, &[]);
    // A command that asks by itself reads the same.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let reference = gateward_vaults::Reference::parse("{vault://hcv/gateward/key}").unwrap().unwrap();
    let value = runtime.block_on(async {
        resolver_of_a_command(&place.surroundings).unwrap().resolve(&reference).await.unwrap()
    });
    assert!(value.matches(key));
    // What is no certificate is told as that.
    fs::write(&ca, "canary").unwrap();
    let refused = place.refused(Mode::Serve, &[]);
    let says = format!("no vault can be asked: tls_ca: {ca}: the CA certificates hold no CERTIFICATE");
    assert!(refused.contains(&says), "{refused}");
}
