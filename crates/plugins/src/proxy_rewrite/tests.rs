use gateward_net::Body;
use http::Request;

use super::*;
use crate::Flow;
use crate::testing::Bench;

/// What the upstream gets.
struct Sent {
    request: Request<()>,
    host: Option<String>,
}

impl Sent {
    fn all(&self, name: &str) -> Vec<&str> {
        self.request.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }
}

async fn send(settings: Value, request: Request<Body>) -> Result<Sent, (u16, &'static str)> {
    let bench = Bench::new();
    let plugin = bench.build(&KIND, &settings);
    bench
        .try_request(&*plugin, request, |exchange, flow| match flow {
            Flow::Continue => Ok(Sent {
                request: std::mem::take(&mut exchange.request).map(drop),
                host: exchange.upstream_host.as_ref().map(|host| host.to_str().unwrap().to_owned()),
            }),
            Flow::Fail(failure) => Err((failure.status.status().as_u16(), failure.code)),
            Flow::Answer(response) | Flow::Function(response) => panic!("{response:?}"),
        })
        .await
}

fn get(target: &str) -> Request<Body> {
    Request::get(target).header("x-a", "1").header("x-b", "2").body(Body::empty()).unwrap()
}

async fn target(settings: Value, client: &str) -> String {
    send(settings, get(client)).await.ok().unwrap().request.uri().to_string()
}

async fn is_refused(settings: Value, client: &str) -> bool {
    matches!(send(settings, get(client)).await, Err((400, "rewrite_refused")))
}

#[tokio::test]
async fn the_uri_is_replaced_and_the_query_kept() {
    for (uri, client, sent) in [
        ("/new", "/old", "/new"),
        ("/new", "/old?a=1&b=%2f", "/new?a=1&b=%2f"),
        ("/new?c=3", "/old?a=1", "/new?c=3&a=1"),
        ("/new?c=3", "/old", "/new?c=3"),
        ("/n%20w", "/old", "/n%20w"),
        ("/v2$uri", "/a%2Fb/c", "/v2/a%2Fb/c"),
        ("/v2$uri", "/a%20b/%C3%A4", "/v2/a%20b/%C3%A4"),
        ("/${arg_name ?? nobody}", "/", "/nobody"),
        ("/$arg_name", "/?name=a/b", "/a/b?name=a/b"),
    ] {
        assert_eq!(target(json!({"uri": uri}), client).await, sent, "{uri} {client}");
    }
}

#[tokio::test]
async fn what_stands_for_itself_is_read_for_no_variable_and_for_no_group() {
    let secret = |value: &str| gateward_vars::literal(value);
    for (uri, sent) in [
        (format!("/a/{}/$arg_x", secret("$arg_x")), "/a/$arg_x/1?x=1"),
        (format!("/a?t={}&u=$arg_x", secret("$uri?$uri")), "/a?t=$uri?$uri&u=1&x=1"),
        (format!("/a{}", secret("/b?c=$arg_x")), "/a/b?c=$arg_x&x=1"),
    ] {
        assert_eq!(target(json!({"uri": uri}), "/?x=1").await, sent, "{uri:?}");
    }
    let pattern = json!({"regex_uri": ["^/(.*)$", format!("/{}/$1", secret("$1$$"))]});
    assert_eq!(target(pattern, "/b").await, "/$1$$/b");
    let settings = json!({"regex_uri": ["^/(.*)$", "/$1"], "headers": {"set": {
        "x-fixed": format!("Bearer {}", secret("pa$1$arg_x")), "x-made": format!("$1${}$arg_x", secret("1$1")),
    }}});
    let sent = send(settings, get("/b?x=7")).await.ok().unwrap();
    assert_eq!(sent.all("x-fixed"), ["Bearer pa$1$arg_x"]);
    assert_eq!(sent.all("x-made"), ["b$1$17"]);
}

