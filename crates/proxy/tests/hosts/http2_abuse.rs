//! What a client can do wrong, or too often, with the frames of HTTP/2.
//!
//! Frames are written byte by byte here: no client library would.

use std::time::Duration;

use gateward_proxy::host::server::{Limits, Listener, ServerSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{Gate, LONG, anywhere, one_listener};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field as it is, neither indexed nor compressed.
fn field(name: &str, value: &[u8]) -> Vec<u8> {
    [&[0][..], &text(name.as_bytes()), &text(value)].concat()
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    match bytes.len() {
        length @ 0..127 => text.push(u8::try_from(length).unwrap()),
        mut length => {
            text.push(127);
            length -= 127;
            while length >= 128 {
                text.push(u8::try_from(length % 128).unwrap() | 128);
                length /= 128;
            }
            text.push(u8::try_from(length).unwrap());
        }
    }
    text.extend_from_slice(bytes);
    text
}

fn pseudo(method: &str) -> Vec<u8> {
    [
        field(":method", method.as_bytes()),
        field(":scheme", b"http"),
        field(":path", b"/"),
        field(":authority", b"a"),
    ]
    .concat()
}

/// How a client hears of what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// An answer; the first byte of its head is its status for the usual ones.
    Answer(u8),
    Reset,
    GoAway,
    Closed,
}

const OK: Heard = Heard::Answer(0x88);

/// A client that has said hello.
struct Peer(TcpStream);

impl Peer {
    async fn connect(gate: &Gate) -> Self {
        Self::connect_with(gate, &[]).await
    }

    async fn connect_with(gate: &Gate, settings: &[u8]) -> Self {
        let mut stream = TcpStream::connect(gate.address).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, settings)).await.unwrap();
        Self(stream)
    }

    async fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }

    /// The next thing that is said about a request, or the connection.
    async fn hears(&mut self) -> Heard {
        loop {
            let mut head = [0; 9];
            let read = tokio::time::timeout(LONG, self.0.read_exact(&mut head)).await;
            if read.expect("the gateway says something").is_err() {
                return Heard::Closed;
            }
            let mut payload =
                vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
            if self.0.read_exact(&mut payload).await.is_err() {
                return Heard::Closed;
            }
            match head[3] {
                HEADERS => return Heard::Answer(payload[0]),
                RST_STREAM => return Heard::Reset,
                GOAWAY => return Heard::GoAway,
                _ => {}
            }
        }
    }
}

async fn gate() -> Gate {
    Gate::mirror(one_listener(Listener::plain(anywhere()))).await
}

