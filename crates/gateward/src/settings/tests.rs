//! Where settings come from, which of them wins, and what is refused.

mod confidants;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use clap::Args as _;
use tempfile::TempDir;

use super::*;

/// A directory of its own, and what else a process finds itself in.
struct Place {
    directory: TempDir,
    surroundings: Surroundings,
}

fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let surroundings =
        Surroundings { directory: directory.path().to_owned(), cores: 4, ..Surroundings::default() };
    Place { directory, surroundings }
}

impl Place {
    fn with(mut self, variables: &[(&str, &str)]) -> Self {
        for (name, value) in variables {
            self.surroundings.environment.insert((*name).to_owned(), (*value).to_owned());
        }
        self
    }

    fn with_admin(self) -> Self {
        self.with(&[
            ("GATEWARD_ADMIN_ACCESS_ID", "p-admin"),
            ("GATEWARD_ADMIN_ACCESS_KEY", "canary-access-key"),
        ])
    }

    fn with_file(self, text: &str) -> Self {
        fs::write(self.directory.path().join("gateward.yaml"), text).unwrap();
        self
    }

    fn decide(&self, mode: Mode, flags: &[&str]) -> Result<Settings, String> {
        Settings::decide(mode, &arguments(flags), &self.surroundings).map_err(|error| {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                write!(text, ": {error}").unwrap();
                cause = error.source();
            }
            assert!(!format!("{text} {error:?}").contains("canary"), "{text}");
            text
        })
    }

    fn refused(&self, mode: Mode, flags: &[&str]) -> String {
        self.decide(mode, flags).map(|settings| settings.mode).unwrap_err()
    }
}

fn arguments(flags: &[&str]) -> ProcessArguments {
    let words = ["gateward", "serve"].iter().chain(flags).map(Into::into);
    match crate::arguments::parse(words, &Surroundings::default()).unwrap().command {
        crate::arguments::Command::Serve(arguments) => arguments,
        other => panic!("{other:?}"),
    }
}

