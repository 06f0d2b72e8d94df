//! The Lambda host, against a Runtime API that hands out the test's events and keeps what is posted.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use gateward_clock::SystemClock;
use gateward_net::{Body, Conn};
use gateward_proxy::Door;
use gateward_proxy::host::lambda::{self, LambdaParts};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::LocalSet;

use super::support::{LONG, Plane, nodes, upstream};

/// What was posted: the path, and the JSON.
type Posted = (String, Value);

/// A Runtime API.
struct Emulator {
    address: SocketAddr,
    events: mpsc::Sender<Value>,
    posted: mpsc::Receiver<Posted>,
}

impl Emulator {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (events, waiting) = mpsc::channel(8);
        let (post, posted) = mpsc::channel(8);
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
        Self { address, events, posted }
    }

    async fn answer_to(&mut self, event: Value) -> Posted {
        self.events.send(event).await.unwrap();
        tokio::time::timeout(LONG, self.posted.recv()).await.unwrap().unwrap()
    }
}

async fn call(
    request: Request<Incoming>,
    waiting: Arc<Mutex<mpsc::Receiver<Value>>>,
    post: mpsc::Sender<Posted>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    if path == "/2018-06-01/runtime/invocation/next" {
        let Some(event) = waiting.lock().await.recv().await else {
            return Ok(Response::builder().status(500).body(Full::default()).unwrap());
        };
        let response = Response::builder().header("lambda-runtime-aws-request-id", "id-1");
        return Ok(response.body(Full::from(event.to_string())).unwrap());
    }
    let body = request.into_body().collect().await.unwrap().to_bytes();
    post.send((path, serde_json::from_slice(&body).unwrap())).await.unwrap();
    Ok(Response::builder().status(202).body(Full::default()).unwrap())
}

fn event(method: &str, path: &str) -> Value {
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

/// Runs `test` beside a function.
async fn beside_a_function(test: impl AsyncFnOnce(&Plane, &mut Emulator)) {
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

fn told(posted: &Posted) -> Value {
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
        let (path, error) = emulator.answer_to(json!({"source": "aws.events"})).await;
        assert_eq!(path, "/2018-06-01/runtime/invocation/id-1/error");
        assert_eq!(error["errorType"], "Gateward.UnsupportedEvent");
        assert!(error["errorMessage"].as_str().unwrap().contains("HTTP API"));
        let (path, error) = emulator.answer_to(event("GET", "/console/panic")).await;
        assert_eq!((path.ends_with("/error"), &error["errorType"]), (true, &json!("Gateward.Panic")));
        assert_eq!(told(&emulator.answer_to(event("GET", "/x")).await)["code"], "no_route");
    })
    .await;
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
                runtime_api: super::support::nobody().await.to_string(),
                configuration: plane.configuration.clone(),
                connector: plane.connector.clone(),
                clock: Arc::new(SystemClock),
                door: None,
            };
            let ended =
                tokio::time::timeout(LONG, lambda::serve(parts, std::future::pending())).await.unwrap();
            assert!(ended.is_err());
        })
        .await;
}
