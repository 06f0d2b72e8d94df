use std::cmp::Reverse;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn route(id: &str, json: Value) -> Route {
    let mut json = json;
    json["plugins"] = json!({});
    Route::parse(ResourceId::parse(id).unwrap(), &json).unwrap()
}

fn uri(id: &str, uri: &str) -> Route {
    route(id, json!({ "uri": uri }))
}

/// The id of the route that takes the request.
fn taken(routes: &[Route], host: &str, path: &str, method: &Method) -> Option<String> {
    let (router, _) = Router::compile(routes);
    let found = router.find(host, &RoutePath::new(path).unwrap(), method)?;
    Some(routes[found.route].id.to_string())
}

fn get(routes: &[Route], host: &str, path: &str) -> Option<String> {
    taken(routes, host, path, &Method::GET)
}

#[test]
fn an_exact_path_comes_before_the_longest_prefix_before_shorter_ones() {
    let routes =
        [uri("all", "/*"), uri("a", "/a*"), uri("ab", "/ab"), uri("ab-", "/ab*"), uri("abc", "/abc*")];
    for (path, id) in [
        ("/ab", "ab"),
        ("/abx", "ab-"),
        ("/abc", "abc"),
        ("/abcd", "abc"),
        ("/ax", "a"),
        ("/", "all"),
        ("/x", "all"),
    ] {
        assert_eq!(get(&routes, "h", path).as_deref(), Some(id), "{path}");
    }
}

#[test]
fn a_prefix_of_whole_segments_does_not_take_the_path_above_it() {
    let routes = [uri("1", "/aws/*")];
    assert_eq!(get(&routes, "h", "/aws"), None);
    assert_eq!(get(&routes, "h", "/aws/").as_deref(), Some("1"));
}

#[test]
fn the_search_goes_on_when_the_method_does_not_match() {
    let routes = [
        route("exact", json!({"uri": "/a/b", "methods": ["PUT"]})),
        route("prefix", json!({"uri": "/a/*", "methods": ["POST"], "host": "h"})),
        route("hostless", json!({"uri": "/a/b", "methods": ["DELETE"]})),
        uri("all", "/*"),
    ];
    for (method, id) in [
        (Method::PUT, "exact"),
        (Method::POST, "prefix"),
        (Method::DELETE, "hostless"),
        (Method::GET, "all"),
        (Method::from_bytes(b"BREW").unwrap(), "all"),
    ] {
        assert_eq!(taken(&routes, "h", "/a/b", &method).as_deref(), Some(id));
    }
}

#[test]
fn an_exact_host_comes_before_the_longest_wildcard_before_no_host() {
    let routes = [
        uri("none", "/long/exact/path"),
        route("short", json!({"uri": "/*", "host": "*.com"})),
        route("long", json!({"uri": "/*", "host": "*.foo.com"})),
        route("exact", json!({"uri": "/*", "host": "www.foo.com"})),
    ];
    for (host, id) in [
        ("www.foo.com", Some("exact")),
        ("WWW.Foo.com.", Some("exact")),
        ("a.b.foo.com", Some("long")),
        ("foo.com", Some("short")),
        ("example.org", Some("none")),
    ] {
        assert_eq!(get(&routes, host, "/long/exact/path").as_deref(), id, "{host}");
    }
    assert_eq!(get(&routes, "example.org", "/x"), None);
}

#[test]
fn a_pattern_may_be_written_with_escapes() {
    let routes = [uri("1", "/caf%C3%A9/*"), uri("2", "/a%2Fb")];
    assert_eq!(get(&routes, "h", "/caf%c3%a9/x").as_deref(), Some("1"));
    assert_eq!(get(&routes, "h", "/a%2fb").as_deref(), Some("2"));
    assert_eq!(get(&routes, "h", "/a/b"), None);
}

#[test]
fn only_a_last_segment_star_gives_a_rest() {
    let routes = [uri("1", "/aws/*"), uri("2", "/gcp*"), uri("3", "/az")];
    let (router, _) = Router::compile(&routes);
    let rest = |path: &str| {
        let found = router.find("h", &RoutePath::new(path).unwrap(), &Method::GET).unwrap();
        found.rest.map(|at| path[at..].to_owned())
    };
    assert_eq!(rest("/aws/a%2Fb//c").as_deref(), Some("a%2Fb//c"));
    assert_eq!(rest("/aws/").as_deref(), Some(""));
    assert_eq!(rest("//%61ws//x").as_deref(), Some("x"));
    assert_eq!(rest("/gcp/x"), None);
    assert_eq!(rest("/az"), None);
}

