//! What Prometheus is told, read by a strict reader of its text format.

use std::collections::BTreeMap;
use std::time::Duration;

use gateward_model::apisix::ResourceId;
use gateward_net::{Conn, Peer, Scheme};
use gateward_router::{Matched, RouteMatch};
use http::{HeaderValue, Method, StatusCode, Uri, Version};
use serde_json::json;

use super::*;
use crate::testing::{Bench, NOW};
use crate::{Answerer, Consumer, Exposition, Notes, RouteFacts, Site};

/// Samples by name and labels, as they are written.
type Samples = BTreeMap<String, f64>;

/// Reads an exposition as the format's description has it, and panics where it is none.
fn read(text: &str) -> Samples {
    let mut samples = Samples::new();
    let mut families: BTreeMap<&str, &str> = BTreeMap::new();
    let mut family = "";
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split_once(' ').expect("a name and words").0;
            assert!(!families.contains_key(family), "{family} comes twice");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a name and a kind");
            assert_eq!(name, family);
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            families.insert(name, kind);
        } else {
            let (sample, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = match sample.split_once('{') {
                Some((name, labels)) => (name, labels.strip_suffix('}').expect("the labels end")),
                None => (sample, ""),
            };
            let base = match families[family] {
                "histogram" => ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)),
                _ => Some(name),
            };
            assert_eq!(base, Some(family), "{line}");
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{line}");
            check_labels(labels);
            let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
            assert!(samples.insert(sample.to_owned(), value).is_none(), "{sample} comes twice");
        }
    }
    samples
}

fn check_labels(mut labels: &str) {
    while !labels.is_empty() {
        let (name, rest) = labels.split_once("=\"").expect("a name");
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{labels}");
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next().expect("a label ends") {
                (_, '\\') => {
                    let (_, escaped) = characters.next().expect("something is escaped");
                    assert!(matches!(escaped, '\\' | '"' | 'n'), "{labels}");
                }
                (at, '"') => break at,
                _ => {}
            }
        };
        labels = rest[end + 1..].strip_prefix(',').unwrap_or(&rest[end + 1..]);
    }
}

fn record(route: Option<&str>, status: u16, millis: u64) -> Record {
    let matching = |id: &str| RouteMatch {
        id: ResourceId::parse(id).unwrap(),
        uris: vec!["/other".to_owned(), "/a/*".to_owned()],
        hosts: vec!["*.example".to_owned()],
        methods: Vec::new(),
        remote_addrs: Vec::new(),
        condition: None,
        priority: 0,
    };
    Record {
        request_id: HeaderValue::from_static("r"),
        method: Method::GET,
        target: Uri::from_static("/a/b"),
        version: Version::HTTP_11,
        host: None,
        user_agent: None,
        referer: None,
        client: [127, 0, 0, 1].into(),
        conn: Conn::plain(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into()),
        route: route.map(|id| {
            let (service_id, service_name) = (Some("s1".into()), Some("Orders".into()));
            Arc::new(RouteFacts { id: id.into(), name: Some("a \"b\"".into()), service_id, service_name })
        }),
        matched: route.map(|id| Matched { route: Arc::new(matching(id)), uri: 1, host: Some(0) }),
        consumer: route.map(|_| {
            let username = "ann".into();
            Arc::new(Consumer { username, group: None, credential: None, labels: Default::default() })
        }),
        status: StatusCode::from_u16(status).unwrap(),
        code: None,
        answerer: Answerer::Upstream,
        node: route.map(|_| Peer::new(Scheme::Http, "10.0.0.1", 8080, true)),
        upstream_status: None,
        upstream_latency: route.map(|_| Duration::from_millis(millis - 1)),
        started: NOW,
        latency: Duration::from_millis(millis),
        request_bytes: 3,
        response_bytes: 100,
        complete: true,
        notes: Notes::default(),
    }
}

fn build(bench: &Bench, settings: &Value, metadata: Option<&Value>) -> Arc<dyn Plugin> {
    (KIND.check)(settings).unwrap();
    (KIND.build)(settings, &Site { owner: "routes/1", metadata, shared: &bench.shared }).unwrap()
}

fn samples(bench: &Bench) -> Samples {
    let mut exposition = Exposition::default();
    Requests::of(&bench.shared).write(&mut exposition);
    read(&exposition.into_text())
}

#[tokio::test]
async fn requests_are_counted_in_the_words_of_apisix() {
    let bench = Bench::new();
    let plugin = build(&bench, &json!({}), None);
    for (status, millis) in [(200, 3), (200, 70), (404, 70_000)] {
        plugin.log(&record(Some("1"), status, millis));
    }
    plugin.log(&record(None, 404, 1));
    let samples = samples(&bench);
    let status = |code, rest| samples[&format!("apisix_http_status{{code=\"{code}\",{rest}}}")];
    let of_route = "route=\"1\",matched_uri=\"/a/*\",matched_host=\"*.example\",service=\"s1\",consumer=\"ann\",node=\"10.0.0.1\"";
    assert!((status(200, of_route) - 2.0).abs() < 0.1 && (status(404, of_route) - 1.0).abs() < 0.1);
    let of_none = "route=\"\",matched_uri=\"\",matched_host=\"\",service=\"\",consumer=\"\",node=\"\"";
    assert!((status(404, of_none) - 1.0).abs() < 0.1);
    let rest = "route=\"1\",service=\"s1\",consumer=\"ann\",node=\"10.0.0.1\"";
    let latency = |kind, le| {
        samples[&format!("apisix_http_latency_bucket{{type=\"{kind}\",{rest},le=\"{le}\"}}")] as u64
    };
    let buckets = |kind| ["2", "5", "50", "100", "60000", "+Inf"].map(|le| latency(kind, le));
    assert_eq!(buckets("request"), [0, 1, 1, 2, 2, 3]);
    assert_eq!(buckets("upstream"), [1, 1, 1, 2, 2, 3]);
    assert_eq!(buckets("apisix"), [3, 3, 3, 3, 3, 3]);
    let sum = samples[&format!("apisix_http_latency_sum{{type=\"request\",{rest}}}")];
    assert!((sum - 70_073.0).abs() < 0.5, "{sum}");
    assert_eq!(samples[&format!("apisix_http_latency_count{{type=\"request\",{rest}}}")] as u64, 3);
    assert_eq!(samples[&format!("apisix_bandwidth{{type=\"ingress\",{rest}}}")] as u64, 9);
    assert_eq!(samples[&format!("apisix_bandwidth{{type=\"egress\",{rest}}}")] as u64, 300);
    let nobodys = "route=\"\",service=\"\",consumer=\"\",node=\"\"";
    assert!(!samples.contains_key(&format!("apisix_http_latency_count{{type=\"upstream\",{nobodys}}}")));
}

