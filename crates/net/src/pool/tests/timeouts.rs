//! Who is waited for, and for how long.

use super::*;

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
