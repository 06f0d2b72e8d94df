//! What is sent once more, and what is not.

use super::*;

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
