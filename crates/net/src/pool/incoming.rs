//! An answer as it comes over an HTTP/1.1 connection (RFC 9112).
//!
//! What two readers could understand differently is no answer: a length that is not one number, a transfer coding that does
//! not end the body, a chunk whose size is not all digits. A gateway that guesses can be made to take one upstream's answer
//! for two.

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use http_body::Frame;

/// What is not an answer, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotHttp(&'static str);

/// The head of an answer.
#[derive(Debug)]
pub struct Head {
    /// Status and headers.
    pub response: Response<()>,
    /// What body follows.
    pub framing: Framing,
    /// Whether the connection can carry another exchange after this one.
    pub goes_on: bool,
}

/// How much of the body is still to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// Nothing.
    #[default]
    Over,
    /// This many bytes, at least one.
    Length(u64),
    /// Chunks.
    Chunked(Chunk),
    /// Whatever comes until the connection is closed.
    UntilClose,
}

/// Where in the chunks it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Before the line with the size of the next chunk.
    Size,
    /// In a chunk, of which this many bytes are to come.
    Data(u64),
    /// After a chunk, before the end of its line.
    End,
    /// After the last chunk.
    Trailers,
}

/// Takes the head of the answer to a request of `method` from `received`; None as long as it is not all there. The map of
/// its headers is `spare`, which loses what is in it: room that is there need not be made.
pub fn take_head(
    received: &mut BytesMut,
    method: &Method,
    spare: &mut HeaderMap,
) -> Result<Option<Head>, NotHttp> {
    // What does not begin like an answer will not become one.
    let beginning = &received[..received.len().min(START.len())];
    if !START.starts_with(beginning) {
        return Err(NotHttp("it does not begin like an answer"));
    }
    let end = match end_of_lines(received) {
        Some(end) if end <= LARGEST_HEAD => end,
        None if received.len() <= LARGEST_HEAD => return Ok(None),
        _ => return Err(NotHttp("its head is too large")),
    };
    let head = received.split_to(end).freeze();
    let (version, status, headers) = parse(&head, spare)?;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = version;
    let said = Said::by(&headers);
    let framing = said.framing(version, status, method)?;
    let goes_on = said.goes_on(version) && framing != Framing::UntilClose;
    *response.headers_mut() = headers;
    Ok(Some(Head { response, framing, goes_on }))
}

/// Where the empty line ends that ends a head.
fn end_of_lines(received: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = memchr::memchr(b'\n', &received[from..]) {
        from += at + 1;
        match received[from..] {
            [b'\n', ..] => return Some(from + 1),
            [b'\r', b'\n', ..] => return Some(from + 2),
            _ => {}
        }
    }
    None
}

fn parse(head: &Bytes, spare: &mut HeaderMap) -> Result<(Version, StatusCode, HeaderMap), NotHttp> {
    let mut few = [httparse::EMPTY_HEADER; USUAL_FIELDS];
    let mut parsed = httparse::Response::new(&mut few);
    match parsed.parse(head) {
        Err(httparse::Error::TooManyHeaders) => {
            let mut many = [httparse::EMPTY_HEADER; MOST_FIELDS];
            let mut parsed = httparse::Response::new(&mut many);
            let status = parsed.parse(head);
            understood(head, status, &parsed, spare)
        }
        status => understood(head, status, &parsed, spare),
    }
}

fn understood(
    head: &Bytes,
    status: httparse::Result<usize>,
    parsed: &httparse::Response<'_, '_>,
    spare: &mut HeaderMap,
) -> Result<(Version, StatusCode, HeaderMap), NotHttp> {
    let not_http = NotHttp("its head is not that of an answer");
    // All of it is the head: the parser and we agree on where it ends.
    if status != Ok(httparse::Status::Complete(head.len())) {
        return Err(not_http);
    }
    let version = match parsed.version {
        Some(0) => Version::HTTP_10,
        Some(1) => Version::HTTP_11,
        _ => return Err(not_http),
    };
    let code = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(not_http)?;
    let mut headers = std::mem::take(spare);
    headers.clear();
    for field in &*parsed.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| not_http)?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value)).map_err(|_| not_http)?;
        headers.append(name, value);
    }
    Ok((version, code, headers))
}

