use serde_json::json;

use super::document::Document;
use super::*;

/// Reads files with these texts.
fn read(texts: &[&str]) -> Result<Declared, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = |index: usize| folder.path().join(format!("{index}.yaml"));
    for (index, text) in texts.iter().enumerate() {
        std::fs::write(path(index), text).unwrap();
    }
    let environment = BTreeMap::from([("KEY".to_owned(), "canary".to_owned())]);
    let files = Files::new((0..texts.len()).map(path).collect(), Arc::new(environment));
    let prefix = format!("{}/", folder.path().display());
    files.read().map_err(|refused| {
        refused.errors().iter().map(|error| error.to_string().replace(&prefix, "")).collect()
    })
}

fn ids(declared: &Declared) -> Vec<(Kind, &str)> {
    declared.resources.iter().map(|(kind, id, _)| (*kind, id.as_str())).collect()
}

#[test]
fn a_standalone_file_of_apisix_is_read() {
    let text = r#"
routes:
  -
    uri: /hello
    upstream_id: 1
  - id: named
    uri: /named
    plugins: {}
    service_id: "2"
services:
    - id: 2
      upstream_id: 1
upstreams:
    -
        id: 1
        nodes:
            "127.0.0.1:1980": 1
        type: roundrobin
consumers:
  - username: jack
    desc: ${{KEY}}
global_rules:
    - id: 1
      plugins: {}
plugins:
  - name: aws-lambda
plugin_configs:
ssls: []
#END
"#;
    let declared = read(&[text]).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let expected = [
        (Kind::Routes, "arr_000001"),
        (Kind::Routes, "named"),
        (Kind::Services, "2"),
        (Kind::Upstreams, "1"),
        (Kind::Consumers, "jack"),
        (Kind::GlobalRules, "1"),
    ];
    assert_eq!(ids(&declared), expected);
    assert_eq!(declared.resources[4].2, json!({"username": "jack", "desc": "canary"}));
    assert_eq!(declared.vaults, None);
}

#[test]
fn json_is_read_too_and_needs_no_mark_at_its_end() {
    let text =
        "{\n\t\"routes\": [\n\t\t{\"id\": \"r\", \"uri\": \"/\\u0061\",\n\t\t\"plugins\": {}}\n\t]\n}\n";
    let declared = read(&[text]).unwrap_or_else(|errors| panic!("{errors:#?}"));
    assert_eq!(ids(&declared), [(Kind::Routes, "r")]);
    assert_eq!(declared.resources[0].2["uri"], "/a");
}

#[test]
fn vaults_stand_in_decks_form_beside_routes_or_in_a_file_of_their_own() {
    let vaults = "_format_version: \"3.0\"\n_transform: true\nvaults:\n- name: env\n  prefix: my-env\n  config:\n    prefix: SECRETS_\n";
    let routes = "routes:\n- {id: 1, uri: /a, plugins: {}}\n";
    for files in [vec![format!("{vaults}{routes}#END\n")], vec![vaults.to_owned(), format!("{routes}#END\n")]]
    {
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let declared = read(&files).unwrap_or_else(|errors| panic!("{errors:#?}"));
        assert_eq!(ids(&declared), [(Kind::Routes, "1")]);
        let vaults = declared.vaults.unwrap();
        assert_eq!((vaults[0].prefix.as_str(), vaults[0].name.as_str()), ("my-env", "env"));
    }
}

#[test]
fn everything_that_is_wrong_with_the_outline_is_told_with_its_line_and_column() {
    let text = r#"routes:
  - id: a b
    uri: /a
  - /a
route: []
upstreams: {}
consumers:
  - plugins: {}
plugin_metadata:
  - log_format: {}
secrets: []
stream_routes: []
plugins:
  - name: mqtt-proxy
vaults: []
key: ${{NONE}}
#END
"#;
    let errors = read(&[text]).err().unwrap();
    let places: Vec<&str> = errors.iter().map(|error| &error[..error.find(": ").unwrap()]).collect();
    let expected = [
        "0.yaml:4:5",
        "0.yaml:5:1",
        "0.yaml:6:1",
        "0.yaml:8:5",
        "0.yaml:10:5",
        "0.yaml:11:1",
        "0.yaml:12:1",
        "0.yaml:14:5",
        "0.yaml:15:1",
        "0.yaml:16:1",
        "0.yaml:16:6",
    ];
    assert_eq!(places, expected, "{errors:#?}");
}

#[test]
fn an_id_that_stands_twice_is_refused_across_files_too() {
    let one = "routes:\n- {id: 1, uri: /a, plugins: {}}\n#END";
    let two =
        "upstreams: []\nroutes:\n- {id: 2, uri: /a, plugins: {}}\n- {id: '1', uri: /b, plugins: {}}\n#END";
    let errors = read(&[one, two]).err().unwrap();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0].starts_with("1.yaml:4:3: route \"1\": there is another one with this id, in line 2 of "),
        "{errors:?}"
    );
}

