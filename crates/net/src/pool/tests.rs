use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use http::{Method, StatusCode, Version};
use http_body::Body as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::testing::{Scripted, Then, connector, on_a_data_thread, plain, until};
use crate::{BodyError, Keepalive};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
const HALF: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe";

const PATIENT: Timeouts =
    Timeouts { connect: Duration::from_secs(5), send: Duration::from_secs(5), read: Duration::from_secs(5) };

fn pool() -> Pool {
    Pool::new(connector(), PoolSettings::default())
}

fn request(method: Method, body: Body) -> Request<Body> {
    Request::builder().method(method).uri("/").header("host", "test").body(body).unwrap()
}

fn get() -> Request<Body> {
    request(Method::GET, Body::empty())
}

async fn text(response: Response<Body>) -> Bytes {
    response.into_body().collect(1 << 20).await.unwrap()
}

/// A body that says `first` and then nothing any more.
fn silent_after(first: &'static str) -> Body {
    use futures_util::StreamExt;
    let first =
        futures_util::stream::iter([Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from(first)))]);
    Body::boxed(http_body_util::StreamBody::new(first.chain(futures_util::stream::pending())))
}

#[tokio::test(flavor = "current_thread")]
async fn a_connection_is_used_again_once_its_answer_was_read() {
    on_a_data_thread(async {
        for answer in
            [OK, CHUNKED, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"]
        {
            let server = Scripted::start(move |_, _| Then::Answer(answer)).await;
            let pool = pool();
            for _ in 0..5 {
                text(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap()).await;
            }
            assert_eq!(server.connections.get(), 1, "{answer}");
            assert_eq!(server.requests.borrow().len(), 5, "{answer}");
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_connection_is_given_back_with_the_last_piece_though_nobody_asks_for_more() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Answer(OK)).await;
        let pool = pool();
        let mut first = pool.fetch(&server.peer, get(), &PATIENT).await.unwrap().into_body();
        poll_fn(|cx| Pin::new(&mut first).poll_frame(cx)).await.unwrap().unwrap();
        assert!(first.is_end_stream());
        text(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap()).await;
        assert_eq!(server.connections.get(), 1);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_connection_is_free_with_the_head_of_an_answer_that_is_all_there() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Answer(OK)).await;
        let pool = pool();
        let first = pool.fetch(&server.peer, get(), &PATIENT).await.unwrap();
        let second = pool.fetch(&server.peer, get(), &PATIENT).await.unwrap();
        assert_eq!((text(first).await, text(second).await), (Bytes::from("hello"), Bytes::from("hello")));
        assert_eq!(server.connections.get(), 1);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn what_follows_an_answer_unasked_is_not_taken_for_the_next() {
    on_a_data_thread(async {
        for smuggled in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
            "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
        ] {
            let server = Scripted::start(
                move |connection, _| {
                    if connection == 1 { Then::Answer(smuggled) } else { Then::Answer(OK) }
                },
            )
            .await;
            let pool = pool();
            text(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap()).await;
            assert_eq!(text(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap()).await, "hello");
            assert_eq!(server.connections.get(), 2);
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn interim_answers_are_passed_over() {
    on_a_data_thread(async {
        let interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
                       HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        let server = Scripted::start(move |_, _| Then::Answer(interim)).await;
        let response = pool().fetch(&server.peer, get(), &PATIENT).await.unwrap();
        assert_eq!((response.status().as_u16(), response.headers().len()), (200, 1));
        assert_eq!(text(response).await, "hello");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_answer_without_a_length_ends_with_its_connection() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::AnswerAndClose("HTTP/1.1 200 OK\r\n\r\nhello")).await;
        let pool = pool();
        for _ in 0..2 {
            assert_eq!(text(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap()).await, "hello");
        }
        assert_eq!(server.connections.get(), 2);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn bodies_of_any_size_go_both_ways() {
    on_a_data_thread(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = plain(listener.local_addr().unwrap().port());
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // Says back, in as many bytes, what comes behind each head.
            for size in [1, 70_000, 3_000_000] {
                let mut received = Vec::new();
                let head = loop {
                    stream.read_buf(&mut received).await.unwrap();
                    if let Some(end) = received.windows(4).position(|end| end == b"\r\n\r\n") {
                        break end + 4;
                    }
                };
                while received.len() < head + size {
                    stream.read_buf(&mut received).await.unwrap();
                }
                stream
                    .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n").as_bytes())
                    .await
                    .unwrap();
                stream.write_all(&received[head..]).await.unwrap();
            }
        });
        let pool = pool();
        for size in [1, 70_000, 3_000_000] {
            let sent = Bytes::from((0..size).map(|at: u32| at.to_le_bytes()[0]).collect::<Vec<u8>>());
            let response = pool.fetch(&peer, request(Method::POST, Body::full(sent.clone())), &PATIENT).await;
            assert!(response.unwrap().into_body().collect(1 << 22).await.unwrap() == sent);
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_connection_whose_answer_was_dropped_half_read_is_closed() {
    on_a_data_thread(async {
        let server = Scripted::start(
            |connection, _| {
                if connection == 1 { Then::Hang(HALF) } else { Then::Answer(OK) }
            },
        )
        .await;
        let pool = pool();
        let mut first = pool.fetch(&server.peer, get(), &PATIENT).await.unwrap().into_body();
        poll_fn(|cx| Pin::new(&mut first).poll_frame(cx)).await.unwrap().unwrap();
        drop(first);
        until(|| server.ended.get() == 1).await;
        text(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap()).await;
        assert_eq!(server.connections.get(), 2);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_connection_under_way_serves_nobody_else() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Answer(CHUNKED)).await;
        let pool = pool();
        let first = pool.fetch(&server.peer, get(), &PATIENT).await.unwrap();
        let second = pool.fetch(&server.peer, get(), &PATIENT).await.unwrap();
        assert_eq!(server.connections.get(), 2);
        text(first).await;
        text(second).await;
        text(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap()).await;
        assert_eq!(server.connections.get(), 2);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_get_on_a_kept_connection_that_died_is_sent_once_more() {
    on_a_data_thread(async {
        let server =
            Scripted::start(|_, request| if request == 1 { Then::Answer(OK) } else { Then::Close }).await;
        let pool = pool();
        for _ in 0..3 {
            assert_eq!(text(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap()).await, "hello");
        }
        // The second and the third were sent twice: the connection of the one before died on them.
        assert_eq!((server.connections.get(), server.requests.borrow().len()), (3, 5));
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_sent_once_more_is_the_same_request() {
    on_a_data_thread(async {
        let server =
            Scripted::start(
                |connection, request| {
                    if connection == 1 && request > 1 { Then::Close } else { Then::Answer(OK) }
                },
            )
            .await;
        let pool = pool();
        text(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap()).await;
        let put = Request::put("/a?b")
            .header("host", "test")
            .header("x-twice", "1")
            .header("x-twice", "a: b")
            .body(Body::full("body"))
            .unwrap();
        text(pool.fetch(&server.peer, put, &PATIENT).await.unwrap()).await;
        let requests = server.requests.borrow();
        assert!(requests[1].starts_with("PUT /a?b HTTP/1.1\r\n"), "{}", requests[1]);
        assert!(requests[1].contains("x-twice: a: b\r\n"), "{}", requests[1]);
        assert_eq!((requests.len(), &requests[1]), (3, &requests[2]));
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_get_on_a_fresh_connection_is_never_sent_twice() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Close).await;
        let error = pool().fetch(&server.peer, get(), &PATIENT).await.unwrap_err();
        assert!(matches!(error, FetchError::Closed(_)), "{error:?}");
        assert_eq!(server.requests.borrow().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_post_that_may_have_been_received_is_not_sent_again() {
    on_a_data_thread(async {
        let server =
            Scripted::start(|_, request| if request == 1 { Then::Answer(OK) } else { Then::Close }).await;
        let pool = pool();
        text(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap()).await;
        let post = request(Method::POST, Body::full("pay"));
        let error = pool.fetch(&server.peer, post, &PATIENT).await.unwrap_err();
        assert!(matches!(error, FetchError::Closed(_)), "{error:?}");
        assert_eq!(server.requests.borrow().iter().filter(|request| request.starts_with("POST")).count(), 1);
        assert_eq!(error.failure(gateward_model::Origin::Upstream).code, "upstream_bad_answer");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_connection_that_the_peer_has_closed_is_not_tried() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::AnswerAndClose(OK)).await;
        let pool = pool();
        text(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap()).await;
        until(|| pool.0.peers.borrow()[&server.peer].idle.take(Instant::now()).is_none()).await;
        let post = request(Method::POST, Body::full("pay"));
        text(pool.fetch(&server.peer, post, &PATIENT).await.unwrap()).await;
        assert_eq!((server.connections.get(), server.requests.borrow().len()), (2, 2));
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_idle_connection_grows_old_and_is_closed() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Answer(OK)).await;
        let settings = PoolSettings { idle_timeout: Duration::from_millis(50), ..PoolSettings::default() };
        let pool = Pool::new(connector(), settings);
        text(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap()).await;
        until(|| server.ended.get() == 1).await;
        until(|| pool.0.peers.borrow().is_empty() && !pool.0.swept.get()).await;
        text(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap()).await;
        assert_eq!(server.connections.get(), 2);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn connections_to_a_peer_that_came_late_grow_old_in_their_own_time() {
    on_a_data_thread(async {
        let (patient, hasty) =
            (Scripted::start(|_, _| Then::Answer(OK)).await, Scripted::start(|_, _| Then::Answer(OK)).await);
        let pool = pool();
        text(pool.fetch(&patient.peer, get(), &PATIENT).await.unwrap()).await;
        tokio::task::yield_now().await;
        let keepalive = Keepalive { size: 1, idle_timeout: Duration::from_millis(50), requests: 0 };
        let peer = hasty.peer.with_keepalive(keepalive);
        text(pool.fetch(&peer, get(), &PATIENT).await.unwrap()).await;
        until(|| hasty.ended.get() == 1).await;
        assert_eq!(patient.ended.get(), 0);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_old_connection_is_not_used_though_it_has_not_been_swept() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Answer(OK)).await;
        let pool = pool();
        text(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap()).await;
        let home = pool.home(&server.peer);
        assert!(home.idle.take(Instant::now() + Duration::from_secs(60)).is_none());
        assert!(home.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn no_more_idle_connections_are_kept_than_allowed() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Answer(OK)).await;
        let pool = Pool::new(connector(), PoolSettings { idle_per_peer: 2, ..PoolSettings::default() });
        let fetches = (0..5).map(|_| pool.fetch(&server.peer, get(), &PATIENT));
        for response in futures_util::future::join_all(fetches).await {
            text(response.unwrap()).await;
        }
        until(|| server.ended.get() == 3).await;
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_peer_that_never_answers_is_a_read_timeout() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Hang("")).await;
        let hasty = Timeouts { read: Duration::from_millis(50), ..PATIENT };
        let error = pool().fetch(&server.peer, get(), &hasty).await.unwrap_err();
        assert!(matches!(error, FetchError::ReadTimeout), "{error:?}");
        until(|| server.ended.get() == 1).await;
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_answer_that_stands_still_is_a_timeout_too() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Hang(HALF)).await;
        let hasty = Timeouts { read: Duration::from_millis(50), ..PATIENT };
        let response = pool().fetch(&server.peer, get(), &hasty).await.unwrap();
        let error = response.into_body().collect(100).await.unwrap_err();
        assert!(matches!(error, crate::CollectError::Broken(BodyError::Timeout)), "{error:?}");
        until(|| server.ended.get() == 1).await;
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::AnswerAndClose(HALF)).await;
        let response = pool().fetch(&server.peer, get(), &PATIENT).await.unwrap();
        let error = response.into_body().collect(100).await.unwrap_err();
        assert!(matches!(error, crate::CollectError::Broken(BodyError::Broken(_))), "{error:?}");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn the_timer_of_one_exchange_does_not_ring_in_the_next() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Answer(OK)).await;
        let pool = pool();
        let hasty = Timeouts { read: Duration::from_millis(20), ..PATIENT };
        text(pool.fetch(&server.peer, get(), &hasty).await.unwrap()).await;
        let answered = Instant::now();
        until(|| answered.elapsed() > hasty.read).await;
        assert_eq!(text(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap()).await, "hello");
        assert_eq!(text(pool.fetch(&server.peer, get(), &hasty).await.unwrap()).await, "hello");
        assert_eq!(server.connections.get(), 1);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_body_that_breaks_off_aborts_the_request() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Answer(OK)).await;
        let pieces = [
            Ok(http_body::Frame::data(Bytes::from("half"))),
            Err(std::io::Error::other("the client went away")),
        ];
        let broken = Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(pieces)));
        let error = pool().fetch(&server.peer, request(Method::POST, broken), &PATIENT).await.unwrap_err();
        assert!(matches!(error, FetchError::RequestBody(_)), "{error:?}");
        assert_eq!(error.failure(gateward_model::Origin::Upstream).code, "request_body_broken");
        until(|| server.ended.get() == 1).await;
        assert!(server.requests.borrow().is_empty(), "the peer saw a whole request");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_client_that_stops_sending_is_told_apart_from_a_peer_that_stops_taking() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Answer(OK)).await;
        let hasty = Timeouts { send: Duration::from_millis(50), ..PATIENT };
        let stalled = request(Method::POST, silent_after("half"));
        let error = pool().fetch(&server.peer, stalled, &hasty).await.unwrap_err();
        assert!(matches!(error, FetchError::RequestBodyTimeout), "{error:?}");

        // Connections to this one are opened by the kernel, and nobody reads from them.
        let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pieces = futures_util::stream::repeat_with(|| {
            Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from_static(&[0; 65_536])))
        });
        let endless = Body::boxed(http_body_util::StreamBody::new(pieces));
        let peer = plain(deaf.local_addr().unwrap().port());
        let error = pool().fetch(&peer, request(Method::POST, endless), &hasty).await.unwrap_err();
        assert!(matches!(error, FetchError::SendTimeout), "{error:?}");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_streamed_body_gets_its_whole_read_timeout_once_it_was_sent() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Hang("")).await;
        let timeouts =
            Timeouts { send: Duration::from_millis(20), read: Duration::from_millis(80), ..PATIENT };
        let pieces = [Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from("all of it")))];
        let body = Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(pieces)));
        let started = Instant::now();
        let error = pool().fetch(&server.peer, request(Method::POST, body), &timeouts).await.unwrap_err();
        assert!(matches!(error, FetchError::ReadTimeout), "{error:?}");
        assert!(started.elapsed() >= timeouts.read);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_call_that_is_dropped_before_its_answer_closes_its_connection() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Hang("")).await;
        let pool = pool();
        tokio::select! {
            _ = pool.fetch(&server.peer, get(), &PATIENT) => panic!("nobody answered"),
            () = until(|| server.requests.borrow().len() == 1) => {}
        }
        until(|| server.ended.get() == 1).await;
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_not_http_is_a_bad_answer() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::AnswerAndClose("SSH-2.0-OpenSSH\r\n")).await;
        let error = pool().fetch(&server.peer, get(), &PATIENT).await.unwrap_err();
        assert!(matches!(error, FetchError::Protocol(_)), "{error:?}");
        assert_eq!(error.failure(gateward_model::Origin::Function).code, "function_bad_answer");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn http_2_and_http_1_0_requests_go_out_as_http_1_1() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Answer(OK)).await;
        for version in [Version::HTTP_2, Version::HTTP_10] {
            let mut request = get();
            *request.version_mut() = version;
            let response = pool().fetch(&server.peer, request, &PATIENT).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
        }
        assert!(server.requests.borrow().iter().all(|request| request.starts_with("GET / HTTP/1.1\r\n")));
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_change_of_protocol_that_nobody_asked_for_is_no_answer() {
    on_a_data_thread(async {
        let switching = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
        let server = Scripted::start(move |_, _| Then::Hang(switching)).await;
        let error = pool().fetch(&server.peer, get(), &PATIENT).await.unwrap_err();
        assert!(matches!(error, FetchError::Switched), "{error:?}");
        until(|| server.ended.get() == 1).await;
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn the_time_in_which_nobody_reads_an_answer_does_not_count() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Hang(HALF)).await;
        let hasty = Timeouts { read: Duration::from_millis(50), ..PATIENT };
        let response = pool().fetch(&server.peer, get(), &hasty).await.unwrap();
        let answered = Instant::now();
        until(|| answered.elapsed() > hasty.read).await;
        let reading = Instant::now();
        response.into_body().collect(100).await.unwrap_err();
        assert!(reading.elapsed() >= hasty.read);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_peer_that_answers_before_it_has_the_whole_body_ends_the_upload() {
    on_a_data_thread(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = plain(listener.local_addr().unwrap().port());
        let ended = tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut received = Vec::new();
            while !received.ends_with(b"half\r\n") {
                stream.read_buf(&mut received).await.unwrap();
            }
            stream.write_all(b"HTTP/1.1 413 Payload Too Large\r\ncontent-length: 2\r\n\r\nno").await.unwrap();
            stream.read_to_end(&mut received).await
        });
        let pool = pool();
        let upload = request(Method::POST, silent_after("half"));
        let response = pool.fetch(&peer, upload, &PATIENT).await.unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(text(response).await, "no");
        tokio::time::timeout(PATIENT.read, ended).await.expect("the connection ends").unwrap().ok();
        assert!(pool.home(&peer).is_empty());
    })
    .await;
}

/// A request to upgrade to a protocol that says everything twice, as a client that came by HTTP/2 might have it.
fn upgrading() -> Request<Body> {
    let request = Request::get("/chat").version(Version::HTTP_2);
    request.header("host", "test").header("upgrade", "twice").body(Body::empty()).unwrap()
}

#[tokio::test(flavor = "current_thread")]
async fn an_upgrade_leaves_http_and_its_connection_is_nobody_elses() {
    on_a_data_thread(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = plain(listener.local_addr().unwrap().port()).with_protocol(Protocol::Http2);
        let server = tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut received = Vec::new();
            while !received.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut received).await.unwrap();
            }
            let switching =
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: twice\r\n\r\nhi";
            stream.write_all(switching.as_bytes()).await.unwrap();
            let mut word = [0; 2];
            stream.read_exact(&mut word).await.unwrap();
            stream.write_all(&word.repeat(2)).await.unwrap();
            stream.shutdown().await.unwrap();
            String::from_utf8(received).unwrap()
        });
        let pool = pool();
        let (response, upgraded) = pool.upgrade(&peer, &mut upgrading(), &PATIENT).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["upgrade"]),
            (101, &"twice".parse().unwrap())
        );
        let mut upgraded = upgraded.expect("a stream");
        upgraded.write_all(b"ho").await.unwrap();
        let mut said = String::new();
        upgraded.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "hihoho");
        let request = server.await.unwrap();
        assert!(request.starts_with("GET /chat HTTP/1.1\r\n"), "{request}");
        assert!(
            request.contains("connection: upgrade\r\n") && request.contains("upgrade: twice\r\n"),
            "{request}"
        );
        assert!(pool.0.peers.borrow().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_upgrade_that_is_refused_has_an_answer_like_any_other() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Answer(OK)).await;
        let pool = pool();
        let (response, upgraded) = pool.upgrade(&server.peer, &mut upgrading(), &PATIENT).await.unwrap();
        assert!(upgraded.is_none());
        assert_eq!(text(response).await, "hello");
        until(|| server.ended.get() == 1).await;

        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let mut returned = upgrading();
        let missed = pool.upgrade(&plain(port), &mut returned, &PATIENT).await.unwrap_err();
        assert_eq!((missed.left, returned.version()), (Left::Untouched, Version::HTTP_2));
    })
    .await;
}

