//! Answers of HTTP/1.1 upstreams: it does not matter in which pieces they come. What is read of one that arrives byte
//! by byte is what is read of it when all of it is there at once.
//!
//! The first byte says to what method it is the answer.

use bytes::{Bytes, BytesMut};
use gateward_net::incoming::{Framing, take_head};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::choice;

/// What was read in the end.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    head: Option<(StatusCode, HeaderMap, bool)>,
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    is_over: bool,
    is_refused: bool,
    /// What came after its end.
    left: Vec<u8>,
}

pub(crate) fn run(input: &[u8]) {
    let Some((choice, bytes)) = choice(input) else { return };
    let method = [Method::GET, Method::HEAD, Method::POST][choice % 3].clone();
    let at_once = read(&method, [bytes]);
    let slowly = read(&method, bytes.chunks(1));
    let in_two = read(&method, [&bytes[..bytes.len() / 2], &bytes[bytes.len() / 2..]]);
    assert_eq!(at_once, slowly);
    assert_eq!(at_once, in_two);
    if let Some((status, headers, _)) = &at_once.head {
        assert!((100..1000).contains(&status.as_u16()));
        let values = headers.values().flat_map(HeaderValue::as_bytes);
        assert!(values.copied().all(|byte| byte != b'\n' && byte != b'\r' && byte != 0));
    }
}

/// What is read of an answer that comes in these pieces.
fn read<'b>(method: &Method, pieces: impl IntoIterator<Item = &'b [u8]>) -> Answer {
    let mut received = BytesMut::new();
    let mut answer = Answer::default();
    let mut framing = Framing::UntilClose;
    for piece in pieces {
        received.extend_from_slice(piece);
        if answer.is_refused {
            continue;
        }
        if answer.head.is_none() {
            match take_head(&mut received, method, &mut HeaderMap::new()) {
                Ok(None) => continue,
                Ok(Some(head)) => {
                    let (parts, ()) = head.response.into_parts();
                    framing = head.framing;
                    answer.head = Some((parts.status, parts.headers, head.goes_on));
                }
                Err(_) => answer.is_refused = true,
            }
        }
        while !answer.is_refused {
            match framing.take(&mut received) {
                Ok(None) => break,
                Ok(Some(frame)) => keep(&mut answer, frame),
                Err(_) => answer.is_refused = true,
            }
        }
    }
    answer.is_over = framing == Framing::Over;
    // Of what was refused nobody reads on.
    answer.left = if answer.is_over && !answer.is_refused { received.to_vec() } else { Vec::new() };
    answer
}

fn keep(answer: &mut Answer, frame: http_body::Frame<Bytes>) {
    match frame.into_data() {
        Ok(data) => answer.data.extend_from_slice(&data),
        Err(frame) => answer.trailers = frame.into_trailers().ok(),
    }
}
