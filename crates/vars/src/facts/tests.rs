use super::*;
use crate::testing::Request;

fn get(request: &Request, name: &str) -> Option<String> {
    request.facts().get(&Variable::parse(name)).map(Cow::into_owned)
}

#[test]
fn a_request_has_the_variables_that_nginx_has() {
    let request = Request::get("http://www.example.com//a/%62?x=1&flag").header("x-a-b", "v");
    for (name, value) in [
        ("uri", "/a/b"),
        ("request_uri", "//a/%62?x=1&flag"),
        ("request", "GET //a/%62?x=1&flag HTTP/1.1"),
        ("request_method", "GET"),
        ("host", "www.example.com"),
        ("scheme", "http"),
        ("https", ""),
        ("server_protocol", "HTTP/1.1"),
        ("query_string", "x=1&flag"),
        ("args", "x=1&flag"),
        ("is_args", "?"),
        ("arg_x", "1"),
        ("arg_flag", ""),
        ("http_x_a_b", "v"),
        ("http_X-A-B", "v"),
        ("remote_addr", "203.0.113.9"),
        ("remote_port", "5100"),
        ("realip_remote_port", "4711"),
        ("realip_remote_addr", "192.0.2.7"),
        ("server_addr", "10.0.0.1"),
        ("server_port", "9080"),
        ("request_id", "id-1"),
    ] {
        assert_eq!(get(&request, name).as_deref(), Some(value), "{name}");
    }
    for name in ["arg_y", "http_none", "cookie_c", "uri_param_a", "route_id", "consumer_name", "nonsense", ""]
    {
        assert_eq!(get(&request, name), None, "{name}");
    }
    assert_eq!(get(&Request::get("/"), "is_args").as_deref(), Some(""));
}

#[test]
fn the_host_is_lower_case_and_bare_and_http_host_is_as_it_came() {
    let request = Request::get("/");
    for (asked, host) in [("A.Example.", "a.example"), ("a.example", "a.example"), ("[::1]", "[::1]")] {
        let facts = Facts { host: asked, ..request.facts() };
        assert_eq!(facts.get(&Variable::parse("host")).as_deref(), Some(host));
    }
    let http1 = Request::get("/").header("host", "A.Example.:9080");
    assert_eq!(get(&http1, "http_host").as_deref(), Some("A.Example.:9080"));
    let http2 = Request::get("http://A.Example:9080/");
    assert_eq!(get(&http2, "http_host").as_deref(), Some("A.Example:9080"));
    assert_eq!(get(&Request::get("/"), "http_host"), None);
}

#[test]
fn what_happened_to_the_request_is_known_once_it_has() {
    let request = Request::get("/");
    let route = RouteFacts { id: "r".into(), name: Some("orders".into()), ..RouteFacts::default() };
    let params = Params::new(&["id".into()].into(), std::iter::once(b"7".as_slice()));
    let facts = Facts {
        route: Some(&route),
        params: Some(&params),
        consumer: Some("jack"),
        consumer_group: Some("gold"),
        upstream: Some(UpstreamFacts {
            scheme: Scheme::Https,
            host: "h",
            uri: "/u",
            node_host: "127.0.0.1",
            node_port: 80,
        }),
        ..request.facts()
    };
    for (name, value) in [
        ("route_id", Some("r")),
        ("route_name", Some("orders")),
        ("service_id", None),
        ("uri_param_id", Some("7")),
        ("uri_param_other", None),
        ("consumer_name", Some("jack")),
        ("consumer_group_id", Some("gold")),
        ("upstream_scheme", Some("https")),
        ("upstream_host", Some("h")),
        ("upstream_uri", Some("/u")),
        ("upstream_addr", Some("127.0.0.1:80")),
        ("balancer_ip", Some("127.0.0.1")),
        ("balancer_port", Some("80")),
    ] {
        assert_eq!(facts.get(&Variable::parse(name)).as_deref(), value, "{name}");
    }
}

#[test]
fn fields_of_one_name_are_joined_and_of_cookies_the_last_counts() {
    let request = Request::get("/")
        .header("x-a", "1")
        .header("x-a", "2")
        .header("cookie", "a=1; b = two ;a=3")
        .header("cookie", "c=x=y; broken")
        .header("x-raw", "caf\u{e9}");
    assert_eq!(get(&request, "http_x_a").as_deref(), Some("1, 2"));
    assert_eq!(get(&request, "http_cookie").as_deref(), Some("a=1; b = two ;a=3; c=x=y; broken"));
    assert_eq!(get(&request, "cookie_a").as_deref(), Some("3"));
    assert_eq!(get(&request, "cookie_b").as_deref(), Some("two"));
    assert_eq!(get(&request, "cookie_c").as_deref(), Some("x=y"));
    assert_eq!(get(&request, "cookie_A"), None);
    assert_eq!(get(&request, "http_x_raw").as_deref(), Some("caf\u{e9}"));
}
