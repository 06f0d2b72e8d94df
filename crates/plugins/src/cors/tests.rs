use http::Request;

use super::*;
use crate::testing::Bench;
use crate::{Flow, Site};

/// The answer's fields that CORS is about, as a page of `origin` sees them after `method`.
struct Told(http::HeaderMap);

impl Told {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.to_str().unwrap())
    }

    fn origin(&self) -> Option<&str> {
        self.get("access-control-allow-origin")
    }
}

fn request(method: &str, origin: Option<&str>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri("/");
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    request.header("access-control-request-headers", "x-a,x-b").body(Body::empty()).unwrap()
}

async fn told_with(settings: &Value, metadata: Option<&Value>, origin: Option<&str>) -> Told {
    let bench = Bench::new();
    (KIND.check)(settings).unwrap();
    let site = Site { owner: "route/1", metadata, shared: &bench.shared };
    let plugin = (KIND.build)(settings, &site).unwrap();
    bench
        .try_request(&*plugin, request("GET", origin), |exchange, flow| {
            assert!(matches!(flow, Flow::Continue));
            // What happens to the request on its way makes no difference.
            exchange.request.headers_mut().clear();
            let mut response = Response::new(Body::empty());
            plugin.respond(exchange, &mut response);
            Told(response.headers().clone())
        })
        .await
}

async fn told(settings: Value, origin: &str) -> Told {
    told_with(&settings, None, Some(origin)).await
}

