//! Which of its route's paths a request matched, and its parameters, as API Gateway writes both: `/items/{id}`, `/{proxy+}`.

use std::borrow::Cow;

use gateward_model::apisix::{UriPattern, UriPiece, UriTail};
use gateward_vars::Params;
use percent_encoding::percent_decode_str;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::Source;

/// The path of the route that took the request; the request's own where no route tells.
pub(super) fn resource(source: &Source<'_>) -> String {
    let uris = source.route.map_or(&[][..], |route| &route.uris);
    let matched = match uris {
        [only] => UriPattern::parse(only).ok(),
        several => {
            let patterns = several.iter().filter_map(|uri| UriPattern::parse(uri).ok());
            // What has no star is more exact.
            let mut fitting: Vec<_> = patterns.filter(|pattern| fits(pattern, source.path())).collect();
            fitting.sort_by_key(|pattern| pattern.tail != UriTail::End);
            fitting.into_iter().next()
        }
    };
    matched.map_or_else(|| source.path().to_owned(), |pattern| written(&pattern))
}

fn written(pattern: &UriPattern<'_>) -> String {
    let mut text = String::new();
    for piece in &pattern.pieces {
        match piece {
            UriPiece::Literal(literal) => text.push_str(literal),
            UriPiece::Parameter(name) => text.extend(["{", name, "}"]),
        }
    }
    match pattern.tail {
        UriTail::End => {}
        UriTail::Anything | UriTail::Rest(None) => text.push_str("{proxy+}"),
        UriTail::Rest(Some(name)) => text.extend(["{", name, "+}"]),
    }
    text
}

fn fits(pattern: &UriPattern<'_>, path: &str) -> bool {
    let mut rest = path;
    for piece in &pattern.pieces {
        let after = match piece {
            UriPiece::Literal(literal) => rest.strip_prefix(literal),
            UriPiece::Parameter(_) => {
                let end = rest.find('/').unwrap_or(rest.len());
                (end > 0).then(|| &rest[end..])
            }
        };
        match after {
            Some(after) => rest = after,
            None => return false,
        }
    }
    pattern.tail != UriTail::End || rest.is_empty()
}

/// The parameters of a path, `proxy` for what a nameless `*` stands for.
pub(super) struct PathParameters<'p>(Vec<(&'p str, Cow<'p, str>)>);

impl<'p> PathParameters<'p> {
    /// Those of the request, if it has any.
    pub(super) fn of(source: &Source<'p>) -> Option<Self> {
        let named = source.params.filter(|params| !params.is_empty());
        let mut all: Vec<(&str, Cow<'_, str>)> =
            named.into_iter().flat_map(Params::iter).map(|(name, value)| (name, value.into())).collect();
        if let Some(rest) = source.rest {
            let rest = percent_decode_str(rest).decode_utf8_lossy();
            // A star with a name is among the parameters already.
            if all.last().is_none_or(|(_, value)| *value != rest) {
                all.push(("proxy", rest));
            }
        }
        (!all.is_empty()).then_some(Self(all))
    }
}

impl Serialize for PathParameters<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
