use std::task::Poll;

use futures_util::stream::iter;
use http_body::Frame;
use http_body_util::StreamBody;
use proptest::prelude::*;

use super::*;

/// A message with these headers, all of them text.
pub(in super::super) fn message(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(u8::try_from(name.len()).unwrap());
        block.extend_from_slice(name.as_bytes());
        block.push(7);
        block.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        block.extend_from_slice(value.as_bytes());
    }
    let total = u32::try_from(PRELUDE + block.len() + payload.len() + 4).unwrap();
    let mut bytes = [total.to_be_bytes(), u32::try_from(block.len()).unwrap().to_be_bytes()].concat();
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes.extend_from_slice(&block);
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

/// Bytes that the function has written.
pub(in super::super) fn chunk(payload: &[u8]) -> Vec<u8> {
    let headers = [
        (":event-type", "PayloadChunk"),
        (":content-type", "application/octet-stream"),
        (":message-type", "event"),
    ];
    message(&headers, payload)
}

/// The end of a stream.
pub(in super::super) fn complete(payload: &str) -> Vec<u8> {
    let headers = [
        (":event-type", "InvokeComplete"),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ];
    message(&headers, payload.as_bytes())
}

/// `bytes` in pieces that end where `cuts` say.
fn in_pieces(bytes: &[u8], cuts: &[usize]) -> EventStream {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    let pieces: Vec<_> = cuts
        .windows(2)
        .map(|ends| Ok::<_, std::io::Error>(Frame::data(Bytes::copy_from_slice(&bytes[ends[0]..ends[1]]))))
        .collect();
    EventStream::new(Body::boxed(StreamBody::new(iter(pieces))))
}

/// What the stream says: the bytes together, and its end.
fn read(mut stream: EventStream) -> Result<(Vec<u8>, Part), Broken> {
    let mut bytes = Vec::new();
    let mut context = Context::from_waker(std::task::Waker::noop());
    loop {
        match stream.poll_next(&mut context) {
            Poll::Pending => panic!("all of it is there"),
            Poll::Ready(Ok(Part::Bytes(more))) => bytes.extend_from_slice(&more),
            Poll::Ready(Ok(end)) => return Ok((bytes, end)),
            Poll::Ready(Err(broken)) => return Err(broken),
        }
    }
}

fn hello() -> Vec<u8> {
    [chunk(b"hello, "), chunk(b""), chunk(b"world"), complete("{}")].concat()
}

#[test]
fn a_function_that_fails_says_so_in_its_last_event() {
    for (end, part) in [
        (complete(""), Part::Complete),
        (complete("{}"), Part::Complete),
        (complete(r#"{"LogResult": "bG9n"}"#), Part::Complete),
        (
            complete(r#"{"ErrorCode": "Runtime.ExitError", "ErrorDetails": "x"}"#),
            Part::Failed("Runtime.ExitError".into()),
        ),
        (
            message(&[(":exception-type", "ServiceException"), (":message-type", "exception")], b"{}"),
            Part::Failed("ServiceException".into()),
        ),
    ] {
        let bytes = [chunk(b"a"), end].concat();
        assert_eq!(read(in_pieces(&bytes, &[])).unwrap(), (b"a".to_vec(), part));
    }
}

#[test]
fn events_that_we_have_never_heard_of_are_passed_over() {
    let strange = message(&[(":event-type", "Weather"), (":message-type", "event")], b"sunny");
    let bytes = [strange, hello()].concat();
    assert_eq!(read(in_pieces(&bytes, &[])).unwrap().0, b"hello, world");
}

#[test]
fn a_payload_goes_on_before_the_end_of_its_event_is_there() {
    let bytes = chunk(&[7; 100_000]);
    let mut stream = in_pieces(&bytes[..50_000], &[]);
    match stream.poll_next(&mut Context::from_waker(std::task::Waker::noop())) {
        Poll::Ready(Ok(Part::Bytes(bytes))) => assert!(bytes.len() > 49_000),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lengths_that_cannot_be_are_refused_and_room_is_not_made_for_them() {
    for (total, headers) in [(0, 0), (15, 0), (16, 1), (u32::MAX, u32::MAX), (u32::MAX, 20_000)] {
        let mut bytes = [u32::to_be_bytes(total), u32::to_be_bytes(headers)].concat();
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        assert!(matches!(read(in_pieces(&bytes, &[])), Err(Broken::Format(_))), "{total} {headers}");
    }
}

proptest! {
    #[test]
    fn where_it_is_cut_makes_no_difference(cuts in prop::collection::vec(any::<usize>(), 0..40)) {
        let (bytes, end) = read(in_pieces(&hello(), &cuts)).unwrap();
        prop_assert_eq!((bytes.as_slice(), end), (&b"hello, world"[..], Part::Complete));
    }

    #[test]
    fn whoever_alters_a_byte_is_found_out(at in any::<prop::sample::Index>(), with in 1..=u8::MAX) {
        let mut bytes = hello();
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        prop_assert!(read(in_pieces(&bytes, &[])).is_err());
    }

    #[test]
    fn whatever_is_missing_at_the_end_is_missed(at in any::<prop::sample::Index>()) {
        let bytes = hello();
        let short = &bytes[..at.index(bytes.len())];
        prop_assert!(matches!(read(in_pieces(short, &[])), Err(Broken::Truncated)));
    }

    #[test]
    fn nothing_that_comes_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(read(in_pieces(&bytes, &[])).is_err());
    }
}
