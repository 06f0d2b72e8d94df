use std::cell::RefCell;

use h2::Reason;
use h2::server::{self, SendResponse};
use http::{HeaderMap, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::testing::{Authority, Scripted, Then, connector, on_a_data_thread, plain, until};
use crate::{Keepalive, Peer, PeerTls, PeerTlsSettings, Pool, PoolSettings, Protocol};

const PATIENT: Timeouts =
    Timeouts { connect: Duration::from_secs(5), send: Duration::from_secs(5), read: Duration::from_secs(5) };

/// A server of HTTP/2 that does with each request what it is told, by the number of the connection and that of the request
/// on it, both from 1.
struct Server {
    peer: Peer,
    connections: Rc<Cell<usize>>,
    ended: Rc<Cell<usize>>,
    requests: Rc<RefCell<Vec<Request<()>>>>,
    /// Answers that are still to come are held here.
    held: Rc<RefCell<Vec<SendResponse<Bytes>>>>,
}

#[derive(Clone, Copy)]
enum Do {
    /// Reads the request's body and answers with it, with `grpc-status: 0` in the trailers.
    Echo,
    /// Says nothing.
    Hold,
    /// Refuses it before it has looked at it.
    Refuse,
    /// Breaks it off.
    Reset,
    /// Lets go of the connection without a word.
    Die,
    /// Answers with the head and a piece of the body, and no more.
    Half,
}

impl Server {
    async fn start(allowed: Option<u32>, script: impl Fn(usize, usize) -> Do + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let this = Self {
            peer: plain(listener.local_addr().unwrap().port()).with_protocol(Protocol::Http2),
            connections: Rc::default(),
            ended: Rc::default(),
            requests: Rc::default(),
            held: Rc::default(),
        };
        let (connections, ended) = (Rc::clone(&this.connections), Rc::clone(&this.ended));
        let (requests, held) = (Rc::clone(&this.requests), Rc::clone(&this.held));
        let script = Rc::new(script);
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.set(connections.get() + 1);
                let (number, script, ended) = (connections.get(), Rc::clone(&script), Rc::clone(&ended));
                let (requests, held) = (Rc::clone(&requests), Rc::clone(&held));
                tokio::task::spawn_local(async move {
                    serve(stream, allowed, |request| script(number, request), &requests, &held).await;
                    ended.set(ended.get() + 1);
                });
            }
        });
        this
    }
}

async fn serve(
    stream: TcpStream,
    allowed: Option<u32>,
    script: impl Fn(usize) -> Do,
    requests: &RefCell<Vec<Request<()>>>,
    held: &RefCell<Vec<SendResponse<Bytes>>>,
) {
    let mut builder = server::Builder::new();
    if let Some(allowed) = allowed {
        builder.max_concurrent_streams(allowed);
    }
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    for number in 1.. {
        let Some(Ok((request, mut respond))) = connection.accept().await else { return };
        let (head, mut body) = request.into_parts();
        requests.borrow_mut().push(Request::from_parts(head, ()));
        match script(number) {
            Do::Echo => {
                tokio::task::spawn_local(async move {
                    let mut sending = respond.send_response(Response::new(()), false).unwrap();
                    while let Some(data) = body.data().await {
                        let Ok(data) = data else { return };
                        body.flow_control().release_capacity(data.len()).unwrap();
                        sending.send_data(data, false).unwrap();
                    }
                    let mut trailers = body.trailers().await.unwrap().unwrap_or_default();
                    trailers.insert("grpc-status", HeaderValue::from_static("0"));
                    sending.send_trailers(trailers).unwrap();
                });
            }
            Do::Hold => held.borrow_mut().push(respond),
            Do::Refuse => respond.send_reset(Reason::REFUSED_STREAM),
            Do::Reset => respond.send_reset(Reason::INTERNAL_ERROR),
            Do::Die => return,
            Do::Half => {
                let mut sending = respond.send_response(Response::new(()), false).unwrap();
                sending.send_data(Bytes::from("half"), false).unwrap();
                tokio::task::spawn_local(async move {
                    let _until_cancelled = poll_fn(|cx| sending.poll_reset(cx)).await;
                });
            }
        }
    }
}

fn pool() -> Pool {
    Pool::new(connector(), PoolSettings::default())
}

fn request(method: Method, body: Body) -> Request<Body> {
    let request = Request::builder().method(method).uri("/a?b").header("host", "test:1");
    request.header("te", "trailers").body(body).unwrap()
}

