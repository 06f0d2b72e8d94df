//! The Lambda host, against a Runtime API that hands out the test's events and keeps what is posted.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, LocalBoxFuture};
use gateward_clock::{Clock, SystemClock, Timestamp};
use gateward_net::{Body, Conn};
use gateward_proxy::Door;
use gateward_proxy::host::lambda::{self, ErrandFailed, Errands, LambdaParts, ResponseMode};
use gateward_testkit::nobody;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::LocalSet;

use super::support::{LONG, Plane, nodes, upstream};

/// What was posted: the path, and the JSON.
pub(super) type Posted = (String, Value);

/// What was posted part by part: the bytes, and the type of the error at its end if there is one.
pub(super) type Stream = (Vec<u8>, Option<String>);

/// A Runtime API.
pub(super) struct Emulator {
    pub(super) address: SocketAddr,
    pub(super) events: mpsc::Sender<Value>,
    pub(super) posted: mpsc::Receiver<Posted>,
    pub(super) streams: mpsc::Receiver<Stream>,
    /// What posts are answered with.
    status: Arc<AtomicU16>,
}

/// Where what is posted goes.
#[derive(Clone)]
struct Post {
    whole: mpsc::Sender<Posted>,
    streamed: mpsc::Sender<Stream>,
    /// What posts are answered with.
    status: Arc<AtomicU16>,
}

impl Emulator {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (events, waiting) = mpsc::channel(8);
        let (whole, posted) = mpsc::channel(8);
        let (streamed, streams) = mpsc::channel(8);
        let status = Arc::new(AtomicU16::new(202));
        let post = Post { whole, streamed, status: status.clone() };
        let waiting = Arc::new(Mutex::new(waiting));
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (waiting, post) = (waiting.clone(), post.clone());
                let service = service_fn(move |request| call(request, waiting.clone(), post.clone()));
                let served = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::task::spawn_local(served);
            }
        });
        Self { address, events, posted, streams, status }
    }

    pub(super) async fn answer_to(&mut self, event: Value) -> Posted {
        self.events.send(event).await.unwrap();
        tokio::time::timeout(LONG, self.posted.recv()).await.unwrap().unwrap()
    }
}

async fn call(
    request: Request<Incoming>,
    waiting: Arc<Mutex<mpsc::Receiver<Value>>>,
    post: Post,
) -> io::Result<Response<Full<Bytes>>> {
    let path = request.uri().path().to_owned();
    if path == "/2018-06-01/runtime/invocation/next" {
        let event = waiting.lock().await.recv().await;
        let Some(event) = event.filter(|event| event["fails"] != true) else {
            return Ok(Response::builder().status(500).body(Full::default()).unwrap());
        };
        let deadline = event["deadline"].as_u64().unwrap_or(SystemClock.now().millis() + 60_000);
        let response = Response::builder()
            .header("lambda-runtime-aws-request-id", "id-1")
            .header("lambda-runtime-deadline-ms", deadline);
        return Ok(response.body(Full::from(event.to_string())).unwrap());
    }
    let status = post.status.load(Ordering::Relaxed);
    let is_stream = request.headers().get("lambda-runtime-function-response-mode").is_some();
    let body = request.into_body().collect().await.unwrap();
    if is_stream {
        let error = body.trailers().and_then(|trailers| trailers.get("lambda-runtime-function-error-type"));
        let error = error.map(|kind| kind.to_str().unwrap().to_owned());
        post.streamed.send((body.to_bytes().to_vec(), error)).await.unwrap();
    } else {
        let body = body.to_bytes();
        post.whole.send((path, serde_json::from_slice(&body).unwrap())).await.unwrap();
    }
    if status == BREAKS_OFF {
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    Ok(Response::builder().status(status).body(Full::default()).unwrap())
}

/// In place of a status: the connection ends without an answer.
const BREAKS_OFF: u16 = 0;

pub(super) fn event(method: &str, path: &str) -> Value {
    json!({
        "version": "2.0", "rawPath": path, "rawQueryString": "a=b", "headers": {"host": "h.example"},
        "requestContext": {"http": {"method": method, "sourceIp": "192.0.2.1"}, "stage": "default",
                           "domainName": "h.example"},
        "isBase64Encoded": false
    })
}

/// The control plane: one prefix, and at the root what no route takes.
struct Control;

impl Door for Control {
    fn takes(&self, path: &str) -> bool {
        path.starts_with("/console")
    }

    fn takes_rest(&self, path: &str) -> bool {
        path == "/auth"
    }

    fn open(&self, request: Request<Body>, conn: Conn) -> LocalBoxFuture<'static, Response<Body>> {
        assert!(!request.uri().path().ends_with("panic"), "a bug of the control plane's");
        let told = json!({"control": request.uri().path(), "client": conn.client.ip().to_string()});
        async move { Response::new(Body::full(told.to_string())) }.boxed_local()
    }
}

