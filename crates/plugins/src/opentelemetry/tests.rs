//! What a collector is told, read by a decoder that knows Protocol Buffers and nothing of how they are written here.

use std::time::Duration;

use gateward_clock::Clock as _;
use gateward_net::{Body, Client, Connector, ConnectorSettings, Peer};
use gateward_router::RouteMatch;
use http::{Method, Request, StatusCode, Version};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::testing::{Bench, NOW};
use crate::{Answerer, Flow, Matched, RouteFacts, Shared, SharedParts, Site};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// A field of a message: its number and its value.
#[derive(Clone, Debug, PartialEq)]
enum Field {
    Number(u64),
    Fixed(u64),
    Bytes(Vec<u8>),
}

/// The fields of a message, as they stand there.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (first, rest) = bytes.split_first().expect("a varint ends");
            *bytes = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => {
                let (value, rest) = bytes.split_at(8);
                bytes = rest;
                Field::Fixed(u64::from_le_bytes(value.try_into().expect("eight bytes")))
            }
            2 => {
                let length = usize::try_from(varint(&mut bytes)).expect("a length");
                let (value, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(value.to_vec())
            }
            other => panic!("wire type {other}"),
        };
        fields.push((tag >> 3, field));
    }
    fields
}

fn bytes(message: &[u8], number: u64) -> Vec<Vec<u8>> {
    let wanted = fields(message).into_iter().filter(|(field, _)| *field == number);
    wanted
        .map(|(_, field)| if let Field::Bytes(bytes) = field { bytes } else { panic!("{number}") })
        .collect()
}

fn one(message: &[u8], number: u64) -> Option<Field> {
    fields(message).into_iter().find(|(field, _)| *field == number).map(|(_, field)| field)
}

/// Attributes (field `number` of `message`) as JSON.
fn attributes(message: &[u8], number: u64) -> Value {
    let pairs = bytes(message, number).into_iter().map(|pair| {
        let key = String::from_utf8(bytes(&pair, 1).remove(0)).unwrap();
        let value = match fields(&bytes(&pair, 2)[0]).remove(0) {
            (1, Field::Bytes(text)) => json!(String::from_utf8(text).unwrap()),
            (2, Field::Number(flag)) => json!(flag == 1),
            (3, Field::Number(number)) => json!(number),
            (4, Field::Fixed(bits)) => json!(f64::from_bits(bits)),
            other => panic!("{other:?}"),
        };
        (key, value)
    });
    Value::Object(pairs.collect())
}

/// A collector: what it was sent, head and body.
struct Collector {
    address: String,
    heard: mpsc::UnboundedReceiver<(String, Vec<u8>)>,
}

