use super::super::request_id::RequestIds;
use super::*;

fn conn() -> Conn {
    Conn {
        client: "192.0.2.7:50000".parse().unwrap(),
        local: "192.0.2.1:9080".parse().unwrap(),
        scheme: Scheme::Http,
        tls: None,
    }
}

fn prepared(target: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    let ink = Ink::default();
    let id = RequestIds::new().for_request(request.headers(), &ink);
    let host = strip(&mut request);
    let conn = conn();
    announce_way(request.headers_mut(), host, &conn, &ink);
    announce_client(request.headers_mut(), conn.client.ip(), id.into(), &ink);
    request
}

fn header<'r>(request: &'r Request<Body>, name: &str) -> Option<&'r str> {
    request.headers().get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn what_only_the_gateway_may_say_cannot_be_said_with_underscores() {
    let request = prepared(
        "/",
        &[("host", "a.example"), ("x_real_ip", "1.1.1.1"), ("X_Consumer_Username", "root"), ("x-a", "_")],
    );
    assert!(request.headers().keys().all(|name| !name.as_str().contains('_')), "{request:?}");
    assert_eq!(header(&request, "x-a"), Some("_"));
}

#[test]
fn the_upstream_hears_who_asked_and_how() {
    let request =
        prepared("/", &[("host", "a.example:80"), ("x-forwarded-proto", "https"), ("x-real-ip", "1.1.1.1")]);
    for (name, value) in [
        ("host", "a.example:80"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-real-ip", "192.0.2.7"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "a.example:80"),
        ("x-forwarded-port", "9080"),
    ] {
        assert_eq!(header(&request, name), Some(value), "{name}");
    }
    assert!(header(&request, "x-request-id").is_some());
}

#[test]
fn forwarded_for_grows_by_one_however_it_was_written() {
    let request = prepared(
        "/",
        &[("host", "a"), ("x-forwarded-for", "10.0.0.1, 10.0.0.2"), ("x-forwarded-for", "10.0.0.3")],
    );
    assert_eq!(header(&request, "x-forwarded-for"), Some("10.0.0.1, 10.0.0.2, 10.0.0.3, 192.0.2.7"));
    assert_eq!(request.headers().get_all("x-forwarded-for").iter().count(), 1);
}

#[test]
fn cookies_that_came_apart_go_out_as_one_field() {
    let request =
        prepared("/", &[("host", "a"), ("cookie", "a=1"), ("cookie", "b=2; c=3"), ("cookie", "d=4")]);
    assert_eq!(header(&request, "cookie"), Some("a=1; b=2; c=3; d=4"));
    assert_eq!(request.headers().get_all("cookie").iter().count(), 1);
    assert_eq!(header(&prepared("/", &[("host", "a"), ("cookie", "a=1")]), "cookie"), Some("a=1"));
    assert_eq!(header(&prepared("/", &[("host", "a")]), "cookie"), None);
}

#[test]
fn what_concerns_the_connection_stays_behind() {
    let request = prepared(
        "/",
        &[
            ("host", "a"),
            ("connection", "close, X-Mine ,content-length"),
            ("connection", "host"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip"),
            ("upgrade", "websocket"),
            ("proxy-authorization", "Basic x"),
            ("expect", "100-continue"),
            ("content-length", "0"),
            ("x-theirs", "2"),
        ],
    );
    for gone in ["connection", "x-mine", "keep-alive", "te", "upgrade", "proxy-authorization", "expect"] {
        assert_eq!(header(&request, gone), None, "{gone}");
    }
    for kept in ["host", "content-length", "x-theirs"] {
        assert!(header(&request, kept).is_some(), "{kept}");
    }
}

#[test]
fn a_length_beside_a_transfer_coding_goes() {
    let request = prepared("/", &[("host", "a"), ("content-length", "5"), ("transfer-encoding", "chunked")]);
    assert_eq!(header(&request, "content-length"), None);
    assert_eq!(header(&request, "transfer-encoding"), None);
}

#[test]
fn an_absolute_target_becomes_a_path_and_its_authority_the_host() {
    for (target, path) in [("http://b.example:1/p?q=%20", "/p?q=%20"), ("http://b.example:1", "/")] {
        let request = prepared(target, &[]);
        assert_eq!(request.uri().to_string(), path);
        assert_eq!(header(&request, "host"), Some("b.example:1"));
    }
    assert_eq!(prepared("http://b.example?q", &[]).uri().to_string(), "/?q");
}
