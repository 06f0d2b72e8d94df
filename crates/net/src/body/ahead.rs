//! A body of which the beginning was read ahead.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};

use super::{Body, BodyError};

impl Body {
    /// Reads ahead: the whole body, if it is no larger than `limit` bytes, and a body that still has all of it. Of one
    /// that is larger no more is read than it takes to know.
    pub async fn read_ahead(mut self, limit: usize) -> Result<(Option<Bytes>, Self), BodyError> {
        if let Some(bytes) = self.bytes() {
            return Ok(((bytes.len() <= limit).then_some(bytes), self));
        }
        if self.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
            return Ok((None, self));
        }
        let (mut gathered, mut trailers) = (Gathered::default(), None);
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await {
            match frame?.into_data() {
                Ok(data) => gathered.add(data),
                Err(other) => trailers = Some(other),
            }
            if gathered.len() > limit {
                return Ok((
                    None,
                    Self::boxed_here(Ahead { read: gathered.into_bytes(), trailers, rest: self }),
                ));
            }
        }
        let whole = gathered.into_bytes();
        // What is at hand can be sent twice, and its length is known.
        let body = match trailers {
            None => Self::full(whole.clone()),
            Some(_) => Self::boxed_here(Ahead { read: whole.clone(), trailers, rest: Self::empty() }),
        };
        Ok((Some(whole), body))
    }
}

/// The pieces of a body, put together as they come: kept apart, pieces of a byte would cost a hundred times their size.
#[derive(Default)]
struct Gathered {
    /// Most bodies come in one piece, which then needs no copy.
    first: Bytes,
    all: BytesMut,
}

impl Gathered {
    fn add(&mut self, piece: Bytes) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&piece);
    }

    fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

/// What was read, and what was not.
struct Ahead {
    read: Bytes,
    trailers: Option<Frame<Bytes>>,
    rest: Body,
}

impl http_body::Body for Ahead {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.read.is_empty() {
            let read = std::mem::take(&mut self.read);
            return Poll::Ready(Some(Ok(Frame::data(read))));
        }
        match self.trailers.take() {
            Some(trailers) => Poll::Ready(Some(Ok(trailers))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.trailers.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let read = u64::try_from(self.read.len()).unwrap_or(u64::MAX);
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(read)) {
            hint.set_upper(upper);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body in pieces, and trailers if it is to have some.
    fn pieces(pieces: &[&'static str], trailers: bool) -> Body {
        let mut frames: Vec<_> = pieces.iter().map(|piece| Frame::data(Bytes::from(*piece))).collect();
        if trailers {
            let mut trailers = http::HeaderMap::new();
            trailers.insert("x-end", http::HeaderValue::from_static("1"));
            frames.push(Frame::trailers(trailers));
        }
        let frames = frames.into_iter().map(Ok::<_, std::io::Error>);
        Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(frames)))
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_body_that_was_read_ahead_still_has_all_of_it() {
        for (body, limit, seen) in [
            (pieces(&["one", "two", "three"], false), 11, Some("onetwothree")),
            (pieces(&["one", "two", "three"], false), 10, None),
            (pieces(&["one"], false), 3, Some("one")),
            (pieces(&[], false), 0, Some("")),
            (Body::full("bytes"), 5, Some("bytes")),
            (Body::full("bytes"), 4, None),
            (Body::empty(), 0, Some("")),
        ] {
            let whole = match &seen {
                Some(seen) => (*seen).to_owned(),
                None if limit == 4 => "bytes".to_owned(),
                None => "onetwothree".to_owned(),
            };
            let (read, again) = body.read_ahead(limit).await.unwrap();
            assert_eq!(read.as_deref(), seen.map(str::as_bytes));
            if seen.is_some() {
                assert_eq!(again.size_hint().exact(), Some(whole.len() as u64));
            }
            assert_eq!(again.collect(100).await.unwrap(), whole);
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn trailers_stay_where_they_were() {
        let (read, again) = pieces(&["one", "two"], true).read_ahead(6).await.unwrap();
        assert_eq!(read.unwrap(), "onetwo");
        let all = http_body_util::BodyExt::collect(again).await.unwrap();
        assert_eq!(all.trailers().map(|trailers| trailers["x-end"].to_str().unwrap()), Some("1"));
        assert_eq!(all.to_bytes(), "onetwo");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn small_pieces_come_back_as_one() {
        let (read, again) = pieces(&["a"; 1000], false).read_ahead(999).await.unwrap();
        assert_eq!(read, None);
        let mut again = again;
        let first = poll_fn(|cx| Pin::new(&mut again).poll_frame(cx)).await.unwrap().unwrap();
        assert_eq!(first.data_ref().map(Bytes::len), Some(1000));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_body_that_breaks_off_cannot_be_read_ahead() {
        let frames = [Ok(Frame::data(Bytes::from("half"))), Err(std::io::Error::other("gone"))];
        let body = Body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter(frames)));
        assert!(matches!(body.read_ahead(100).await, Err(BodyError::Source(_))));
    }
}
