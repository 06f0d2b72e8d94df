//! Connections that leave HTTP.

use super::*;

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

        let nobody = plain(gateward_testkit::nobody().port());
        let mut returned = upgrading();
        let missed = pool.upgrade(&nobody, &mut returned, &PATIENT).await.unwrap_err();
        assert_eq!((missed.left, returned.version()), (Left::Untouched, Version::HTTP_2));
    })
    .await;
}
