mod properties;

use std::net::IpAddr;

use gateward_model::apisix::{Expression, HttpMethod, ResourceId};
use gateward_net::{Conn, Scheme};
use gateward_vars::{Condition, RequestBody};
use http::{HeaderMap, HeaderValue, Uri, Version};
use serde_json::{Value, json};

use super::*;

/// A route that takes everything at `uri`.
fn uri(id: &str, uri: &str) -> RouteMatch {
    RouteMatch {
        id: ResourceId::parse(id).unwrap(),
        uris: vec![uri.to_owned()],
        hosts: Vec::new(),
        methods: Vec::new(),
        remote_addrs: Vec::new(),
        condition: None,
        priority: 0,
    }
}

impl RouteMatch {
    fn host(mut self, host: &str) -> Self {
        self.hosts.push(host.to_owned());
        self
    }

    fn methods_are(self, methods: &[HttpMethod]) -> Self {
        Self { methods: methods.to_vec(), ..self }
    }

    fn from(self, range: &str) -> Self {
        Self { remote_addrs: vec![range.parse().unwrap()], ..self }
    }

    fn vars(self, json: &Value) -> Self {
        let expression = Expression::parse(json).unwrap();
        Self { condition: Some(Arc::new(Condition::compile(&expression))), ..self }
    }

    fn priority(self, priority: i32) -> Self {
        Self { priority, ..self }
    }
}

/// A request.
struct Asked {
    host: &'static str,
    target: Uri,
    method: Method,
    client: IpAddr,
    headers: HeaderMap,
    body: Option<RequestBody<'static>>,
}

fn get(target: &str) -> Asked {
    Asked {
        host: "h",
        target: target.parse().unwrap(),
        method: Method::GET,
        client: "192.0.2.1".parse().unwrap(),
        headers: HeaderMap::new(),
        body: None,
    }
}

fn at(host: &'static str, target: &str) -> Asked {
    Asked { host, ..get(target) }
}

fn by(method: Method, target: &str) -> Asked {
    Asked { method, ..get(target) }
}

impl Asked {
    /// Calls `with` with what the router is asked with.
    fn facts<R>(&self, with: impl FnOnce(&RoutePath<'_>, &Facts<'_>) -> R) -> R {
        let end = "127.0.0.1:1".parse().unwrap();
        let facts = Facts {
            method: &self.method,
            target: &self.target,
            version: Version::HTTP_11,
            host: self.host,
            headers: &self.headers,
            body: self.body.as_ref(),
            conn: &Conn { client: end, local: end, scheme: Scheme::Http, tls: None },
            client: self.client,
            client_port: None,
            request_id: "",
            params: None,
            route: None,
            consumer: None,
            consumer_group: None,
            upstream: None,
        };
        with(&RoutePath::new(self.target.path()).unwrap(), &facts)
    }

    /// The id of the route that takes the request.
    fn taken_by(&self, router: &Router<String>) -> Option<String> {
        self.facts(|path, facts| {
            router.find(self.host, path, &self.method, facts).map(|found| found.payload.clone())
        })
    }