#[tokio::test]
async fn a_value_cannot_end_the_path_or_add_an_argument() {
    for (uri, name, sent) in [
        ("/u/$arg_n", "a%3Fb%23c", "/u/a%3Fb%23c?n=a%3Fb%23c"),
        ("/u?name=$arg_n", "a%26admin%3D1", "/u?name=a%26admin%3D1&n=a%26admin%3D1"),
        ("/u?name=$arg_n", "a+b%2B", "/u?name=a%20b%2B&n=a+b%2B"),
    ] {
        assert_eq!(target(json!({"uri": uri}), &format!("/?n={name}")).await, sent, "{uri} {name}");
    }
}

#[tokio::test]
async fn a_rewrite_that_would_climb_or_break_the_line_is_refused() {
    for name in ["..", "../x", "%2e%2e/x", "..%2Fx", "%252e%252e/x", "a%0d%0aHost:x", "a%00", "%2500"] {
        assert!(is_refused(json!({"uri": "/public/$arg_n"}), &format!("/?n={name}")).await, "{name}");
    }
    let climbs = json!({"regex_uri": ["^/a/(.*)", "/b/../$1"]});
    assert!(is_refused(climbs, "/a/x").await);
    let joined = json!({"regex_uri": ["^/a/(.*)x(.*)$", "/b/.$1./$2"]});
    assert!(is_refused(joined, "/a/xz").await);
}

#[tokio::test]
async fn the_first_pattern_that_matches_rewrites() {
    let settings =
        json!({"regex_uri": ["^/users/(\\d+)/(.*)$", "/u/${2}/$1", "^/(a)", "/b$1$$", "/b", "/never"]});
    for (client, sent) in [
        ("/users/7/mail?x=1", "/u/mail/7?x=1"),
        ("/abc", "/ba$bc"),
        ("/xyz%2f?q", "/xyz%2f?q"),
        ("//XYZ", "//XYZ"),
    ] {
        assert_eq!(target(settings.clone(), client).await, sent, "{client}");
    }
    let query = json!({"regex_uri": ["^/old/(.*)$", "/new?path=$1"]});
    assert_eq!(target(query, "/old/x?y=1").await, "/new?path=x&y=1");
}

#[tokio::test]
async fn patterns_see_a_path_however_it_is_written_and_meaning_stays() {
    let settings = json!({"regex_uri": ["^/admin/(.*)$", "/a/$1"]});
    for (client, sent) in [
        ("/%61dmin/x", "/a/x"),
        ("//admin//x", "/a/x"),
        ("/admin/x%2Fy", "/a/x%2Fy"),
        ("/admin/x%3Fy%23", "/a/x%3Fy%23"),
        ("/admin/100%25", "/a/100%25"),
        ("/admin/%C3%A4 ".trim(), "/a/%C3%A4"),
    ] {
        assert_eq!(target(settings.clone(), client).await, sent, "{client}");
    }
    let as_written = json!({"regex_uri": ["^/admin/(.*)$", "/a/$1"], "use_real_request_uri_unsafe": true});
    assert_eq!(target(as_written.clone(), "/%61dmin/x").await, "/%61dmin/x");
    assert_eq!(target(as_written, "/admin/%41//x?y=1").await, "/a/%41//x?y=1");
}

#[tokio::test]
async fn host_and_method_can_be_others() {
    let sent =
        send(json!({"host": "other.example:8080", "method": "POST"}), get("/a%2Fb?c")).await.ok().unwrap();
    assert_eq!(sent.host.as_deref(), Some("other.example:8080"));
    assert_eq!(
        (sent.request.method().as_str(), sent.request.uri().to_string()),
        ("POST", "/a%2Fb?c".to_owned())
    );
    let sent = send(json!({"uri": "/x"}), get("/")).await.ok().unwrap();
    assert_eq!((sent.host, sent.request.method().as_str()), (None, "GET"));
}