async fn assert_alive(gate: &Gate) {
    let mut peer = Peer::connect(gate).await;
    peer.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &pseudo("GET"))).await;
    assert_eq!(peer.hears().await, OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_http1_could_not_say_or_would_say_differently_reach_nobody() {
    let gate = gate().await;
    let with = |name: &str, value: &[u8]| [pseudo("GET"), field(name, value)].concat();
    let late = [field(":method", b"GET"), field("x", b"y"), field(":path", b"/"), field(":scheme", b"http")];
    let cases = [
        ("a transfer coding", with("transfer-encoding", b"chunked")),
        ("a field of the connection", with("connection", b"close")),
        ("a line break in a value", with("x", b"y\r\nz: 1")),
        ("a line break in a name", with("x\r\ny", b"z")),
        ("an upper case name", with("X-Y", b"z")),
        ("a null byte", with("x", b"y\0z")),
        ("a pseudo-header after a field", late.concat()),
        ("a second path", with(":path", b"/other")),
        ("an unknown pseudo-header", with(":other", b"x")),
        (
            "a line break in the authority",
            [
                field(":method", b"GET"),
                field(":scheme", b"http"),
                field(":path", b"/"),
                field(":authority", b"a\r\nb: c"),
            ]
            .concat(),
        ),
        (
            "no path",
            [field(":method", b"GET"), field(":scheme", b"http"), field(":authority", b"a")].concat(),
        ),
    ];
    for (what, head) in cases {
        let mut peer = Peer::connect(&gate).await;
        peer.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &head)).await;
        let heard = peer.hears().await;
        assert!(matches!(heard, Heard::Reset | Heard::GoAway | Heard::Answer(0x8c)), "{what}: {heard:?}");
    }
    assert_alive(&gate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_as_long_as_it_said() {
    let gate = gate().await;
    for (said, sent) in [(&b"3"[..], &b"hello"[..]), (b"9", b"hello"), (b"+5", b"hello")] {
        let mut peer = Peer::connect(&gate).await;
        let head = [pseudo("POST"), field("content-length", said)].concat();
        peer.send(&frame(HEADERS, END_HEADERS, 1, &head.replace_path())).await;
        peer.send(&frame(DATA, END_STREAM, 1, sent)).await;
        let heard = peer.hears().await;
        assert_ne!(heard, OK, "{said:?} was said and {sent:?} sent");
    }
    assert_alive(&gate).await;
}

/// To a place where the whole body is waited for.
trait ReplacePath {
    fn replace_path(&self) -> Vec<u8>;
}

impl ReplacePath for Vec<u8> {
    fn replace_path(&self) -> Vec<u8> {
        let (from, to) = (field(":path", b"/"), field(":path", b"/body"));
        let at = self.windows(from.len()).position(|window| window == from).unwrap();
        [&self[..at], &to, &self[at + from.len()..]].concat()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_unfolds_to_megabytes_is_refused() {
    let gate = gate().await;
    let mut peer = Peer::connect(&gate).await;
    // One large field goes into the table; each byte after it means that field again.
    let large = [&[0x40][..], &text(b"x"), &text(&[b'y'; 3000])].concat();
    let bomb = [pseudo("GET"), large, vec![0xbe; 10_000]].concat();
    peer.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb)).await;
    assert_ne!(peer.hears().await, OK);
    assert_alive(&gate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_never_ends_ends_the_connection() {
    let gate = gate().await;
    for piece in [field("x", &[b'y'; 1000]), Vec::new()] {
        let mut peer = Peer::connect(&gate).await;
        peer.send(&frame(HEADERS, END_STREAM, 1, &pseudo("GET"))).await;
        let mut sent = 0;
        while sent < 100_000 && peer.send(&frame(CONTINUATION, 0, 1, &piece)).await {
            sent += 1;
        }
        assert!(sent < 100_000, "it was listened to for {sent} frames");
    }
    assert_alive(&gate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_back_all_its_requests_is_sent_away() {
    let gate = gate().await;
    let mut peer = Peer::connect(&gate).await;
    let head = pseudo("GET");
    let mut stream = 1;
    let mut going = true;
    while going && stream < 400_000 {
        let mut burst = Vec::new();
        for _ in 0..100 {
            burst.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &head));
            burst.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
            stream += 2;
        }
        going = peer.send(&burst).await;
    }
    assert!(!going, "it could go on for ever");
    assert_alive(&gate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_only_asks_for_signs_of_life_and_never_reads_is_not_kept() {
    let limits =
        Limits { head: Duration::from_millis(500), idle: Duration::from_millis(500), ..Limits::default() };
    let gate = Gate::mirror(ServerSettings { limits, ..one_listener(Listener::plain(anywhere())) }).await;
    for flood in [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[])] {
        let mut peer = Peer::connect(&gate).await;
        let burst = flood.repeat(1000);
        let flooding = async { while peer.send(&burst).await {} };
        tokio::time::timeout(LONG, flooding).await.expect("the gateway hangs up");
    }
    assert_alive(&gate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_streams_are_open_than_may_be() {
    let limits = Limits { streams: 5, ..Limits::default() };
    let gate = Gate::mirror(ServerSettings { limits, ..one_listener(Listener::plain(anywhere())) }).await;
    let mut peer = Peer::connect(&gate).await;
    for stream in (1..).step_by(2).take(6) {
        peer.send(&frame(HEADERS, END_HEADERS, stream, &pseudo("POST").replace_path())).await;
    }
    assert!(matches!(peer.hears().await, Heard::Reset | Heard::GoAway));
    assert_alive(&gate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_opens_no_window_for_an_answer_is_not_kept() {
    let short = Duration::from_millis(200);
    let limits = Limits { body_idle: short, head: short, idle: short, ..Limits::default() };
    let gate = Gate::mirror(ServerSettings { limits, ..one_listener(Listener::plain(anywhere())) }).await;
    let windows_of_nothing = [0, 4, 0, 0, 0, 0];
    let mut peer = Peer::connect_with(&gate, &windows_of_nothing).await;
    peer.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &pseudo("GET"))).await;
    assert_eq!(peer.hears().await, OK);
    let mut told = Vec::new();
    while !told.contains(&Heard::Closed) {
        told.push(peer.hears().await);
    }
    assert!(told.contains(&Heard::Reset) && told.contains(&Heard::GoAway), "{told:?}");
    assert_alive(&gate).await;
}