/// The addresses of traffic, as `proxy+` and `tls+` and the address.
fn traffic(settings: &Settings) -> Vec<String> {
    let text = |entrance: &Entrance| {
        let (tls, proxy) =
            (if entrance.tls { "tls+" } else { "" }, if entrance.proxy_protocol { "proxy+" } else { "" });
        format!("{tls}{proxy}{}", entrance.address)
    };
    settings.traffic.entrances.iter().map(text).collect()
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn serve_has_the_usual_settings_when_only_the_administrator_is_set() {
    let settings = place().with_admin().decide(Mode::Serve, &[]).unwrap();
    assert_eq!(traffic(&settings), ["0.0.0.0:9080", "[::]:9080"]);
    assert_eq!(settings.control.addresses, addresses(&["127.0.0.1:8000", "[::1]:8000"]));
    assert!(!settings.traffic.chosen && !settings.control.chosen);
    assert_eq!(settings.compatibility, None);
    assert_eq!(settings.data_dir, Path::new("/var/lib/gateward"));
    assert_eq!(settings.store, StoreKind::Local);
    assert_eq!(settings.root_key, RootKeySource::File("/var/lib/gateward/root.key".into()));
    assert_eq!(settings.admin.access_id().as_str(), "p-admin");
    assert_eq!((settings.admin_is_new, settings.apisix_admin_key), (false, None));
    assert_eq!((settings.data_threads, settings.log.as_str()), (4, "info,audit=info"));
    assert_eq!(settings.drain, Duration::from_secs(30));
}

#[test]
fn a_flag_wins_over_the_environment_and_the_environment_over_the_file() {
    let file = "drain_seconds: 1\nlog: warn\ndata_threads: 3\n";
    let place = place()
        .with_admin()
        .with_file(file)
        .with(&[("GATEWARD_DRAIN_SECONDS", "2"), ("GATEWARD_LOG", "debug")]);
    let settings = place.decide(Mode::Serve, &["--drain-seconds", "3"]).unwrap();
    assert_eq!(settings.drain, Duration::from_secs(3));
    assert_eq!(settings.log, "debug,audit=info");
    assert_eq!(settings.data_threads, 3);
}

#[test]
fn every_setting_can_be_given_in_each_of_the_three_places() {
    let values = [
        "127.0.0.1:1,[::1]:1",
        "127.0.0.1:3,proxy+127.0.0.1:4",
        "127.0.0.1:2",
        "/d",
        "memory",
        "table",
        "eu-west-1",
        "https://aws.example.com",
        "/r.yaml,/s.yaml",
        "canary-root-key",
        "/k",
        "alias/gateward",
        "p-other",
        "canary-access-key",
        "access_key",
        "arn:aws:iam::*:user/ann,b",
        "123456789012",
        "[]",
        "https://sts.example.com",
        "https://gateway.example.com",
        "canary-fragments",
        "/f",
        "cf-a",
        "canary-apisix",
        "canary-viewer",
        "/ca.pem",
        "example.com",
        "10.0.0.2,[::1]:5353",
        "producers.example.com:443",
        "canary-ca",
        "canary-cert",
        "canary-key",
        "body_bytes=1,connections_per_address=1,connection_age=1",
        "gateway=1,identity=2,item=3,hold_seconds=4,keep_days=5",
        "/witness.json",
        "7",
        "warn",
        "/a.log",
        "https://sqs.eu-west-1.amazonaws.com/1/queue",
        "bus",
        "streamed",
        "9",
    ];
    let (mut flags, mut variables, mut file) = (Vec::new(), Vec::new(), String::new());
    for (key, value) in KEYS.into_iter().zip(values) {
        flags.push(format!("--{}", key.replace('_', "-")));
        flags.push(value.to_owned());
        variables.push((format!("GATEWARD_{}", key.to_uppercase()), value));
        writeln!(file, "{key}: {value:?}").unwrap();
    }
    let by_flags = arguments(&flags.iter().map(String::as_str).collect::<Vec<_>>()).given;
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let given = |place: &Place, flags: &[&str]| -> Given {
        sources::read(&arguments(flags), &place.surroundings).unwrap().0
    };
    let by_environment = given(&place().with(&variables), &[]);
    let by_file = given(&place().with_file(&file), &[]);
    assert_eq!(by_flags, by_environment);
    assert_eq!(by_flags, by_file);
    let nothing = format!("{:?}", Given::default());
    assert_eq!(nothing.matches("None").count(), KEYS.len());
    assert!(!format!("{by_flags:?}").contains("None"), "{by_flags:?}");

    // And as a reference, in each of them. What vaults are called with has a test of its own.
    let (mut flags, mut values_there, mut referring, mut file) =
        (Vec::new(), Vec::new(), Vec::new(), String::new());
    for (key, value) in KEYS.into_iter().zip(values).filter(|(key, _)| *key != "tls_ca") {
        let reference = format!("{{vault://env/value-of-{key}}}");
        flags.push(format!("--{}={reference}", key.replace('_', "-")));
        referring.push((format!("GATEWARD_{}", key.to_uppercase()), reference.clone()));
        values_there.push((format!("VALUE_OF_{}", key.to_uppercase()), value));
        writeln!(file, "{key}: {reference:?}").unwrap();
    }
    let by_flags = Given { tls_ca: None, ..by_flags };
    let there: Vec<_> = values_there.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let referring: Vec<_> = referring.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    assert_eq!(given(&place().with(&there), &flags), by_flags);
    assert_eq!(given(&place().with(&there).with(&referring), &[]), by_flags);
    assert_eq!(given(&place().with(&there).with_file(&file), &[]), by_flags);
}

#[test]
fn the_flags_are_the_settings_and_no_others() {
    let command = Given::augment_args(clap::Command::new("serve"));
    let flags: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
    assert_eq!(flags, KEYS.map(|key| key.replace('_', "-")));
}

#[test]
fn the_file_may_say_numbers_and_lists_as_yaml_does() {
    let file = "proxy_listen:\n  - 127.0.0.1:1\n  - '[::1]:1'\ndata_threads: 2\ndrain_seconds: '5'\n";
    let settings = place().with_admin().with_file(file).decide(Mode::Serve, &[]).unwrap();
    assert_eq!(traffic(&settings), ["127.0.0.1:1", "[::1]:1"]);
    assert!(settings.traffic.chosen);
    assert_eq!((settings.data_threads, settings.drain.as_secs()), (2, 5));
}

#[test]
fn the_file_may_have_tables_for_tls_and_for_limits() {
    let file = "tls: {ca: /ca.pem, listen: ['127.0.0.1:9443', 'proxy+127.0.0.1:9444']}\n\
                limits:\n  head: 2.5\n  connections: 10\n  body_bytes: none\nresources: [a.yaml, b.yaml]\ndns_servers: 10.0.0.2\naccess_log: off\n";
    let settings =
        place().with_admin().with_file(file).decide(Mode::Serve, &["--proxy-listen", "127.0.0.1:1"]).unwrap();
    assert_eq!(settings.tls_ca.as_deref(), Some(Path::new("/ca.pem")));
    assert_eq!(traffic(&settings), ["127.0.0.1:1", "tls+127.0.0.1:9443", "tls+proxy+127.0.0.1:9444"]);
    assert_eq!((settings.limits.connections, settings.limits.head.as_millis()), (10, 2500));
    assert_eq!(settings.resources, [Path::new("a.yaml"), Path::new("b.yaml")]);
    assert_eq!(settings.dns_servers, addresses(&["10.0.0.2:53"]));
    assert_eq!(settings.access_log, AccessLog::Off);
    let error = place().with_admin().with_file("tls: {cert: canary}\n").refused(Mode::Serve, &[]);
    assert!(error.contains("there is no setting \"tls_cert\""), "{error}");
}

#[test]
fn a_table_and_a_key_of_kms_are_settings_like_others() {
    let file = "store: dynamodb\ndynamodb: {table: ours}\naws_region: eu-west-1\nroot_key_kms: alias/ours\n";
    let settings = place().with_admin().with_file(file).decide(Mode::Lambda, &[]).unwrap();
    assert_eq!((settings.store, settings.dynamodb_table.as_str()), (StoreKind::Dynamodb, "ours"));
    assert_eq!(settings.root_key, RootKeySource::Kms("alias/ours".to_owned()));
    assert_eq!((settings.aws_region.as_deref(), settings.aws_endpoint_url), (Some("eu-west-1"), None));
    let settings = place().with_admin().decide(Mode::Serve, &["--store", "dynamodb"]).unwrap();
    assert_eq!(settings.dynamodb_table, "gateward");
    let error = place().with_admin().refused(Mode::Serve, &["--dynamodb-table", "ours"]);
    assert!(error.contains("set store to dynamodb"), "{error}");
    let two = ["--root-key-kms", "alias/ours", "--root-key-file", "/k"];
    let error = place().with_admin().refused(Mode::Serve, &two);
    assert!(error.contains("root_key_file and root_key_kms are both set"), "{error}");
    let error = place().with_admin().refused(Mode::Lambda, &[]);
    assert!(error.contains("GATEWARD_ROOT_KEY_KMS"), "{error}");
}

#[test]
fn whoever_may_only_look_has_a_key_of_their_own() {
    let keys = ["--apisix-admin-key", "canary", "--apisix-viewer-key"];
    let error = place().with_admin().refused(Mode::Serve, &[&keys[..], &["canary"]].concat());
    assert!(error.contains("are the same"), "{error}");
    let error = place().with_admin().refused(Mode::Serve, &[&keys[..], &[" "]].concat());
    assert!(error.starts_with("apisix_viewer_key: is empty"), "{error}");
}

#[test]
fn an_empty_file_gives_nothing() {
    for file in ["", "# nothing\n", "---\n"] {
        let place = place().with_admin().with_file(file);
        assert!(place.decide(Mode::Serve, &[]).is_ok(), "{file:?}");
    }
}

#[test]
fn an_unknown_key_is_named_with_those_that_there_are() {
    let place = place().with_admin().with_file("log: info\nproxy_lisen: canary\n");
    let error = place.refused(Mode::Serve, &[]);
    assert!(error.contains("there is no setting \"proxy_lisen\""), "{error}");
    assert!(error.contains("proxy_listen, tls_listen"), "{error}");
}

#[test]
fn a_file_that_is_no_yaml_is_refused_by_its_line() {
    for file in ["log: info\nroot_key: \"canary\n", "- canary\n", "canary", "log: info\nlog: canary\n"] {
        let error = place().with_admin().with_file(file).refused(Mode::Serve, &[]);
        assert!(error.contains("gateward.yaml, line "), "{error}");
    }
}

#[test]
fn a_setting_that_is_said_twice_is_told_by_its_name() {
    let refused = |file: &str| place().with_admin().with_file(file).refused(Mode::Serve, &[]);
    let error = refused("log: info\ntls_ca: canary\nlog: warn\n");
    assert!(error.contains("line 3: the key \"log\" stands twice in one map"), "{error}");
    for file in ["tls_ca: canary\ntls: {ca: other}\n", "tls: {ca: other}\ntls_ca: canary\n"] {
        let error = refused(file);
        assert!(error.contains("gateward.yaml: tls_ca: is set twice"), "{error}");
    }
}

#[test]
fn a_value_that_no_vault_can_take_stops_the_start_and_is_told_by_its_variable() {
    for (name, value, says) in [
        ("GATEWARD_VAULT_FS_TTL", "canary", "expected a number"),
        ("GATEWARD_VAULT_AWS_NEG_TTL", "-1", "between"),
        ("GATEWARD_VAULT_HCV_PORT", "canary", "expected an integer"),
        ("GATEWARD_VAULT_ENV_BASE64_DECODE", "canary", "expected a boolean"),
        ("GATEWARD_VAULT_AWS_ON_DELETED", "canary", "keep, fail"),
    ] {
        let error = place().with_admin().with(&[(name, value)]).refused(Mode::Serve, &[]);
        assert!(error.contains(&format!("variable {name}: ")) && error.contains(says), "{error}");
    }
    let file = "vault: {fs: {ttl: canary}}\n";
    let error = place().with_admin().with_file(file).refused(Mode::Serve, &[]);
    assert!(error.contains("gateward.yaml: vault.fs.ttl: expected a number"), "{error}");
    let kongs = [("KONG_VAULT_FS_TTL", "canary"), ("GATEWARD_VAULT_FS_TTL", "")];
    assert!(place().with_admin().with(&kongs).decide(Mode::Serve, &[]).is_ok(), "it may be meant for Kong");
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let place = place().with_admin();
    let absent = place.directory.path().join("absent.yaml");
    let absent = absent.to_str().unwrap();
    let error = place.refused(Mode::Serve, &["--config", absent]);
    assert!(error.contains("absent.yaml cannot be read"), "{error}");
    let place = place.with(&[("GATEWARD_CONFIG", absent)]);
    assert!(place.refused(Mode::Serve, &[]).contains("absent.yaml cannot be read"));
}

#[test]
fn an_unknown_variable_of_ours_is_named_and_others_are_none_of_our_business() {
    let place = place().with_admin();
    let error = place.with(&[("GATEWARD_PROXY_LISEN", "canary")]).refused(Mode::Serve, &[]);
    assert!(error.contains("GATEWARD_PROXY_LISEN is none of Gateward's"), "{error}");
    assert!(error.contains("GATEWARD_PROXY_LISTEN, "), "{error}");
    let known = [
        ("GATEWARD_TOKEN", "t"),
        ("GATEWARD_FAILPOINT", "x"),
        ("GATEWARD_VAULT_AWS_REGION", "eu-west-1"),
        ("GATEWARD_LOG", ""),
        ("GATEWARDEN", "x"),
    ];
    assert!(super::tests::place().with_admin().with(&known).decide(Mode::Serve, &[]).is_ok());
}

#[test]
fn a_wrong_value_is_told_by_its_place_and_never_repeated() {
    for (key, value, says) in [
        ("proxy_listen", "canary:80", "an IP address and a port"),
        ("control_listen", "", "an IP address and a port"),
        ("store", "canary", "local, memory or dynamodb"),
        ("admin_access_id", "canary", "an access id is p-"),
        ("admin_access_id_type", "canary", "access_key or aws_iam"),
        ("data_threads", "0", "from 1 to 1024"),
        ("data_threads", "canary", "from 1 to 1024"),
        ("log", "canary=[", "a filter is"),
        ("log", "canary", "error, warn, info, debug or trace"),
        ("drain_seconds", "-1", "from 0 to 3600"),
        ("tls_listen", "proxy+canary", "an IP address and a port"),
        ("access_log", "canary", "off, stdout, stderr"),
        ("resources", "a,,b", "the path of a file"),
        ("limits", "canary=1", "head, idle"),
        ("limits", "idle=5,idle=6", "twice"),
        ("control_listen", "127.0.0.1:1,127.0.0.1:1", "twice"),
        ("proxy_listen", "127.0.0.1:1,proxy+127.0.0.1:1", "twice"),
        ("dns_servers", "canary", "IP addresses"),
        ("producers_allow", "ftp://canary", "a place of producers"),
    ] {
        let place = place().with_file(&format!("{key}: {value:?}\n"));
        let error = place.refused(Mode::Serve, &[]);
        assert!(error.contains(&format!("gateward.yaml: {key}: ")) && error.contains(says), "{error}");
        if !value.is_empty() {
            let variable = format!("GATEWARD_{}", key.to_uppercase());
            let error = super::tests::place().with(&[(&variable, value)]).refused(Mode::Serve, &[]);
            assert!(error.starts_with(&format!("{variable}: ")) && error.contains(says), "{error}");
        }
    }
    for file in
        ["root_key: 12\n", "admin_access_key: [canary]\n", "log: true\n", "proxy_listen: {canary: 1}\n"]
    {
        let error = place().with_file(file).refused(Mode::Serve, &[]);
        assert!(error.contains(": expected "), "{error}");
    }
}

#[test]
fn serve_and_lambda_want_an_administrator_and_their_own_apisix_key() {
    let key = [("GATEWARD_ROOT_KEY", "canary")];
    for mode in [Mode::Serve, Mode::Lambda] {
        let error = place().with(&key).refused(mode, &[]);
        assert!(error.contains("GATEWARD_ADMIN_ACCESS_ID"), "{error}");
        let error =
            place().with(&key).with_admin().refused(mode, &["--apisix-admin-key", APISIX_KEY_OF_DOCUMENTS]);
        assert!(error.contains("apisix_admin_key is the one"), "{error}");
        assert!(!error.contains(APISIX_KEY_OF_DOCUMENTS), "{error}");
        let own = place().with(&key).with_admin().decide(mode, &["--apisix-admin-key", "own"]).unwrap();
        assert_eq!(own.apisix_admin_key, Some("own".into()));
    }
}

#[test]
fn half_an_administrator_is_refused_everywhere() {
    for mode in [Mode::Serve, Mode::Dev] {
        let error = place().refused(mode, &["--admin-access-key", "canary"]);
        assert!(error.starts_with("admin_access_id is not set"), "{error}");
        let error = place().refused(mode, &["--admin-access-id", "p-1"]);
        assert!(error.starts_with("admin_access_key is not set"), "{error}");
    }
}

#[test]
fn two_root_keys_are_one_too_many() {
    let place = place().with_admin().with(&[("GATEWARD_ROOT_KEY", "canary")]);
    let error = place.refused(Mode::Serve, &["--root-key-file", "/k"]);
    assert!(error.contains("root_key and root_key_file"), "{error}");
}

#[test]
fn lambda_listens_on_nothing_and_makes_no_root_key() {
    let error = place().with_admin().refused(Mode::Lambda, &[]);
    assert!(error.contains("GATEWARD_ROOT_KEY"), "{error}");
    let key = [("GATEWARD_ROOT_KEY", "canary"), ("GATEWARD_PROXY_LISTEN", "127.0.0.1:1")];
    let settings = place().with_admin().with(&key).decide(Mode::Lambda, &[]).unwrap();
    assert!(settings.traffic.entrances.is_empty() && settings.control.addresses.is_empty());
    assert_eq!(settings.data_dir, Path::new("/tmp/gateward"));
    assert_eq!(settings.root_key, RootKeySource::Text("canary".into()));
}

#[test]
fn dev_makes_its_administrator_once_and_keeps_it() {
    let place = place();
    let first = place.decide(Mode::Dev, &[]).unwrap();
    let again = place.decide(Mode::Dev, &[]).unwrap();
    assert!(first.admin_is_new && !again.admin_is_new);
    assert_eq!(first.admin, again.admin);
    assert_eq!(again.apisix_admin_key, Some(APISIX_KEY_OF_DOCUMENTS.into()));
    assert_eq!(again.data_dir, place.directory.path().join(".gateward"));
    assert_eq!(traffic(&again), ["127.0.0.1:9080", "[::1]:9080", "127.0.0.1:9081", "[::1]:9081"]);
    assert_eq!(again.compatibility, Some(COMPATIBILITY_PORTS));
}

#[test]
fn dev_takes_the_administrator_of_the_environment_and_keeps_none() {
    let place = place().with_admin();
    let settings = place.decide(Mode::Dev, &["--apisix-admin-key", "own"]).unwrap();
    assert_eq!(settings.admin.access_id().as_str(), "p-admin");
    assert_eq!(settings.apisix_admin_key, Some("own".into()));
    assert!(!settings.admin_is_new && !place.directory.path().join(".gateward").exists());
}

#[test]
fn dev_with_control_addresses_of_its_own_leaves_the_ports_of_others_alone() {
    let flags = ["--control-listen", "127.0.0.1:0", "--proxy-listen", "[::1]:0"];
    let settings = place().with_admin().decide(Mode::Dev, &flags).unwrap();
    assert_eq!(settings.compatibility, None);
}

#[test]
fn dev_stays_on_loopback() {
    for flag in ["--proxy-listen", "--tls-listen", "--control-listen"] {
        let error = place().with_admin().refused(Mode::Dev, &[flag, "127.0.0.1:1,0.0.0.0:1"]);
        assert!(error.contains("0.0.0.0:1 is not loopback"), "{error}");
    }
}

#[test]
fn printing_settings_shows_no_secret() {
    let secrets = [("GATEWARD_ROOT_KEY", "canary-1"), ("GATEWARD_APISIX_ADMIN_KEY", "canary-2")];
    let place = place().with_admin().with(&secrets);
    let settings = place.decide(Mode::Serve, &[]).unwrap();
    let printed = format!("{settings:?} {:?}", place.surroundings);
    assert!(printed.contains("p-admin") && !printed.contains("canary"), "{printed}");
}

#[test]
fn the_page_about_the_settings_has_every_setting_and_every_limit() {
    let page = include_str!("../../../../docs/settings.md");
    for key in given::KEYS {
        assert!(page.contains(&format!("`{key}`")), "{key}");
    }
    let limits = "unheard-of".parse::<values::LimitChanges>().unwrap_err().to_string();
    let of_leases = "unheard-of".parse::<values::LeaseLimits>().unwrap_err().to_string();
    for limits in [limits, of_leases] {
        let (_, limits) = limits.split_once(": ").unwrap();
        let words = limits.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        let names =
            words.filter(|word| !["the", "times", "in", "seconds", "sizes", "numbers", ""].contains(word));
        for name in names {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }
}

mod references;
