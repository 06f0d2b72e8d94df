//! The canonical request: method, path, query, headers, names of the headers, hash of the body; a line each.

use std::ops::Range;

use http::Method;
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Uri};

use super::{Rules, SignedHeaders};

/// What the rest of a signature needs to know of a canonical request.
pub(super) struct Canonical {
    /// Where in the buffer the names of the signed headers stand.
    pub(super) signed_headers: Range<usize>,
    /// The query as it must be sent, where that is not as it came.
    pub(super) rewritten_query: Option<Vec<u8>>,
}

/// Writes the canonical form of a request, of which these are the method, the target and the headers, into `buffer`.
pub(super) fn write(
    buffer: &mut Vec<u8>,
    (method, uri, headers): (&Method, &Uri, &HeaderMap),
    rules: Rules,
    payload_hash: &str,
) -> Canonical {
    buffer.extend_from_slice(method.as_str().as_bytes());
    buffer.push(b'\n');
    write_path(buffer, uri.path(), rules);
    buffer.push(b'\n');
    let rewritten_query = uri.query().and_then(|query| write_query(buffer, query));
    buffer.push(b'\n');
    let signed_headers = write_headers(buffer, headers, rules.headers);
    buffer.push(b'\n');
    buffer.extend_from_slice(payload_hash.as_bytes());
    Canonical { signed_headers, rewritten_query }
}

/// `uri` with another query.
pub(super) fn with_query(uri: &Uri, query: &[u8]) -> Option<Uri> {
    let mut target = Vec::with_capacity(uri.path().len() + 1 + query.len());
    target.extend_from_slice(uri.path().as_bytes());
    if !query.is_empty() {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_maybe_shared(bytes::Bytes::from(target)).ok()?);
    Uri::from_parts(parts).ok()
}

fn write_path(buffer: &mut Vec<u8>, path: &str, rules: Rules) {
    if !rules.normalize_path || !(path.contains("//") || path.contains("/.")) {
        let path = if path.is_empty() { "/" } else { path };
        return write_path_bytes(buffer, path, rules);
    }
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            name => kept.push(name),
        }
    }
    for segment in &kept {
        buffer.push(b'/');
        write_path_bytes(buffer, segment, rules);
    }
    // What names a folder keeps the slash that says so.
    let names_a_folder = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    if kept.is_empty() || names_a_folder {
        buffer.push(b'/');
    }
}

fn write_path_bytes(buffer: &mut Vec<u8>, path: &str, rules: Rules) {
    for byte in path.bytes() {
        match byte {
            b'/' => buffer.push(b'/'),
            b'%' if !rules.encode_path_again => buffer.push(b'%'),
            byte => push_encoded(buffer, byte),
        }
    }
}

/// Writes the pairs of `query`, each name and value in its one spelling, sorted by them. Gives the query in that
/// spelling and in its own order, where it came in another.
///
/// A `+` is a space: AWS reads queries as forms, and so does `aws-sigv4`. A value that is absent is empty.
fn write_query(buffer: &mut Vec<u8>, query: &str) -> Option<Vec<u8>> {
    let mut respelled = Vec::with_capacity(query.len() + 16);
    let mut pairs: Vec<(Range<usize>, Range<usize>)> = Vec::with_capacity(8);
    let mut as_it_came = true;
    for pair in query.split('&') {
        if pair.is_empty() {
            as_it_came = false;
            continue;
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !pairs.is_empty() {
            respelled.push(b'&');
        }
        let name_range = respell(&mut respelled, name);
        respelled.push(b'=');
        let value_range = respell(&mut respelled, value);
        as_it_came &= respelled[name_range.clone()] == *name.as_bytes();
        as_it_came &= respelled[value_range.clone()] == *value.as_bytes();
        pairs.push((name_range, value_range));
    }
    pairs.sort_by(|(name, value), (other_name, other_value)| {
        let names = respelled[name.clone()].cmp(&respelled[other_name.clone()]);
        names.then_with(|| respelled[value.clone()].cmp(&respelled[other_value.clone()]))
    });
    for (place, (name, value)) in pairs.iter().enumerate() {
        if place > 0 {
            buffer.push(b'&');
        }
        buffer.extend_from_slice(&respelled[name.clone()]);
        buffer.push(b'=');
        buffer.extend_from_slice(&respelled[value.clone()]);
    }
    (!as_it_came).then_some(respelled)
}

/// Decodes a name or value of a query and encodes it again, in one go; gives the place where it stands.
fn respell(out: &mut Vec<u8>, text: &str) -> Range<usize> {
    let start = out.len();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| bytes.get(at + 1).zip(bytes.get(at + 2))).flatten();
        let escaped = escape.and_then(|(high, low)| Some((hex_value(*high)? << 4) | hex_value(*low)?));
        match (escaped, bytes[at]) {
            (Some(byte), _) => {
                push_encoded(out, byte);
                at += 3;
                continue;
            }
            (None, b'+') => push_encoded(out, b' '),
            (None, byte) => push_encoded(out, byte),
        }
        at += 1;
    }
    start..out.len()
}