/// What is to be done between requests: it remembers what it did, and fails what says so.
#[derive(Default)]
struct Chores(std::sync::Mutex<Vec<String>>);

impl Errands for Chores {
    fn tick(&self, until: Timestamp) -> BoxFuture<'_, Result<(), ErrandFailed>> {
        assert!(until > SystemClock.now());
        let mut done = self.0.lock().unwrap();
        done.push("tick".to_owned());
        // Each second one fails.
        let fails = done.iter().filter(|done| *done == "tick").count() % 2 == 0;
        async move { if fails { Err(ErrandFailed("no".to_owned())) } else { Ok(()) } }.boxed()
    }

    fn begin(&self, until: Timestamp) {
        assert!(until > SystemClock.now());
        self.0.lock().unwrap().push("begun".to_owned());
    }

    fn settle(&self, _until: Timestamp) -> BoxFuture<'_, ()> {
        self.0.lock().unwrap().push("settled".to_owned());
        async {}.boxed()
    }

    fn message<'m>(&'m self, body: &'m str, _until: Timestamp) -> BoxFuture<'m, Result<(), ErrandFailed>> {
        self.0.lock().unwrap().push(body.to_owned());
        async move { if body == "fail" { Err(ErrandFailed("no".to_owned())) } else { Ok(()) } }.boxed()
    }
}

/// Runs `test` beside a function.
async fn beside_a_function(test: impl AsyncFnOnce(&Plane, &mut Emulator)) {
    beside(ResponseMode::Buffered, None, test).await;
}

/// Runs `test` beside a function that answers and runs errands like this.
async fn beside(
    response_mode: ResponseMode,
    errands: Option<Arc<dyn Errands>>,
    test: impl AsyncFnOnce(&Plane, &mut Emulator),
) {
    LocalSet::new()
        .run_until(async {
            let plane = Plane::start(&[]);
            let mut emulator = Emulator::start().await;
            let (stop, stopped) = oneshot::channel::<()>();
            let parts = LambdaParts {
                traffic: Arc::default(),
                runtime_api: emulator.address.to_string(),
                configuration: plane.configuration.clone(),
                connector: plane.connector.clone(),
                clock: Arc::new(SystemClock),
                door: Some(Arc::new(Control)),
                access_log: None,
                errands,
                response_mode,
            };
            let serving = tokio::task::spawn_local(lambda::serve(parts, async move {
                let _ = stopped.await;
            }));
            test(&plane, &mut emulator).await;
            drop(stop);
            tokio::time::timeout(LONG, serving).await.unwrap().unwrap().unwrap();
        })
        .await;
}