impl Collector {
    async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (tell, heard) = mpsc::unbounded_channel();
        tokio::task::spawn_local(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let tell = tell.clone();
                tokio::task::spawn_local(async move {
                    let mut read = Vec::new();
                    loop {
                        let end = read.windows(4).position(|window| window == b"\r\n\r\n");
                        let whole = end.and_then(|end| {
                            let head = String::from_utf8(read[..end].to_vec()).unwrap().to_lowercase();
                            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                            let total = end + 4 + length.map_or(0, |length| length.parse().unwrap());
                            (read.len() >= total).then(|| (head, read[end + 4..total].to_vec(), total))
                        });
                        if let Some((head, body, total)) = whole {
                            read.drain(..total);
                            tell.send((head, body)).unwrap();
                            stream.write_all(answer.as_bytes()).await.unwrap();
                        } else if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, heard }
    }

    async fn hear(&mut self) -> (String, Vec<u8>) {
        let heard = tokio::time::timeout(Duration::from_secs(10), self.heard.recv());
        heard.await.expect("it is told in time").unwrap()
    }
}

const TAKEN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A bench whose plugins may call.
fn bench() -> Bench {
    let mut bench = Bench::new();
    let connector = Arc::new(Connector::new(ConnectorSettings::default()).unwrap());
    bench.shared = Shared::of(SharedParts {
        clock: Arc::clone(&bench.clock) as _,
        runtime: tokio::runtime::Handle::current(),
        aws: Arc::clone(&bench.shared.aws),
        client: Some(Client::new(connector)),
        host_name: "node-1".into(),
        confidential: Arc::default(),
    });
    bench.route = Arc::new(RouteFacts {
        id: "7".into(),
        name: Some("orders".into()),
        service_id: Some("s".into()),
        ..RouteFacts::default()
    });
    let route = RouteMatch {
        id: gateward_model::apisix::ResourceId::parse("7").unwrap(),
        uris: vec!["/a".to_owned(), "/orders/*".to_owned()],
        hosts: Vec::new(),
        methods: Vec::new(),
        remote_addrs: Vec::new(),
        condition: None,
        priority: 0,
    };
    bench.matched = Some(Matched { route: Arc::new(route), uri: 1, host: None });
    bench
}

fn build(bench: &Bench, settings: &Value, metadata: &Value) -> Arc<dyn Plugin> {
    (KIND.check)(settings).unwrap();
    (KIND.metadata.as_ref().unwrap().check)(metadata).unwrap();
    let site = Site { owner: "routes/7", metadata: Some(metadata), shared: &bench.shared };
    (KIND.build)(settings, &site).unwrap()
}

/// Has `plugin` take its turns at `request`, which is answered with `status`; what the upstream is told, and the ids
/// for the access log.
async fn pass(
    bench: &Bench,
    plugin: &dyn Plugin,
    request: Request<Body>,
    status: u16,
) -> (HeaderMap, Option<TraceNote>) {
    let target = request.uri().clone();
    let user_agent = request.headers().get("user-agent").cloned();
    let (headers, notes) = bench
        .try_request(plugin, request, |exchange, flow| {
            assert!(matches!(flow, Flow::Continue));
            (exchange.request.headers().clone(), std::mem::take(&mut exchange.notes))
        })
        .await;
    let note = notes.get::<TraceNote>().copied();
    plugin.log(&Record {
        request_id: http::HeaderValue::from_static("r"),
        method: Method::GET,
        target,
        version: Version::HTTP_11,
        host: Some(http::HeaderValue::from_static("shop.example:8080")),
        user_agent,
        referer: None,
        client: bench.conn.client.ip(),
        conn: bench.conn.clone(),
        route: Some(Arc::clone(&bench.route)),
        matched: bench.matched.clone(),
        consumer: None,
        status: StatusCode::from_u16(status).unwrap(),
        code: None,
        answerer: Answerer::Upstream,
        node: Some(Peer::new(gateward_net::Scheme::Http, "10.0.0.1", 80, true)),
        upstream_status: None,
        upstream_latency: None,
        started: bench.clock.now(),
        latency: Duration::from_micros(1500),
        request_bytes: 0,
        response_bytes: 0,
        complete: true,
        notes,
    });
    (headers, note)
}

fn local<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test)
}

fn at(collector: &Collector) -> Value {
    json!({
        "collector": {"address": collector.address, "request_headers": {"x-tenant": "t", "x-n": 1.5, "x-b": true}},
        "batch_span_processor": {"inactive_timeout": 0},
        "resource": {"service.name": "shop", "zone": 3.5, "is.test": true},
        "set_ngx_var": true,
    })
}

#[test]
fn a_collector_is_told_of_a_span_that_continues_the_callers_trace() {
    local(async {
        let bench = bench();
        let mut collector = Collector::start(TAKEN).await;
        let settings = json!({
            "sampler": {"name": "always_on"},
            "additional_attributes": ["http_x_shop", "remote_addr", "nothing"],
            "additional_header_prefix_attributes": ["X-Team", "x-my-*", "cookie"],
        });
        let plugin = build(&bench, &settings, &at(&collector));
        bench.shared.confidential.add("k");
        let request = Request::get("/orders/7?k=canary&api_key=canary&page=2")
            .header("traceparent", format!("00-{TRACE}-{SPAN}-00"))
            .header("tracestate", "vendor=1")
            .header("user-agent", "curl")
            .header("x-shop", "main")
            .header("x-team", "blue")
            .header("x-my-one", "1")
            .header("x-my-token", "canary")
            .header("cookie", "session=canary")
            .body(Body::empty())
            .unwrap();
        let (headers, note) = pass(&bench, &*plugin, request, 200).await;
        let note = note.expect("the access log is told");
        let told = headers["traceparent"].to_str().unwrap().to_owned();
        assert_eq!(told, format!("00-{TRACE}-{}-01", note.span_id));
        assert_eq!(note.trace_id.to_string(), TRACE);
        assert_eq!(headers["tracestate"], "vendor=1");

        let (head, body) = collector.hear().await;
        assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
        for line in ["content-type: application/x-protobuf", "x-tenant: t", "x-n: 1.5", "x-b: true"] {
            assert!(head.lines().any(|is| is == line), "{line}: {head}");
        }
        assert!(!body.windows(6).any(|window| window == b"canary"));
        let resource_spans = bytes(&body, 1).remove(0);
        assert_eq!(
            attributes(&bytes(&resource_spans, 1)[0], 1),
            json!({"is.test": true, "service.name": "shop", "zone": 3.5, "hostname": "node-1"})
        );
        let scope_spans = bytes(&resource_spans, 2).remove(0);
        assert_eq!(bytes(&bytes(&scope_spans, 1)[0], 1), [b"gateward"]);
        let spans = bytes(&scope_spans, 2);
        assert_eq!(spans.len(), 1);
        let span = &spans[0];
        let hex =
            |number| bytes(span, number)[0].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!((hex(1).as_str(), hex(2), hex(4).as_str()), (TRACE, note.span_id.to_string(), SPAN));
        assert_eq!(one(span, 5), Some(Field::Bytes(b"GET /orders/*".to_vec())));
        assert_eq!(one(span, 6), Some(Field::Number(2)), "it is a server's");
        let started = NOW.millis() * 1_000_000;
        assert_eq!(
            (one(span, 7), one(span, 8)),
            (Some(Field::Fixed(started)), Some(Field::Fixed(started + 1_500_000)),)
        );
        assert_eq!(one(span, 15), None, "it did not fail");
        assert_eq!(
            attributes(span, 9),
            json!({
                "http.method": "GET", "http.request.method": "GET", "http.scheme": "http", "url.scheme": "http",
                "http.target": "/orders/7?k=***&api_key=***&page=2", "url.path": "/orders/7",
                "net.host.name": "shop.example", "http.user_agent": "curl", "user_agent.original": "curl",
                "http.route": "/orders/*", "apisix.route_id": "7", "apisix.route_name": "orders",
                "apisix.service_id": "s", "http_x_shop": "main", "remote_addr": "127.0.0.1", "x-team": "blue",
                "x-my-one": "1", "http.status_code": 200, "http.response.status_code": 200,
            })
        );
    });
}