/// What the headers say of the body and of the connection.
#[derive(Default)]
struct Said<'h> {
    coding: Option<&'h HeaderValue>,
    two_codings: bool,
    length: Option<&'h HeaderValue>,
    two_lengths: bool,
    close: bool,
    keep_alive: bool,
}

impl<'h> Said<'h> {
    fn by(headers: &'h HeaderMap) -> Self {
        let mut said = Self::default();
        // One look at each name is cheaper than three searches.
        for (name, value) in headers {
            if name == CONTENT_LENGTH {
                said.two_lengths |= said.length.is_some_and(|other| other != value);
                said.length = Some(value);
            } else if name == TRANSFER_ENCODING {
                said.two_codings |= said.coding.is_some();
                said.coding = Some(value);
            } else if name == CONNECTION {
                for word in value.as_bytes().split(|byte| *byte == b',') {
                    said.close |= word.trim_ascii().eq_ignore_ascii_case(b"close");
                    said.keep_alive |= word.trim_ascii().eq_ignore_ascii_case(b"keep-alive");
                }
            }
        }
        said
    }

    /// RFC 9112, 6.3.
    fn framing(&self, version: Version, status: StatusCode, method: &Method) -> Result<Framing, NotHttp> {
        let has_none = status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED;
        if has_none || *method == Method::HEAD {
            return Ok(Framing::Over);
        }
        if let Some(coding) = self.coding {
            if version == Version::HTTP_10 {
                return Err(NotHttp("HTTP/1.0 has no transfer codings"));
            }
            // Nobody asked for another one, and whoever gets the answer could not tell that it has one.
            if self.two_codings || !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err(NotHttp("it has a transfer coding besides chunked"));
            }
            return Ok(Framing::Chunked(Chunk::Size));
        }
        let Some(length) = self.length else { return Ok(Framing::UntilClose) };
        if self.two_lengths {
            return Err(NotHttp("it has two lengths"));
        }
        match number(length.as_bytes(), 10) {
            Some(0) => Ok(Framing::Over),
            Some(length) => Ok(Framing::Length(length)),
            None => Err(NotHttp("its length is not a number")),
        }
    }

    fn goes_on(&self, version: Version) -> bool {
        // Whoever reads only one of the two would not know where the next answer begins.
        if self.coding.is_some() && self.length.is_some() {
            return false;
        }
        if version == Version::HTTP_10 { self.keep_alive } else { !self.close }
    }
}

impl Framing {
    /// Takes the next piece of the body from `received`; None if there is none yet, or no more (see [`Framing::Over`]).
    pub fn take(&mut self, received: &mut BytesMut) -> Result<Option<Frame<Bytes>>, NotHttp> {
        match self {
            Self::Over => Ok(None),
            Self::UntilClose if received.is_empty() => Ok(None),
            Self::UntilClose => Ok(Some(Frame::data(received.split().freeze()))),
            Self::Length(left) => {
                let piece = take_some(received, left);
                if *left == 0 {
                    *self = Self::Over;
                }
                Ok(piece.map(Frame::data))
            }
            Self::Chunked(_) => self.take_chunk(received),
        }
    }