#[tokio::test]
async fn options_are_answered_before_anybody_else_sees_them() {
    let bench = Bench::new();
    let plugin = bench.build(&KIND, &json!({}));
    for origin in [None, Some("https://a.example")] {
        match bench.flow(&*plugin, request("OPTIONS", origin)).await {
            Flow::Answer(response) => assert_eq!(response.status(), 200),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn by_default_every_page_may_read_what_needs_no_credentials() {
    let told = told(json!({}), "https://a.example").await;
    assert_eq!(told.origin(), Some("*"));
    assert_eq!(told.get("access-control-allow-methods"), Some("*"));
    assert_eq!(told.get("access-control-allow-headers"), Some("*"));
    assert_eq!(told.get("access-control-max-age"), Some("5"));
    for absent in
        ["access-control-expose-headers", "access-control-allow-credentials", "timing-allow-origin", "vary"]
    {
        assert_eq!(told.get(absent), None);
    }
}

#[tokio::test]
async fn each_setting_has_its_field() {
    let settings = json!({
        "allow_origins": "https://a.example", "allow_methods": "GET,PUT", "allow_headers": "x-c",
        "expose_headers": "x-d", "max_age": -1, "allow_credential": true,
    });
    let told = told(settings, "https://a.example").await;
    assert_eq!(told.get("access-control-allow-methods"), Some("GET,PUT"));
    assert_eq!(told.get("access-control-allow-headers"), Some("x-c"));
    assert_eq!(told.get("access-control-expose-headers"), Some("x-d"));
    assert_eq!(told.get("access-control-max-age"), Some("-1"));
    assert_eq!(told.get("access-control-allow-credentials"), Some("true"));
    assert_eq!(told.get("vary"), Some("Origin"));
}

#[tokio::test]
async fn two_stars_name_whatever_was_asked_for() {
    let settings = json!({"allow_origins": "**", "allow_methods": "**", "allow_headers": "**"});
    let told = told(settings.clone(), "https://a.example").await;
    assert_eq!(told.origin(), Some("https://a.example"));
    assert!(told.get("access-control-allow-methods").unwrap().contains("PATCH"));
    assert_eq!(told.get("access-control-allow-headers"), Some("x-a,x-b"));
    assert_eq!(told_with(&settings, None, None).await.origin(), Some("*"));
}

#[tokio::test]
async fn of_several_origins_each_is_told_of_itself_only() {
    let settings = json!({"allow_origins": "https://a.example,http://b.example:8080"});
    for allowed in ["https://a.example", "http://b.example:8080"] {
        assert_eq!(told(settings.clone(), allowed).await.origin(), Some(allowed));
    }
    let refused = told(settings, "https://a.example.evil").await;
    assert_eq!((refused.origin(), refused.get("vary")), (None, Some("Origin")));
    let only = json!({"allow_origins": "https://a.example"});
    assert_eq!(told(only, "https://b.example").await.origin(), Some("https://a.example"));
}

#[tokio::test]
async fn patterns_stand_in_place_of_the_list() {
    let settings = json!({"allow_origins": "https://b.example", "allow_origins_by_regex": [r".*\.a\.example$", "^null$"]});
    for allowed in ["https://x.a.example", "null"] {
        assert_eq!(told(settings.clone(), allowed).await.origin(), Some(allowed));
    }
    for refused in ["https://x.a.example.evil", "https://b.example"] {
        assert_eq!(told(settings.clone(), refused).await.origin(), None);
    }
    assert_eq!(told_with(&settings, None, None).await.origin(), None);
}

#[tokio::test]
async fn lists_can_stand_in_the_metadata() {
    let metadata = json!({"allow_origins": {"shop": "https://shop.example,https://s.example", "all": "*"}});
    let told_of = async |settings: Value, origin: &str| {
        told_with(&settings, Some(&metadata), Some(origin)).await.origin().map(str::to_owned)
    };
    let shop = json!({"allow_origins_by_metadata": ["shop", "unknown"]});
    assert_eq!(told_of(shop.clone(), "https://s.example").await.as_deref(), Some("https://s.example"));
    assert_eq!(told_of(shop, "https://evil.example").await, None);
    let and_more = json!({"allow_origins": "https://b.example,https://c.example", "allow_origins_by_metadata": ["shop"]});
    for allowed in ["https://shop.example", "https://c.example"] {
        assert_eq!(told_of(and_more.clone(), allowed).await.as_deref(), Some(allowed));
    }
    let all = json!({"allow_origins_by_metadata": ["all"]});
    assert_eq!(told_of(all, "https://x.example").await.as_deref(), Some("https://x.example"));
}

#[tokio::test]
async fn timing_has_origins_of_its_own() {
    let timing = async |settings: Value, origin: &str| {
        told(settings, origin).await.get("timing-allow-origin").map(str::to_owned)
    };
    let listed = json!({"timing_allow_origins": "https://a.example,https://b.example"});
    assert_eq!(timing(listed.clone(), "https://b.example").await.as_deref(), Some("https://b.example"));
    assert_eq!(timing(listed, "https://c.example").await, None);
    assert_eq!(timing(json!({"timing_allow_origins": "*"}), "https://c.example").await.as_deref(), Some("*"));
    let by_regex = json!({"timing_allow_origins_by_regex": [r"\.a\.example$"]});
    assert_eq!(timing(by_regex.clone(), "https://x.a.example").await.as_deref(), Some("https://x.a.example"));
    assert_eq!(timing(by_regex, "https://a.example").await, None);
}

#[test]
fn wrong_settings_are_refused() {
    for (settings, field) in [
        (json!({"allow_origins": "a.example"}), "allow_origins"),
        (json!({"allow_origins": "https://a.example,"}), "allow_origins"),
        (json!({"allow_methods": 1}), "allow_methods"),
        (json!({"allow_headers": "a\nb"}), "allow_headers"),
        (json!({"expose_headers": "a\nb"}), "expose_headers"),
        (json!({"max_age": "5"}), "max_age"),
        (json!({"allow_credential": true}), "allow_origins"),
        (
            json!({"allow_credential": true, "allow_origins": "**", "allow_methods": "**", "allow_headers": "**", "expose_headers": "*"}),
            "expose_headers",
        ),
        (json!({"allow_origins_by_regex": []}), "allow_origins_by_regex"),
        (json!({"allow_origins_by_regex": ["("]}), "allow_origins_by_regex"),
        (json!({"allow_origins_by_metadata": ["a", "a"]}), "allow_origins_by_metadata"),
        (json!({"timing_allow_origins": "x"}), "timing_allow_origins"),
        (json!({"timing_allow_origins_by_regex": [""]}), "timing_allow_origins_by_regex"),
    ] {
        assert_eq!((KIND.check)(&settings).unwrap_err().field, field, "{settings}");
    }
    (KIND.check)(&json!({"allow_origins": "{vault://env/origin}"})).unwrap();
    let metadata = KIND.metadata.as_ref().unwrap();
    assert_eq!((metadata.check)(&json!({"allow_origins": {"a": "b"}})).unwrap_err().field, "allow_origins.a");
}
