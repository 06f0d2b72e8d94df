//! Requests as Lambda's events have them, and answers as its clients get them: what API Gateway and load balancers do.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use gateward_testkit::http::Response;
use serde_json::{Map, Value, json};

use super::entry::Ask;

/// The forms of events that carry requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Payload format 1.0.
    RestApi,
    /// Payload format 2.0.
    HttpApi,
    /// An Application Load Balancer's, with multi-value headers switched on.
    LoadBalancer,
}

/// The client's address.
pub const CLIENT: &str = "192.0.2.7";

/// The host that the client asks.
pub const DOMAIN: &str = "gate.example";

/// The event that carries `ask`.
pub fn request(form: Form, ask: Ask<'_>) -> Value {
    let (path, query) = ask.target.split_once('?').unwrap_or((ask.target, ""));
    let forwarded = [("Host", DOMAIN), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Port", "443")];
    let before = ask.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("x-forwarded-for"));
    let chain = before.map_or(CLIENT.to_owned(), |(_, before)| format!("{before}, {CLIENT}"));
    let own = ask.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("x-forwarded-for"));
    let headers: Vec<(&str, &str)> =
        own.copied().chain(forwarded).chain([("X-Forwarded-For", chain.as_str())]).collect();
    // API Gateway is told that every body is bytes; a load balancer looks at the content type.
    let body = (!ask.body.is_empty()).then(|| BASE64_STANDARD.encode(ask.body));
    match form {
        Form::RestApi => json!({
            "resource": "/{proxy+}", "path": path, "httpMethod": ask.method,
            "headers": {}, "multiValueHeaders": listed(headers.iter().copied()),
            "multiValueQueryStringParameters": decoded(listed(pairs(query))),
            "requestContext": {
                "path": format!("/default{path}"), "stage": "default", "domainName": DOMAIN, "identity": {"sourceIp": CLIENT},
            },
            "body": body, "isBase64Encoded": body.is_some(),
        }),
        Form::LoadBalancer => json!({
            "path": path, "httpMethod": ask.method, "multiValueHeaders": listed(headers.iter().copied()),
            "multiValueQueryStringParameters": listed(pairs(query)),
            "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:target"}},
            "body": body.clone().unwrap_or_default(), "isBase64Encoded": body.is_some(),
        }),
        Form::HttpApi => {
            let is_cookie = |(name, _): &(&str, &str)| name.eq_ignore_ascii_case("cookie");
            let (cookies, others): (Vec<_>, Vec<_>) = headers.into_iter().partition(is_cookie);
            let cookies: Vec<&str> = cookies.iter().flat_map(|(_, value)| value.split("; ")).collect();
            let mut joined = Map::new();
            for (name, values) in listed(others.into_iter()) {
                let values = values.as_array().into_iter().flatten().filter_map(Value::as_str);
                joined.insert(name.to_ascii_lowercase(), values.collect::<Vec<_>>().join(",").into());
            }
            json!({
                "version": "2.0", "rawPath": format!("/default{path}"), "rawQueryString": query,
                "cookies": cookies, "headers": joined,
                "requestContext": {
                    "http": {"method": ask.method, "sourceIp": CLIENT}, "stage": "default", "domainName": DOMAIN,
                },
                "body": body, "isBase64Encoded": body.is_some(),
            })
        }
    }
}

/// What the client gets of `answer`.
#[track_caller]
pub fn response(form: Form, answer: &Value) -> Response {
    let mut headers = Vec::new();
    let lists = match form {
        Form::RestApi | Form::LoadBalancer => &answer["multiValueHeaders"],
        Form::HttpApi => &answer["headers"],
    };
    for (name, values) in lists.as_object().expect("headers") {
        let values = values.as_array().map_or(std::slice::from_ref(values), Vec::as_slice);
        let texts = values.iter().map(|value| value.as_str().expect("text").to_owned());
        headers.extend(texts.map(|value| (name.clone(), value)));
    }
    if form == Form::HttpApi {
        let cookies = answer["cookies"].as_array().into_iter().flatten().filter_map(Value::as_str);
        headers.extend(cookies.map(|cookie| ("set-cookie".to_owned(), cookie.to_owned())));
    }
    if form == Form::LoadBalancer {
        assert!(answer["statusDescription"].is_string(), "{answer}");
    }
    let text = answer["body"].as_str().unwrap_or_default();
    let body = match answer["isBase64Encoded"].as_bool() {
        Some(true) => BASE64_STANDARD.decode(text).expect("base64"),
        _ => text.as_bytes().to_vec(),
    };
    let status = answer["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok());
    Response { status: status.expect("a status"), headers, body }
}

/// What a schedule of EventBridge sends.
pub fn tick() -> Value {
    json!({"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}})
}

/// Each name with all its values.
fn listed<'p>(pairs: impl Iterator<Item = (&'p str, &'p str)>) -> Map<String, Value> {
    let mut lists: Map<String, Value> = Map::new();
    for (name, value) in pairs {
        let values = lists.entry(name).or_insert_with(|| json!([]));
        values.as_array_mut().expect("a list").push(value.into());
    }
    lists
}

/// The same as API Gateway's REST APIs hand it out.
fn decoded(mut lists: Map<String, Value>) -> Map<String, Value> {
    for value in lists.values_mut().filter_map(Value::as_array_mut).flatten() {
        let text = value.as_str().unwrap_or_default();
        *value = text.replace("%20", " ").replace("%2B", "+").into();
    }
    lists
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter_map(|pair| pair.split_once('='))
}
