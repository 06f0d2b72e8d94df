use std::sync::LazyLock;

use gateward_clock::ManualClock;
use gateward_net::{Protocol, Scheme};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::*;
use crate::testing::{Listening, connector, upstream};
use crate::{Failed, Health};

/// Where checks would run that nobody starts.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_secs(1)))
}

fn registry() -> Registry {
    Registry::with_checks(clock(), RUNTIME.handle().clone(), connector())
}

fn compiled(registry: &Registry, json: &Value) -> Balanced {
    Balanced::compile("upstreams/1", &upstream(json), None, registry).unwrap()
}

fn two_nodes(more: &Value) -> Value {
    let mut json = json!({"nodes": [
        {"host": "a", "port": 80, "weight": 1}, {"host": "b", "port": 81, "weight": 1},
    ]});
    json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json
}

fn pick(balanced: &Balanced) -> Option<usize> {
    balanced.pick(Key::default(), &Tried::default()).map(|turn| turn.node())
}

#[test]
fn the_round_goes_on_when_the_snapshot_is_replaced() {
    let registry = registry();
    let before = compiled(&registry, &two_nodes(&json!({})));
    assert_eq!(pick(&before), Some(0));
    let after = compiled(&registry, &two_nodes(&json!({"retries": 0})));
    drop(before);
    registry.sweep();
    assert_eq!(pick(&after), Some(1));
    drop(after);
    registry.sweep();
    assert_eq!(pick(&compiled(&registry, &two_nodes(&json!({})))), Some(0));
}

#[test]
fn calls_are_counted_while_turns_last_whichever_snapshot_they_are_of() {
    let registry = registry();
    let json = two_nodes(&json!({"type": "least_conn"}));
    let before = compiled(&registry, &json);
    let first = before.pick(Key::default(), &Tried::default()).unwrap();
    assert!(first.counts_until_dropped());
    let after = compiled(&registry, &json);
    drop(before);
    for _ in 0..4 {
        assert_ne!(pick(&after), Some(first.node()));
    }
    drop(first);
    let mut both = [pick(&after).unwrap(), pick(&after).unwrap()];
    both.sort_unstable();
    assert_eq!(both, [0, 1]);
}

#[test]
fn a_node_is_tried_once_and_then_there_is_nobody() {
    let balanced = compiled(&registry(), &two_nodes(&json!({})));
    let mut tried = Tried::default();
    for _ in 0..2 {
        let turn = balanced.pick(Key::default(), &tried).unwrap();
        tried.add(&turn);
    }
    assert_eq!(tried.count(), 2);
    assert!(balanced.pick(Key::default(), &tried).is_none());
}

#[test]
fn retries_are_all_other_nodes_unless_it_is_said() {
    let registry = registry();
    assert_eq!(compiled(&registry, &two_nodes(&json!({}))).retries(), 1);
    assert_eq!(compiled(&registry, &two_nodes(&json!({"retries": 0}))).retries(), 0);
    assert_eq!(compiled(&registry, &two_nodes(&json!({"retries": 5}))).retries(), 5);
    let empty = compiled(&registry, &json!({"nodes": []}));
    assert_eq!((empty.retries(), pick(&empty), empty.is_empty()), (0, None, true));
}

#[test]
fn what_requests_meet_takes_nodes_out_and_brings_them_back() {
    let checks = json!({"checks": {"active": {}, "passive": {}}});
    let balanced = compiled(&registry(), &two_nodes(&checks));
    let turns: Vec<Turn> =
        (0..2).map(|_| balanced.pick(Key::default(), &Tried::default()).unwrap()).collect();
    let fail = |turn: &Turn, failed, count| (0..count).for_each(|_| turn.failed(failed));
    fail(&turns[0], Failed::Connection, 2);
    for _ in 0..10 {
        assert_eq!(pick(&balanced), Some(turns[1].node()));
    }
    // With the only one that is up tried, those that are down are not asked.
    let mut tried = Tried::default();
    tried.add(&turns[1]);
    assert!(balanced.pick(Key::default(), &tried).is_none());
    fail(&turns[1], Failed::Timeout, 7);
    let picked: Vec<_> = (0..4).filter_map(|_| pick(&balanced)).collect();
    assert!(picked.contains(&0) && picked.contains(&1), "all are down, so all are asked: {picked:?}");
    for _ in 0..5 {
        turns[0].answered(StatusCode::OK, Duration::ZERO);
    }
    for _ in 0..10 {
        assert_eq!(pick(&balanced), Some(turns[0].node()));
    }
}

