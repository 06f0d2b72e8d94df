use serde_json::{Value, json};

use super::*;

/// A request, and what is known of it.
struct Seen {
    head: Parts,
    body: &'static [u8],
    route: RouteFacts,
    uri: Option<&'static str>,
    params: Option<Params>,
    rest: Option<&'static str>,
    certificate: Option<&'static [u8]>,
}

impl Seen {
    fn new(method: &str, target: &str, headers: &[(&str, &str)], body: &'static str) -> Self {
        let mut request = http::Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let route = RouteFacts { id: "orders".into(), ..RouteFacts::default() };
        Self {
            head,
            body: body.as_bytes(),
            route,
            uri: Some("/my/path"),
            params: None,
            rest: None,
            certificate: None,
        }
    }

    fn on(self, uri: Option<&'static str>) -> Self {
        Self { uri, ..self }
    }

    fn write(&self, form: Form, encode: Encode) -> Result<String, Failure> {
        let source = Source {
            head: &self.head,
            body: self.body,
            host: "id.gateway.example",
            client: [192, 0, 2, 1].into(),
            certificate: self.certificate,
            request_id: "request-id",
            now: Timestamp::from_millis(1_584_039_838_390),
            route: Some(&self.route),
            uri: self.uri,
            params: self.params.as_ref(),
            rest: self.rest,
            account: "123456789012",
        };
        form.write(&source, encode).map(|event| String::from_utf8(event).unwrap())
    }

    fn event(&self, form: Form) -> Value {
        serde_json::from_str(&self.write(form, Encode::AsNeeded).unwrap()).unwrap()
    }
}

/// The request that AWS's documentation shows the event of, as far as that can be told from the event.
fn documented(method: &str, body: &'static str) -> Seen {
    let headers = [
        ("header1", "value1"),
        ("header2", "value1"),
        ("header2", "value2"),
        ("cookie", "cookie1; cookie2"),
        ("user-agent", "user-agent"),
        ("content-type", "text/plain"),
    ];
    Seen::new(method, "/my/path?parameter1=value1&parameter1=value2&parameter2=value", &headers, body)
}

#[test]
fn the_event_of_a_rest_api_is_the_golden_one() {
    let golden: Value = serde_json::from_str(include_str!("golden/rest.json")).unwrap();
    assert_eq!(documented("GET", "Hello from client!").event(Form::Rest), golden);
}

#[test]
fn the_event_of_an_http_api_is_the_golden_one() {
    let golden: Value = serde_json::from_str(include_str!("golden/http_api.json")).unwrap();
    assert_eq!(documented("POST", "Hello from client").event(Form::HttpApi), golden);
}

#[test]
fn events_have_the_fields_that_aws_documents() {
    let has = |event: &Value, path: &str| event.pointer(&format!("/{}", path.replace('.', "/"))).is_some();
    let rest = documented("GET", "x").event(Form::Rest);
    for path in include_str!("golden/rest.fields").lines() {
        assert!(has(&rest, path), "{path}");
    }
    let mut seen = documented("POST", "x").on(Some("/my/*"));
    seen.rest = Some("path");
    let http_api = seen.event(Form::HttpApi);
    for path in include_str!("golden/http_api.fields").lines() {
        assert!(has(&http_api, path), "{path}");
    }
}

#[test]
fn what_a_request_has_not_is_null_in_one_form_and_absent_in_the_other() {
    let bare = Seen::new("GET", "/my/path", &[], "");
    let rest = bare.event(Form::Rest);
    for field in [
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "pathParameters",
        "stageVariables",
        "body",
    ] {
        assert_eq!(rest.get(field), Some(&Value::Null), "{field}");
    }
    let http_api = bare.event(Form::HttpApi);
    for field in ["queryStringParameters", "pathParameters", "cookies", "body"] {
        assert_eq!(http_api.get(field), None, "{field}");
    }
    for event in [rest, http_api] {
        assert_eq!(event["isBase64Encoded"], false);
    }
}

