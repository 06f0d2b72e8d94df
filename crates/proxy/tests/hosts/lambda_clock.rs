//! The Lambda host and time, on a clock that the test turns.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use gateward_clock::{Clock, ManualClock, SystemClock, Timestamp};
use gateward_net::{Client, Connector, ConnectorSettings};
use gateward_proxy::host::lambda::{self, ErrandFailed, Errands, LambdaParts, ResponseMode};
use gateward_proxy::{Configuration, ConfigurationParts};
use gateward_seal::{RootKey, Sealer};
use gateward_store::{Call, MemoryStore, Watched};
use gateward_testkit::{Double, Reply};
use gateward_upstreams::Registry;
use gateward_vaults::{Resolver, ResolverParts};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use super::lambda::{Emulator, event, told};
use super::support::{LONG, Plane, nodes};

/// Runs `test` beside a function that serves `configuration` by `clock`; with errands, it streams its answers.
async fn beside(
    configuration: Arc<Configuration>,
    connector: Arc<Connector>,
    clock: ManualClock,
    streams: Option<Arc<dyn Errands>>,
    test: impl AsyncFnOnce(&mut Emulator),
) {
    let mut emulator = Emulator::start().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let parts = LambdaParts {
        traffic: Arc::default(),
        runtime_api: emulator.address.to_string(),
        configuration,
        connector,
        clock: Arc::new(clock),
        door: None,
        access_log: None,
        response_mode: if streams.is_some() { ResponseMode::Streamed } else { ResponseMode::Buffered },
        errands: streams,
    };
    let serving = tokio::task::spawn_local(lambda::serve(parts, async move {
        let _ = stopped.await;
    }));
    test(&mut emulator).await;
    drop(stop);
    tokio::time::timeout(LONG, serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn an_answer_that_is_not_there_shortly_before_the_end_of_the_events_time_is_a_504() {
    let test = async {
        let plane = Plane::start(&[]);
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = nodes(&[silent.local_addr().unwrap()]);
        plane.put("routes", "1", &json!({"uri": "/a", "upstream": upstream})).await;
        let clock = ManualClock::at(SystemClock.now());
        let (configuration, connector) = (plane.configuration.clone(), plane.connector.clone());
        beside(configuration, connector, clock.clone(), None, async |emulator| {
            let mut late = event("GET", "/default/a");
            late["deadline"] = json!((clock.now() + Duration::from_secs(10)).millis());
            emulator.events.send(late).await.unwrap();
            let (mut asked, _) = tokio::time::timeout(LONG, silent.accept()).await.unwrap().unwrap();
            clock.advance(Duration::from_millis(9_699));
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert!(emulator.posted.try_recv().is_err(), "there is time left");
            clock.advance(Duration::from_millis(1));
            let posted = tokio::time::timeout(LONG, emulator.posted.recv()).await.unwrap().unwrap();
            assert_eq!(
                (&posted.1["statusCode"], &told(&posted)["code"]),
                (&json!(504), &json!("function_timeout"))
            );
            // Nothing goes on after the answer: nobody waits for the upstream any more.
            let mut rest = Vec::new();
            let _ = tokio::time::timeout(LONG, asked.read_to_end(&mut rest)).await.expect("it is closed");
        })
        .await;
    };
    LocalSet::new().run_until(test).await;
}

/// Says when an answer is about to be given.
struct Settles(mpsc::UnboundedSender<()>);

impl Errands for Settles {
    fn tick(&self, _until: Timestamp) -> BoxFuture<'_, Result<(), ErrandFailed>> {
        async { Ok(()) }.boxed()
    }

    fn begin(&self, _until: Timestamp) {}

    fn settle(&self, _until: Timestamp) -> BoxFuture<'_, ()> {
        let _ = self.0.send(());
        async {}.boxed()
    }

    fn message<'m>(&'m self, _body: &'m str, _until: Timestamp) -> BoxFuture<'m, Result<(), ErrandFailed>> {
        async { Ok(()) }.boxed()
    }
}

