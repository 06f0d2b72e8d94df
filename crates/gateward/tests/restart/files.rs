//! Resources in files: followed within a second, taken whole or not at all, and checked without a gateway.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::gateway::Gateway;
use crate::load::Load;
use crate::upstream::Upstream;
use crate::wait_until;

#[test]
fn ten_reloads_of_a_file_and_a_restart_under_load_fail_no_request() {
    let upstream = Upstream::start();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("resources.yaml");
    put(&path, &file(&upstream, "first"));
    let mut gateway = Gateway::start(&[("GATEWARD_RESOURCES", path.to_str().expect("text"))]);
    let load = Load::start(&gateway.traffic, "/loaded");
    for reload in 0..10 {
        let id = format!("r{reload}");
        put(&path, &file(&upstream, &id));
        wait_until("the new route is there", || gateway.get(&format!("/{id}")) == 200);
        load.goes_on();
    }
    assert_eq!(gateway.get("/r8"), 404, "what is not in the file any more is gone");

    // What the file owns, the API does not write.
    assert_eq!(gateway.put_route_status("mine", &file(&upstream, "x")), 405);

    // A file with an error changes nothing, is told of, and no successor starts with it.
    put(&path, &file(&upstream, "broken").replace("uri: /broken", "url: /broken"));
    gateway.says("resources.yaml:6:5: ");
    wait_until("it is told on /ready", || gateway.ready()["not_in_force"][0].is_string());
    let told = gateway.ready();
    let named = told["not_in_force"][0].as_str().unwrap_or_default().to_owned();
    assert!(named.contains("resources.yaml:6:5: route") && named.contains("url"), "{told}");
    assert_eq!((told["status"].as_str(), gateway.get("/r9")), (Some("ready"), 200));
    gateway.signal_restart();
    gateway.says("the successor did not come up; serving on");
    load.goes_on();

    put(&path, &file(&upstream, "mended"));
    wait_until("the mended file is in force", || gateway.get("/mended") == 200);
    wait_until("nothing is told any more", || gateway.ready()["not_in_force"] == Value::Null);
    gateway.restart();
    assert_eq!((gateway.get("/mended"), gateway.get("/r9")), (200, 404));
    let told = load.end();
    assert_eq!(told.failures, Vec::<String>::new(), "{told:?}");
    gateway.ends();
}

#[test]
fn check_says_the_same_without_a_gateway() {
    let upstream = Upstream::start();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("resources.yaml");
    let good = file(&upstream, "a").replace("desc: loaded", "desc: ${{DESC}}");
    put(&path, &good);
    let ran = check(&path, &[("DESC", "from the environment")], &[]);
    assert_eq!(text(&ran), (Some(0), "nothing is wrong: 2 routes, 1 upstreams\n".to_owned(), String::new()));

    put(&path, &good.replace("upstream_id: u", "upstream_id: v").replace("#END", "route: []\n#END"));
    let (code, results, messages) = text(&check(&path, &[("DESC", "x")], &[]));
    assert_eq!((code, results.as_str()), (Some(1), ""));
    assert!(messages.contains("resources.yaml:12:1: there is no kind of resources \"route\""), "{messages}");
    put(&path, &good.replace("upstream_id: u", "upstream_id: v"));
    let (code, results, _) = text(&check(&path, &[("DESC", "x")], &["--json"]));
    let json: Value = serde_json::from_str(&results).expect("JSON");
    assert_eq!((code, json["ok"].as_bool()), (Some(1), Some(false)));
    assert_eq!(
        (json["errors"][0]["line"].as_u64(), json["errors"][0]["column"].as_u64()),
        (Some(4), Some(5))
    );
    assert_eq!(json["errors"].as_array().map(Vec::len), Some(2), "{json}");

    let hidden = good.replace("uri: /a\n", "uri: /loaded\n").replace("id: a\n", "id: z\n");
    put(&path, &hidden);
    let (code, results, messages) = text(&check(&path, &[("DESC", "x")], &[]));
    assert_eq!((code, results.as_str()), (Some(0), "nothing is wrong: 2 routes, 1 upstreams\n"));
    let sentence =
        "route \"z\": no request can reach uri /loaded: route \"loaded\" takes the same requests first";
    assert_eq!(messages, format!("warning: {sentence}\n"));
    let (code, results, _) = text(&check(&path, &[("DESC", "x")], &["--json"]));
    let json: Value = serde_json::from_str(&results).expect("JSON");
    assert_eq!((code, json["warnings"][0].as_str()), (Some(0), Some(sentence)));

    let (code, ..) = text(&check(&path, &[], &["--nonsense"]));
    assert_eq!(code, Some(2));
}

fn check(path: &Path, variables: &[(&str, &str)], flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateward"));
    command.arg("check").arg(path).args(flags).env_clear().envs(variables.iter().copied());
    command.output().expect("the binary runs")
}

fn text(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Puts a file in the place of another, as one who knows how does it.
fn put(path: &Path, text: &str) {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, text).expect("a file");
    std::fs::rename(&draft, path).expect("it is there");
}

fn file(upstream: &Upstream, id: &str) -> String {
    format!(
        "routes:\n  - id: loaded\n    uri: /loaded\n    upstream_id: u\n  - id: {id}\n    uri: /{id}\n    upstream_id: u\n    \
         desc: loaded\nupstreams:\n  - id: u\n    nodes: {{'{}': 1}}\n#END\n",
        upstream.address
    )
}
