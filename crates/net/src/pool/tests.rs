mod bodies;
mod repeats;
mod timeouts;
mod upgrades;

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
async fn a_peer_keeps_no_connection_longer_than_the_pool_allows() {
    on_a_data_thread(async {
        let settings =
            PoolSettings { longest_idle: Some(Duration::from_millis(50)), ..PoolSettings::default() };
        for idle_timeout in [Duration::ZERO, Duration::from_secs(60)] {
            let server = Scripted::start(|_, _| Then::Answer(OK)).await;
            let pool = Pool::new(connector(), settings);
            let peer = server.peer.with_keepalive(Keepalive { size: 1, idle_timeout, requests: 0 });
            text(pool.fetch(&peer, get(), &PATIENT).await.unwrap()).await;
            until(|| server.ended.get() == 1).await;
        }
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
async fn a_limit_for_all_threads_counts_the_idle_connections_of_every_pool() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::Answer(OK)).await;
        let keepalive = Keepalive { size: 3, idle_timeout: Duration::from_secs(60), requests: 0 };
        let peer = server.peer.with_keepalive_of_all(keepalive);
        let connector = connector();
        // What two data threads have: a pool each, and one connector.
        let pools = [(); 2].map(|()| Pool::new(Arc::clone(&connector), PoolSettings::default()));
        let fetches = pools.iter().flat_map(|pool| (0..3).map(|_| pool.fetch(&peer, get(), &PATIENT)));
        for response in futures_util::future::join_all(fetches).await {
            text(response.unwrap()).await;
        }
        until(|| server.ended.get() == 3).await;
        // A pool that is gone makes room for the others.
        let [first, second] = pools;
        drop(first);
        let fetches = (0..3).map(|_| second.fetch(&peer, get(), &PATIENT));
        for response in futures_util::future::join_all(fetches).await {
            text(response.unwrap()).await;
        }
        until(|| server.connections.get() - server.ended.get() == 3).await;
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
