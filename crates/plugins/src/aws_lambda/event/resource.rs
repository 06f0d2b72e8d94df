//! Which of its route's paths a request matched, and its parameters, as API Gateway writes both: `/items/{id}`, `/{proxy+}`.

use std::borrow::Cow;

use gateward_model::apisix::{UriPattern, UriPiece, UriTail};
use gateward_vars::Params;
use percent_encoding::percent_decode_str;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::Source;

/// The path by which its route took the request; the request's own where no route did.
pub(super) fn resource(source: &Source<'_>) -> String {
    matched(source).map_or_else(|| source.path().to_owned(), |pattern| written(&pattern))
}

fn matched<'s>(source: &Source<'s>) -> Option<UriPattern<'s>> {
    source.uri.and_then(|uri| UriPattern::parse(uri).ok())
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

/// The parameters of a path, `proxy` for what a nameless `*` stands for.
pub(super) struct PathParameters<'p>(Vec<(&'p str, Cow<'p, str>)>);

impl<'p> PathParameters<'p> {
    /// Those of the request, if it has any.
    pub(super) fn of(source: &Source<'p>) -> Option<Self> {
        let named = source.params.filter(|params| !params.is_empty());
        let mut all: Vec<(&str, Cow<'_, str>)> =
            named.into_iter().flat_map(Params::iter).map(|(name, value)| (name, value.into())).collect();
        // A star with a name is among the parameters already.
        let is_named = matched(source).is_some_and(|uri| matches!(uri.tail, UriTail::Rest(Some(_))));
        if let Some(rest) = source.rest.filter(|_| !is_named) {
            all.push(("proxy", percent_decode_str(rest).decode_utf8_lossy()));
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