#[test]
fn where_nobody_is_asked_how_they_are_nobody_is_left_alone() {
    let json = two_nodes(&json!({"checks": {"active": {}, "passive": {"unhealthy": {"tcp_failures": 1}}}}));
    let balanced = compiled(&Registry::new(clock()), &json);
    balanced.run_checks(true);
    for node in [0, 1, 0, 1] {
        let turn = balanced.pick(Key::default(), &Tried::default()).unwrap();
        turn.failed(Failed::Connection);
        assert_eq!(turn.node(), node);
    }
}

#[test]
fn health_outlives_the_snapshot_and_ends_with_the_checks() {
    let registry = registry();
    let checked = two_nodes(&json!({"checks": {"active": {}, "passive": {}}}));
    let before = compiled(&registry, &checked);
    let turn = before.pick(Key::default(), &Tried::default()).unwrap();
    (0..2).for_each(|_| turn.failed(Failed::Connection));
    let after = compiled(&registry, &checked);
    drop(before);
    assert!((0..10).all(|_| pick(&after) != Some(turn.node())));
    let unchecked = compiled(&registry, &two_nodes(&json!({})));
    assert!((0..10).any(|_| pick(&unchecked) == Some(turn.node())));
    let checked_again = compiled(&registry, &checked);
    assert!((0..10).any(|_| pick(&checked_again) == Some(turn.node())));
}

#[test]
fn nodes_without_weight_keep_nobody_up() {
    let checks = json!({"nodes": {"a:1": 1, "b:1": 0}, "checks": {"active": {}, "passive": {}}});
    let balanced = compiled(&registry(), &checks);
    let turn = balanced.pick(Key::default(), &Tried::default()).unwrap();
    (0..2).for_each(|_| turn.failed(Failed::Connection));
    assert_eq!(pick(&balanced), Some(0));
}

#[test]
fn the_slower_node_is_asked_less() {
    let clock = ManualClock::at(Timestamp::from_secs(1));
    let registry = Registry::new(Arc::new(clock.clone()));
    let balanced = compiled(&registry, &two_nodes(&json!({"type": "ewma"})));
    let mut counts = [0; 2];
    for _ in 0..1_000 {
        let turn = balanced.pick(Key::default(), &Tried::default()).unwrap();
        counts[turn.node()] += 1;
        turn.answered(StatusCode::OK, Duration::from_millis([10, 50][turn.node()]));
        clock.advance(Duration::from_millis(100));
    }
    assert!(counts[0] > counts[1] * 2 && counts[1] > 0, "{counts:?}");
    // A node that fails at once is not a fast one.
    for _ in 0..100 {
        let turn = balanced.pick(Key::default(), &Tried::default()).unwrap();
        match turn.node() {
            0 => turn.failed(Failed::Connection),
            _ => turn.answered(StatusCode::OK, Duration::from_millis(50)),
        }
        clock.advance(Duration::from_millis(10));
    }
    assert_eq!(pick(&balanced), Some(1));
}

#[test]
fn nodes_hear_of_the_host_that_they_are_to_hear_of() {
    let registry = registry();
    let hosts = |more: &Value| {
        let balanced = compiled(&registry, &two_nodes(more));
        [0, 1].map(|node| balanced.host(node).map(|host| host.to_str().unwrap().to_owned()))
    };
    assert_eq!(hosts(&json!({})), [None, None]);
    let node = hosts(&json!({"pass_host": "node"}));
    assert_eq!(node, [Some("a".to_owned()), Some("b:81".to_owned())]);
    let rewrite = hosts(&json!({"pass_host": "rewrite", "upstream_host": "c:9"}));
    assert_eq!(rewrite, [Some("c:9".to_owned()), Some("c:9".to_owned())]);
}

#[test]
fn peers_have_all_that_connections_differ_in() {
    let registry = registry();
    let plain = compiled(&registry, &two_nodes(&json!({})));
    assert_eq!((plain.peer(1).host(), plain.peer(1).port(), plain.peer(1).scheme()), ("b", 81, Scheme::Http));
    assert!(plain.peer(0).tls().is_none() && plain.peer(0).keepalive().is_none());
    let full = compiled(
        &registry,
        &two_nodes(&json!({
            "scheme": "grpcs", "keepalive_pool": {"size": 3, "idle_timeout": 0, "requests": 7},
            "pass_host": "rewrite", "upstream_host": "c.example:9",
        })),
    );
    let peer = full.peer(0);
    assert_eq!((peer.protocol(), peer.scheme(), peer.verify()), (Protocol::Http2, Scheme::Https, true));
    let keepalive = peer.keepalive().unwrap();
    assert_eq!((keepalive.size, keepalive.idle_timeout, keepalive.requests), (3, Duration::ZERO, 7));
    assert!(peer.tls().is_some());
    let unverified = compiled(&registry, &two_nodes(&json!({"scheme": "https", "tls": {"verify": false}})));
    assert!(!unverified.peer(0).verify());
}

