//! A request's path, as routes see it.
//!
//! Clients can write one path in many ways: `/a`, `//a`, `/%61`. A route must take all of them or none, or a rule on
//! `/admin/*` is walked around by `//admin`. So routes are compared with one *normal form*: percent-decoded, runs of
//! slashes merged. What goes upstream stays as the client wrote it.
//!
//! Two escapes stay: `%2F`, for an encoded slash parts no segments, and `%25`, so that nothing is decoded twice.
//! Dot segments are refused, in each disguise that some server sees through (`%2e%2e`, `..%2F`, `..\`, `..;x`):
//! well-behaved clients resolve them before they send, so what arrives means to reach past a route.

use std::borrow::Cow;

/// A path as it was written, with its normal form.
#[derive(Debug)]
pub struct RoutePath<'r> {
    raw: &'r str,
    normal: Cow<'r, [u8]>,
}

/// Why a path cannot be compared with routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// `%` without two hexadecimal digits after it, or `%00`.
    #[error("the path has a percent escape that means nothing")]
    Escape,
    /// A segment that is `.` or `..`, in whatever disguise.
    #[error("the path has dot segments; resolve them before sending")]
    DotSegment,
}

impl<'r> RoutePath<'r> {
    /// Normalises `raw`.
    pub fn new(raw: &'r str) -> Result<Self, PathError> {
        let normal = normalise(raw, Last::Whole)?;
        Ok(Self { raw, normal })
    }

    /// The normal form.
    pub fn normal(&self) -> &[u8] {
        &self.normal
    }

    /// The normal form as text; bytes that are none become replacement characters.
    pub fn into_text(self) -> Cow<'r, str> {
        match self.normal {
            // What is normal as it was written is a part of it.
            Cow::Borrowed(_) => Cow::Borrowed(self.raw),
            Cow::Owned(normal) => match String::from_utf8(normal) {
                Ok(text) => Cow::Owned(text),
                Err(error) => Cow::Owned(String::from_utf8_lossy(error.as_bytes()).into_owned()),
            },
        }
    }

    /// Where, in the path as it was written, that begins which comes after the first `taken` bytes of the normal form.
    ///
    /// Slashes that were merged into the last of these bytes count as taken.
    pub fn raw_after(&self, taken: usize) -> usize {
        if matches!(self.normal, Cow::Borrowed(_)) {
            return taken;
        }
        let raw = self.raw.as_bytes();
        let mut at = 0;
        let mut written = 0;
        let mut after_slash = false;
        while at < raw.len() {
            let Ok((unit, next)) = unit_at(raw, at) else { break };
            let merged = after_slash && unit == Unit::Byte(b'/');
            if written >= taken && !merged {
                break;
            }
            if !merged {
                written += unit.length();
            }
            after_slash = unit == Unit::Byte(b'/');
            at = next;
        }
        at
    }
}

/// The normal form of what a route's `uri` says before its `*`.
pub fn normal_prefix(prefix: &str) -> Result<Cow<'_, [u8]>, PathError> {
    normalise(prefix, Last::Beginning)
}

/// What the last segment of a path is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    /// A segment.
    Whole,
    /// The beginning of one, which the request goes on with.
    Beginning,
}

/// One step through a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// A byte, decoded if it was escaped.
    Byte(u8),
    /// An escape that stays.
    Kept(&'static [u8; 3]),
}

impl Unit {
    fn length(self) -> usize {
        match self {
            Self::Byte(_) => 1,
            Self::Kept(escape) => escape.len(),
        }
    }
}

fn normalise(raw: &str, last: Last) -> Result<Cow<'_, [u8]>, PathError> {
    let raw = raw.as_bytes();
    if is_normal(raw) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut normal = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        let (unit, next) = unit_at(raw, at)?;
        match unit {
            Unit::Byte(b'/') if normal.last() == Some(&b'/') => {}
            Unit::Byte(byte) => normal.push(byte),
            Unit::Kept(escape) => normal.extend_from_slice(escape),
        }
        at = next;
    }
    if has_dot_segment(&normal, last) {
        return Err(PathError::DotSegment);
    }
    Ok(Cow::Owned(normal))
}

