use std::cell::Cell;
use std::rc::Rc;

use http_body::Body as _;
use http_body_util::StreamBody;

use super::super::event_stream::tests::{chunk, complete};
use super::*;

/// An answer of Lambda's that streams `events`, each as a piece by itself.
fn lambda(events: Vec<Vec<u8>>) -> Response<Body> {
    let pieces = events.into_iter().map(|event| Ok::<_, std::io::Error>(Frame::data(Bytes::from(event))));
    let body = Body::boxed(StreamBody::new(futures_util::stream::iter(pieces)));
    Response::builder()
        .header("content-type", "application/vnd.amazon.eventstream")
        .header("x-amzn-requestid", "id-1")
        .body(body)
        .unwrap()
}

const HEAD: &[u8] =
    b"{\"statusCode\": 201, \"headers\": {\"content-type\": \"text/event-stream\"}, \"cookies\": [\"a=1\"]}\0\0\0\0\0\0\0\0data";

async fn text(response: Response<Body>) -> String {
    String::from_utf8(response.into_body().collect(1 << 20).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn what_is_streamed_is_the_body() {
    let response = answer(lambda(vec![chunk(b"one "), chunk(b"two"), complete("{}")]), None).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers().get("content-type"), None);
    assert_eq!(text(response).await, "one two");
    let nothing = answer(lambda(vec![complete("{}")]), None).await.unwrap();
    assert_eq!(text(nothing).await, "");
}

#[tokio::test]
async fn how_long_the_stream_of_events_is_says_nothing_about_the_body() {
    let mut framed = lambda(vec![chunk(b"one"), complete("{}")]);
    framed.headers_mut().insert("content-length", "200".parse().unwrap());
    let response = answer(framed, None).await.unwrap();
    assert_eq!(response.headers().get("content-length"), None);
}

#[tokio::test]
async fn the_head_stands_in_front_of_the_body_however_it_is_cut() {
    for size in [1, 7, 50, HEAD.len()] {
        let mut events: Vec<_> = HEAD.chunks(size).map(chunk).collect();
        events.extend([chunk(b": x"), complete("{}")]);
        let response = answer(lambda(events), Some(false)).await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["set-cookie"], "a=1");
        assert_eq!(response.headers()["x-amzn-requestid"], "id-1");
        assert_eq!(response.headers().get("content-length"), None);
        assert_eq!(text(response).await, "data: x");
    }
}

#[tokio::test]
async fn a_function_that_returns_all_at_once_is_read_like_any_other() {
    let returned = br#"{"statusCode": 404, "body": "no"}"#;
    let response = answer(lambda(vec![chunk(returned), complete("{}")]), Some(false)).await.unwrap();
    assert_eq!((response.status().as_u16(), text(response).await.as_str()), (404, "no"));
    let failure = answer(lambda(vec![chunk(b"text"), complete("{}")]), Some(false)).await.unwrap_err();
    assert_eq!(
        (failure.status, failure.code),
        (gateward_model::ErrorStatus::BAD_GATEWAY, "function_bad_answer")
    );
}

#[tokio::test]
async fn who_fails_before_the_first_byte_gets_a_status_and_who_fails_later_breaks_off() {
    let failed = || complete(r#"{"ErrorCode": "Runtime.ExitError"}"#);
    for integration in [None, Some(false)] {
        let failure = answer(lambda(vec![failed()]), integration).await.unwrap_err();
        assert_eq!(failure.code, "function_unhandled_error");
        assert_eq!(
            failure.told,
            [("aws_error", "Runtime.ExitError".to_owned()), ("aws_request_id", "id-1".to_owned())]
        );
    }
    for events in [vec![chunk(b"part"), failed()], vec![chunk(b"part")]] {
        let response = answer(lambda(events), None).await.unwrap();
        assert!(response.into_body().collect(100).await.is_err());
    }
}

#[tokio::test]
async fn what_came_before_the_break_has_time_to_go_out() {
    let mut body = answer(lambda(vec![chunk(b"part")]), None).await.unwrap().into_body();
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(matches!(Pin::new(&mut body).poll_frame(&mut cx), Poll::Ready(Some(Ok(_)))));
    assert!(Pin::new(&mut body).poll_frame(&mut cx).is_pending());
    assert!(!body.is_end_stream());
    assert!(matches!(Pin::new(&mut body).poll_frame(&mut cx), Poll::Ready(Some(Err(_)))));
    assert!(matches!(Pin::new(&mut body).poll_frame(&mut cx), Poll::Ready(None)));
}

#[tokio::test]
async fn a_head_that_never_ends_is_not_waited_for() {
    let events = (0..100).map(|_| chunk(&[b' '; 4096])).collect();
    let failure = answer(lambda(events), Some(false)).await.unwrap_err();
    assert_eq!(failure.code, "function_bad_answer");
}

#[tokio::test]
async fn no_more_than_128_kib_are_held_of_a_stream() {
    let sent = Rc::new(Cell::new(0));
    let counter = Rc::clone(&sent);
    let events = (0..1000).map(move |number| {
        let event = if number == 0 { chunk(HEAD) } else { chunk(&[b'x'; 16 * 1024]) };
        counter.set(counter.get() + event.len());
        Ok::<_, std::io::Error>(Frame::data(Bytes::from(event)))
    });
    let body = Body::boxed(StreamBody::new(futures_util::stream::iter(events)));
    let response = answer(Response::new(body), Some(false)).await.unwrap();
    let mut body = response.into_body();
    let mut read = 0;
    for _ in 0..500 {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.unwrap().unwrap();
        read += frame.into_data().unwrap().len();
        assert!(sent.get() - read < 128 * 1024, "{} were sent, and {read} read", sent.get());
    }
}