#[test]
fn a_request_without_a_trace_begins_one_and_a_failure_is_one() {
    local(async {
        let bench = bench();
        let mut collector = Collector::start(TAKEN).await;
        let plugin = build(&bench, &json!({"sampler": {"name": "always_on"}}), &at(&collector));
        let request =
            Request::get("/orders/7").header("traceparent", "00-nonsense").header("tracestate", "vendor=1");
        let (headers, note) = pass(&bench, &*plugin, request.body(Body::empty()).unwrap(), 503).await;
        let note = note.unwrap();
        assert_eq!(headers["traceparent"], format!("00-{}-{}-01", note.trace_id, note.span_id));
        assert!(!headers.contains_key("tracestate"), "it belongs to no trace that we know");
        let (_, body) = collector.hear().await;
        let span = bytes(&bytes(&bytes(&body, 1)[0], 2)[0], 2).remove(0);
        assert_eq!(one(&span, 4), None, "it has no parent");
        assert_eq!(one(&bytes(&span, 15)[0], 3), Some(Field::Number(2)), "its status is an error");
        let (again, _) = pass(&bench, &*plugin, Request::get("/").body(Body::empty()).unwrap(), 200).await;
        assert_ne!(again["traceparent"], headers["traceparent"]);
    });
}

#[test]
fn samplers_take_what_they_should_and_the_upstream_hears_of_it() {
    local(async {
        let bench = bench();
        let collector = Collector::start(TAKEN).await;
        let parent = |flags: &str| Some(format!("00-{TRACE}-{SPAN}-{flags}"));
        for (sampler, traceparent, sampled) in [
            (json!({}), None, false),
            (json!({"name": "always_off"}), parent("01"), false),
            (json!({"name": "always_on"}), parent("00"), true),
            (json!({"name": "trace_id_ratio", "options": {"fraction": 1}}), None, true),
            (json!({"name": "trace_id_ratio"}), None, false),
            (json!({"name": "parent_base"}), parent("01"), true),
            (json!({"name": "parent_base", "options": {"root": {"name": "always_on"}}}), parent("00"), false),
            (json!({"name": "parent_base"}), None, false),
            (json!({"name": "parent_base", "options": {"root": {"name": "always_on"}}}), None, true),
            (
                json!({"name": "parent_base", "options": {"root": {"name": "trace_id_ratio", "options": {"fraction": 1}}}}),
                None,
                true,
            ),
        ] {
            let plugin = build(&bench, &json!({"sampler": sampler}), &at(&collector));
            let mut request = Request::get("/orders/1").body(Body::empty()).unwrap();
            if let Some(traceparent) = &traceparent {
                request.headers_mut().insert("traceparent", traceparent.parse().unwrap());
            }
            let (headers, _) = pass(&bench, &*plugin, request, 200).await;
            let told = headers["traceparent"].to_str().unwrap().to_owned();
            assert_eq!(told.ends_with("-01"), sampled, "{sampler} {traceparent:?}");
            assert!(!told.contains(SPAN) && traceparent.is_none_or(|_| told.contains(TRACE)), "{told}");
        }
    });
}

