//! Another path and query for a request.

use std::borrow::Cow;

use gateward_model::{ErrorStatus, Failure, Invalid, Origin};
use gateward_vars::{RoutePath, Segment, Template, literal, plain, segments};
use http::uri::PathAndQuery;
use regex::Regex;

use crate::{Exchange, holds_reference};

/// What the groups of the pattern matched that the path was rewritten by.
#[derive(Debug, Default)]
pub(super) struct Captures(Vec<Option<String>>);

impl Captures {
    /// What group `number` matched; nothing if there is none, or it has matched nothing.
    pub(super) fn get(&self, number: usize) -> &str {
        self.0.get(number).and_then(Option::as_deref).unwrap_or_default()
    }
}

/// Another path and query for a request.
#[derive(Debug)]
pub(super) enum TargetRewrite {
    /// As the client wrote it.
    Kept,
    /// This one. The client's query is appended.
    Uri { path: Template, query: Option<Template> },
    /// The first pattern that matches says which. `as_written`: of the target as the client wrote it, query and all.
    Patterns { pairs: Vec<(Regex, Vec<Piece>)>, as_written: bool },
}

/// A piece of what is written in the place of a match.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Literal(String),
    Group(usize),
}

impl TargetRewrite {
    pub(super) fn read(
        uri: Option<&str>,
        regex_uri: Option<&[String]>,
        as_written: bool,
    ) -> Result<Self, Invalid> {
        let pairs = regex_uri.map(patterns).transpose()?;
        if let Some(uri) = uri {
            if !holds_reference(uri) {
                check_uri(&plain(uri))?;
            }
            let (path, query) = path_and_query(uri);
            let query = query.map(|query| Template::parse(&query));
            return Ok(Self::Uri { path: Template::parse(&path), query });
        }
        Ok(pairs.map_or(Self::Kept, |pairs| Self::Patterns { pairs, as_written }))
    }

    /// What the upstream is asked for; None for what the client asked for.
    pub(super) fn apply(
        &self,
        exchange: &Exchange<'_>,
        captures: &mut Captures,
    ) -> Result<Option<PathAndQuery>, Failure> {
        let client = exchange.request.uri();
        let (mut target, has_query) = match self {
            Self::Kept => return Ok(None),
            Self::Uri { path, query } => {
                let facts = exchange.facts();
                let mut target = path.render_escaped(&facts, |value| escaped(value, IN_PATH)).into_owned();
                if let Some(query) = query {
                    target.push('?');
                    target.push_str(&query.render_escaped(&facts, |value| escaped(value, IN_QUERY)));
                }
                (target, false)
            }
            Self::Patterns { pairs, as_written: true } => {
                let written = client.path_and_query().map_or("/", PathAndQuery::as_str);
                match substitute(pairs, written, captures, Cow::Borrowed) {
                    Some(target) => (target, true),
                    None => return Ok(None),
                }
            }
            Self::Patterns { pairs, as_written: false } => {
                let path = RoutePath::new(client.path()).ok();
                let path = path.as_ref().and_then(|path| str::from_utf8(path.normal()).ok());
                let path = path.ok_or_else(|| refused("the path has dot segments, or is no UTF-8 text"))?;
                match substitute(pairs, path, captures, |text| escaped(Cow::Borrowed(text), IN_PATH)) {
                    Some(target) => (target, false),
                    None => return Ok(None),
                }
            }
        };
        if let Some(query) = client.query().filter(|query| !has_query && !query.is_empty()) {
            target.push(if target.contains('?') { '&' } else { '?' });
            target.push_str(query);
        }
        sendable(target).map(Some)
    }
}

