//! Bodies on their way to the peer, and both ways at once.

use super::*;

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