#[test]
fn of_equal_routes_the_lowest_id_serves_and_the_others_are_named() {
    let routes = [
        uri("10", "/a"),
        uri("9", "/a"),
        uri("x", "/%61"),
        route("11", json!({"uri": "/b", "methods": ["GET", "PUT"]})),
        route("12", json!({"uri": "/b", "methods": ["GET", "POST"]})),
        route("13", json!({"uri": "/b", "methods": ["PUT", "POST"]})),
        route("14", json!({"uris": ["/c", "/c", "/b"], "methods": ["GET", "PATCH"]})),
        route("15", json!({"uris": ["/b", "/%62"], "methods": ["PUT", "HEAD"]})),
    ];
    assert_eq!(get(&routes, "h", "/a").as_deref(), Some("9"));
    let (_, hidden) = Router::compile(&routes);
    let hidden: Vec<String> = hidden.iter().map(ToString::to_string).collect();
    assert_eq!(
        hidden,
        [
            "route \"10\": no request can reach uri /a: route \"9\" takes the same requests first",
            "route \"13\": no request can reach uri /b: route \"11\" takes the same requests first",
            "route \"x\": no request can reach uri /%61: route \"9\" takes the same requests first",
        ]
    );
}

#[test]
fn a_disabled_route_takes_nothing_and_hides_nothing() {
    let routes = [route("1", json!({"uri": "/a", "status": 0})), uri("2", "/a")];
    assert_eq!(get(&routes, "h", "/a").as_deref(), Some("2"));
    assert!(Router::compile(&routes).1.is_empty());
}

#[test]
fn a_uri_that_no_request_has_is_named() {
    let (_, hidden) = Router::compile(&[uri("1", "/a/../b")]);
    assert_eq!(hidden[0].by, HiddenBy::Uri(PathError::DotSegment));
}

/// What the router must do, said as simply as possible: sort all that match, take the first.
fn naive(routes: &[Route], host: &str, path: &str, method: &Method) -> Option<usize> {
    let mut best = None;
    for (place, route) in routes.iter().enumerate() {
        let methods = &route.methods;
        if !methods.is_empty() && !methods.iter().any(|named| named.as_str() == method.as_str()) {
            continue;
        }
        let host_rank = match route.hosts.first() {
            None => Some(0),
            Some(pattern) => rank(&reverse(pattern), &reverse(host)),
        };
        let Some(host_rank) = host_rank else { continue };
        for path_rank in route.uris.iter().filter_map(|uri| rank(uri, path)) {
            // The larger is the better, and of ids the lower one.
            let candidate = (host_rank, path_rank, Reverse(order(&route.id)), place);
            best = best.max(Some(candidate));
        }
    }
    best.map(|(.., place)| place)
}

/// How specifically `pattern` takes `text`: more than zero, exact above every prefix.
fn rank(pattern: &str, text: &str) -> Option<usize> {
    match pattern.strip_suffix('*') {
        Some(prefix) => text.starts_with(prefix).then_some(prefix.len() + 1),
        None => (pattern == text).then_some(usize::MAX),
    }
}

fn reverse(text: &str) -> String {
    text.chars().rev().collect()
}

fn routes() -> impl Strategy<Value = Vec<Route>> {
    let uri = "/[ab]{0,3}(/[ab]{0,2})?\\*?".prop_map(|uri| uri.replace("//", "/"));
    let host = proptest::option::of("\\*?[xy.]{1,4}");
    let methods = proptest::sample::subsequence(vec!["GET", "PUT", "POST"], 0..=2);
    proptest::collection::vec((1..40_u32, proptest::collection::vec(uri, 1..3), host, methods), 0..12)
        .prop_map(|described| {
            let mut routes = Vec::new();
            for (id, uris, host, methods) in described {
                let mut json = json!({"uris": uris, "methods": methods});
                // A trailing dot of a host means nothing, which the naive matcher does not know.
                if let Some(host) = host.filter(|host| !host.ends_with('.')) {
                    json["host"] = json!(host);
                }
                if routes.iter().all(|other: &Route| other.id.as_str() != id.to_string()) {
                    routes.push(route(&id.to_string(), json));
                }
            }
            routes
        })
}

proptest! {
    #[test]
    fn it_finds_what_a_naive_search_finds(
        routes in routes(),
        host in "[xy.]{0,4}[xy]",
        path in "/[ab]{0,3}(/[ab]{1,2})?",
        method in proptest::sample::select(vec![Method::GET, Method::PUT, Method::POST, Method::DELETE]),
    ) {
        let path = path.replace("//", "/");
        let (router, hidden) = Router::compile(&routes);
        let found = router.find(&host, &RoutePath::new(&path).unwrap(), &method);
        let expected = naive(&routes, &host, &path, &method);
        prop_assert_eq!(found.map(|found| found.route), expected);
        if let Some(expected) = expected {
            let serves = &routes[expected];
            let all_hidden = serves.uris.iter().all(|uri| {
                hidden.iter().any(|hidden| hidden.route == serves.id && hidden.uri == *uri)
            });
            prop_assert!(!all_hidden, "a route that serves was said to be hidden");
        }
    }
}