/// The target, if it can be sent and its path stays where it says.
fn sendable(target: String) -> Result<PathAndQuery, Failure> {
    let is_visible = |byte: u8| (b'!'..=b'~').contains(&byte);
    if !target.starts_with('/') || !target.bytes().all(is_visible) || brings_control(&target) {
        return Err(refused("the rewritten path and query would hold characters that no address has"));
    }
    let target = PathAndQuery::try_from(target)
        .map_err(|_| refused("the rewritten path and query are no address, or too long for one"))?;
    match RoutePath::new(target.path()) {
        Ok(_) => Ok(target),
        Err(_) => Err(refused("the rewritten path would have dot segments or broken escapes")),
    }
}

/// Whether an escape stands for a control character. What a client may send as data could do harm in a path that the
/// operator wrote.
fn brings_control(target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default().as_bytes();
    path.windows(3).any(|escape| {
        escape[0] == b'%' && (matches!(escape[1], b'0' | b'1') || escape[1..].eq_ignore_ascii_case(b"7f"))
    })
}

fn refused(problem: &'static str) -> Failure {
    Failure::new(ErrorStatus::BAD_REQUEST, Origin::Client, "rewrite_refused", problem)
}

/// `text` with the first match of the first pattern that matches replaced; `escape` is made of what is kept.
fn substitute<'t>(
    pairs: &[(Regex, Vec<Piece>)],
    text: &'t str,
    captures: &mut Captures,
    escape: impl Fn(&'t str) -> Cow<'t, str>,
) -> Option<String> {
    let (found, pieces) =
        pairs.iter().find_map(|(pattern, pieces)| Some((pattern.captures(text)?, pieces)))?;
    let whole = found.get(0)?;
    let mut target = escape(&text[..whole.start()]).into_owned();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => target.push_str(literal),
            Piece::Group(number) => {
                target
                    .push_str(&found.get(*number).map_or(Cow::Borrowed(""), |group| escape(group.as_str())));
            }
        }
    }
    target.push_str(&escape(&text[whole.end()..]));
    captures.0 = found.iter().map(|group| group.map(|group| group.as_str().to_owned())).collect();
    Some(target)
}

/// `text` with everything escaped that would mean something else there. Escapes stay.
fn escaped<'t>(text: Cow<'t, str>, stays: fn(u8) -> bool) -> Cow<'t, str> {
    let bytes = text.as_bytes();
    let is_escape =
        |at: usize| bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    let stays_at = |at: usize| match bytes[at] {
        b'%' => is_escape(at),
        byte => byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || stays(byte),
    };
    if (0..bytes.len()).all(stays_at) {
        return text;
    }
    let mut written = String::with_capacity(bytes.len() + 8);
    for (at, byte) in bytes.iter().enumerate() {
        match stays_at(at) {
            true => written.push(char::from(*byte)),
            false => {
                written.push('%');
                for digit in [byte >> 4, byte & 15] {
                    written.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
                }
            }
        }
    }
    Cow::Owned(written)
}

/// What may stand in a path (RFC 3986, `pchar` and slashes).
const IN_PATH: fn(u8) -> bool = |byte| b"/:@!$&'()*+,;=".contains(&byte);
/// What may stand in the value of an argument.
const IN_QUERY: fn(u8) -> bool = |byte| b"/:@!$'()*,;?".contains(&byte);

fn patterns(texts: &[String]) -> Result<Vec<(Regex, Vec<Piece>)>, Invalid> {
    if texts.is_empty() || !texts.len().is_multiple_of(2) {
        return Err(Invalid::new("regex_uri", "holds pairs: a pattern, and what is written in its place"));
    }
    let mut pairs = Vec::new();
    for (index, pair) in texts.chunks_exact(2).enumerate() {
        let field = |place: usize| format!("regex_uri[{}]", index * 2 + place);
        // A reference is a pattern, too, if not a useful one.
        let source = if holds_reference(&pair[0]) { Cow::Borrowed("") } else { plain(&pair[0]) };
        let pattern = Regex::new(&source).map_err(|_| {
            let problem = "is no regular expression; look-around and back-references are none";
            Invalid::new(field(0), problem)
        })?;
        let pieces = if holds_reference(&pair[1]) { Vec::new() } else { pieces(&pair[1]) };
        let is_visible = |byte: u8| (b'!'..=b'~').contains(&byte) && byte != b'#';
        for piece in &pieces {
            match piece {
                Piece::Group(number) if *number >= pattern.captures_len() && !holds_reference(&pair[0]) => {
                    return Err(Invalid::new(field(1), "names a group that the pattern does not have"));
                }
                Piece::Literal(text) if !text.bytes().all(is_visible) => {
                    let problem = "holds characters that no address has; percent-encode them";
                    return Err(Invalid::new(field(1), problem));
                }
                _ => {}
            }
        }
        pairs.push((pattern, pieces));
    }
    Ok(pairs)
}

