use super::*;

/// A body in three pieces.
fn pieces() -> Body {
    let pieces =
        ["one", "two", "three"].map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::from(piece))));
    Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(pieces)))
}

#[tokio::test(flavor = "current_thread")]
async fn a_body_is_collected_up_to_its_limit_and_no_further() {
    assert_eq!(pieces().collect(11).await.unwrap(), "onetwothree");
    assert!(matches!(pieces().collect(10).await, Err(CollectError::TooLarge { limit: 10 })));
    assert_eq!(Body::full("bytes").collect(5).await.unwrap(), "bytes");
    assert!(matches!(Body::full("bytes").collect(4).await, Err(CollectError::TooLarge { limit: 4 })));
    assert_eq!(Body::empty().collect(0).await.unwrap(), "");
}

#[tokio::test(flavor = "current_thread")]
async fn a_body_that_breaks_off_is_not_taken_for_a_whole_one() {
    let pieces = [Ok(Frame::data(Bytes::from("half"))), Err(std::io::Error::other("gone"))];
    let body = Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(pieces)));
    assert!(matches!(body.collect(100).await, Err(CollectError::Broken(BodyError::Source(_)))));
}

#[test]
fn what_is_in_a_body_is_not_printed() {
    assert!(!format!("{:?}", Body::full("canary")).contains("canary"));
}

#[test]
fn a_body_says_how_long_it_is() {
    assert_eq!(Body::empty().size_hint().exact(), Some(0));
    assert!(Body::empty().is_end_stream() && Body::full("").is_end_stream());
    assert_eq!(Body::full("bytes").size_hint().exact(), Some(5));
}

/// A body, and what was told of its end.
fn observed(body: Body) -> (Body, Rc<std::cell::RefCell<Vec<BodyEnd>>>) {
    let told = Rc::new(std::cell::RefCell::new(Vec::new()));
    let tell = Rc::clone(&told);
    (body.when_done(move |end| tell.borrow_mut().push(end)), told)
}

#[tokio::test(flavor = "current_thread")]
async fn the_end_of_a_body_is_told_once_with_the_bytes_that_went_by() {
    for (body, bytes) in [(pieces(), 11), (Body::full("bytes"), 5), (Body::empty(), 0)] {
        let (body, told) = observed(body);
        body.collect(100).await.unwrap();
        assert_eq!(*told.borrow(), [BodyEnd { bytes, complete: true }]);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_body_that_is_dropped_or_breaks_off_is_told_to_be_incomplete() {
    let (mut body, told) = observed(pieces());
    poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.unwrap().unwrap();
    assert!(told.borrow().is_empty());
    drop(body);
    assert_eq!(*told.borrow(), [BodyEnd { bytes: 3, complete: false }]);

    let broken = [Ok(Frame::data(Bytes::from("half"))), Err(std::io::Error::other("gone"))];
    let (body, told) =
        observed(Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(broken))));
    body.collect(100).await.unwrap_err();
    assert_eq!(*told.borrow(), [BodyEnd { bytes: 4, complete: false }]);

    let (body, told) = observed(Body::empty());
    drop(body);
    assert_eq!(*told.borrow(), [BodyEnd { bytes: 0, complete: true }]);
}

#[tokio::test(flavor = "current_thread")]
async fn the_end_is_told_with_the_last_piece_though_nobody_asks_for_more() {
    let (mut body, told) = observed(Body::full("bytes"));
    poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.unwrap().unwrap();
    assert!(body.is_end_stream());
    assert_eq!(*told.borrow(), [BodyEnd { bytes: 5, complete: true }]);
}