#[test]
fn what_cannot_be_compiled_is_named_by_its_field() {
    let own = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
    let (pem, key, other) =
        (own.cert.pem(), own.signing_key.serialize_pem(), other.signing_key.serialize_pem());
    let wrong = [
        (json!({"tls": {"ca": "no PEM"}}), "tls.ca"),
        (json!({"tls": {"client_cert": "no PEM", "client_key": key}}), "tls.client_cert"),
        (json!({"tls": {"client_cert": pem, "client_key": "no PEM"}}), "tls.client_key"),
        (json!({"tls": {"client_cert": pem, "client_key": other}}), "tls.client_cert"),
        (json!({"scheme": "https", "pass_host": "rewrite", "upstream_host": "a..b"}), "upstream_host"),
    ];
    for (more, field) in wrong {
        assert_eq!(check(&upstream(&two_nodes(&more))).unwrap_err().field, field, "{more}");
    }
    let right = [
        json!({"tls": {"client_cert": pem, "client_key": key}}),
        json!({"tls": {"client_cert": pem, "client_key": "{vault://env/key}"}}),
        json!({"tls": {"client_cert_id": "client"}}),
        json!({"pass_host": "rewrite", "upstream_host": "{vault://env/host}"}),
        json!({"checks": {"active": {"req_headers": ["X: {vault://env/x}"]}}}),
    ];
    for more in right {
        assert_eq!(check(&upstream(&two_nodes(&more))), Ok(()), "{more}");
    }
    let by_id = upstream(&two_nodes(&json!({"scheme": "https", "tls": {"client_cert_id": "client"}})));
    let missing = Balanced::compile("upstreams/1", &by_id, None, &registry()).unwrap_err();
    assert_eq!(missing.field, "tls.client_cert_id");
    let client = ClientCertificate { chain: &pem, key: &key };
    let found = Balanced::compile("upstreams/1", &by_id, Some(client), &registry()).unwrap();
    assert!(found.peer(0).tls().is_some());
}

/// Waits until `look` sees something.
async fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look() {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), looking).await.expect("it comes to pass in time")
}

#[tokio::test]
async fn checks_find_out_who_is_down_survive_other_changes_and_end_with_the_upstream() {
    let node = Listening::start("HTTP/1.1 200 OK\r\n\r\n").await;
    let registry = Registry::with_checks(clock(), Handle::current(), connector());
    let nobody = gateward_testkit::nobody().port();
    let json = |weight: u32| {
        json!({
            "nodes": [
                {"host": "127.0.0.1", "port": node.port, "weight": weight},
                {"host": "127.0.0.1", "port": nobody, "weight": 1},
            ],
            "checks": {"active": {"unhealthy": {"tcp_failures": 1}}},
        })
    };
    let balanced = compiled(&registry, &json(1));
    assert!(registry.health().is_empty(), "nobody refers to the upstream yet");
    balanced.run_checks(true);
    let health = eventually(|| {
        let health = registry.health();
        (health[0].nodes[1].status == Health::Unhealthy && !locked(&node.requests).is_empty())
            .then_some(health)
    })
    .await;
    assert_eq!(
        serde_json::to_value(&health).unwrap(),
        json!([{"name": "/apisix/upstreams/1", "type": "http", "nodes": [
            {
                "ip": "127.0.0.1", "port": node.port, "hostname": format!("127.0.0.1:{}", node.port),
                "status": "healthy",
                "counter": {"success": 0, "http_failure": 0, "tcp_failure": 0, "timeout_failure": 0},
            },
            {
                "ip": "127.0.0.1", "port": nobody, "hostname": format!("127.0.0.1:{nobody}"),
                "status": "unhealthy",
                "counter": {"success": 0, "http_failure": 0, "tcp_failure": 1, "timeout_failure": 0},
            },
        ]}])
    );
    assert!((0..10).all(|_| pick(&balanced) == Some(0)));

    let running = || locked(&registry.group("upstreams/1").running).upgrade();
    let before = Arc::downgrade(&running().unwrap());
    let heavier = compiled(&registry, &json(2));
    heavier.run_checks(true);
    drop(balanced);
    assert!(
        std::ptr::eq(before.as_ptr(), Arc::downgrade(&running().unwrap()).as_ptr()),
        "the same checks go on"
    );

    let mut other = json(2);
    other["checks"]["active"]["http_path"] = json!("/other");
    let changed = compiled(&registry, &other);
    changed.run_checks(true);
    drop(heavier);
    assert!(before.upgrade().is_none(), "what asks otherwise begins anew");
    eventually(|| locked(&node.requests).last()?.starts_with("GET /other").then_some(())).await;

    changed.run_checks(false);
    assert!(running().is_none() && registry.health().is_empty());
    changed.run_checks(true);
    assert!(running().is_some());
    drop(changed);
    assert!(registry.health().is_empty());
}