/// The parts of `uri` before and behind the question mark that begins a query, if there is one. What stands for itself may
/// have it, too, and stands for itself on both sides then.
fn path_and_query(uri: &str) -> (String, Option<String>) {
    let (mut path, mut query) = (String::new(), None::<String>);
    for segment in segments(uri) {
        let (text, is_literal) = match &segment {
            Segment::Written(text) => (*text, false),
            Segment::Literal(text) => (&**text, true),
        };
        let part = |text: &str| if is_literal { literal(text) } else { text.to_owned() };
        match (&mut query, if is_literal { text.find('?') } else { outside_braces(text, b'?') }) {
            (Some(query), _) => query.push_str(&part(text)),
            (None, None) => path.push_str(&part(text)),
            (None, Some(mark)) => {
                path.push_str(&part(&text[..mark]));
                query = Some(part(&text[mark + 1..]));
            }
        }
    }
    (path, query)
}

/// Takes a replacement apart: `$1` and `${1}` are what a group matched, `$$` is a dollar sign.
fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for segment in segments(text) {
        match segment {
            Segment::Literal(text) => pieces.push(Piece::Literal(text.into_owned())),
            Segment::Written(text) => pieces.extend(written_pieces(text)),
        }
    }
    pieces
}

fn written_pieces(text: &str) -> Vec<Piece> {
    let (mut pieces, mut literal, mut rest) = (Vec::new(), String::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        literal.push_str(before);
        match group(after) {
            Some((number, length)) => {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                pieces.push(Piece::Group(number));
                rest = &after[length..];
            }
            None => {
                literal.push('$');
                rest = after.strip_prefix('$').unwrap_or(after);
            }
        }
    }
    literal.push_str(rest);
    pieces.push(Piece::Literal(literal));
    pieces.retain(|piece| *piece != Piece::Literal(String::new()));
    pieces
}

/// The number of a group at the beginning of `text`, which follows a dollar sign, and how much of it that takes.
pub(super) fn group(text: &str) -> Option<(usize, usize)> {
    let braced = text.strip_prefix('{');
    let digits = braced.unwrap_or(text);
    let length = digits.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let number = digits[..length].parse().ok()?;
    match braced {
        Some(_) => digits[length..].starts_with('}').then_some((number, length + 2)),
        None => Some((number, length)),
    }
}

fn check_uri(uri: &str) -> Result<(), Invalid> {
    let is_visible = |byte: u8| (b'!'..=b'~').contains(&byte) && byte != b'#';
    let problem = if !uri.starts_with('/') {
        "must begin with a slash"
    } else if uri.len() > 4096 {
        "must not be longer than 4096 bytes"
    } else if !uri.bytes().all(|byte| is_visible(byte) || byte == b' ') || outside_braces(uri, b' ').is_some()
    {
        "holds characters that no address has; percent-encode them"
    } else {
        return Ok(());
    };
    Err(Invalid::new("uri", problem))
}

/// Where the first `wanted` stands that is not a part of `${arg_x ?? y}`.
fn outside_braces(uri: &str, wanted: u8) -> Option<usize> {
    let mut inside = false;
    uri.bytes().position(|byte| {
        match byte {
            b'{' => inside = true,
            b'}' => inside = false,
            _ => {}
        }
        byte == wanted && !inside
    })
}
