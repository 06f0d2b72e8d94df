//! What a client can do wrong with the bytes of a request, and what it then hears.

use std::time::Duration;

use gateward_proxy::host::server::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Gate, LONG, Plane, body, header, read_to_end, status, upstream};

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_could_be_read_in_two_ways_are_refused_and_their_connection_closed() {
    let (upstream, _) = upstream("u").await;
    let gate = Gate::to(upstream).await;
    for (request, expected, code) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], 400, Some("bad_host")),
        (b"GET / HTTP/1.0\r\n\r\n", 400, Some("bad_host")),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, Some("bad_host")),
        (b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, Some("bad_host")),
        (b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, Some("host_mismatch")),
        (b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", 400, None),
        (b"GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", 400, Some("bad_path")),
        (b"GET /a/%2e%2e%2fb HTTP/1.1\r\nHost: a\r\n\r\n", 400, Some("bad_path")),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405, Some("no_tunnels")),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2, 3\r\n\r\nab", 400, None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\nab", 400, None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\nab", 400, None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -2\r\n\r\nab", 400, None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x2\r\n\r\nab", 400, None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nab", 400, None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nab", 400, None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 2\r\n\r\nab", 400, None),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", 400, None),
        (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, None),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400, None),
        (b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400, None),
        (b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400, None),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX\x00Y: a\r\n\r\n", 400, None),
        (b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400, None),
        (b"GET / HTTP/1.1\r\nHost: a:99999999\r\n\r\n", 400, Some("bad_host")),
        (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400, Some("bad_host")),
        (b"GET / HTTP/1.1\r\nHost: \r\n\r\n", 400, Some("bad_host")),
        (b"GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n", 400, Some("host_mismatch")),
        (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400, None),
        (b"GET /\r\n\r\n", 400, None),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, None),
        (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400, None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400, None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, None),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, Some("bad_transfer_coding")),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501, Some("bad_transfer_coding")),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 501, Some("bad_transfer_coding")),
    ] {
        // Were the connection to stay open, this would have an answer too.
        let followed = [request, b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        let answer = gate.raw(&followed).await;
        let shown = String::from_utf8_lossy(request);
        assert_eq!(status(&answer), expected, "{shown}: {answer}");
        assert_eq!(answer.matches("HTTP/1.").count(), 1, "{shown}: {answer}");
        if let Some(code) = code {
            assert_eq!(body(&answer)["code"], code, "{shown}");
            assert!(header(&answer, "x-request-id").is_some(), "{shown}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_length_goes_upstream_beside_a_transfer_coding_and_nothing_after_it_is_read() {
    let (upstream, _) = upstream("u").await;
    let gate = Gate::to(upstream).await;
    let length = "Content-Length: 3\r\n";
    let coding = "Transfer-Encoding: chunked\r\n";
    for fields in [[length, coding].concat(), [coding, length].concat()] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n5\r\nhello\r\n0\r\n\r\n");
        let answer = gate.raw(format!("{request}GET /second HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let told = body(&answer);
        assert_eq!(told["body"], "hello", "{answer}");
        assert!(told["headers"].get("content-length").is_none(), "{told}");
        assert_eq!(told["headers"]["transfer-encoding"], serde_json::json!(["chunked"]));
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_are_read_strictly_and_their_extensions_stay_behind() {
    let (upstream, _) = upstream("u").await;
    let gate = Gate::to(upstream).await;
    let post = |chunks: &str| {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}{chunks}")
    };
    for fine in ["5\r\nhello\r\n0\r\n\r\n", "5;a=b\r\nhello\r\n0;c\r\n\r\n", "005\r\nhello\r\n000\r\n\r\n"] {
        let answer = gate.raw(post(fine)).await;
        assert_eq!((status(&answer), &body(&answer)["body"]), (200, &"hello".into()), "{fine:?}: {answer}");
    }
    for wrong in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "5;a=\nb\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    ] {
        let answer = gate.raw(format!("{}GET /second HTTP/1.1\r\nHost: a\r\n\r\n", post(wrong))).await;
        assert!(answer.is_empty() || status(&answer) >= 400, "{wrong:?}: {answer}");
        assert!(answer.matches("HTTP/1.1").count() <= 1, "{wrong:?}: {answer}");
    }
    // An extension without end is not read for ever.
    let endless = gate.raw(post(&format!("5;{}", "a".repeat(100_000)))).await;
    assert!(endless.is_empty() || status(&endless) >= 400, "{endless}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_or_has_too_many_fields_is_refused() {
    let (upstream, _) = upstream("u").await;
    let gate = Gate::to(upstream).await;
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    assert_eq!(status(&gate.raw(large).await), 431);
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(120));
    assert_eq!(status(&gate.raw(many).await), 431);
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000));
    assert_eq!(status(&gate.raw(long).await), 414);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_comes_too_slowly_ends_the_connection() {
    let limits = Limits { head: Duration::from_millis(200), idle: LONG * 3, ..Limits::default() };
    let gate = Gate::with(Plane::start(&[]), limits, None).await;
    for beginning in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: "] {
        assert_eq!(gate.raw(beginning).await, "");
    }
    // Also when it is the second one, which may begin late but not go on late.
    let mut stream = TcpStream::connect(gate.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 404");
    stream.write_all(b"GET / HT").await.unwrap();
    let rest = read_to_end(stream).await;
    assert!(!rest.contains("HTTP/1.1"), "{rest}");
}