#[tokio::test]
async fn a_streamed_answer_that_is_not_whole_at_the_end_of_the_events_time_says_so_at_its_end() {
    let test = async {
        let plane = Plane::start(&[]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = nodes(&[listener.local_addr().unwrap()]);
        plane.put("routes", "1", &json!({"uri": "/a", "upstream": upstream})).await;
        let clock = ManualClock::at(SystemClock.now());
        let (configuration, connector) = (plane.configuration.clone(), plane.connector.clone());
        let (settled, mut settles) = mpsc::unbounded_channel();
        let errands = Some(Arc::new(Settles(settled)) as Arc<dyn Errands>);
        beside(configuration, connector, clock.clone(), errands, async |emulator| {
            let mut late = event("GET", "/default/a");
            late["deadline"] = json!((clock.now() + Duration::from_secs(10)).millis());
            emulator.events.send(late).await.unwrap();
            let (mut stream, _) = tokio::time::timeout(LONG, listener.accept()).await.unwrap().unwrap();
            let mut head = [0; 4096];
            assert!(stream.read(&mut head).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf").await.unwrap();
            tokio::time::timeout(LONG, settles.recv()).await.unwrap().unwrap();
            clock.advance(Duration::from_millis(9_700));
            let (bytes, error) = tokio::time::timeout(LONG, emulator.streams.recv()).await.unwrap().unwrap();
            assert!(String::from_utf8_lossy(&bytes).contains(r#""statusCode":200"#), "{bytes:?}");
            assert_eq!(error.as_deref(), Some("Gateward.Timeout"));
        })
        .await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn the_configuration_is_looked_at_at_the_start_and_before_an_event_five_seconds_after_the_last_look() {
    let test = async {
        let system = Arc::new(SystemClock);
        let connector = Arc::new(Connector::new(ConnectorSettings::default()).unwrap());
        let resolver = Resolver::new(ResolverParts {
            clock: system.clone(),
            client: Client::new(connector.clone()),
            environment: [].into(),
            runtime: Handle::current(),
        });
        let times = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&times);
        let store = Watched::new(Arc::new(MemoryStore::new()), move |call| {
            counted.fetch_add(usize::from(call == Call::Revision), Ordering::Relaxed);
            Ok(())
        });
        let configuration = Configuration::start(ConfigurationParts {
            registry: Arc::new(Registry::new(system.clone())),
            store: store.clone(),
            sealer: Arc::new(Sealer::new(RootKey::generate())),
            resolver,
            shared: gateward_plugins::Shared::new(system.clone(), Handle::current()),
            clock: system,
            runtime: Handle::current(),
        });
        let clock = ManualClock::at(Timestamp::from_secs(1_700_000_000));
        beside(configuration, connector, clock.clone(), None, async |emulator| {
            // Each is answered, so what comes before an answer has been done.
            emulator.answer_to(event("GET", "/x")).await;
            let looks = || times.load(Ordering::Relaxed);
            let first = looks();
            assert!(first > 0, "nobody looked at the start");
            for (passes, more) in [(4_999, 0), (1, 1), (4_999, 1), (1, 2), (3_600_000, 3), (0, 3)] {
                clock.advance(Duration::from_millis(passes));
                emulator.answer_to(event("GET", "/x")).await;
                assert_eq!(looks(), first + more, "after {passes} ms more");
            }
        })
        .await;
    };
    LocalSet::new().run_until(test).await;
}

/// While a function is frozen nobody refreshes, and what is begun beside an event breaks off at its end.
#[tokio::test]
async fn the_first_event_after_a_freeze_has_the_secrets_of_now_and_nothing_is_asked_beside_it() {
    let test = async {
        let clock = ManualClock::at(SystemClock.now());
        let rotations = Arc::new(AtomicUsize::new(1));
        let known = Arc::clone(&rotations);
        let (leave, leaves) = std::sync::mpsc::channel::<()>();
        let leaves = Mutex::new(leaves);
        let vault = Double::start(move |asked| {
            let data = match asked.what.as_str() {
                "GET /v1/auth/token/lookup-self" => json!({"ttl": 0, "renewable": false}),
                _ => {
                    let _ = leaves.lock().unwrap().recv();
                    json!({"key": format!("key {}", known.load(Ordering::SeqCst))})
                }
            };
            Reply::json(200, &json!({ "data": data }))
        });
        let upstream = Double::start(|asked| Reply::text(200, asked.header("x-key").unwrap_or_default()));
        let environment = [
            ("GATEWARD_VAULT_HCV_HOST", "127.0.0.1"),
            ("GATEWARD_VAULT_HCV_PORT", &vault.port().to_string()),
            ("GATEWARD_VAULT_HCV_TOKEN", "a-token"),
        ];
        let plane = Plane::by(Arc::new(clock.clone()), ConnectorSettings::default(), &environment);
        let rewrite = json!({"headers": {"set": {"x-key": "{vault://hcv/app/key?ttl=60}"}}});
        let nodes = nodes(&[([127, 0, 0, 1], upstream.port()).into()]);
        let route = json!({"uri": "/a", "upstream": nodes, "plugins": {"proxy-rewrite": rewrite}});
        leave.send(()).unwrap();
        plane.put("routes", "1", &route).await;
        let (configuration, connector) = (plane.configuration.clone(), plane.connector.clone());
        beside(configuration, connector, clock.clone(), None, async |emulator| {
            for frozen_for in [0, 3_600, 61] {
                clock.advance(Duration::from_secs(frozen_for));
                let asked = upstream.asked().len();
                let mut event = event("GET", "/a");
                event["deadline"] = json!((clock.now() + Duration::from_secs(10)).millis());
                emulator.events.send(event).await.unwrap();
                if frozen_for > 0 {
                    for _ in 0..1_000 {
                        tokio::task::yield_now().await;
                    }
                    assert_eq!(upstream.asked().len(), asked, "the vault has not answered yet");
                    leave.send(()).unwrap();
                }
                let posted = tokio::time::timeout(LONG, emulator.posted.recv()).await.unwrap().unwrap();
                let now = rotations.fetch_add(1, Ordering::SeqCst);
                assert_eq!(posted.1["body"], format!("key {now}"), "after {frozen_for} s");
            }
            assert_eq!(vault.count("GET /v1/secret/app"), 3);
        })
        .await;
    };
    LocalSet::new().run_until(test).await;
}