#[test]
fn credentials_stand_in_their_consumer_or_beside_it() {
    let text = "consumers:\n- username: jack\n  credentials:\n  - id: a\n    plugins: {}\n  - {plugins: {}}\n\
                - id: jack/credentials/b\n  plugins: {}\n#END";
    let document =
        Document::read(text, false, &BTreeMap::new()).unwrap_or_else(|errors| panic!("{errors:?}"));
    let ids: Vec<(Kind, &str)> =
        document.drafts.iter().map(|draft| (draft.kind, draft.id.as_str())).collect();
    let credentials = ["jack/a", "jack/arr_000002"].map(|id| (Kind::Credentials, id));
    assert_eq!(ids, [&credentials[..], &[(Kind::Consumers, "jack"), (Kind::Credentials, "jack/b")]].concat());
    assert_eq!(document.drafts[2].node.to_json(), json!({"username": "jack"}));
}

#[test]
fn every_wrong_field_is_told_with_its_own_line() {
    let text = r#"routes:
  - id: 1
    uri: /a
    upstream_id: none
  - id: 2
    uri: /b
    upstream:
      type: roundrobin
      nodes:
        - {host: a, port: 80, weight: 1}
        - host: a
          port: 80
          weight: canary
  - id: 3
    uri: /c
    plugins:
      aws-lambda:
        function_uri: https://a
        timeout: canary
  - id: 4
    uri: /d
    plugins: {}
    upstreem: canary
  - id: 5
    uri: /e
    plugins:
      aws-lamda: {}
#END
"#;
    let errors = read(&[text]).err().unwrap();
    let places: Vec<&str> = errors.iter().map(|error| &error[..error.find(": ").unwrap()]).collect();
    let expected = ["0.yaml:4:5", "0.yaml:13:11", "0.yaml:19:9", "0.yaml:23:5", "0.yaml:27:7"];
    assert_eq!(places, expected, "{errors:#?}");
    assert!(errors[0].contains("route \"1\"") && errors[0].contains("\"none\" does not exist"), "{errors:?}");
    assert!(errors.iter().all(|error| !error.contains("canary")), "{errors:?}");
}

#[test]
fn a_file_that_is_not_finished_is_not_read() {
    for text in ["", "routes:\n- uri: /a\n", "routes: []\n#END\nmore: 1"] {
        let errors = read(&[text]).err().unwrap();
        assert!(errors[0].contains("#END"), "{text}: {errors:?}");
    }
    assert!(read(&["routes: []\n#END\n\n"]).is_ok());
}

#[test]
fn what_is_no_yaml_is_told_with_its_line_and_nothing_of_it() {
    for (text, place, word) in [
        ("routes:\n  - uri: /a\n    key: \"canary\n#END", "", "YAML"),
        ("routes:\n  - uri: /a\n   id: canary: x\n#END", "0.yaml:3", "YAML"),
        ("routes: []\nroutes: [canary]\n#END", "0.yaml:2:1", "\"routes\" stands twice"),
        ("a: &a [x]\nb: *c\n#END", "0.yaml:2", ""),
        ("a: [.inf]\n#END", "0.yaml:1", "infinity"),
        ("routes: []\n---\nroutes: []\n#END", "0.yaml:", "document"),
    ] {
        let errors = read(&[text]).err().unwrap();
        assert!(errors[0].starts_with(place) && errors[0].contains(word), "{text}: {errors:?}");
        assert!(!errors[0].contains("canary"), "{errors:?}");
    }
}

#[test]
fn aliases_and_merges_are_read_and_do_not_swell() {
    let text = "upstreams:\n- &u {id: 1, nodes: {'a:80': 1}}\n- {<<: *u, id: 2}\n#END";
    let declared = read(&[text]).unwrap_or_else(|errors| panic!("{errors:#?}"));
    assert_eq!(declared.resources[1].2, json!({"id": 2, "nodes": {"a:80": 1}}));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let inner = format!("*a{}, ", level - 1).repeat(10);
        bomb += &format!("a{level}: &a{level} [{inner}]\n");
    }
    let errors = read(&[&(bomb + "#END")]).err().unwrap();
    assert!(errors[0].contains("too large") || errors[0].contains("YAML"), "{errors:?}");
}

#[test]
fn a_reference_without_quotes_is_told_as_such_and_one_to_no_vault_too() {
    let text =
        "routes:\n- id: 1\n  uri: /a\n  plugins:\n    key-auth:\n      realm: {vault://env/canary}\n#END";
    let errors = read(&[text]).err().unwrap();
    assert!(errors[0].starts_with("0.yaml:6:") && errors[0].contains("stands in quotes"), "{errors:?}");
    let file = |vault: &str| {
        format!(
            "_format_version: '3.0'\nvaults:\n- {{name: env, prefix: {vault}}}\nroutes:\n- id: 1\n  uri: /a\n  \
             plugins:\n    key-auth:\n      realm: 'x {{vault://team/a}}'\n"
        )
    };
    assert!(read(&[&file("team")]).is_ok());
    let errors = read(&[&file("crew")]).err().unwrap();
    assert!(
        errors[0].starts_with("0.yaml:5:") && errors[0].contains("the vault \"team\" that a reference names"),
        "{errors:?}"
    );
    let circle =
        "_format_version: '3.0'\nvaults:\n- {name: hcv, prefix: one, config: {token: '{vault://one/t}'}}\n";
    let errors = read(&[circle]).err().unwrap();
    assert!(errors[0].contains("one refers to one"), "{errors:?}");
}
