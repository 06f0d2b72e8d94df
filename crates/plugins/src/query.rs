//! The arguments in a request's query.
//!
//! A name is compared decoded, so that no way of writing it hides an argument. What is not taken out stays as the
//! client wrote it.

use std::borrow::Cow;

use http::Uri;
use http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;

/// The value of the first argument called `name`, decoded.
pub(crate) fn argument<'q>(uri: &'q Uri, name: &str) -> Option<Cow<'q, str>> {
    let (_, value) = arguments(uri.query()?).find(|(key, _)| is(key, name))?;
    Some(decoded(value.unwrap_or_default()))
}

/// Takes all arguments called `name` out of `uri`.
pub(crate) fn remove(uri: &mut Uri, name: &str) {
    let Some(query) = uri.query() else { return };
    if !arguments(query).any(|(key, _)| is(key, name)) {
        return;
    }
    let mut target = uri.path().to_owned();
    let mut mark = '?';
    for pair in query.split('&').filter(|pair| !is(key(pair), name)) {
        target.push(mark);
        target.push_str(pair);
        mark = '&';
    }
    // A part of a valid target is one, too.
    if let Ok(target) = PathAndQuery::try_from(target) {
        with_target(uri, target);
    }
}

/// The same address with another path and query.
pub(crate) fn with_target(uri: &mut Uri, target: PathAndQuery) {
    let mut parts = std::mem::take(uri).into_parts();
    if parts.authority.is_none() {
        parts.scheme = None;
    }
    parts.path_and_query = Some(target.clone());
    *uri = Uri::from_parts(parts).unwrap_or_else(|_| Uri::from(target));
}

/// The name of the argument in `pair`, decoded.
pub(crate) fn name(pair: &str) -> Cow<'_, str> {
    decoded(key(pair))
}

fn arguments(query: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    query.split('&').map(|pair| match pair.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (pair, None),
    })
}

fn key(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(key, _)| key)
}

fn is(key: &str, name: &str) -> bool {
    match key.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        true => decoded(key) == name,
        false => key == name,
    }
}

fn decoded(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned());
    }
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(target: &str) -> Uri {
        target.parse().unwrap()
    }

    #[test]
    fn an_argument_is_found_however_its_name_is_written() {
        let uri = uri("/?a=1&%62=x%20y+z&c&b=2");
        assert_eq!(argument(&uri, "b").as_deref(), Some("x y z"));
        assert_eq!(argument(&uri, "c").as_deref(), Some(""));
        assert_eq!(argument(&uri, "d"), None);
    }

    #[test]
    fn what_is_taken_out_leaves_the_rest_as_it_was() {
        for (before, after) in [
            ("/p%2Fq?a=1&key=2&b=%2f", "/p%2Fq?a=1&b=%2f"),
            ("/p?key=1", "/p"),
            ("/p?k%65y=1&key", "/p"),
            ("/p?a", "/p?a"),
            ("/p", "/p"),
            ("http://h/p?key=1", "http://h/p"),
        ] {
            let mut uri = uri(before);
            remove(&mut uri, "key");
            assert_eq!(uri, after);
        }
    }
}