/// Writes the signed headers, the empty line that ends them, and their names; gives the place of the names.
fn write_headers(buffer: &mut Vec<u8>, headers: &HeaderMap, covered: SignedHeaders) -> Range<usize> {
    let Some(any) = headers.iter().next() else {
        buffer.push(b'\n');
        return buffer.len()..buffer.len();
    };
    let all = headers.iter().filter(|(name, _)| covers(covered, name));
    // The usual few are sorted where they are, so that nothing is allocated for them.
    let (mut few, mut many) = ([any; FEW], Vec::new());
    let sorted: &mut [Field<'_>] = if headers.len() <= FEW {
        let mut length = 0;
        for field in all {
            insert(&mut few, length, field);
            length += 1;
        }
        &mut few[..length]
    } else {
        many.reserve_exact(headers.len());
        many.extend(all);
        many.sort_by(|(name, _), (other, _)| name.as_str().cmp(other.as_str()));
        &mut many
    };
    write_fields(buffer, sorted);
    buffer.push(b'\n');
    let start = buffer.len();
    for (place, names) in sorted.chunk_by(|(name, _), (next, _)| name == next).enumerate() {
        if place > 0 {
            buffer.push(b';');
        }
        buffer.extend_from_slice(names[0].0.as_str().as_bytes());
    }
    start..buffer.len()
}

/// A header's name and one of its values.
type Field<'h> = (&'h HeaderName, &'h HeaderValue);

/// Puts `field` in its place among the first `length` of `sorted`: behind those of the same name, so that a header's values
/// keep their order.
fn insert<'h>(sorted: &mut [Field<'h>], length: usize, field: Field<'h>) {
    let mut place = length;
    while place > 0 && sorted[place - 1].0.as_str() > field.0.as_str() {
        sorted[place] = sorted[place - 1];
        place -= 1;
    }
    sorted[place] = field;
}

/// Writes a line for each name of `sorted`, with all of its values.
fn write_fields(buffer: &mut Vec<u8>, sorted: &[Field<'_>]) {
    for values in sorted.chunk_by(|(name, _), (next, _)| name == next) {
        for (place, (name, value)) in values.iter().enumerate() {
            if place == 0 {
                buffer.extend_from_slice(name.as_str().as_bytes());
            }
            buffer.push(if place == 0 { b':' } else { b',' });
            write_folded(buffer, value.as_bytes());
        }
        buffer.push(b'\n');
    }
}

fn covers(covered: SignedHeaders, name: &HeaderName) -> bool {
    covered == SignedHeaders::All
        || *name == HOST
        || *name == CONTENT_TYPE
        || name.as_str().starts_with("x-amz-")
        || name.as_str() == "content-md5"
}

/// A header's value without spaces at its ends, and with one space for each run of them. Only spaces count: a tab
/// stays, because AWS leaves it.
fn write_folded(buffer: &mut Vec<u8>, value: &[u8]) {
    // A session token is a kilobyte without any.
    if !value.contains(&b' ') {
        return buffer.extend_from_slice(value);
    }
    let words = value.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    for (place, word) in words.enumerate() {
        if place > 0 {
            buffer.push(b' ');
        }
        buffer.extend_from_slice(word);
    }
}

fn push_encoded(out: &mut Vec<u8>, byte: u8) {
    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
        out.push(byte);
    } else {
        let [high, low] = hex_digits(byte).map(|digit| digit.to_ascii_uppercase());
        out.extend_from_slice(&[b'%', high, low]);
    }
}

/// How many headers a request may have for those that it signs to be sorted without an allocation.
const FEW: usize = 64;

/// Writes `bytes` in lower-case hexadecimal.
pub(super) fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    write_hex(&mut out[start..], bytes);
}

/// Writes `bytes` in lower-case hexadecimal into `text`, which has two places for each.
pub(super) fn write_hex(text: &mut [u8], bytes: &[u8]) {
    // Arithmetic, where a table would need a look for each digit: the compiler then does sixteen digits at a time.
    let digit = |value: u8| value + b'0' + u8::from(value > 9) * (b'a' - b'9' - 1);
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
}

pub(super) fn hex_digits(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