pub(super) fn told(posted: &Posted) -> Value {
    assert_eq!(posted.0, "/2018-06-01/runtime/invocation/id-1/response", "{posted:?}");
    serde_json::from_str(posted.1["body"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn an_event_is_answered_by_the_route_that_takes_it() {
    beside_a_function(async |plane, emulator| {
        let (upstream, _) = upstream("u").await;
        plane.put("routes", "1", &json!({"uri": "/a/*", "upstream": nodes(&[upstream])})).await;
        let posted = emulator.answer_to(event("PUT", "/default/a/b%2Fc")).await;
        let told = told(&posted);
        assert_eq!((&told["method"], &told["target"]), (&json!("PUT"), &json!("/a/b%2Fc?a=b")));
        assert_eq!(told["headers"]["x-forwarded-for"], json!(["192.0.2.1"]));
        assert_eq!(told["headers"]["x-forwarded-proto"], json!(["https"]));
        assert_eq!(posted.1["statusCode"], 200);
        assert!(posted.1["headers"]["x-request-id"].is_string());
    })
    .await;
}

#[tokio::test]
async fn the_control_plane_has_its_prefixes_first_and_the_root_last() {
    beside_a_function(async |plane, emulator| {
        let (upstream, _) = upstream("u").await;
        let posted = emulator.answer_to(event("GET", "/default/console/x")).await;
        assert_eq!(told(&posted), json!({"control": "/console/x", "client": "192.0.2.1"}));
        assert!(posted.1["headers"]["x-request-id"].is_string());
        assert_eq!(told(&emulator.answer_to(event("POST", "/auth")).await)["control"], "/auth");
        assert_eq!(told(&emulator.answer_to(event("GET", "/x")).await)["error_msg"], "404 Route Not Found");
        plane.put("routes", "1", &json!({"uri": "/*", "upstream": nodes(&[upstream])})).await;
        assert_eq!(told(&emulator.answer_to(event("POST", "/auth")).await)["name"], "u");
        assert_eq!(told(&emulator.answer_to(event("GET", "/console")).await)["control"], "/console");
    })
    .await;
}

#[tokio::test]
async fn an_event_that_cannot_be_answered_does_not_end_the_function() {
    beside_a_function(async |_plane, emulator| {
        let (path, error) = emulator.answer_to(json!({"source": "aws.s3"})).await;
        assert_eq!(path, "/2018-06-01/runtime/invocation/id-1/error");
        assert_eq!(error["errorType"], "Gateward.UnsupportedEvent");
        assert!(error["errorMessage"].as_str().unwrap().contains("HTTP APIs"));
        let posted = emulator.answer_to(event("GE T", "/x")).await;
        assert_eq!(
            (&posted.1["statusCode"], &told(&posted)["code"]),
            (&json!(400), &json!("malformed_event"))
        );
        let (path, error) = emulator.answer_to(event("GET", "/console/panic")).await;
        assert_eq!((path.ends_with("/error"), &error["errorType"]), (true, &json!("Gateward.Panic")));
        assert_eq!(told(&emulator.answer_to(event("GET", "/x")).await)["code"], "no_route");
    })
    .await;
}

#[tokio::test]
async fn an_answer_can_be_streamed() {
    beside(ResponseMode::Streamed, None, async |plane, emulator| {
        let (upstream, _) = upstream("u").await;
        plane.put("routes", "1", &json!({"uri": "/a", "upstream": nodes(&[upstream])})).await;
        emulator.events.send(event("GET", "/default/a")).await.unwrap();
        let (bytes, error) = tokio::time::timeout(LONG, emulator.streams.recv()).await.unwrap().unwrap();
        assert_eq!(error, None);
        let zeros = bytes.windows(8).position(|window| window == [0; 8]).unwrap();
        let prelude: Value = serde_json::from_slice(&bytes[..zeros]).unwrap();
        assert_eq!((&prelude["statusCode"], &prelude["body"]), (&json!(200), &Value::Null));
        let body: Value = serde_json::from_slice(&bytes[zeros + 8..]).unwrap();
        assert_eq!(body["name"], "u");
    })
    .await;
}

#[tokio::test]
async fn a_streamed_answer_that_breaks_off_says_so_at_its_end() {
    beside(ResponseMode::Streamed, None, async |plane, emulator| {
        let address = cut_off().await;
        plane.put("routes", "1", &json!({"uri": "/a", "upstream": nodes(&[address])})).await;
        emulator.events.send(event("GET", "/default/a")).await.unwrap();
        let (bytes, error) = tokio::time::timeout(LONG, emulator.streams.recv()).await.unwrap().unwrap();
        assert!(bytes.ends_with(b"half"), "{bytes:?}");
        assert_eq!(error.as_deref(), Some("Gateward.AnswerBroken"));
    })
    .await;
}

#[tokio::test]
async fn what_is_refused_is_streamed_too_where_answers_are() {
    beside(ResponseMode::Streamed, None, async |_plane, emulator| {
        emulator.events.send(event("GE T", "/x")).await.unwrap();
        let (bytes, error) = tokio::time::timeout(LONG, emulator.streams.recv()).await.unwrap().unwrap();
        let told = String::from_utf8_lossy(&bytes);
        assert!(told.contains(r#""statusCode":400"#) && told.contains("malformed_event"), "{told}");
        assert_eq!(error, None);
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_lambda_does_not_take_is_lost_alone() {
    beside_a_function(async |_plane, emulator| {
        for status in [413, 500, BREAKS_OFF] {
            emulator.status.store(status, Ordering::Relaxed);
            emulator.answer_to(event("GET", "/x")).await;
            emulator.status.store(202, Ordering::Relaxed);
            assert_eq!(told(&emulator.answer_to(event("GET", "/x")).await)["code"], "no_route", "{status}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_next_event_is_asked_for_again_when_that_fails() {
    beside_a_function(async |_plane, emulator| {
        for _ in 0..2 {
            emulator.events.send(json!({"fails": true})).await.unwrap();
        }
        assert_eq!(told(&emulator.answer_to(event("GET", "/x")).await)["code"], "no_route");
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_kept_for_seconds_whatever_the_upstream_says() {
    beside_a_function(async |plane, emulator| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut upstream = nodes(&[listener.local_addr().unwrap()]);
        upstream["keepalive_pool"] = json!({"size": 10, "idle_timeout": 3600, "requests": 1000});
        plane.put("routes", "1", &json!({"uri": "/a", "upstream": upstream})).await;
        emulator.events.send(event("GET", "/default/a")).await.unwrap();
        let (mut stream, _) = tokio::time::timeout(LONG, listener.accept()).await.unwrap().unwrap();
        let mut head = [0; 4096];
        assert!(stream.read(&mut head).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
        tokio::time::timeout(LONG, emulator.posted.recv()).await.unwrap().unwrap();
        let rest = tokio::time::timeout(LONG, stream.read(&mut head)).await.expect("it is closed");
        assert!(matches!(rest, Ok(0) | Err(_)), "{rest:?}");
    })
    .await;
}

/// An upstream that sends half of what it promised.
async fn cut_off() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf").await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn an_answer_that_takes_longer_than_the_event_has_is_a_504() {
    beside_a_function(async |plane, emulator| {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap();
        plane.put("routes", "1", &json!({"uri": "/a", "upstream": nodes(&[address])})).await;
        let mut late = event("GET", "/default/a");
        late["deadline"] = json!(SystemClock.now().millis() + 500);
        let posted = emulator.answer_to(late).await;
        assert_eq!(
            (&posted.1["statusCode"], &told(&posted)["code"]),
            (&json!(504), &json!("function_timeout"))
        );
        assert_eq!(told(&emulator.answer_to(event("GET", "/x")).await)["code"], "no_route");
    })
    .await;
}

#[tokio::test]
async fn ticks_and_messages_are_errands_and_only_failed_messages_stay_in_the_queue() {
    let chores = Arc::new(Chores::default());
    let errands: Arc<dyn Errands> = chores.clone();
    beside(ResponseMode::Buffered, Some(errands), async |_plane, emulator| {
        let tick = json!({"source": "aws.events", "detail-type": "Scheduled Event"});
        assert_eq!(emulator.answer_to(tick.clone()).await.1, Value::Null);
        // One that fails is seen by whoever counts a function's errors.
        let (path, failed) = emulator.answer_to(tick).await;
        assert_eq!((path.ends_with("/error"), &failed["errorType"]), (true, &json!("Gateward.TickFailed")));
        let message = |id: &str, body: &str| json!({"messageId": id, "body": body, "eventSource": "aws:sqs"});
        let queue = json!({"Records": [message("1", "do"), message("2", "fail"), message("3", "do too")]});
        let (path, answer) = emulator.answer_to(queue).await;
        assert!(path.ends_with("/response"), "{path}");
        assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "2"}]}));
        emulator.answer_to(event("GET", "/x")).await;
    })
    .await;
    assert_eq!(*chores.0.lock().unwrap(), ["tick", "tick", "do", "fail", "do too", "begun", "settled"]);
}

#[tokio::test]
async fn a_function_that_cannot_start_says_why() {
    LocalSet::new()
        .run_until(async {
            let mut emulator = Emulator::start().await;
            lambda::report_init_error(&emulator.address.to_string(), &"no store").await.unwrap();
            let (path, error) = emulator.posted.recv().await.unwrap();
            assert_eq!(
                (path.as_str(), &error["errorMessage"]),
                ("/2018-06-01/runtime/init/error", &json!("no store"))
            );
        })
        .await;
}

#[tokio::test]
async fn a_function_ends_when_its_runtime_api_is_gone() {
    LocalSet::new()
        .run_until(async {
            let plane = Plane::start(&[]);
            let parts = LambdaParts {
                traffic: Arc::default(),
                runtime_api: nobody().to_string(),
                configuration: plane.configuration.clone(),
                connector: plane.connector.clone(),
                clock: Arc::new(SystemClock),
                door: None,
                access_log: None,
                errands: None,
                response_mode: ResponseMode::Buffered,
            };
            let ended =
                tokio::time::timeout(LONG, lambda::serve(parts, std::future::pending())).await.unwrap();
            assert!(ended.is_err());
        })
        .await;
}
