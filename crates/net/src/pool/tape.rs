//! Keeps the head of a request as it was written.
//!
//! hyper consumes a request when it sends it. Its head stands in one piece at the beginning of what hyper writes, and
//! to copy it from there is one copy of some hundred bytes; a copy of the headers beforehand is two for each of them.

use std::cell::{Cell, RefCell};
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http::{HeaderName, HeaderValue, Request, Uri, Version};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Stream;

/// What was written last to a [`Taped`], from its beginning.
#[derive(Debug, Default)]
pub(super) struct Tape {
    running: Cell<bool>,
    written: RefCell<Vec<u8>>,
}

impl Tape {
    /// What is written next is kept.
    pub(super) fn start(&self) {
        self.running.set(true);
    }

    /// What was kept is not needed. Its room stays, unless it is unusually large.
    pub(super) fn forget(&self) {
        self.running.set(false);
        let mut written = self.written.borrow_mut();
        written.clear();
        written.shrink_to(USUAL);
    }

    /// The request whose head was written, if all of the head was.
    pub(super) fn request(&self) -> Option<Request<()>> {
        let written = self.written.borrow();
        let mut lines = written.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r\n"));
        let mut words = lines.next()??.splitn(3, |byte| *byte == b' ');
        let mut request = Request::new(());
        *request.method_mut() = words.next()?.try_into().ok()?;
        *request.uri_mut() = Uri::try_from(words.next()?).ok()?;
        *request.version_mut() = Version::HTTP_11;
        loop {
            let line = lines.next()??;
            if line.is_empty() {
                return Some(request);
            }
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
            request.headers_mut().append(name, value);
        }
    }

    fn hear(&self, bytes: &[u8]) {
        if !bytes.is_empty() && self.running.replace(false) {
            let mut written = self.written.borrow_mut();
            written.clear();
            written.extend_from_slice(&bytes[..bytes.len().min(LONGEST)]);
        }
    }
}

/// A stream with a tape of what is written to it.
#[derive(Debug)]
pub(super) struct Taped {
    pub(super) stream: Stream,
    pub(super) tape: Rc<Tape>,
}

impl AsyncRead for Taped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Taped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        self.tape.hear(bytes);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        if let Some(first) = slices.first() {
            self.tape.hear(first);
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Nearly all heads are shorter, in bytes.
const USUAL: usize = 8 * 1024;

/// Whoever has a longer head, in bytes, has to send it again himself.
const LONGEST: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn request_of(written: &str) -> Option<Request<()>> {
        let tape = Tape::default();
        tape.start();
        tape.hear(written.as_bytes());
        tape.hear(b"and more");
        tape.request()
    }

    #[test]
    fn a_request_is_read_from_its_head_whatever_follows() {
        let request =
            request_of("PUT /a?b HTTP/1.1\r\nhost: test\r\nx-empty: \r\nx: 1\r\nx: a: b\r\n\r\nbody\n")
                .unwrap();
        assert_eq!((request.method().as_str(), request.uri()), ("PUT", &Uri::from_static("/a?b")));
        let headers: Vec<_> =
            request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(headers, [("host", "test"), ("x-empty", ""), ("x", "1"), ("x", "a: b")]);
    }

    #[test]
    fn half_a_head_is_no_request() {
        for half in [
            "",
            "GET",
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\nhost: te",
            "GET / HTTP/1.1\r\nhost: test\r\n",
        ] {
            assert!(request_of(half).is_none(), "{half:?}");
        }
    }

    #[test]
    fn nothing_is_kept_that_was_not_asked_for() {
        let tape = Tape::default();
        tape.hear(b"GET / HTTP/1.1\r\n\r\n");
        assert!(tape.request().is_none());
        tape.start();
        tape.hear(b"GET / HTTP/1.1\r\n\r\n");
        tape.forget();
        assert!(tape.request().is_none());
    }
}