#[tokio::test]
async fn headers_are_added_set_and_removed_in_this_order() {
    let settings = json!({"headers": {
        "add": {"X-A": "more", "X-New": ["v1", 2], "X-C": "gone"},
        "set": {"X-B": ["b1", "b2"], "X-Addr": "$remote_addr/$arg_q", "Host": "set.example"},
        "remove": ["X-C"],
    }});
    let sent = send(settings, get("/?q=z")).await.ok().unwrap();
    assert_eq!(sent.all("x-a"), ["1", "more"]);
    assert_eq!(sent.all("x-new"), ["v1", "2"]);
    assert_eq!(sent.all("x-b"), ["b1", "b2"]);
    assert_eq!(sent.all("x-addr"), ["127.0.0.1/z"]);
    assert_eq!((sent.all("x-c").len(), sent.host.as_deref()), (0, Some("set.example")));
}

#[tokio::test]
async fn the_old_form_of_headers_sets_them() {
    let sent = send(json!({"headers": {"X-A": "new", "X-N": 7, "X-E": ""}}), get("/")).await.ok().unwrap();
    assert_eq!((sent.all("x-a"), sent.all("x-n"), sent.all("x-e")), (vec!["new"], vec!["7"], vec![""]));
}

#[tokio::test]
async fn headers_can_have_what_the_path_matched() {
    let settings = json!({
        "regex_uri": ["^/(\\w+)/(\\w+)?", "/"],
        "headers": {"set": {"X-Tenant": "t-$1/${2}|$3|$http_x_a|\\$1"}},
    });
    let sent = send(settings.clone(), get("/acme/x")).await.ok().unwrap();
    assert_eq!(sent.all("x-tenant"), ["t-acme/x||1|\\$1"]);
    assert_eq!(send(settings, get("/")).await.ok().unwrap().all("x-tenant"), ["t-/||1|\\$1"]);
}

#[tokio::test]
async fn nobody_can_break_a_header_with_a_value() {
    let settings = json!({"headers": {"set": {"X-N": "$arg_n"}}});
    assert!(is_refused(settings, "/?n=a%0d%0aX-Admin:%201").await);
}

#[test]
fn wrong_settings_are_refused() {
    for (settings, field) in [
        (json!({}), ""),
        (json!({"uri": "new"}), "uri"),
        (json!({"uri": "/a b"}), "uri"),
        (json!({"uri": "/a#b"}), "uri"),
        (json!({"uri": format!("/{}", "a".repeat(4096))}), "uri"),
        (json!({"method": "get"}), "method"),
        (json!({"method": "CONNECT"}), "method"),
        (json!({"regex_uri": []}), "regex_uri"),
        (json!({"regex_uri": ["^/a"]}), "regex_uri"),
        (json!({"regex_uri": ["^/(a", "/b"]}), "regex_uri[0]"),
        (json!({"regex_uri": ["^/a", "/$1"]}), "regex_uri[1]"),
        (json!({"regex_uri": ["^/a", "/b", "^/b", "/a b"]}), "regex_uri[3]"),
        (json!({"host": "a b"}), "host"),
        (json!({"host": "a:99999"}), "host"),
        (json!({"headers": {}}), "headers"),
        (json!({"headers": {"X-A": true}}), "headers.X-A"),
        (json!({"headers": {"X-A": "a\nb"}}), "headers.X-A"),
        (json!({"headers": {"a b": "c"}}), "headers.a b"),
        (json!({"headers": {"set": {"X": []}}}), "headers.set.X"),
        (json!({"headers": {"set": {"X": "a"}, "X-A": "b"}}), "headers.X-A"),
        (json!({"headers": {"set": {"Content-Length": "1"}}}), "headers.set.Content-Length"),
        (json!({"headers": {"add": {"Host": "a"}}}), "headers.add"),
        (json!({"headers": {"remove": [1]}}), "headers.remove[0]"),
        (json!({"use_real_request_uri_unsafe": "yes"}), "use_real_request_uri_unsafe"),
    ] {
        assert_eq!((KIND.check)(&settings).unwrap_err().field, field, "{settings}");
    }
    (KIND.check)(&json!({
        "uri": "{vault://env/uri}", "host": "{vault://env/host}", "headers": {"set": {"X": "{vault://env/x}"}},
        "regex_uri": ["{vault://env/from}", "{vault://env/to}"],
    }))
    .unwrap();
}
