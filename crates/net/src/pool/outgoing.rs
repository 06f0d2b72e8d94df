//! A request as it goes over an HTTP/1.1 connection.
//!
//! How long the body is, and how its end is told, is said by the body and never by a header that came with the request: what
//! is announced is what is sent, and nobody can hide a second request in the difference.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::header::{CONTENT_LENGTH, TE, TRANSFER_ENCODING};
use http::{Method, Request};
use http_body::Body as _;
use tokio::io::AsyncWrite;

use crate::{Body, BodyError, Stream};

/// What is still to be sent of a request.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Goes before `data`: the head, or the size of a chunk. Its room is kept for the next request.
    line: Vec<u8>,
    /// How much of `line` has been sent.
    sent: usize,
    data: Bytes,
    /// Goes after `data`.
    end: &'static [u8],
    body: Body,
    length: Length,
    /// Whether anything has been sent, or taken from the body.
    begun: bool,
    /// Whether what was written may still lie before the socket, as it does with TLS.
    unflushed: bool,
}

/// How the end of the body is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Length {
    /// It has been.
    #[default]
    Over,
    /// This many bytes are still to come.
    Known(u64),
    /// It comes in chunks, the last of which is empty.
    Chunked,
}

/// Why no more is sent.
#[derive(Debug)]
pub(super) enum Unsent {
    /// The connection takes no more.
    Connection(std::io::Error),
    /// The body broke off.
    Body(BodyError),
}

