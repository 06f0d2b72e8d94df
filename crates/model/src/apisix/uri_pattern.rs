//! What a route's `uri` says: an exact path, a prefix, or a path with parameters.
//!
//! A segment that begins with `:` is a parameter and stands for any one segment; `*` at the end stands for whatever
//! follows, and `/*name` gives that a name. Everything else means itself. A colon or a star that means itself where it
//! would be read so is written `%3A` or `%2A`.

use crate::Invalid;

/// A route's `uri`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriPattern<'u> {
    /// What a path begins with.
    pub pieces: Vec<UriPiece<'u>>,
    /// What may follow.
    pub tail: UriTail<'u>,
}

/// A part of a `uri`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriPiece<'u> {
    /// This text.
    Literal(&'u str),
    /// One whole segment that is not empty, under this name.
    Parameter(&'u str),
}

/// What may follow what a `uri` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriTail<'u> {
    /// Nothing.
    End,
    /// Anything, beginning in the middle of a segment: `/aws*`.
    Anything,
    /// Anything, beginning with a segment of its own: `/aws/*`, or `/aws/*name`.
    Rest(Option<&'u str>),
}

impl<'u> UriPattern<'u> {
    /// Takes `uri` apart.
    pub fn parse(uri: &'u str) -> Result<Self, Invalid> {
        let wrong = |problem: &str| Err(Invalid::new("uri", problem));
        if !uri.starts_with('/') {
            return wrong("a uri begins with /");
        }
        if uri.len() > LONGEST_URI {
            return wrong("a uri has at most 4096 characters");
        }
        if !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
            return wrong("a uri has visible ASCII characters only; percent-encode others");
        }
        let (before, tail) = match uri.split_once('*') {
            None => (uri, UriTail::End),
            Some((before, "")) if !before.ends_with('/') => (before, UriTail::Anything),
            Some((before, "")) => (before, UriTail::Rest(None)),
            Some((before, name)) if before.ends_with('/') && is_name(name) => {
                (before, UriTail::Rest(Some(name)))
            }
            Some(_) => {
                return wrong(
                    "a * comes last, alone or as /*name (letters, digits and _); write %2A for a star",
                );
            }
        };
        let mut pieces = Vec::new();
        let mut literal = 0;
        let mut at = 0;
        for segment in before.split('/') {
            let end = at + segment.len();
            if let Some(name) = segment.strip_prefix(':') {
                if !is_name(name) || (end == before.len() && tail == UriTail::Anything) {
                    return wrong(
                        "a parameter is a whole segment, : and letters, digits or _; write %3A for a colon",
                    );
                }
                pieces.push(UriPiece::Literal(&before[literal..at]));
                pieces.push(UriPiece::Parameter(name));
                literal = end;
            }
            at = end + 1;
        }
        if literal < before.len() {
            pieces.push(UriPiece::Literal(&before[literal..]));
        }
        Ok(Self { pieces, tail })
    }

    /// The names of its parameters, in order, that of the rest last.
    pub fn names(&self) -> impl Iterator<Item = &'u str> {
        let parameters = self.pieces.iter().filter_map(|piece| match piece {
            UriPiece::Parameter(name) => Some(*name),
            UriPiece::Literal(_) => None,
        });
        parameters.chain(match self.tail {
            UriTail::Rest(name) => name,
            UriTail::End | UriTail::Anything => None,
        })
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// As in APISIX.
const LONGEST_URI: usize = 4096;

#[cfg(test)]
mod tests {
    use super::UriPiece::{Literal, Parameter};
    use super::*;

    #[test]
    fn a_uri_is_literal_parameters_and_a_tail() {
        for (uri, pieces, tail) in [
            ("/", vec![Literal("/")], UriTail::End),
            ("/a/b", vec![Literal("/a/b")], UriTail::End),
            ("/a*", vec![Literal("/a")], UriTail::Anything),
            ("/a/*", vec![Literal("/a/")], UriTail::Rest(None)),
            ("/a/*rest", vec![Literal("/a/")], UriTail::Rest(Some("rest"))),
            ("/:a", vec![Literal("/"), Parameter("a")], UriTail::End),
            (
                "/x/:a/:b_1/y/*",
                vec![Literal("/x/"), Parameter("a"), Literal("/"), Parameter("b_1"), Literal("/y/")],
                UriTail::Rest(None),
            ),
            ("/a:b/c:", vec![Literal("/a:b/c:")], UriTail::End),
            ("/:a/", vec![Literal("/"), Parameter("a"), Literal("/")], UriTail::End),
        ] {
            assert_eq!(UriPattern::parse(uri).unwrap(), UriPattern { pieces, tail }, "{uri}");
        }
        let names = UriPattern::parse("/:a/:b/*c").unwrap();
        assert_eq!(names.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn what_could_be_meant_otherwise_is_refused() {
        for uri in
            ["", "a", "/a b", "/caf\u{e9}", "/a*b", "/a/*b*", "/*/a", "/:", "/:a-b", "/:a:b", "/:a*", "/*a-b"]
        {
            assert!(UriPattern::parse(uri).is_err(), "{uri}");
        }
        assert!(UriPattern::parse(&format!("/{}", "a".repeat(LONGEST_URI))).is_err());
    }
}
