//! Messages as Lambda streams them: `application/vnd.amazon.eventstream`.
//!
//! ```text
//! ┌ total length ┬ headers' length ┬ CRC of both ┬ headers ┬ payload ┬ CRC of all before ┐    numbers have 4 bytes, big-endian
//! ```
//!
//! A message can be large, and what a function streams should not wait for the end of one. So payloads go on as they come:
//! nothing of them is kept here, and a CRC that turns out wrong ends the stream after the fact.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use crc32fast::Hasher;
use gateward_net::{Body, BodyError};
use http_body::Body as _;
use serde::Deserialize;

/// A stream of messages, out of the body that they come in.
pub(super) struct EventStream {
    body: Body,
    /// What has come and was not read yet.
    received: Bytes,
    /// What must be whole before it can be read: lengths, headers, a CRC.
    gathered: BytesMut,
    /// The payload of a message that is not the function's own writing.
    told: Vec<u8>,
    /// What AWS calls the error that it ends with.
    exception: String,
    place: Place,
    crc: Hasher,
}

/// Where in a message it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Prelude,
    Headers { length: usize, payload: usize },
    Payload { kind: Kind, left: usize },
    Crc { kind: Kind },
    End,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Bytes that the function has written.
    Chunk,
    /// The last one.
    Complete,
    /// AWS could not go on.
    Exception,
    /// One that we have never heard of.
    Unknown,
}

/// What a stream says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Bytes that the function has written.
    Bytes(Bytes),
    /// It is over, and all went well.
    Complete,
    /// It is over: the function failed, or AWS did. The name of the error.
    Failed(String),
}

/// Why a stream broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The answer that it came in did.
    #[error("the answer broke off")]
    Body(#[from] BodyError),
    /// Somebody has altered it, or it is none.
    #[error("the answer is no stream of events: {0}")]
    Format(&'static str),
    /// It ended before its last message.
    #[error("the answer ended before its last event")]
    Truncated,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Completion {
    error_code: Option<String>,
}

impl EventStream {
    /// The messages in `body`.
    pub(super) fn new(body: Body) -> Self {
        Self {
            body,
            received: Bytes::new(),
            gathered: BytesMut::new(),
            told: Vec::new(),
            exception: String::new(),
            place: Place::Prelude,
            crc: Hasher::new(),
        }
    }

    /// The next thing that the stream says. Nothing may be asked after its end.
    pub(super) async fn next(&mut self) -> Result<Part, Broken> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`EventStream::next`].
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, Broken>> {
        loop {
            if let Some(part) = self.read()? {
                return Poll::Ready(Ok(part));
            }
            if self.place == Place::End {
                return Poll::Ready(Err(Broken::Truncated));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => self.received = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Err(error.into())),
                None => return Poll::Ready(Err(Broken::Truncated)),
            }
        }
    }

    /// What has been received says, if that is something; nothing, once more must come.
    fn read(&mut self) -> Result<Option<Part>, Broken> {
        loop {
            match self.place {
                Place::Prelude => {
                    let Some(prelude) = self.gather(PRELUDE) else { return Ok(None) };
                    self.place = self.prelude(&prelude)?;
                }
                Place::Headers { length, payload } => {
                    let Some(headers) = self.gather(length) else { return Ok(None) };
                    self.crc.update(&headers);
                    let unreadable = Broken::Format("headers that cannot be read");
                    let headers = Headers::read(&headers).ok_or(unreadable)?;
                    let kind = headers.kind();
                    self.exception = headers.exception;
                    self.place = Place::Payload { kind, left: payload };
                }
                Place::Payload { kind, left: 0 } => self.place = Place::Crc { kind },
                Place::Payload { kind, left } => {
                    if self.received.is_empty() {
                        return Ok(None);
                    }
                    let bytes = self.received.split_to(left.min(self.received.len()));
                    self.crc.update(&bytes);
                    self.place = Place::Payload { kind, left: left - bytes.len() };
                    match kind {
                        Kind::Chunk => return Ok(Some(Part::Bytes(bytes))),
                        Kind::Complete if self.told.len() + bytes.len() > LARGEST_COMPLETION => {
                            return Err(Broken::Format("a last event that is too large"));
                        }
                        Kind::Complete => self.told.extend_from_slice(&bytes),
                        Kind::Exception | Kind::Unknown => {}
                    }
                }
                Place::Crc { kind } => {
                    let Some(crc) = self.gather(4) else { return Ok(None) };
                    if number(&crc) != self.crc.clone().finalize() {
                        return Err(Broken::Format("a CRC that is not that of its event"));
                    }
                    if let Some(part) = self.ended(kind)? {
                        self.place = Place::End;
                        return Ok(Some(part));
                    }
                    self.place = Place::Prelude;
                }
                Place::End => return Ok(None),
            }
        }
    }

    /// What the end of a message of `kind` means; nothing, if others follow.
    fn ended(&mut self, kind: Kind) -> Result<Option<Part>, Broken> {
        match kind {
            Kind::Chunk | Kind::Unknown => Ok(None),
            Kind::Exception => Ok(Some(Part::Failed(std::mem::take(&mut self.exception)))),
            Kind::Complete if self.told.is_empty() => Ok(Some(Part::Complete)),
            Kind::Complete => {
                let unreadable = |_| Broken::Format("a last event that cannot be read");
                let completion: Completion = serde_json::from_slice(&self.told).map_err(unreadable)?;
                Ok(Some(completion.error_code.map_or(Part::Complete, Part::Failed)))
            }
        }
    }

    /// `length` bytes in one piece, once they are here.
    fn gather(&mut self, length: usize) -> Option<Bytes> {
        if self.gathered.is_empty() && self.received.len() >= length {
            return Some(self.received.split_to(length));
        }
        let missing = length - self.gathered.len();
        let more = self.received.split_to(missing.min(self.received.len()));
        self.gathered.extend_from_slice(&more);
        (self.gathered.len() == length).then(|| self.gathered.split().freeze())
    }

    fn prelude(&mut self, prelude: &[u8]) -> Result<Place, Broken> {
        let (lengths, crc) = prelude.split_at(8);
        self.crc = Hasher::new();
        self.crc.update(lengths);
        if number(crc) != self.crc.clone().finalize() {
            return Err(Broken::Format("a beginning whose CRC is wrong"));
        }
        self.crc.update(crc);
        let lengths = lengths.split_at(4);
        let [total, headers] = [lengths.0, lengths.1].map(|length| number(length) as usize);
        // Beside headers and payload there are the prelude and a CRC.
        let payload = total.checked_sub(PRELUDE + 4).and_then(|rest| rest.checked_sub(headers));
        match payload {
            Some(payload) if headers <= LARGEST_HEADERS => Ok(Place::Headers { length: headers, payload }),
            _ => Err(Broken::Format("lengths that cannot be")),
        }
    }
}

