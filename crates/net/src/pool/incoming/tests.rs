use proptest::prelude::*;

use super::*;

fn head_of(text: &str) -> Result<Option<Head>, NotHttp> {
    take_head(&mut BytesMut::from(text), &Method::GET, &mut HeaderMap::new())
}

fn framing_of(fields: &str) -> Result<Framing, NotHttp> {
    head_of(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).map(|head| head.unwrap().framing)
}

/// The body and the trailers of what comes in pieces of `size` bytes, and what is left over.
fn read(framing: Framing, text: &[u8], size: usize) -> Result<(Vec<u8>, HeaderMap, usize), NotHttp> {
    let (mut framing, mut received) = (framing, BytesMut::new());
    let (mut body, mut trailers) = (Vec::new(), HeaderMap::new());
    let mut pieces = text.chunks(size);
    loop {
        while let Some(frame) = framing.take(&mut received)? {
            match frame.into_data() {
                Ok(data) => body.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().unwrap(),
            }
        }
        match pieces.next() {
            Some(piece) => received.extend_from_slice(piece),
            None => break,
        }
    }
    if framing == Framing::Over { Ok((body, trailers, received.len())) } else { Err(NotHttp("half of it")) }
}

#[test]
fn a_head_is_taken_when_all_of_it_is_there() {
    let text = "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nX-Two: a\r\nx-two: b\r\n\r\n";
    for end in 0..text.len() {
        assert!(head_of(&text[..end]).unwrap().is_none(), "{end}");
    }
    let mut received = BytesMut::from(format!("{text}abc").as_str());
    let head = take_head(&mut received, &Method::GET, &mut HeaderMap::new()).unwrap().unwrap();
    assert_eq!(received, "abc");
    assert_eq!((head.response.status().as_u16(), head.framing), (404, Framing::Length(3)));
    let values: Vec<_> = head.response.headers().get_all("x-two").iter().collect();
    assert_eq!(values, ["a", "b"]);
    let many: String = (0..150).map(|field| format!("x-{field}: 1\r\n")).collect();
    assert!(framing_of(&many).is_ok());
    assert!(framing_of(&many.repeat(2)).is_err());
}

#[test]
fn what_is_not_an_answer_is_refused() {
    for text in [
        "SSH-2.0-OpenSSH\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx : a\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    ] {
        assert!(head_of(text).is_err(), "{text:?}");
    }
    assert!(head_of(&format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(200_000))).is_err());
}

#[test]
fn a_body_ends_where_everybody_would_say_it_ends_or_is_refused() {
    assert_eq!(framing_of(""), Ok(Framing::UntilClose));
    assert_eq!(framing_of("content-length: 0\r\n"), Ok(Framing::Over));
    assert_eq!(framing_of("content-length: 5\r\ncontent-length: 5\r\n"), Ok(Framing::Length(5)));
    assert_eq!(framing_of("transfer-encoding: chunked\r\n"), Ok(Framing::Chunked(Chunk::Size)));
    assert_eq!(framing_of("transfer-encoding: Chunked \r\n"), Ok(Framing::Chunked(Chunk::Size)));
    for coding in ["gzip, chunked", "chunked, gzip", "xchunked", "gzip\r\ntransfer-encoding: chunked"] {
        assert!(framing_of(&format!("transfer-encoding: {coding}\r\n")).is_err(), "{coding}");
    }
    for wrong in ["5, 5", "+5", "-1", "0x5", "", "5 5", "99999999999999999999"] {
        assert!(framing_of(&format!("content-length: {wrong}\r\n")).is_err(), "{wrong}");
    }
    assert!(framing_of("content-length: 5\r\ncontent-length: 6\r\n").is_err());
    for without in ["HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified", "HTTP/1.1 100 Continue"] {
        let head = head_of(&format!("{without}\r\ncontent-length: 5\r\n\r\n")).unwrap().unwrap();
        assert_eq!(head.framing, Framing::Over);
    }
    let mut to_head = BytesMut::from("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    assert_eq!(
        take_head(&mut to_head, &Method::HEAD, &mut HeaderMap::new()).unwrap().unwrap().framing,
        Framing::Over
    );
}

#[test]
fn a_connection_goes_on_when_both_ends_know_it() {
    for (text, expected) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: x, Close\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n", true),
    ] {
        assert_eq!(head_of(text).unwrap().unwrap().goes_on, expected, "{text}");
    }
}

#[test]
fn chunks_are_read_however_they_are_cut() {
    let text = b"3;x=y\r\nabc\r\n0000A \r\n0123456789\r\n0\r\nX-Sum: 7\r\n\r\nnext";
    for size in 1..text.len() {
        let (body, trailers, left) = read(Framing::Chunked(Chunk::Size), text, size).unwrap();
        assert_eq!(
            (body.as_slice(), &trailers["x-sum"]),
            (&b"abc0123456789"[..], &HeaderValue::from_static("7"))
        );
        assert_eq!(left, 4);
    }
    let (body, trailers, left) = read(Framing::Chunked(Chunk::Size), b"2\r\nab\r\n0\r\n\r\n", 100).unwrap();
    assert_eq!((body.as_slice(), trailers.len(), left), (&b"ab"[..], 0, 0));
}

#[test]
fn chunks_that_are_not_what_they_say_are_refused() {
    for wrong in [
        "x\r\nabc\r\n0\r\n\r\n",
        "\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "2\r\nabc\r\n0\r\n\r\n",
        "10000000000000000\r\nabc",
        "0\r\nno colon\r\n\r\n",
        "3\r\nabc",
    ] {
        assert!(read(Framing::Chunked(Chunk::Size), wrong.as_bytes(), 100).is_err(), "{wrong:?}");
    }
    let endless = format!("3;{}", "x".repeat(10_000));
    assert!(read(Framing::Chunked(Chunk::Size), endless.as_bytes(), 100_000).is_err());
}

proptest! {
    #[test]
    fn nothing_that_comes_makes_the_reader_fall(bytes in prop::collection::vec(any::<u8>(), 0..300), size in 1..50usize) {
        let mut received = BytesMut::from(&b"HTTP/1.1 200 OK\r\n"[..]);
        received.extend_from_slice(&bytes);
        let _ = take_head(&mut received, &Method::GET, &mut HeaderMap::new());
        for framing in [Framing::Chunked(Chunk::Size), Framing::Length(100), Framing::UntilClose] {
            let _ = read(framing, &bytes, size);
        }
    }

    #[test]
    fn what_was_cut_into_chunks_is_put_together_again(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
        size in 1..60usize,
    ) {
        let mut text = Vec::new();
        for piece in &pieces {
            text.extend_from_slice(format!("{:X}\r\n", piece.len()).as_bytes());
            text.extend_from_slice(piece);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"0\r\n\r\n");
        let (body, _, left) = read(Framing::Chunked(Chunk::Size), &text, size).unwrap();
        prop_assert_eq!((body, left), (pieces.concat(), 0));
    }
}
