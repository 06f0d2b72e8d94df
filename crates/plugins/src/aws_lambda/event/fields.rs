//! The header fields of a request, in an event. Names are in lower case.

use std::borrow::Cow;

use http::header::{COOKIE, HeaderMap, HeaderValue};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

/// The fields, with what an event shows of several of one name.
pub(super) struct Fields<'h>(pub(super) &'h HeaderMap, pub(super) How);

/// What an event shows of several fields of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// The last.
    Last,
    /// A list of all.
    All,
    /// All, with commas between them, and no cookies, which have a place of their own.
    JoinedWithoutCookies,
    /// As Kong does: one as it is, several as a list.
    Kong,
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(headers, how) = self;
        let mut map = serializer.serialize_map(None)?;
        for name in headers.keys() {
            let mut values = headers.get_all(name).iter().map(text);
            match how {
                How::JoinedWithoutCookies if name == COOKIE => {}
                How::Last => {
                    map.serialize_entry(name.as_str(), &values.next_back())?;
                }
                How::All => {
                    map.serialize_entry(name.as_str(), &values.collect::<Vec<_>>())?;
                }
                How::JoinedWithoutCookies | How::Kong => {
                    let mut all: Vec<Cow<'_, str>> = values.collect();
                    match (all.as_mut_slice(), how) {
                        ([one], _) => map.serialize_entry(name.as_str(), one)?,
                        (several, How::Kong) => map.serialize_entry(name.as_str(), several)?,
                        (several, _) => map.serialize_entry(name.as_str(), &several.join(","))?,
                    }
                }
            }
        }
        map.end()
    }
}

/// Each cookie by itself, as API Gateway tells them in the form "2.0".
pub(super) fn cookies(headers: &HeaderMap) -> Vec<Cow<'_, str>> {
    let mut cookies = Vec::new();
    for value in headers.get_all(COOKIE) {
        match text(value) {
            Cow::Borrowed(all) => cookies.extend(pieces(all).map(Cow::Borrowed)),
            Cow::Owned(all) => cookies.extend(pieces(&all).map(|cookie| Cow::Owned(cookie.to_owned()))),
        }
    }
    cookies
}

fn pieces(cookies: &str) -> impl Iterator<Item = &str> {
    cookies.split(';').map(str::trim).filter(|cookie| !cookie.is_empty())
}

fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}
