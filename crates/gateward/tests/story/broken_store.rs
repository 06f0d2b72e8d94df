//! A store in which somebody else has left things that cannot be used: each is named, and stops nothing else.

use gateward_proxy::DOCUMENT_PURPOSE;
use gateward_seal::{RootKey, Sealer};
use gateward_store::{Change, Key, LocalStore, Precondition, Store as _, Write};
use serde_json::{Value, json};

use crate::double::Double;
use crate::gateway::{Gateway, PATIENCE};
use crate::plot::{Plot, data_directory};

#[test]
fn what_cannot_be_used_in_the_store_is_named_and_stops_nothing_else() {
    let plot = Plot::new();
    let upstream = Double::start(|_, _| "here".to_owned());
    let route = |uri: &str| json!({"uri": uri, "upstream": {"nodes": {upstream.address(): 1}}});
    let mut gateway = Gateway::start(&plot, &[]);
    assert_eq!(gateway.apisix("PUT", "/routes/good", &route("/good").to_string()).status, 201);
    assert_eq!(gateway.terminate(PATIENCE).code(), Some(0));
    drop(gateway);

    let ours = Sealer::new(RootKey::from_text(plot.environment()[2].1).expect("a key"));
    let (foreign, secret) = (Sealer::new(RootKey::generate()), plot.plant("broken"));
    let node = json!({upstream.address(): 1});
    let broken = [
        (&foreign, "routes", "foreign", route("/foreign"), "routes/foreign: sealed with another root key"),
        (&ours, "routes", "odd", json!({"uri": 7, "desc": secret}), "routes/odd: property \"uri\""),
        (
            &ours,
            "routes",
            "newer",
            json!({"uri": "/newer", "plugins": {"from-tomorrow": {"key": secret}}}),
            "routes/newer: plugin from-tomorrow: there is no such plugin",
        ),
        (
            &ours,
            "routes",
            "lost",
            json!({"uri": "/lost", "upstream_id": "gone"}),
            "routes/lost: route \"lost\": upstream \"gone\" does not exist",
        ),
        (
            &ours,
            "upstreams",
            "u",
            json!({"nodes": node, "scheme": "https", "tls": {"client_cert": secret, "client_key": secret}}),
            "upstreams/u: ",
        ),
        (
            &ours,
            "ssls",
            "s",
            json!({"sni": "a.example", "cert": secret.repeat(4), "key": secret.repeat(4)}),
            "ssls/s: ",
        ),
        (&ours, "global_rules", "g", json!({"plugins": 1, "desc": secret}), "global_rules/g: "),
    ];
    plant(&plot, &broken.each_ref().map(|(sealer, kind, id, json, _)| (*sealer, *kind, *id, json)));

    let gateway = Gateway::start(&plot, &[]);
    let here = gateway.get("/good");
    assert_eq!((here.status, here.text().as_str()), (200, "here"));
    assert_eq!((gateway.get("/newer").status, gateway.get("/lost").status), (503, 502));
    assert_eq!((gateway.get("/odd").status, gateway.get("/foreign").status), (404, 404));
    let ready = gateway.ask("GET", &format!("{}/ready", gateway.control), &[], "");
    assert_eq!(ready.status, 200);
    let told = ready.json();
    let named = told["not_in_force"].as_array().expect("a list");
    assert_eq!(named.len(), broken.len(), "{told}");
    for (.., sentence) in &broken {
        let is_it = |named: &Value| named.as_str().is_some_and(|named| named.starts_with(sentence));
        assert!(named.iter().any(is_it), "{sentence} is not in {told}");
    }
    let metrics = gateway.ask("GET", &format!("{}/metrics", gateway.control), &[], "").text();
    for (kind, count) in [("routes", 4), ("upstreams", 1), ("ssls", 1), ("global_rules", 1), ("services", 0)]
    {
        let line = format!("gateward_resources_not_in_force{{kind=\"{kind}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }

    // What is put right is in force, and named no more.
    assert_eq!(gateway.apisix("PUT", "/routes/odd", &route("/odd").to_string()).status, 200);
    assert_eq!(gateway.apisix("DELETE", "/routes/newer", "").status, 200);
    assert_eq!(gateway.get("/odd").status, 200);
    let told = gateway.ask("GET", &format!("{}/ready", gateway.control), &[], "").json();
    assert_eq!(told["not_in_force"].as_array().map(Vec::len), Some(broken.len() - 2), "{told}");
    drop(gateway);
    plot.end();
}

/// Writes these into the store of a gateway that has ended.
fn plant(plot: &Plot, broken: &[(&Sealer, &str, &str, &Value)]) {
    let store = LocalStore::open(&data_directory(plot.folder()).join("store")).expect("nobody has it");
    let writes = broken.iter().map(|(sealer, kind, id, json)| {
        let key = Key { partition: (*kind).to_owned(), sort: (*id).to_owned() };
        let sealed = sealer.seal_at(DOCUMENT_PURPOSE, &key, 1, json.to_string().as_bytes());
        Write { key, precondition: Precondition::Absent, change: Change::Put(sealed) }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(store.commit(writes.collect())).expect("it is written");
    store.close();
}