#[tokio::test]
async fn names_are_shown_where_they_are_preferred() {
    let bench = Bench::new();
    build(&bench, &json!({"prefer_name": true}), None).log(&record(Some("1"), 200, 3));
    let samples = samples(&bench);
    let rest = "route=\"a \\\"b\\\"\",service=\"Orders\",consumer=\"ann\",node=\"10.0.0.1\"";
    assert!(samples.contains_key(&format!("apisix_bandwidth{{type=\"ingress\",{rest}}}")), "{samples:?}");
}

#[tokio::test]
async fn counts_outlive_configurations_and_threads_and_are_added_up() {
    let bench = Bench::new();
    let rest = "{type=\"egress\",route=\"1\",service=\"s1\",consumer=\"ann\",node=\"10.0.0.1\"}";
    let sent = || samples(&bench)[&format!("apisix_bandwidth{rest}")] as u64;
    for round in 1..=3 {
        let plugin = build(&bench, &json!({}), None);
        let on_threads = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let plugin = Arc::clone(&plugin);
                    scope.spawn(move || {
                        for _ in 0..250 {
                            plugin.log(&record(Some("1"), 200, 3));
                        }
                    })
                })
                .collect();
            threads.into_iter().all(|thread| thread.join().is_ok())
        });
        assert!(on_threads);
        drop(plugin);
        assert_eq!(sent(), round * 100_000);
    }
    assert_eq!(sent(), 300_000);
}

#[tokio::test]
async fn no_status_is_lost_however_many_there_are() {
    let bench = Bench::new();
    let plugin = build(&bench, &json!({}), None);
    for status in (200..300).chain(200..300) {
        plugin.log(&record(Some("1"), status, 3));
    }
    let samples = samples(&bench);
    let statuses = samples.iter().filter(|(name, _)| name.starts_with("apisix_http_status{"));
    let counts: Vec<u64> = statuses.map(|(_, count)| *count as u64).collect();
    assert_eq!(counts, [2; 100]);
    let rest = "type=\"egress\",route=\"1\",service=\"s1\",consumer=\"ann\",node=\"10.0.0.1\"";
    assert_eq!(samples[&format!("apisix_bandwidth{{{rest}}}")] as u64, 20_000);
}

#[tokio::test]
async fn a_label_that_is_disabled_is_empty_and_its_series_are_one() {
    let bench = Bench::new();
    let metadata =
        json!({"disabled_labels": {"http_status": ["route", "matched_uri"], "bandwidth": ["route"]}});
    (KIND.metadata.as_ref().unwrap().check)(&metadata).unwrap();
    let plugin = build(&bench, &json!({}), Some(&metadata));
    for id in ["1", "2"] {
        plugin.log(&record(Some(id), 200, 3));
    }
    let samples = samples(&bench);
    let of_both = "code=\"200\",route=\"\",matched_uri=\"\",matched_host=\"*.example\",service=\"s1\",consumer=\"ann\",node=\"10.0.0.1\"";
    assert_eq!(samples[&format!("apisix_http_status{{{of_both}}}")] as u64, 2);
    assert_eq!(
        samples.keys().filter(|name| name.starts_with("apisix_http_latency_count{type=\"request\"")).count(),
        2
    );
    for (wrong, field) in [
        (json!({"disabled_labels": {"http_status": ["code"]}}), "disabled_labels.http_status"),
        (json!({"disabled_labels": {"nothing": []}}), "disabled_labels.nothing"),
    ] {
        let invalid = (KIND.metadata.as_ref().unwrap().check)(&wrong).unwrap_err();
        assert_eq!(invalid.field, field);
    }
}

#[tokio::test]
async fn what_a_thread_forgets_is_not_lost() {
    let bench = Bench::new();
    let plugin = build(&bench, &json!({}), None);
    for id in 0..5000 {
        plugin.log(&record(Some(&format!("r{id}")), 200, 3));
    }
    plugin.log(&record(Some("r0"), 200, 3));
    let samples = samples(&bench);
    let count = |id| {
        let rest =
            format!("type=\"egress\",route=\"{id}\",service=\"s1\",consumer=\"ann\",node=\"10.0.0.1\"");
        samples[&format!("apisix_bandwidth{{{rest}}}")] as u64
    };
    assert_eq!((count("r0"), count("r1"), count("r4999")), (200, 100, 100));
}