#[test]
fn the_id_of_a_request_can_be_that_of_its_trace() {
    local(async {
        let bench = bench();
        let plugin = build(
            &bench,
            &json!({"sampler": {"name": "always_on"}}),
            &json!({"trace_id_source": "x-request-id", "collector": {"address": "127.0.0.1:1"}}),
        );
        // The bench's own id can be no trace's.
        let (headers, note) =
            pass(&bench, &*plugin, Request::get("/").body(Body::empty()).unwrap(), 200).await;
        assert!(headers["traceparent"].len() == 55 && note.is_none());
    });
}

#[test]
fn a_collector_that_takes_nothing_costs_spans_and_nothing_else() {
    local(async {
        let bench = bench();
        let mut refusing = Collector::start("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").await;
        let spans = Spans::of(&bench.shared);
        let mut metadata = at(&refusing);
        metadata["batch_span_processor"]["max_queue_size"] = json!(2);
        let plugin = build(&bench, &json!({"sampler": {"name": "always_on"}}), &metadata);
        for _ in 0..5 {
            pass(&bench, &*plugin, Request::get("/").body(Body::empty()).unwrap(), 200).await;
        }
        assert_eq!(spans.counts(), (0, 3, 0), "the queue has room for two");
        refusing.hear().await;
        spans.flush(Duration::from_secs(5)).await;
        assert_eq!(spans.counts(), (0, 3, 2));

        // Nobody listens on port 1.
        metadata["collector"]["address"] = json!("127.0.0.1:1");
        let plugin = build(&bench, &json!({"sampler": {"name": "always_on"}}), &metadata);
        pass(&bench, &*plugin, Request::get("/").body(Body::empty()).unwrap(), 200).await;
        spans.flush(Duration::from_secs(5)).await;
        assert_eq!(spans.counts(), (0, 3, 3));

        let mut taking = Collector::start(TAKEN).await;
        metadata["collector"]["address"] = json!(format!("http://{}/", taking.address));
        let plugin = build(&bench, &json!({"sampler": {"name": "always_on"}}), &metadata);
        pass(&bench, &*plugin, Request::get("/").body(Body::empty()).unwrap(), 200).await;
        let (head, _) = taking.hear().await;
        assert!(head.starts_with("post /v1/traces "), "{head}");
        spans.flush(Duration::from_secs(5)).await;
        assert_eq!(spans.counts(), (1, 3, 3));
    });
}

#[test]
fn what_was_gathered_is_told_in_batches_and_the_rest_before_the_end() {
    local(async {
        let bench = bench();
        let mut collector = Collector::start(TAKEN).await;
        let mut metadata = at(&collector);
        metadata["batch_span_processor"] =
            json!({"inactive_timeout": 600, "batch_timeout": 600, "max_export_batch_size": 2});
        let plugin = build(&bench, &json!({"sampler": {"name": "always_on"}}), &metadata);
        for _ in 0..3 {
            pass(&bench, &*plugin, Request::get("/").body(Body::empty()).unwrap(), 200).await;
        }
        let count = |body: &[u8]| bytes(&bytes(&bytes(body, 1)[0], 2)[0], 2).len();
        assert_eq!(count(&collector.hear().await.1), 2);
        Spans::of(&bench.shared).flush(Duration::from_secs(5)).await;
        assert_eq!(count(&collector.hear().await.1), 1);
    });
}

#[test]
fn wrong_settings_are_refused_by_name() {
    for (settings, field) in [
        (json!({"sampler": {"name": "sometimes"}}), "sampler.name"),
        (
            json!({"sampler": {"name": "trace_id_ratio", "options": {"fraction": 1.1}}}),
            "sampler.options.fraction",
        ),
        (json!({"sampler": {"options": {"root": {"name": "parent_base"}}}}), "sampler.options.root.name"),
        (json!({"additional_attributes": ["a", ""]}), "additional_attributes[1]"),
    ] {
        assert_eq!((KIND.check)(&settings).unwrap_err().field, field, "{settings}");
    }
    let metadata = KIND.metadata.as_ref().unwrap();
    for (settings, field) in [
        (json!({"collector": {"address": "no host"}}), "collector.address"),
        (json!({"collector": {"address": "ftp://h:1"}}), "collector.address"),
        (json!({"collector": {"address": "http://u:canary@h:1"}}), "collector.address"),
        (json!({"collector": {"request_timeout": 0}}), "collector.request_timeout"),
        (json!({"collector": {"request_headers": {"a b": 1}}}), "collector.request_headers.a b"),
        (json!({"batch_span_processor": {"max_queue_size": 0}}), "batch_span_processor.max_queue_size"),
        (json!({"batch_span_processor": {"batch_timeout": -1}}), "batch_span_processor.batch_timeout"),
        (json!({"trace_id_source": "dice"}), "trace_id_source"),
    ] {
        let invalid = (metadata.check)(&settings).unwrap_err();
        assert_eq!(invalid.field, field, "{settings}");
        assert!(!invalid.problem.contains("canary"));
    }
}
