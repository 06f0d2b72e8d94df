//! The name by which one request is found in every log.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::ink::Ink;

/// Where a request id stands, in requests as in answers.
pub(crate) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The name of one request.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// As text.
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl From<RequestId> for HeaderValue {
    fn from(id: RequestId) -> Self {
        // No two are the same, so HTTP/2's header compression should keep none: what it keeps, it searches each time.
        let mut value = id.0;
        value.set_sensitive(true);
        value
    }
}

/// Names requests: a random number of this thread, and a count. Not meant to be hard to guess.
pub(crate) struct RequestIds {
    thread: u64,
    count: Cell<u64>,
}

impl RequestIds {
    /// Begins to count.
    pub(crate) fn new() -> Self {
        // The hasher's keys are the standard library's own randomness, which is all that is needed here.
        Self { thread: RandomState::new().build_hasher().finish(), count: Cell::new(0) }
    }

    /// The id that the client gave the request, if it is one that may stand in logs; else a new one.
    pub(crate) fn for_request(&self, headers: &HeaderMap, ink: &Ink) -> RequestId {
        match headers.get(&X_REQUEST_ID) {
            Some(given) if is_sane(given) => RequestId(given.clone()),
            _ => self.next(ink),
        }
    }

    fn next(&self, ink: &Ink) -> RequestId {
        let count = self.count.get();
        self.count.set(count.wrapping_add(1));
        let mut text = [0; LENGTH];
        write_hex(&mut text[..16], self.thread);
        write_hex(&mut text[16..], count);
        RequestId(ink.value(&text))
    }
}

fn is_sane(id: &HeaderValue) -> bool {
    (1..=64).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// The lowest digits of `number`, as many as there is room for.
fn write_hex(room: &mut [u8], mut number: u64) {
    for place in room.iter_mut().rev() {
        *place = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

/// 16 digits of the thread's number, 10 of the count.
const LENGTH: usize = 26;

#[cfg(test)]
mod tests {
    use super::*;

    fn for_given(given: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(&X_REQUEST_ID, HeaderValue::from_bytes(given.as_bytes()).unwrap());
        RequestIds::new().for_request(&headers, &Ink::default()).as_str().to_owned()
    }

    #[test]
    fn ids_differ_within_and_between_threads() {
        let (one, other, ink) = (RequestIds::new(), RequestIds::new(), Ink::default());
        let ids = [one.next(&ink), one.next(&ink), other.next(&ink)].map(|id| id.as_str().to_owned());
        assert!(ids.iter().all(|id| id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
        assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
    }

    #[test]
    fn a_clients_own_id_is_kept_if_it_may_stand_in_a_log() {
        assert_eq!(for_given("trace-1/a"), "trace-1/a");
        for wrong in ["", "a b", "caf\u{e9}", &"a".repeat(65)] {
            assert_ne!(for_given(wrong), wrong);
        }
    }
}
