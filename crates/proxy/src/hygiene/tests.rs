use super::*;

fn request(target: &str, version: Version, hosts: &[&str]) -> Request<()> {
    let mut request = Request::builder().uri(target).version(version);
    for host in hosts {
        request = request.header(HOST, *host);
    }
    request.body(()).unwrap()
}

fn http1(target: &str, hosts: &[&str]) -> Result<String, Improper> {
    check(&request(target, Version::HTTP_11, hosts)).map(|target| target.host.to_owned())
}

fn http2(target: &str, hosts: &[&str]) -> Result<String, Improper> {
    check(&request(target, Version::HTTP_2, hosts)).map(|target| target.host.to_owned())
}

#[test]
fn http1_needs_exactly_one_host() {
    assert_eq!(http1("/", &["a.example:9080"]).as_deref(), Ok("a.example"));
    assert_eq!(http1("/", &[]), Err(Improper::HostCount));
    assert_eq!(http1("/", &["a", "a"]), Err(Improper::HostCount));
    assert_eq!(http1("http://a/", &[]), Err(Improper::HostCount));
    let old = request("/", Version::HTTP_10, &[]);
    assert_eq!(check(&old).unwrap_err(), Improper::HostCount);
}

#[test]
fn an_absolute_target_must_name_the_host() {
    assert_eq!(http1("http://A.example:80/", &["a.EXAMPLE:80"]).as_deref(), Ok("a.EXAMPLE"));
    assert_eq!(http1("http://b/", &["a"]), Err(Improper::HostMismatch));
    assert_eq!(http1("http://user@a/", &["a"]), Err(Improper::HostMismatch));
}

#[test]
fn http2_has_its_host_in_the_authority() {
    assert_eq!(http2("http://a:1/", &[]).as_deref(), Ok("a"));
    assert_eq!(http2("http://a/", &["a"]).as_deref(), Ok("a"));
    assert_eq!(http2("/", &["a"]).as_deref(), Ok("a"));
    assert_eq!(http2("http://a/", &["b"]), Err(Improper::HostMismatch));
    assert_eq!(http2("http://user@a/", &[]), Err(Improper::Host));
    assert_eq!(http2("/", &[]), Err(Improper::HostCount));
}

#[test]
fn a_host_that_is_no_host_is_refused() {
    for host in [
        "",
        ":80",
        "a b",
        "a/b",
        "a,b",
        "a:b",
        "a:123456",
        "a:1:2",
        "[::1",
        "::1",
        "a]",
        "[g]",
        "[]",
        "[[::1]",
        "[1.2.3.4]",
        "a@b",
    ] {
        assert_eq!(http1("/", &[host]), Err(Improper::Host), "{host:?}");
    }
    assert_eq!(http1("/", &[&"a".repeat(256)]), Err(Improper::Host));
    for (host, name) in [("[::1]:9080", "[::1]"), ("a_b.example:", "a_b.example"), ("127.0.0.1", "127.0.0.1")]
    {
        assert_eq!(http1("/", &[host]).as_deref(), Ok(name));
    }
}

#[test]
fn a_target_is_visible_ascii() {
    let bytes = Request::builder().uri("/caf\u{e9}").header(HOST, "a").body(()).unwrap();
    assert_eq!(check(&bytes).unwrap_err(), Improper::Bytes);
    assert_eq!(Improper::TooLong.failure().status.status(), StatusCode::URI_TOO_LONG);
}

#[test]
fn a_path_with_dot_segments_is_refused_rather_than_resolved() {
    assert_eq!(http1("/public/%2e%2e/admin", &["a"]), Err(Improper::Path(PathError::DotSegment)));
}

#[test]
fn a_tunnel_is_refused() {
    let connect =
        Request::builder().method(Method::CONNECT).uri("a:443").header(HOST, "a:443").body(()).unwrap();
    assert_eq!(check(&connect).unwrap_err(), Improper::Connect);
}