/// A body that says it has another length than it has.
struct Lying(Option<&'static str>, u64);

impl http_body::Body for Lying {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        std::task::Poll::Ready(self.0.take().map(|piece| Ok(http_body::Frame::data(Bytes::from(piece)))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.1)
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_body_of_another_length_than_it_said_is_no_request_and_cannot_hide_one() {
    on_a_data_thread(async {
        for length in [3, 50] {
            let server = Scripted::start(|_, _| Then::Answer(OK)).await;
            let lying = Body::boxed(Lying(Some("0123456789GET /hidden HTTP/1.1\r\n\r\n"), length));
            let error = pool().fetch(&server.peer, request(Method::POST, lying), &PATIENT).await.unwrap_err();
            assert!(matches!(error, FetchError::RequestBody(_)), "{error:?}");
            until(|| server.ended.get() == 1).await;
            assert!(server.requests.borrow().is_empty());
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_answer_may_begin_while_the_request_goes_on() {
    on_a_data_thread(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = plain(listener.local_addr().unwrap().port());
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut received = Vec::new();
            for (word, answer) in [
                ("one\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n1\r\n"),
                ("two\r\n", "1\r\n2\r\n"),
                ("0\r\n\r\n", "0\r\n\r\n"),
            ] {
                while !received.ends_with(word.as_bytes()) {
                    assert_ne!(stream.read_buf(&mut received).await.unwrap(), 0);
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            stream.read_to_end(&mut received).await.unwrap();
        });
        let pool = pool();
        let (say, said) = tokio::sync::mpsc::unbounded_channel::<&str>();
        let frames = futures_util::stream::unfold(said, |mut said| async {
            let word = said.recv().await?;
            Some((Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from(word))), said))
        });
        let body = Body::boxed(http_body_util::StreamBody::new(frames));
        say.send("one").unwrap();
        let mut answer = pool.fetch(&peer, request(Method::POST, body), &PATIENT).await.unwrap().into_body();
        let mut next = async || poll_fn(|cx| Pin::new(&mut answer).poll_frame(cx)).await;
        assert_eq!(next().await.unwrap().unwrap().into_data().unwrap(), "1");
        say.send("two").unwrap();
        assert_eq!(next().await.unwrap().unwrap().into_data().unwrap(), "2");
        drop(say);
        assert!(next().await.is_none());
        assert!(!pool.home(&peer).is_empty(), "the connection was not kept");
    })
    .await;
}

/// What is left of `request` after it was sent to a peer that does `then` with the first request on each connection.
async fn left(then: fn() -> Then, request: &mut Request<Body>) -> (Left, usize) {
    let server = Scripted::start(move |_, _| then()).await;
    let hasty = Timeouts { read: Duration::from_millis(50), ..PATIENT };
    let missed = pool().send(&server.peer, request, &hasty).await.unwrap_err();
    (missed.left, server.requests.borrow().len())
}

#[tokio::test(flavor = "current_thread")]
async fn what_may_be_done_twice_is_left_whole_when_no_answer_came() {
    on_a_data_thread(async {
        let silences: [fn() -> Then; 4] = [
            || Then::Close,
            || Then::Hang(""),
            || Then::Hang("HTTP/1.1 20"),
            || Then::AnswerAndClose("HTTP/1.1 200 OK\r\ncontent-le"),
        ];
        for (at, silence) in silences.into_iter().enumerate() {
            let mut put = request(Method::PUT, Body::full("body"));
            put.headers_mut().insert("x-mine", "1".parse().unwrap());
            assert_eq!(left(silence, &mut put).await, (Left::AtHand, 1), "{at}");
            assert_eq!((put.method(), &put.headers()["x-mine"]), (&Method::PUT, &"1".parse().unwrap()));
            assert_eq!(put.into_body().collect(9).await.unwrap(), "body");
            let mut post = request(Method::POST, Body::full("pay"));
            assert_eq!(left(silence, &mut post).await, (Left::Spent, 1), "{at}");
            let mut streamed = request(Method::PUT, silent_after("half"));
            assert_eq!(left(silence, &mut streamed).await.0, Left::Spent, "{at}");
        }
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_bad_answer_is_an_answer() {
    on_a_data_thread(async {
        let answers: [fn() -> Then; 3] = [
            || Then::AnswerAndClose("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
            || Then::AnswerAndClose("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
            || Then::Answer("HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        ];
        for (at, answer) in answers.into_iter().enumerate() {
            assert_eq!(left(answer, &mut get()).await, (Left::Spent, 1), "{at}");
        }
    })
    .await;
}
