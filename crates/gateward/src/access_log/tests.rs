use std::path::Path;
use std::time::Duration;

use gateward_clock::Timestamp;
use gateward_net::{Conn, Peer, Scheme};
use gateward_plugins::{Answerer, Consumer, Notes, RouteFacts};
use gateward_proxy::AccessLog as _;
use gateward_testkit::eventually;
use http::{HeaderValue, Method, StatusCode, Uri, Version};
use serde_json::{Value, json};

use super::*;

fn record(target: &'static str) -> Box<Record> {
    Box::new(Record {
        request_id: HeaderValue::from_static("r-1"),
        method: Method::POST,
        target: Uri::from_static(target),
        version: Version::HTTP_2,
        host: Some(HeaderValue::from_static("shop.example")),
        user_agent: Some(HeaderValue::from_bytes(b"c\xffurl \"7\"\t").unwrap()),
        referer: Some(HeaderValue::from_static("https://u:canary@h.example/?token=canary&a=1")),
        client: [10, 0, 0, 9].into(),
        conn: Conn {
            scheme: Scheme::Https,
            ..Conn::plain(([10, 0, 0, 9], 1).into(), ([127, 0, 0, 1], 2).into())
        },
        route: Some(Arc::new(RouteFacts {
            id: "7".into(),
            service_id: Some("s".into()),
            ..RouteFacts::default()
        })),
        matched: None,
        consumer: Some(Arc::new(Consumer {
            username: "ann".into(),
            group: None,
            credential: None,
            labels: Default::default(),
        })),
        status: StatusCode::BAD_GATEWAY,
        code: Some("upstream_timeout"),
        answerer: Answerer::Gateway,
        node: Some(Peer::new(Scheme::Http, "[::1]", 8080, true)),
        upstream_status: Some(StatusCode::OK),
        upstream_latency: Some(Duration::from_micros(12_345)),
        started: Timestamp::from_millis(1_440_938_160_042),
        latency: Duration::from_micros(20_499),
        request_bytes: 3,
        response_bytes: 100,
        complete: true,
        notes: Notes::default(),
    })
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

fn open(path: &Path) -> Arc<AccessLog> {
    open_to_write(path, Writes::Later)
}

fn open_to_write(path: &Path, writes: Writes) -> Arc<AccessLog> {
    let opened = AccessLog::open(&Target::File(path.to_owned()), writes, Arc::default());
    opened.unwrap().expect("there is to be one")
}

#[test]
fn a_line_says_what_became_of_a_request_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = open(&path);
    log.ended(record("https://shop.example/a%2Fb?apikey=canary&page=2"));
    log.finish();
    assert_eq!(
        lines(&path),
        [json!({
            "time": "2015-08-30T12:36:00.042Z", "request_id": "r-1", "client_ip": "10.0.0.9", "method": "POST",
            "scheme": "https", "host": "shop.example", "uri": "/a%2Fb?apikey=***&page=2", "protocol": "HTTP/2.0",
            "status": 502, "error_code": "upstream_timeout", "request_time": 0.02, "request_body_bytes": 3,
            "body_bytes_sent": 100, "complete": true, "upstream_addr": "[::1]:8080", "upstream_status": 200,
            "upstream_response_time": 0.012, "route_id": "7", "service_id": "s", "consumer": "ann",
            "user_agent": "c\u{fffd}url \"7\"\t", "referer": "https://h.example/?token=***&a=1",
        })]
    );
    assert_eq!(log.counts(), (1, 0));
}

#[test]
fn a_file_that_was_moved_is_begun_anew_without_a_word_or_at_once_on_a_call() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let log = open(&path);
    log.ended(record("/1"));
    log.finish();
    std::fs::rename(&path, &old).unwrap();
    log.reopen();
    // What ends until the writer hears of it goes to the old file still.
    log.finish();
    log.ended(record("/2"));
    log.finish();
    let uris = |path: &Path| lines(path).iter().map(|line| line["uri"].clone()).collect::<Vec<_>>();
    assert_eq!((uris(&old), uris(&path)), (vec![json!("/1")], vec![json!("/2")]));
    std::fs::remove_file(&path).unwrap();
    assert!(eventually(Duration::from_secs(10), || path.exists().then_some(())).is_some(), "nobody looked");
    log.ended(record("/3"));
    log.finish();
    assert_eq!(uris(&path), [json!("/3")]);
}

#[test]
fn where_nothing_runs_later_a_line_is_there_when_its_request_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let log = open_to_write(&path, Writes::AtOnce);
    for target in ["/1", "/2?token=canary"] {
        log.ended(record(target));
        let told = lines(&path).last().map(|line| line["uri"].clone());
        assert_eq!(told, Some(json!(target.replace("canary", "***"))));
    }
    assert_eq!(log.counts(), (2, 0));
    log.finish();
    let full = open_to_write(Path::new("/dev/full"), Writes::AtOnce);
    full.ended(record("/"));
    assert_eq!(full.counts(), (0, 1));
}

#[test]
fn when_the_queue_is_full_records_are_dropped_and_counted() {
    let (records, queue) = sync_channel(2);
    let (calls, _heard) = channel();
    let way = Way::Later { records, calls: Mutex::new(calls) };
    let log = AccessLog { way, counts: Arc::default() };
    for _ in 0..5 {
        log.ended(record("/"));
    }
    assert_eq!((log.counts(), queue.try_iter().count()), ((0, 3), 2));
}

#[test]
fn what_cannot_be_written_is_counted_and_the_log_goes_on() {
    let log = open(Path::new("/dev/full"));
    for _ in 0..2 {
        log.ended(record("/"));
        log.finish();
    }
    assert_eq!(log.counts(), (0, 2));
}

#[test]
fn a_file_that_cannot_be_opened_stops_the_start_and_is_named() {
    let refused =
        AccessLog::open(&Target::File("/nonexistent/access.log".into()), Writes::Later, Arc::default());
    let sentence = refused.map(drop).unwrap_err();
    assert!(sentence.starts_with("access_log: /nonexistent/access.log cannot be opened: "), "{sentence}");
    assert!(AccessLog::open(&Target::Off, Writes::AtOnce, Arc::default()).unwrap().is_none());
}