impl Outgoing {
    /// Begins to send `request`, whose body is taken out of it.
    pub(super) fn begin(&mut self, request: &mut Request<Body>) {
        self.body = std::mem::take(request.body_mut());
        self.begun = false;
        self.sent = 0;
        self.line.clear();
        let line = &mut self.line;
        line.extend_from_slice(request.method().as_str().as_bytes());
        line.push(b' ');
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        line.extend_from_slice(target.as_bytes());
        line.extend_from_slice(b" HTTP/1.1\r\n");
        for (name, value) in request.headers() {
            // The length is said below, and `te: trailers` is for HTTP/2.
            if name == CONTENT_LENGTH || name == TRANSFER_ENCODING || name == TE {
                continue;
            }
            line.extend_from_slice(name.as_str().as_bytes());
            line.extend_from_slice(b": ");
            line.extend_from_slice(value.as_bytes());
            line.extend_from_slice(b"\r\n");
        }
        self.length = match self.body.size_hint().exact() {
            Some(0) => Length::Over,
            Some(length) => Length::Known(length),
            None => Length::Chunked,
        };
        match self.length {
            Length::Over if !expects_body(request.method()) => {}
            Length::Over => line.extend_from_slice(b"content-length: 0\r\n"),
            Length::Known(length) => {
                line.extend_from_slice(b"content-length: ");
                push_number(line, length);
                line.extend_from_slice(b"\r\n");
            }
            Length::Chunked => line.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
        line.extend_from_slice(b"\r\n");
        // A body that is here goes with the head.
        if let (Length::Known(length), Some(bytes)) = (self.length, self.body.bytes())
            && u64::try_from(bytes.len()) == Ok(length)
        {
            (self.data, self.body, self.length) = (bytes, Body::empty(), Length::Over);
        }
    }

    /// Whether all of it has been sent.
    pub(super) fn is_over(&self) -> bool {
        self.length == Length::Over
            && self.sent == self.line.len()
            && self.data.is_empty()
            && self.end.is_empty()
    }

    /// Whether anything of it may have been received.
    pub(super) fn is_begun(&self) -> bool {
        self.begun
    }

    /// The body, if nothing of it was taken.
    pub(super) fn take_body(&mut self) -> Body {
        let body = std::mem::take(&mut self.body);
        if self.data.is_empty() { body } else { Body::full(std::mem::take(&mut self.data)) }
    }

    /// Forgets what was not sent. The room stays, unless it is unusually large.
    pub(super) fn forget(&mut self) {
        if self.line.capacity() > USUAL {
            self.line = Vec::new();
        }
        let line = std::mem::take(&mut self.line);
        *self = Self { line, ..Self::default() };
        self.line.clear();
    }

    /// Ready when all of it has been sent.
    pub(super) fn poll_send(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Unsent>> {
        loop {
            ready!(self.poll_write(stream, cx)).map_err(Unsent::Connection)?;
            if self.length == Length::Over {
                return self.poll_flush(stream, cx);
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => {
                    // What was written so far should not wait for more to come.
                    ready!(self.poll_flush(stream, cx))?;
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(frame))) => {
                    self.begun = true;
                    // Trailers end here: whoever reads HTTP/1.1 seldom expects any.
                    if let Ok(data) = frame.into_data() {
                        self.put(data)?;
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(Unsent::Body(error))),
                Poll::Ready(None) => self.put_end()?,
            }
        }
    }

    fn poll_flush(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Result<(), Unsent>> {
        if self.unflushed {
            ready!(Pin::new(stream).poll_flush(cx)).map_err(Unsent::Connection)?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        loop {
            let line = &self.line[self.sent..];
            let written = if self.data.is_empty() && self.end.is_empty() {
                if line.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                ready!(Pin::new(&mut *stream).poll_write(cx, line))?
            } else {
                let slices = [IoSlice::new(line), IoSlice::new(&self.data), IoSlice::new(self.end)];
                ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices))?
            };
            if written == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            (self.begun, self.unflushed) = (true, true);
            let of_line = written.min(line.len());
            let of_data = (written - of_line).min(self.data.len());
            self.sent += of_line;
            self.data.advance(of_data);
            self.end = &self.end[written - of_line - of_data..];
        }
    }

    fn put(&mut self, data: Bytes) -> Result<(), Unsent> {
        if data.is_empty() {
            return Ok(());
        }
        self.sent = 0;
        self.line.clear();
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        match &mut self.length {
            Length::Known(left) => {
                *left = left.checked_sub(length).ok_or_else(wrong_length)?;
                if *left == 0 {
                    self.length = Length::Over;
                }
            }
            Length::Chunked => {
                push_hex(&mut self.line, length);
                self.end = b"\r\n";
            }
            Length::Over => return Err(wrong_length()),
        }
        self.data = data;
        Ok(())
    }

    fn put_end(&mut self) -> Result<(), Unsent> {
        if let Length::Known(_) = self.length {
            return Err(wrong_length());
        }
        self.length = Length::Over;
        self.end = b"0\r\n\r\n";
        Ok(())
    }
}

fn wrong_length() -> Unsent {
    Unsent::Body(BodyError::Source("the body has another length than it said".into()))
}

/// Whether a request of `method` without a body says so.
fn expects_body(method: &Method) -> bool {
    *method == Method::POST || *method == Method::PUT || *method == Method::PATCH
}

fn push_number(line: &mut Vec<u8>, number: u64) {
    let (mut digits, mut at, mut left) = ([0; 20], 20, number);
    loop {
        at -= 1;
        // A digit.
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[at..]);
}

/// The line before a chunk.
fn push_hex(line: &mut Vec<u8>, length: u64) {
    let digits = (64 - length.leading_zeros()).div_ceil(4);
    line.extend((0..digits).rev().map(|place| b"0123456789abcdef"[(length >> (4 * place) & 15) as usize]));
    line.extend_from_slice(b"\r\n");
}

/// Nearly all heads are shorter, in bytes.
const USUAL: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_and_as_chunks_have_them() {
        for number in [0, 9, 10, 1_234_567_890, u64::MAX] {
            let mut line = Vec::new();
            push_number(&mut line, number);
            assert_eq!(line, number.to_string().as_bytes());
        }
        for number in [1, 15, 16, 4096, 0x00ab_cdef, u64::MAX] {
            let mut line = Vec::new();
            push_hex(&mut line, number);
            assert_eq!(line, format!("{number:x}\r\n").as_bytes());
        }
    }

    fn head(request: http::request::Builder, body: Body) -> String {
        let mut outgoing = Outgoing::default();
        outgoing.begin(&mut request.body(body).unwrap());
        String::from_utf8(outgoing.line).unwrap()
    }

    #[test]
    fn a_body_is_announced_as_what_it_is_whatever_the_headers_say() {
        let lying =
            || Request::post("/a?b").header("content-length", "7").header("transfer-encoding", "gzip");
        assert_eq!(head(lying(), Body::empty()), "POST /a?b HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(head(lying(), Body::full("abc")), "POST /a?b HTTP/1.1\r\ncontent-length: 3\r\n\r\n");
        let stream = || {
            let pieces = [Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from("a")))];
            Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(pieces)))
        };
        assert_eq!(head(lying(), stream()), "POST /a?b HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n");
        let get = Request::get("http://host/x").header("x-one", "1").header("x-one", "2");
        assert_eq!(head(get, Body::empty()), "GET /x HTTP/1.1\r\nx-one: 1\r\nx-one: 2\r\n\r\n");
    }
}