    fn take_chunk(&mut self, received: &mut BytesMut) -> Result<Option<Frame<Bytes>>, NotHttp> {
        while let Self::Chunked(chunk) = self {
            match chunk {
                Chunk::Size => {
                    let Some(line) = take_line(received)? else { return Ok(None) };
                    // Extensions mean nothing to us.
                    let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
                    *chunk = match number(size.trim_ascii_end(), 16) {
                        Some(0) => Chunk::Trailers,
                        Some(size) => Chunk::Data(size),
                        None => return Err(NotHttp("the size of a chunk is not a number")),
                    };
                }
                Chunk::Data(left) => {
                    let piece = take_some(received, left);
                    if *left == 0 {
                        *chunk = Chunk::End;
                        // Most often it is there, and the end of the body with it.
                        if received.starts_with(b"\r\n0\r\n\r\n") {
                            received.advance(b"\r\n0\r\n\r\n".len());
                            *self = Self::Over;
                        }
                    }
                    return Ok(piece.map(Frame::data));
                }
                Chunk::End => {
                    if received.len() < 2 {
                        return Ok(None);
                    }
                    if !received.starts_with(b"\r\n") {
                        return Err(NotHttp("a chunk is longer than its size"));
                    }
                    received.advance(2);
                    *chunk = Chunk::Size;
                }
                Chunk::Trailers => {
                    let Some(trailers) = take_trailers(received)? else { return Ok(None) };
                    *self = Self::Over;
                    return Ok((!trailers.is_empty()).then(|| Frame::trailers(trailers)));
                }
            }
        }
        Ok(None)
    }

    /// How many bytes will come, if that is known.
    pub fn exact(self) -> Option<u64> {
        match self {
            Self::Over => Some(0),
            Self::Length(length) => Some(length),
            Self::Chunked(_) | Self::UntilClose => None,
        }
    }
}

/// At most `left` bytes, which are then taken from `left` too.
fn take_some(received: &mut BytesMut, left: &mut u64) -> Option<Bytes> {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(received.len());
    if length == 0 {
        return None;
    }
    *left -= u64::try_from(length).unwrap_or(u64::MAX);
    Some(received.split_to(length).freeze())
}

/// A line without its end.
fn take_line(received: &mut BytesMut) -> Result<Option<Bytes>, NotHttp> {
    let end = match memchr::memchr(b'\n', received) {
        Some(end) if end < LONGEST_LINE => end,
        None if received.len() < LONGEST_LINE => return Ok(None),
        _ => return Err(NotHttp("a line is too long")),
    };
    let line = received.split_to(end + 1).freeze();
    let Some(line) = line.strip_suffix(b"\r\n") else {
        return Err(NotHttp("a line of the chunks ends with LF alone"));
    };
    Ok(Some(Bytes::copy_from_slice(line)))
}

fn take_trailers(received: &mut BytesMut) -> Result<Option<HeaderMap>, NotHttp> {
    if received.starts_with(b"\r\n") {
        received.advance(2);
        return Ok(Some(HeaderMap::new()));
    }
    let end = match end_of_lines(received) {
        Some(end) if end <= LARGEST_HEAD => end,
        None if received.len() <= LARGEST_HEAD => return Ok(None),
        _ => return Err(NotHttp("its trailers are too large")),
    };
    let block = received.split_to(end).freeze();
    let not_http = NotHttp("its trailers are not fields");
    let mut fields = [httparse::EMPTY_HEADER; USUAL_FIELDS];
    let Ok(httparse::Status::Complete((length, fields))) = httparse::parse_headers(&block, &mut fields)
    else {
        return Err(not_http);
    };
    if length != block.len() {
        return Err(not_http);
    }
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| not_http)?;
        trailers.append(name, HeaderValue::from_bytes(field.value).map_err(|_| not_http)?);
    }
    Ok(Some(trailers))
}

/// A number that is written with nothing but digits.
fn number(digits: &[u8], radix: u32) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, byte| {
        let digit = char::from(*byte).to_digit(radix)?;
        number.checked_mul(u64::from(radix))?.checked_add(u64::from(digit))
    })
}

const START: &[u8] = b"HTTP/1.";

/// The largest head of an answer, in bytes.
const LARGEST_HEAD: usize = 128 * 1024;

/// The longest line before a chunk, its end included.
const LONGEST_LINE: usize = 4 * 1024;

/// Nearly all answers have fewer fields.
const USUAL_FIELDS: usize = 32;

/// An answer with more fields is none.
const MOST_FIELDS: usize = 200;

#[cfg(test)]
mod tests;