fn get() -> Request<Body> {
    request(Method::GET, Body::empty())
}

fn streamed(pieces: &[&'static str]) -> Body {
    let pieces: Vec<_> =
        pieces.iter().map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::from(*piece)))).collect();
    Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(pieces)))
}

/// The body and the trailers.
async fn read(response: Response<Body>) -> (String, HeaderMap) {
    let (mut body, mut text, mut trailers) = (response.into_body(), Vec::new(), HeaderMap::new());
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame.unwrap().into_data() {
            Ok(data) => text.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    (String::from_utf8(text).unwrap(), trailers)
}

#[tokio::test(flavor = "current_thread")]
async fn a_call_goes_out_as_http_2_and_its_trailers_pass_both_ways() {
    on_a_data_thread(async {
        let server = Server::start(None, |_, _| Do::Echo).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", HeaderValue::from_static("7"));
        let frames =
            [Ok::<_, std::io::Error>(Frame::data(Bytes::from("hello"))), Ok(Frame::trailers(trailers))];
        let body = Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(frames)));
        let response = pool().fetch(&server.peer, request(Method::POST, body), &PATIENT).await.unwrap();
        let (text, trailers) = read(response).await;
        assert_eq!(text, "hello");
        assert_eq!(
            (&trailers["grpc-status"], &trailers["x-checksum"]),
            (&"0".parse().unwrap(), &"7".parse().unwrap())
        );
        let requests = server.requests.borrow();
        assert_eq!(requests[0].uri(), "http://test:1/a?b");
        assert_eq!(requests[0].headers()["te"], "trailers");
        assert!(!requests[0].headers().contains_key("host"));
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn many_calls_share_a_connection_and_no_more_than_the_peer_allows() {
    on_a_data_thread(async {
        let server = Server::start(Some(4), |_, _| Do::Hold).await;
        let pool = pool();
        let fetches: Vec<_> = (0..10)
            .map(|_| {
                let (pool, peer) = (pool.clone(), server.peer.clone());
                tokio::task::spawn_local(async move { pool.fetch(&peer, get(), &PATIENT).await })
            })
            .collect();
        until(|| server.held.borrow().len() == 10).await;
        assert_eq!(server.connections.get(), 3);
        for mut respond in server.held.take() {
            respond.send_response(Response::new(()), true).unwrap();
        }
        for fetch in fetches {
            assert_eq!(fetch.await.unwrap().unwrap().status(), 200);
        }
        let again = pool.clone();
        let peer = server.peer.clone();
        let one_more = tokio::task::spawn_local(async move { again.fetch(&peer, get(), &PATIENT).await });
        until(|| !server.held.borrow().is_empty()).await;
        server.held.borrow_mut()[0].send_response(Response::new(()), true).unwrap();
        one_more.await.unwrap().unwrap();
        assert_eq!(server.connections.get(), 3);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn what_the_peer_says_it_has_not_looked_at_is_sent_again_whatever_it_asks_for() {
    on_a_data_thread(async {
        let server =
            Server::start(None, |connection, _| if connection == 1 { Do::Refuse } else { Do::Echo }).await;
        let posted = request(Method::POST, streamed(&["one", "two"]));
        let response = pool().fetch(&server.peer, posted, &PATIENT).await.unwrap();
        assert_eq!(read(response).await.0, "onetwo");
        assert_eq!((server.connections.get(), server.requests.borrow().len()), (2, 2));
        let stubborn = Server::start(None, |_, _| Do::Refuse).await;
        let error = pool().fetch(&stubborn.peer, get(), &PATIENT).await.unwrap_err();
        assert!(matches!(error, FetchError::Closed(_)), "{error:?}");
        assert_eq!(stubborn.requests.borrow().len(), 3);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_request_that_comes_after_the_last_that_a_leaving_peer_sees_to_is_sent_to_its_successor() {
    on_a_data_thread(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = plain(listener.local_addr().unwrap().port()).with_protocol(Protocol::Http2);
        tokio::task::spawn_local(async move {
            let (mut leaving, _) = listener.accept().await.unwrap();
            leaving.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
            leaving.read_exact(&mut [0; 24]).await.unwrap();
            loop {
                let mut head = [0; 9];
                leaving.read_exact(&mut head).await.unwrap();
                let mut rest = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
                leaving.read_exact(&mut rest).await.unwrap();
                if head[3] == 1 {
                    break;
                }
            }
            // GOAWAY, and the last stream that it sees to is 0.
            leaving.write_all(b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0").await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            serve(stream, None, |_| Do::Echo, &RefCell::default(), &RefCell::default()).await;
        });
        let posted = request(Method::POST, streamed(&["pay"]));
        assert_eq!(read(pool().fetch(&peer, posted, &PATIENT).await.unwrap()).await.0, "pay");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_kept_connection_that_dies_costs_a_get_nothing_and_a_post_its_answer() {
    on_a_data_thread(async {
        let server = Server::start(
            None,
            |connection, request| if connection == 1 && request > 1 { Do::Die } else { Do::Echo },
        )
        .await;
        let pool = pool();
        read(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap()).await;
        read(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap()).await;
        assert_eq!((server.connections.get(), server.requests.borrow().len()), (2, 3));

        let server = Server::start(None, |_, request| if request > 1 { Do::Die } else { Do::Echo }).await;
        read(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap()).await;
        let post = request(Method::POST, Body::full("pay"));
        let error = pool.fetch(&server.peer, post, &PATIENT).await.unwrap_err();
        assert!(matches!(error, FetchError::Closed(_)), "{error:?}");
        assert_eq!(server.requests.borrow().len(), 2);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_call_that_is_broken_off_or_dropped_leaves_the_others_alone() {
    on_a_data_thread(async {
        let server = Server::start(None, |_, request| match request {
            1 => Do::Reset,
            2 => Do::Hold,
            3 => Do::Half,
            _ => Do::Echo,
        })
        .await;
        let pool = pool();
        let error = pool.fetch(&server.peer, get(), &PATIENT).await.unwrap_err();
        assert!(matches!(error, FetchError::Closed(_)), "{error:?}");
        tokio::select! {
            _ = pool.fetch(&server.peer, get(), &PATIENT) => panic!("nobody answered"),
            () = until(|| server.held.borrow().len() == 1) => {}
        }
        drop(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap());
        let mut cancelled = server.held.borrow_mut().pop().unwrap();
        assert_eq!(poll_fn(|cx| cancelled.poll_reset(cx)).await.unwrap(), Reason::CANCEL);
        read(pool.fetch(&server.peer, get(), &PATIENT).await.unwrap()).await;
        assert_eq!(server.connections.get(), 1);
        assert_eq!(pool.home(&server.peer).multiplexed.streams(), 0);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn each_phase_of_a_call_has_its_timeout() {
    on_a_data_thread(async {
        let hasty = Timeouts { read: Duration::from_millis(50), send: Duration::from_millis(50), ..PATIENT };
        let server = Server::start(None, |_, request| match request {
            2 => Do::Half,
            _ => Do::Hold,
        })
        .await;
        let pool = pool();
        let error = pool.fetch(&server.peer, get(), &hasty).await.unwrap_err();
        assert!(matches!(error, FetchError::ReadTimeout), "{error:?}");
        let half = pool.fetch(&server.peer, get(), &hasty).await.unwrap();
        let error = half.into_body().collect(100).await.unwrap_err();
        assert!(matches!(error, crate::CollectError::Broken(BodyError::Timeout)), "{error:?}");
        let silent = Body::boxed(http_body_util::StreamBody::new(futures_util::stream::pending::<
            Result<Frame<Bytes>, std::io::Error>,
        >()));
        let error = pool.fetch(&server.peer, request(Method::POST, silent), &hasty).await.unwrap_err();
        assert!(matches!(error, FetchError::RequestBodyTimeout), "{error:?}");
        // Nobody takes more of it than the window that the server opened.
        let pieces = futures_util::stream::repeat_with(|| {
            Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(&[0; 65_536])))
        });
        let endless = Body::boxed(http_body_util::StreamBody::new(pieces));
        let error = pool.fetch(&server.peer, request(Method::POST, endless), &hasty).await.unwrap_err();
        assert!(matches!(error, FetchError::SendTimeout), "{error:?}");

        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = plain(silent.local_addr().unwrap().port()).with_protocol(Protocol::Http2);
        let hasty = Timeouts { connect: Duration::from_millis(50), ..PATIENT };
        let mut returned = get();
        let missed = pool.send(&peer, &mut returned, &hasty).await.unwrap_err();
        assert!(matches!(missed.error, FetchError::ConnectTimeout), "{missed:?}");
        assert_eq!(missed.left, Left::Untouched);
        assert_eq!(
            (returned.uri().to_string(), &returned.headers()["host"]),
            ("/a?b".to_owned(), &"test:1".parse().unwrap())
        );
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_body_that_breaks_off_is_the_clients_doing() {
    on_a_data_thread(async {
        let server = Server::start(None, |_, _| Do::Hold).await;
        let pieces =
            [Ok(Frame::data(Bytes::from("half"))), Err(std::io::Error::other("the client went away"))];
        let broken = Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(pieces)));
        let error = pool().fetch(&server.peer, request(Method::POST, broken), &PATIENT).await.unwrap_err();
        assert!(matches!(error, FetchError::RequestBody(_)), "{error:?}");
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_peer_that_speaks_no_http_2_never_sees_the_request() {
    on_a_data_thread(async {
        let server = Scripted::start(|_, _| Then::AnswerAndClose("HTTP/1.1 400 Bad Request\r\n\r\n")).await;
        let peer = server.peer.with_protocol(Protocol::Http2);
        let missed = pool().send(&peer, &mut get(), &PATIENT).await.unwrap_err();
        assert!(matches!(missed.error, FetchError::NotHttp2), "{missed:?}");
        assert_eq!(missed.left, Left::Untouched);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_connection_ends_when_it_is_idle_for_too_long_or_has_carried_enough() {
    on_a_data_thread(async {
        let server = Server::start(None, |_, _| Do::Echo).await;
        let keepalive = Keepalive { size: 1, idle_timeout: Duration::from_millis(50), requests: 0 };
        let (pool, peer) = (pool(), server.peer.with_keepalive(keepalive));
        read(pool.fetch(&peer, get(), &PATIENT).await.unwrap()).await;
        until(|| server.ended.get() == 1).await;
        let few = server.peer.with_keepalive(Keepalive {
            idle_timeout: Duration::from_secs(60),
            requests: 2,
            ..keepalive
        });
        for _ in 0..5 {
            read(pool.fetch(&few, get(), &PATIENT).await.unwrap()).await;
        }
        assert_eq!(server.connections.get(), 4);
        until(|| server.ended.get() == 3).await;
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn over_tls_http_2_is_agreed_on_in_the_handshake() {
    on_a_data_thread(async {
        let authority = Authority::new();
        let mut settings = authority.server("grpc.test", false);
        settings.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(settings));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::task::spawn_local(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let tls = acceptor.accept(tcp).await.unwrap();
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let mut connection = server::handshake(tls).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                assert_eq!(request.uri(), "https://test:1/a?b");
                let _ = respond.send_response(Response::<()>::new(()), true);
                drop::<SendResponse<Bytes>>(respond);
            }
        });
        let ca = authority.pem();
        let own =
            PeerTlsSettings { ca: Some(&ca), server_name: Some("grpc.test"), ..PeerTlsSettings::default() };
        let peer = Peer::new(Scheme::Https, "127.0.0.1", port, true)
            .with_protocol(Protocol::Http2)
            .with_tls(std::sync::Arc::new(PeerTls::new(&own).unwrap()));
        assert_eq!(pool().fetch(&peer, get(), &PATIENT).await.unwrap().status(), 200);
    })
    .await;
}

#[tokio::test(flavor = "current_thread")]
async fn what_may_be_done_twice_is_left_whole_when_no_answer_came() {
    on_a_data_thread(async {
        let hasty = Timeouts { read: Duration::from_millis(50), ..PATIENT };
        for silence in [Do::Die, Do::Reset, Do::Hold] {
            let server = Server::start(None, move |_, _| silence).await;
            let mut put = request(Method::PUT, streamed(&["one", "two"]));
            let missed = pool().send(&server.peer, &mut put, &hasty).await.unwrap_err();
            assert_eq!(missed.left, Left::AtHand, "{missed:?}");
            assert_eq!(
                (put.uri().to_string(), &put.headers()["host"]),
                ("/a?b".to_owned(), &"test:1".parse().unwrap())
            );
            assert_eq!(put.into_body().collect(9).await.unwrap(), "onetwo");
            let mut post = request(Method::POST, Body::full("pay"));
            let missed = pool().send(&server.peer, &mut post, &hasty).await.unwrap_err();
            assert_eq!(missed.left, Left::Spent, "{missed:?}");
        }
        let refusing = Server::start(None, |_, _| Do::Refuse).await;
        let mut post = request(Method::POST, streamed(&["pay"]));
        let missed = pool().send(&refusing.peer, &mut post, &PATIENT).await.unwrap_err();
        assert_eq!(missed.left, Left::Untouched, "{missed:?}");
        assert_eq!(post.into_body().collect(9).await.unwrap(), "pay");
    })
    .await;
}