/// The headers of a message that say what it is.
#[derive(Default)]
struct Headers {
    message: String,
    event: String,
    exception: String,
}

impl Headers {
    fn read(mut bytes: &[u8]) -> Option<Self> {
        let mut headers = Self::default();
        while bytes.has_remaining() {
            let length = usize::from(bytes.try_get_u8().ok()?);
            let name = bytes.split_off(..length)?;
            // What a type is long; those of 6 and 7 say it themselves.
            let length = match bytes.try_get_u8().ok()? {
                0 | 1 => 0,
                2 => 1,
                3 => 2,
                4 => 4,
                5 | 8 => 8,
                6 | 7 => usize::from(bytes.try_get_u16().ok()?),
                9 => 16,
                _ => return None,
            };
            let value = String::from_utf8_lossy(bytes.split_off(..length)?);
            match name {
                b":message-type" => headers.message = value.into_owned(),
                b":event-type" => headers.event = value.into_owned(),
                b":exception-type" | b":error-code" => headers.exception = value.into_owned(),
                _ => {}
            }
        }
        Some(headers)
    }

    fn kind(&self) -> Kind {
        match (self.message.as_str(), self.event.as_str()) {
            ("event", "PayloadChunk") => Kind::Chunk,
            ("event", "InvokeComplete") => Kind::Complete,
            ("exception" | "error", _) => Kind::Exception,
            _ => Kind::Unknown,
        }
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// Two lengths, and their CRC.
const PRELUDE: usize = 12;

/// Headers that are longer are none of Lambda's.
const LARGEST_HEADERS: usize = 16 * 1024;

/// The last event tells why a function failed, in at most so many bytes.
const LARGEST_COMPLETION: usize = 64 * 1024;

#[cfg(test)]
pub(super) mod tests;
