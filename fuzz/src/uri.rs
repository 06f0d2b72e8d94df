//! One route's uri: whatever is taken takes the path that it spells out, with something put in wherever it leaves a
//! place open, and says what was put there.

use std::sync::Arc;

use gateward_model::apisix::{UriPattern, UriPiece, UriTail};
use gateward_router::{RoutePath, Router};
use http::Uri;

use crate::request::facts;
use crate::router::route;

pub(crate) fn run(input: &[u8]) {
    let Ok(uri) = std::str::from_utf8(input) else { return };
    let Ok(pattern) = UriPattern::parse(uri) else { return };
    let mut path = String::new();
    for piece in &pattern.pieces {
        match piece {
            UriPiece::Literal(text) => path.push_str(text),
            UriPiece::Parameter(_) => path.push_str("p%20p"),
        }
    }
    if pattern.tail != UriTail::End {
        path.push_str("t/t");
    }
    let (Ok(target), Ok(normal)) = (path.parse::<Uri>(), RoutePath::new(&path)) else { return };
    if target.path() != path {
        return;
    }
    let route = route(0, uri, "");
    let (router, _) = Router::compile([(Arc::new(route), ())]);
    facts(&target, "h", |facts| {
        let found = router.find("h", &normal, facts.method, facts);
        let found = found.unwrap_or_else(|| panic!("{uri:?} does not take {path:?}"));
        let named: Vec<&str> = pattern.names().collect();
        let rest_name = matches!(pattern.tail, UriTail::Rest(Some(_))).then(|| named.len() - 1);
        for (place, (name, value)) in found.params.iter().enumerate() {
            assert_eq!(*name, *named[place]);
            assert_eq!(value, if Some(place) == rest_name { "t/t" } else { "p p" });
        }
        assert_eq!(found.params.iter().count(), named.len());
        if matches!(pattern.tail, UriTail::Rest(_)) {
            assert_eq!(found.rest.and_then(|at| path.get(at..)), Some("t/t"), "{uri:?}");
        }
    });
}