    fn found<R>(&self, router: &Router<String>, with: impl FnOnce(Found<'_, String>) -> R) -> R {
        self.facts(|path, facts| with(router.find(self.host, path, &self.method, facts).unwrap()))
    }
}

fn compile(routes: impl IntoIterator<Item = RouteMatch>) -> (Router<String>, Vec<String>) {
    let routes = routes.into_iter().map(|route| {
        let id = route.id.to_string();
        (Arc::new(route), id)
    });
    let (router, hidden) = Router::compile(routes);
    (router, hidden.iter().map(ToString::to_string).collect())
}

fn router(routes: impl IntoIterator<Item = RouteMatch>) -> Router<String> {
    compile(routes).0
}

#[test]
fn an_exact_path_comes_before_the_longest_prefix_before_shorter_ones() {
    let router = router([
        uri("all", "/*"),
        uri("a", "/a*"),
        uri("ab", "/ab"),
        uri("ab-", "/ab*"),
        uri("abc", "/abc*"),
    ]);
    for (path, id) in [
        ("/ab", "ab"),
        ("/abx", "ab-"),
        ("/abc", "abc"),
        ("/abcd", "abc"),
        ("/ax", "a"),
        ("/", "all"),
        ("/x", "all"),
    ] {
        assert_eq!(get(path).taken_by(&router).as_deref(), Some(id), "{path}");
    }
}

#[test]
fn what_is_spelled_out_comes_before_a_parameter_before_a_star() {
    let router = router([
        uri("star", "/u/*"),
        uri("user", "/u/:id"),
        uri("me", "/u/me"),
        uri("my", "/u/me/*"),
        uri("settings", "/u/:id/settings"),
        uri("part", "/u/:id/:part"),
        uri("files", "/u/:id/files/*path"),
    ]);
    for (path, id) in [
        ("/u/me", "me"),
        ("/u/7", "user"),
        ("/u/me/settings", "my"),
        ("/u/7/settings", "settings"),
        ("/u/7/other", "part"),
        ("/u/7/files/a/b", "files"),
        ("/u/7/files", "part"),
        ("/u/7/x/y", "star"),
        ("/u/", "star"),
        ("/u/a%2Fb", "user"),
    ] {
        assert_eq!(get(path).taken_by(&router).as_deref(), Some(id), "{path}");
    }
    assert_eq!(get("/u").taken_by(&router), None);
}

#[test]
fn a_parameter_is_one_segment_and_never_empty() {
    let router = router([uri("1", "/a/:x/b")]);
    assert!(get("/a/v/b").taken_by(&router).is_some());
    for path in ["/a/b", "/a//b", "/a/v/w/b", "/a/v/b/", "/a/v"] {
        assert_eq!(get(path).taken_by(&router), None, "{path}");
    }
}

#[test]
fn parameters_are_told_by_name_and_decoded_but_for_slashes_and_percent_signs() {
    let router = router([uri("1", "/:a/x/:b/*c"), uri("2", "/plain")]);
    let params = |path: &str| {
        get(path).found(&router, |found| {
            found.params.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        })
    };
    assert_eq!(params("/1/x/caf%C3%A9/r/s"), "a=1 b=caf\u{e9} c=r/s");
    assert_eq!(params("//1//x/2%2F3/"), "a=1 b=2%2F3 c=");
    assert_eq!(params("/%25/x/2/%20"), "a=%25 b=2 c= ");
    assert_eq!(params("/plain"), "");
}

#[test]
fn a_colon_within_a_segment_means_itself() {
    let router = router([uri("1", "/books:get"), uri("2", "/%3Aid")]);
    assert_eq!(get("/books:get").taken_by(&router).as_deref(), Some("1"));
    assert_eq!(get("/:id").taken_by(&router).as_deref(), Some("2"));
    assert_eq!(get("/7").taken_by(&router), None);
}

#[test]
fn a_prefix_of_whole_segments_does_not_take_the_path_above_it() {
    let router = router([uri("1", "/aws/*")]);
    assert_eq!(get("/aws").taken_by(&router), None);
    assert_eq!(get("/aws/").taken_by(&router).as_deref(), Some("1"));
}

#[test]
fn only_a_last_segment_star_gives_a_rest_and_it_stays_as_it_was_written() {
    let router = router([uri("1", "/aws/*"), uri("2", "/gcp*"), uri("3", "/az"), uri("4", "/p/:x/*name")]);
    let rest = |path: &str| get(path).found(&router, |found| found.rest.map(|at| path[at..].to_owned()));
    assert_eq!(rest("/aws/a%2Fb//c").as_deref(), Some("a%2Fb//c"));
    assert_eq!(rest("/aws/").as_deref(), Some(""));
    assert_eq!(rest("//%61ws//x").as_deref(), Some("x"));
    assert_eq!(rest("/p/%41/b%20c").as_deref(), Some("b%20c"));
    assert_eq!(rest("/gcp/x"), None);
    assert_eq!(rest("/az"), None);
}

#[test]
fn the_search_goes_on_when_the_method_does_not_match() {
    let router = router([
        uri("exact", "/a/b").methods_are(&[HttpMethod::Put]),
        uri("segment", "/a/:x").methods_are(&[HttpMethod::Patch]),
        uri("prefix", "/a/*").methods_are(&[HttpMethod::Post]).host("h"),
        uri("wildcard", "/a/b").methods_are(&[HttpMethod::Head]).host("*"),
        uri("hostless", "/a/b").methods_are(&[HttpMethod::Delete]),
        uri("all", "/*"),
    ]);
    for (method, id) in [
        (Method::PUT, "exact"),
        (Method::PATCH, "segment"),
        (Method::POST, "prefix"),
        (Method::HEAD, "wildcard"),
        (Method::DELETE, "hostless"),
        (Method::GET, "all"),
        (Method::from_bytes(b"BREW").unwrap(), "all"),
    ] {
        assert_eq!(by(method, "/a/b").taken_by(&router).as_deref(), Some(id));
    }
}

#[test]
fn the_search_goes_on_when_the_address_or_the_variables_do_not_match() {
    let router = router([
        uri("inside", "/a/b").from("10.0.0.0/8"),
        uri("new", "/a/*").vars(&json!([["http_x_version", "==", "2"]])),
        uri("old", "/a*"),
    ]);
    let inside = Asked { client: "10.1.2.3".parse().unwrap(), ..get("/a/b") };
    assert_eq!(inside.taken_by(&router).as_deref(), Some("inside"));
    let headers = HeaderMap::from_iter([("x-version".parse().unwrap(), HeaderValue::from_static("2"))]);
    let new = Asked { headers, ..get("/a/b") };
    assert_eq!(new.taken_by(&router).as_deref(), Some("new"));
    assert_eq!(get("/a/b").taken_by(&router).as_deref(), Some("old"));
}

#[test]
fn variables_may_ask_for_the_routes_own_parameters() {
    let router = router([
        uri("number", "/o/:id").vars(&json!([["uri_param_id", "~~", "^[0-9]+$"]])),
        uri("text", "/o/*").vars(&json!([["uri_param_id", "==", null]])),
    ]);
    assert_eq!(get("/o/7").taken_by(&router).as_deref(), Some("number"));
    assert_eq!(get("/o/%37").taken_by(&router).as_deref(), Some("number"));
    assert_eq!(get("/o/x").taken_by(&router).as_deref(), Some("text"));
}

#[test]
fn an_exact_host_comes_before_the_longest_wildcard_before_no_host() {
    let router = router([
        uri("none", "/long/exact/path"),
        uri("short", "/*").host("*.com"),
        uri("long", "/*").host("*.foo.com"),
        uri("exact", "/*").host("www.foo.com"),
        uri("address", "/*").host("[::1]"),
    ]);
    for (host, id) in [
        ("www.foo.com", Some("exact")),
        ("WWW.Foo.com.", Some("exact")),
        ("a.b.foo.com", Some("long")),
        (".foo.com", Some("long")),
        ("foo.com", Some("short")),
        ("[::1]", Some("address")),
        ("example.org", Some("none")),
    ] {
        assert_eq!(at(host, "/long/exact/path").taken_by(&router).as_deref(), id, "{host}");
    }
    assert_eq!(at("example.org", "/x").taken_by(&router), None);
    assert_eq!(at(Box::leak("x".repeat(300).into_boxed_str()), "/x").taken_by(&router), None);
}

#[test]
fn a_host_matters_more_than_the_path_and_priority_only_among_equals() {
    let router = router([
        uri("hostless", "/a/b").priority(9),
        uri("host", "/*").host("h"),
        uri("low", "/p").priority(-1),
        uri("high", "/p").priority(1),
        uri("prefix", "/p*").priority(9),
    ]);
    assert_eq!(get("/a/b").taken_by(&router).as_deref(), Some("host"));
    assert_eq!(at("x", "/a/b").taken_by(&router).as_deref(), Some("hostless"));
    assert_eq!(at("x", "/p").taken_by(&router).as_deref(), Some("high"));
}

#[test]
fn a_route_may_have_several_hosts_and_uris() {
    let route = RouteMatch { uris: vec!["/a".to_owned(), "/b*".to_owned()], ..uri("1", "/") };
    let router = router([route.host("x").host("*.y")]);
    for (host, path, taken) in
        [("x", "/a", true), ("z.y", "/bc", true), ("x", "/c", false), ("y", "/a", false), ("z", "/a", false)]
    {
        assert_eq!(at(host, path).taken_by(&router).is_some(), taken, "{host}{path}");
    }
}

#[test]
fn a_pattern_may_be_written_with_escapes_and_an_encoded_slash_stays_one() {
    let router = router([uri("1", "/caf%C3%A9/*"), uri("2", "/a%2Fb"), uri("3", "/a/b/%2F*")]);
    assert_eq!(get("/caf%c3%a9/x").taken_by(&router).as_deref(), Some("1"));
    assert_eq!(get("/a%2fb").taken_by(&router).as_deref(), Some("2"));
    assert_eq!(get("/a/b").taken_by(&router), None);
    assert_eq!(get("/a/b/%2fc").taken_by(&router).as_deref(), Some("3"));
}

#[test]
fn of_equal_routes_the_lowest_id_serves_and_the_others_are_named() {
    let get_put = [HttpMethod::Get, HttpMethod::Put];
    let (router, hidden) = compile([
        uri("10", "/a"),
        uri("9", "/a"),
        uri("x", "/%61"),
        uri("11", "/b").methods_are(&get_put),
        uri("12", "/b").methods_are(&[HttpMethod::Get, HttpMethod::Post]),
        uri("13", "/b").methods_are(&[HttpMethod::Put, HttpMethod::Post]),
        uri("20", "/p/:one").priority(1),
        uri("3", "/p/:other"),
        RouteMatch { uris: vec!["/c".to_owned(), "/c".to_owned()], ..uri("30", "/") },
    ]);
    assert_eq!(get("/a").taken_by(&router).as_deref(), Some("9"));
    assert_eq!(
        hidden,
        [
            "route \"10\": no request can reach uri /a: route \"9\" takes the same requests first",
            "route \"13\": no request can reach uri /b: route \"11\" takes the same requests first",
            "route \"3\": no request can reach uri /p/:other: route \"20\" takes the same requests first",
            "route \"x\": no request can reach uri /%61: route \"9\" takes the same requests first",
        ]
    );
}

#[test]
fn a_route_that_may_let_requests_pass_hides_only_its_like() {
    let one = json!([["arg_a", "==", "1"]]);
    let (_, hidden) = compile([
        uri("1", "/a").vars(&one),
        uri("2", "/a").from("10.0.0.0/8"),
        uri("3", "/a").vars(&one).methods_are(&[HttpMethod::Get]),
        uri("4", "/a").vars(&one).from("10.0.0.0/8"),
        uri("5", "/a").from("10.0.0.0/8"),
        uri("6", "/a"),
        uri("7", "/a").vars(&json!([["arg_a", "==", "2"]])),
        uri("8", "/:x").vars(&json!([["uri_param_x", "~=", "1"]])),
        uri("9", "/:y").vars(&json!([["uri_param_x", "~=", "1"]])),
    ]);
    let hides = |route: &str, by: &str| {
        format!(
            "route \"{route}\": no request can reach uri /a: route \"{by}\" takes the same requests first"
        )
    };
    assert_eq!(hidden, [hides("3", "1"), hides("5", "2"), hides("7", "6")]);
}

#[test]
fn a_uri_may_be_hidden_at_one_host_and_serve_at_another() {
    let (_, hidden) = compile([uri("1", "/a").host("x"), uri("2", "/a").host("x").host("y")]);
    let message =
        "route \"2\": no request can reach uri /a at host x: route \"1\" takes the same requests first";
    assert_eq!(hidden, [message]);
}

#[test]
fn a_uri_that_no_request_has_is_named_and_left_out() {
    let (router, hidden) = compile([uri("1", "/a/../b"), uri("2", "/:a-b")]);
    assert_eq!(hidden.len(), 2);
    assert!(hidden[0].contains("dot segments") && hidden[1].contains("%3A"), "{hidden:?}");
    assert_eq!(format!("{router:?}"), format!("{:?}", Router::<String>::default()));
}

#[test]
fn an_insertion_names_what_it_hides_and_what_hides_it() {
    let mut router = router([uri("5", "/a"), uri("7", "/a")]);
    let mut insert = |route: RouteMatch| {
        let hidden = router.insert(&Arc::new(route), String::new());
        hidden.iter().map(|hidden| hidden.route.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(insert(uri("6", "/a")), ["6"]);
    assert_eq!(insert(uri("1", "/a").methods_are(&[HttpMethod::Get])), Vec::<String>::new());
    assert_eq!(insert(uri("2", "/a")), ["5"]);
    let get_put = [HttpMethod::Get, HttpMethod::Put];
    assert_eq!(insert(uri("1", "/b").methods_are(&[HttpMethod::Put])), Vec::<String>::new());
    assert_eq!(insert(uri("3", "/b").methods_are(&get_put)), Vec::<String>::new());
    assert_eq!(insert(uri("2", "/b").methods_are(&[HttpMethod::Get])), ["3"]);
}

#[test]
fn a_body_is_wanted_only_where_it_decides() {
    let model = json!([["post_arg.model", "==", "m"]]);
    let picky = uri("body", "/chat").vars(&model).methods_are(&[HttpMethod::Post]).from("192.0.2.0/24");
    let mut router = router([picky.clone(), uri("all", "/*"), uri("first", "/f*").priority(1)]);
    let wants = |router: &Router<String>, asked: &Asked| {
        asked.facts(|path, facts| router.wants_body(asked.host, path, &asked.method, facts))
    };
    assert!(router.needs_body());
    assert!(wants(&router, &by(Method::POST, "/chat")));
    assert!(!wants(&router, &by(Method::GET, "/chat")));
    assert!(!wants(&router, &by(Method::POST, "/x")));
    let outside = Asked { client: "10.0.0.1".parse().unwrap(), ..by(Method::POST, "/chat") };
    assert!(!wants(&router, &outside));
    let headers =
        HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let body = Some(RequestBody::new(br#"{"model": "m"}"#));
    let with_body = Asked { headers, body, ..by(Method::POST, "/chat") };
    assert_eq!(with_body.taken_by(&router).as_deref(), Some("body"));
    assert_eq!(by(Method::POST, "/chat").taken_by(&router).as_deref(), Some("all"));
    router.remove(&picky);
    assert!(!router.needs_body());
}

#[test]
fn a_clone_stays_as_it_is_when_the_other_changes() {
    let mut changing = router([uri("1", "/a/b"), uri("2", "/a/c").host("x")]);
    let kept = changing.clone();
    changing.remove(&uri("1", "/a/b"));
    changing.insert(&Arc::new(uri("3", "/a/*").host("x")), "3".to_owned());
    assert_eq!(get("/a/b").taken_by(&kept).as_deref(), Some("1"));
    assert_eq!(get("/a/b").taken_by(&changing), None);
    assert_eq!(at("x", "/a/z").taken_by(&kept), None);
    assert_eq!(at("x", "/a/z").taken_by(&changing).as_deref(), Some("3"));
}

/// Every prefix of the longest uri is a pattern: no tree is deeper. A stack that overflows ends the process.
#[test]
fn the_deepest_nesting_fits_on_the_stack_of_a_thread() {
    let deepest = std::thread::Builder::new().stack_size(2 << 20).spawn(|| {
        let longest = format!("/{}", "a".repeat(4094));
        let routes = (1..longest.len()).map(|length| {
            let route = uri(&length.to_string(), &format!("{}*", &longest[..length]));
            route.methods_are(if length == 1 { &[] } else { &[HttpMethod::Put] })
        });
        let mut router = router(routes);
        let before = router.clone();
        router.insert(&Arc::new(uri("x", &longest)), "x".to_owned());
        (get(&longest).taken_by(&before), get(&longest).taken_by(&router))
    });
    let taken = deepest.unwrap().join().unwrap();
    assert_eq!(taken, (Some("1".to_owned()), Some("x".to_owned())));
}