#[test]
fn the_certificate_of_a_client_stands_where_api_gateway_has_it() {
    let certificate = rcgen::generate_simple_self_signed(["client.example".to_owned()]).unwrap().cert;
    let mut seen = Seen::new("GET", "/", &[], "");
    let places = [
        (Form::Rest, "/requestContext/identity/clientCert"),
        (Form::HttpApi, "/requestContext/authentication/clientCert"),
    ];
    for (form, place) in places {
        assert_eq!(seen.event(form).pointer(place), None);
    }
    seen.certificate = Some(certificate.der().to_vec().leak());
    for (form, place) in places {
        let event = seen.event(form);
        let shown = event.pointer(place).unwrap();
        assert_eq!(shown["subjectDN"], "CN=rcgen self signed cert");
        assert!(shown["clientCertPem"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----\n"));
    }
}

#[test]
fn arguments_are_decoded_and_the_raw_query_is_not() {
    let seen = Seen::new("GET", "/my%20path/%E2%9C%93?a%5B%5D=1+2&flag&empty=&a%5B%5D=%2F", &[], "");
    let event = seen.event(Form::HttpApi);
    assert_eq!(event["rawPath"], "/my%20path/%E2%9C%93");
    assert_eq!(event["rawQueryString"], "a%5B%5D=1+2&flag&empty=&a%5B%5D=%2F");
    assert_eq!(event["queryStringParameters"], json!({"a[]": "1 2,/", "flag": "", "empty": ""}));
    let event = seen.event(Form::Rest);
    assert_eq!(event["queryStringParameters"], json!({"a[]": "1 2", "flag": "", "empty": ""}));
    assert_eq!(event["multiValueQueryStringParameters"]["a[]"], json!(["1 2", "/"]));
}

#[test]
fn cookies_of_several_fields_are_one_list_and_no_header() {
    let seen = Seen::new("GET", "/", &[("cookie", "a=1; b=2"), ("cookie", "c=3;")], "");
    let event = seen.event(Form::HttpApi);
    assert_eq!(event["cookies"], json!(["a=1", "b=2", "c=3"]));
    assert_eq!(event["headers"].get("cookie"), None);
}

#[test]
fn the_route_is_told_as_api_gateway_writes_it() {
    let names: std::sync::Arc<[std::sync::Arc<str>]> = std::sync::Arc::new(["id".into()]);
    let params = || Some(Params::new(&names, std::iter::once(&b"7"[..])));
    let both = json!({"id": "7", "proxy": "7"});
    for (uri, path, params, rest, resource, parameters) in [
        (Some("/my/path"), "/my/path", None, None, "/my/path", json!(null)),
        (Some("/items/:id"), "/items/7", params(), None, "/items/{id}", json!({"id": "7"})),
        (Some("/aws/*"), "/aws/a%2Fb/c", None, Some("a%2Fb/c"), "/aws/{proxy+}", json!({"proxy": "a/b/c"})),
        (Some("/items/:id/*"), "/items/7/7", params(), Some("7"), "/items/{id}/{proxy+}", both),
        (Some("/items/*id"), "/items/7", params(), Some("7"), "/items/{id+}", json!({"id": "7"})),
        (Some("/old/:id"), "/rewritten", params(), None, "/old/{id}", json!({"id": "7"})),
        (None, "/no/route", None, None, "/no/route", json!(null)),
    ] {
        let mut seen = Seen::new("GET", path, &[], "").on(uri);
        (seen.params, seen.rest) = (params, rest);
        let event = seen.event(Form::Rest);
        assert_eq!(event["resource"], resource);
        assert_eq!(event["requestContext"]["resourcePath"], resource);
        assert_eq!(event["pathParameters"], parameters);
        assert_eq!(seen.event(Form::HttpApi)["routeKey"], format!("GET {resource}"));
    }
}

#[test]
fn a_body_is_text_or_base64_by_its_type_its_encoding_and_its_bytes() {
    let text = "{\"a\": 1.0}";
    for (headers, encode, is_base64) in [
        (&[("content-type", "application/json")][..], Encode::AsNeeded, false),
        (&[("content-type", "TEXT/Plain; charset=utf-8")], Encode::AsNeeded, false),
        (&[("content-type", "application/problem+json")], Encode::AsNeeded, false),
        (&[("content-type", "application/x-www-form-urlencoded")], Encode::AsNeeded, false),
        (&[("content-type", "application/json"), ("content-encoding", "gzip")], Encode::AsNeeded, true),
        (&[("content-type", "application/json"), ("content-encoding", "Identity")], Encode::AsNeeded, false),
        (&[("content-type", "multipart/form-data; boundary=x")], Encode::AsNeeded, true),
        (&[("content-type", "application/octet-stream")], Encode::AsNeeded, true),
        (&[], Encode::AsNeeded, true),
        (&[("content-type", "application/json")], Encode::Always, true),
        (&[("content-type", "application/octet-stream")], Encode::OnlyBytes, false),
    ] {
        let seen = Seen::new("POST", "/", headers, text);
        for form in [Form::Rest, Form::HttpApi] {
            let event: Value = serde_json::from_str(&seen.write(form, encode).unwrap()).unwrap();
            assert_eq!(event["isBase64Encoded"], is_base64, "{headers:?} {encode:?}");
            assert_eq!(event["body"], if is_base64 { "eyJhIjogMS4wfQ==" } else { text });
        }
    }
    let mut seen = Seen::new("POST", "/", &[("content-type", "text/plain")], "");
    seen.body = b"\xff\x00";
    for encode in [Encode::AsNeeded, Encode::OnlyBytes] {
        let event: Value = serde_json::from_str(&seen.write(Form::Rest, encode).unwrap()).unwrap();
        assert_eq!((&event["isBase64Encoded"], &event["body"]), (&json!(true), &json!("/wA=")));
    }
}

const KONG: Form = Form::Kong(Forward { method: false, uri: false, headers: false, body: false });
const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

#[test]
fn kongs_event_is_the_query_and_over_it_the_members_of_the_body() {
    for (target, headers, body, event) in [
        ("/", &[][..], "", "{}"),
        ("/?a=1&b&a=2&c=x%20y", &[], "", r#"{"a":["1","2"],"b":true,"c":"x y"}"#),
        (
            "/",
            &[JSON],
            " {\"n\": 12345678901234567890.10, \"e\": []} ",
            "{\"n\": 12345678901234567890.10, \"e\": []}",
        ),
        ("/?n=0&q=1", &[JSON], "{\"n\": 1e400, \"e\": {}}", r#"{"q":"1","n":1e400,"e":{}}"#),
        ("/?q=1", &[JSON], "[1, 2.0]", "[1, 2.0]"),
        (
            "/?a=0&q=1",
            &[("content-type", "application/x-www-form-urlencoded")],
            "a=1&a=2&b=x+y",
            r#"{"q":"1","a":["1","2"],"b":"x y"}"#,
        ),
    ] {
        let seen = Seen::new("POST", target, headers, body);
        assert_eq!(seen.write(KONG, Encode::AsNeeded).unwrap(), event, "{target} {body}");
    }
}

#[test]
fn a_body_that_kongs_event_has_no_place_for_is_refused_and_not_dropped() {
    for (content_type, body, status, code) in [
        ("text/plain", "hello", 415, "body_not_forwarded"),
        ("multipart/form-data; boundary=x", "--x--", 415, "body_not_forwarded"),
        ("application/json", "{", 400, "request_body_invalid"),
    ] {
        let seen = Seen::new("POST", "/?a=1", &[("content-type", content_type)], body);
        let failure = seen.write(KONG, Encode::AsNeeded).unwrap_err();
        assert_eq!((failure.status.status().as_u16(), failure.code), (status, code));
    }
}

#[test]
fn kongs_event_has_the_parts_that_are_asked_for() {
    let headers = [JSON, ("x-twice", "1"), ("x-twice", "2")];
    let seen = Seen::new("PUT", "/my/path?a=1&a=2&flag", &headers, "{\"n\": 1.10}");
    let all = Forward { method: true, uri: true, headers: true, body: true };
    let text = seen.write(Form::Kong(all), Encode::Always).unwrap();
    assert!(text.ends_with(r#""request_body_args":{"n": 1.10}}"#), "{text}");
    let event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        event,
        json!({
            "request_method": "PUT",
            "request_headers": {"content-type": JSON.1, "x-twice": ["1", "2"]},
            "request_uri": "/my/path?a=1&a=2&flag",
            "request_uri_args": {"a": ["1", "2"], "flag": true},
            "request_body": "{\"n\": 1.10}",
            "request_body_args": {"n": 1.1},
        })
    );
    let only_body = Forward { body: true, ..Forward::default() };
    let seen = Seen::new("PUT", "/", &[("content-type", "image/png")], "png");
    assert_eq!(
        seen.event(Form::Kong(only_body)),
        json!({"request_body": "cG5n", "request_body_base64": true, "request_body_args": {}})
    );
    let only_uri = Forward { uri: true, ..Forward::default() };
    assert_eq!(seen.event(Form::Kong(only_uri)), json!({"request_uri": "/", "request_uri_args": {}}));
}