/// Whether there is nothing in it that could need work; nearly every path is such.
fn is_normal(raw: &[u8]) -> bool {
    let mut after_slash = false;
    for byte in raw {
        match byte {
            b'%' | b'\\' => return false,
            b'/' | b'.' if after_slash => return false,
            _ => after_slash = *byte == b'/',
        }
    }
    true
}

/// The unit that begins at `at`, and where the next one does.
fn unit_at(raw: &[u8], at: usize) -> Result<(Unit, usize), PathError> {
    if raw[at] != b'%' {
        return Ok((Unit::Byte(raw[at]), at + 1));
    }
    let digit = |place: usize| raw.get(place).and_then(|byte| char::from(*byte).to_digit(16));
    let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) else { return Err(PathError::Escape) };
    let unit = match u8::try_from(high * 16 + low) {
        Err(_) | Ok(0) => return Err(PathError::Escape),
        Ok(b'/') => Unit::Kept(b"%2F"),
        Ok(b'%') => Unit::Kept(b"%25"),
        Ok(byte) => Unit::Byte(byte),
    };
    Ok((unit, at + 3))
}

fn has_dot_segment(normal: &[u8], last: Last) -> bool {
    let mut start = 0;
    let mut at = 0;
    while at < normal.len() {
        let separator = match normal[at] {
            b'/' | b'\\' => 1,
            b'%' if normal[at..].starts_with(b"%2F") => 3,
            _ => {
                at += 1;
                continue;
            }
        };
        if is_dots(&normal[start..at]) {
            return true;
        }
        at += separator;
        start = at;
    }
    last == Last::Whole && is_dots(&normal[start..])
}

/// What stands after a semicolon is a parameter to some servers, and what stands before it is the segment.
fn is_dots(segment: &[u8]) -> bool {
    let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
    matches!(name, b"." | b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_path_has_one_normal_form_however_it_is_written() {
        for written in ["/a/b", "//a///b", "/%61/b", "/a/%62", "///%61//%62"] {
            assert_eq!(RoutePath::new(written).unwrap().normal(), b"/a/b", "{written}");
        }
    }

    #[test]
    fn an_encoded_slash_and_an_encoded_percent_stay_encoded() {
        assert_eq!(RoutePath::new("/a%2fb").unwrap().normal(), b"/a%2Fb");
        assert_eq!(RoutePath::new("/a%252Fb").unwrap().normal(), b"/a%252Fb");
    }

    #[test]
    fn dot_segments_are_refused_in_every_disguise() {
        for written in [
            "/public/../admin",
            "/public/%2e%2e/admin",
            "/public/.%2E/admin",
            "/public/..%2fadmin",
            "/.",
            "/..",
            "/public/..\\admin",
            "/public/..%5cadmin",
            "/public/..;x/admin",
            "/public/.;/admin",
            "/a//..//b",
            "/%252F/../x",
            "/%25/..",
        ] {
            assert_eq!(RoutePath::new(written).unwrap_err(), PathError::DotSegment, "{written}");
        }
    }

    #[test]
    fn dots_that_are_part_of_a_name_are_taken() {
        for written in ["/.well-known/x", "/a..b", "/...", "/..a/b", "/a.", "/%25..", "/..%25", "/a;.."] {
            assert!(RoutePath::new(written).is_ok(), "{written}");
        }
    }

    #[test]
    fn escapes_that_mean_nothing_are_refused() {
        for written in ["/%", "/%4", "/%zz", "/a%00b", "/%4g"] {
            assert_eq!(RoutePath::new(written).unwrap_err(), PathError::Escape, "{written}");
        }
    }

    #[test]
    fn the_rest_begins_where_the_client_wrote_it() {
        for (written, taken, rest) in [
            ("/aws/x%2Fy", "/aws/", "x%2Fy"),
            ("/%61ws//x//y", "/aws/", "x//y"),
            ("/aws/", "/aws/", ""),
            ("//aws/%20", "/aws/", "%20"),
            ("/a%2fb/c%41", "/a%2Fb/", "c%41"),
            ("//x", "/", "x"),
        ] {
            let path = RoutePath::new(written).unwrap();
            assert_eq!(&written[path.raw_after(taken.len())..], rest, "{written}");
        }
    }
}
