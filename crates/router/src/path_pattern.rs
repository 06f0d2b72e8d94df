//! A route's uri, in the normal form that paths are compared in.

use std::sync::Arc;

use gateward_model::apisix::{UriPattern, UriPiece, UriTail};
use gateward_vars::{PathError, RoutePath, normal_prefix};

use crate::tree::{End, Pattern, Piece};

/// A route's uri, in normal form.
pub(crate) struct PathPattern {
    pub(crate) pattern: Pattern,
    /// What the segments that it leaves open are called, and the rest last.
    pub(crate) names: Option<Arc<[Arc<str>]>>,
    /// Whether its last segment is `*`, or `*name`: then that which follows is the rest.
    pub(crate) has_rest: bool,
}

/// Why no request can have the path that a uri says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// It is no uri.
    #[error("{0}")]
    Syntax(String),
    /// Paths are refused that look so.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl PathPattern {
    pub(crate) fn parse(uri: &str) -> Result<Self, UriError> {
        let parsed = UriPattern::parse(uri).map_err(|error| UriError::Syntax(error.problem))?;
        let mut pieces = Vec::new();
        for (place, piece) in parsed.pieces.iter().enumerate() {
            let is_last = place + 1 == parsed.pieces.len();
            pieces.push(match piece {
                UriPiece::Parameter(_) => Piece::Segment,
                // What stands before something that is left open may end within a segment.
                UriPiece::Literal(text) if is_last && parsed.tail == UriTail::End => {
                    Piece::Literal(RoutePath::new(text)?.normal().to_owned())
                }
                UriPiece::Literal(text) => Piece::Literal(normal_prefix(text)?.into_owned()),
            });
        }
        let end = if parsed.tail == UriTail::End { End::Exact } else { End::Prefix };
        let names: Vec<Arc<str>> = parsed.names().map(Arc::from).collect();
        Ok(Self {
            pattern: Pattern { pieces, end },
            names: (!names.is_empty()).then(|| names.into()),
            has_rest: matches!(parsed.tail, UriTail::Rest(_)),
        })
    }
}
