use http::Response;
use serde_json::{Value, json};

use super::*;

/// An event as API Gateway documents it.
fn event(changes: &Value) -> Value {
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/my/path",
        "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value",
        "cookies": ["cookie1=a", "cookie2=b"],
        "headers": {"header1": "value1", "Header2": "value1,value2", "content-length": "99", "host": "h.example"},
        "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "value"},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api-id",
            "domainName": "id.execute-api.us-east-1.amazonaws.com",
            "http": {"method": "POST", "path": "/my/path", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1",
                     "userAgent": "agent"},
            "requestId": "id", "routeKey": "$default", "stage": "$default",
            "time": "12/Mar/2020:19:03:58 +0000", "timeEpoch": 1_583_348_638_390_u64
        },
        "body": "Hello from Lambda",
        "isBase64Encoded": false
    });
    for (name, value) in changes.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

fn read(event: &Value) -> Result<(Request<Body>, Conn), EventError> {
    request(event.to_string().as_bytes())
}

fn target(changes: &Value) -> String {
    read(&event(changes)).unwrap().0.uri().to_string()
}

async fn answer(answer: Response<Body>) -> Value {
    serde_json::from_slice(&response(answer).await).unwrap()
}

#[tokio::test]
async fn an_event_becomes_the_request_that_the_client_sent() {
    let (request, conn) = read(&event(&json!({}))).unwrap();
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri(), "/my/path?parameter1=value1&parameter1=value2&parameter2=value");
    assert_eq!(request.headers()["host"], "h.example");
    assert_eq!(request.headers()["header2"], "value1,value2");
    assert_eq!(request.headers()["cookie"], "cookie1=a; cookie2=b");
    assert!(!request.headers().contains_key("content-length"));
    assert_eq!((conn.client.ip().to_string().as_str(), conn.scheme), ("192.0.2.1", Scheme::Https));
    assert_eq!(request.into_body().collect(100).await.unwrap(), "Hello from Lambda");
}

#[tokio::test]
async fn a_base64_body_is_decoded() {
    let (request, _) = read(&event(&json!({"body": "/wABAg==", "isBase64Encoded": true}))).unwrap();
    assert_eq!(request.into_body().collect(100).await.unwrap(), &[255, 0, 1, 2][..]);
    assert!(read(&event(&json!({"body": "*", "isBase64Encoded": true}))).is_err());
}

#[test]
fn the_stage_is_no_part_of_the_path() {
    let mut staged = event(&json!({"rawQueryString": ""}));
    staged["requestContext"]["stage"] = json!("default");
    for (raw, path) in [
        ("/default/console", "/console"),
        ("/default", "/"),
        ("/default/", "/"),
        ("/defaults", "/defaults"),
        ("/x/default", "/x/default"),
    ] {
        staged["rawPath"] = json!(raw);
        assert_eq!(read(&staged).unwrap().0.uri().path(), path, "{raw}");
    }
}

#[test]
fn a_path_that_was_decoded_is_encoded_again() {
    let path = |path: &str| target(&json!({"rawPath": path, "rawQueryString": ""}));
    assert_eq!(path("/a b/\u{e9}?#%"), "/a%20b/%C3%A9%3F%23%25");
    assert_eq!(path("/a%2Fb"), "/a%2Fb");
}

#[test]
fn the_host_is_the_domain_name_if_the_client_sent_none() {
    let (request, _) = read(&event(&json!({"headers": {}}))).unwrap();
    assert_eq!(request.headers()["host"], "id.execute-api.us-east-1.amazonaws.com");
}

#[test]
fn the_clients_address_is_not_appended_twice() {
    for (before, after) in
        [("10.0.0.1, 192.0.2.1", Some("10.0.0.1")), ("192.0.2.1", None), ("10.0.0.1", Some("10.0.0.1"))]
    {
        let (request, _) = read(&event(&json!({"headers": {"x-forwarded-for": before}}))).unwrap();
        let chain = request.headers().get("x-forwarded-for").map(|chain| chain.to_str().unwrap());
        assert_eq!(chain, after, "{before}");
    }
}

#[test]
fn another_kind_of_event_is_refused_with_what_is_supported() {
    for other in [
        json!({"source": "aws.events", "detail-type": "Scheduled Event"}),
        json!({"httpMethod": "GET", "path": "/", "requestContext": {"stage": "x"}}),
        event(&json!({"version": "1.0"})),
        json!("text"),
    ] {
        let error = read(&other).unwrap_err();
        assert_eq!(error.kind(), "Gateward.UnsupportedEvent");
        assert!(error.to_string().contains("HTTP API") && error.to_string().contains("2.0"), "{error}");
    }
}

#[tokio::test]
async fn an_answer_has_its_cookies_apart_and_repeated_headers_joined() {
    let response = Response::builder()
        .status(201)
        .header("set-cookie", "a=1")
        .header("set-cookie", "b=2")
        .header("vary", "a")
        .header("vary", "b")
        .header("content-length", "4")
        .body(Body::full("caf\u{e9}"))
        .unwrap();
    let expected = json!({
        "statusCode": 201, "headers": {"vary": "a, b"}, "cookies": ["a=1", "b=2"],
        "body": "caf\u{e9}", "isBase64Encoded": false
    });
    assert_eq!(answer(response).await, expected);
}

#[tokio::test]
async fn a_body_that_is_no_text_is_base64() {
    let told = answer(Response::new(Body::full(vec![255, 0]))).await;
    assert_eq!((&told["body"], &told["isBase64Encoded"]), (&json!("/wA="), &json!(true)));
}

#[tokio::test]
async fn an_answer_that_lambda_would_not_take_is_a_502_with_the_request_id() {
    for body in [vec![b'a'; 6 * 1024 * 1024 + 1], vec![255; 5 * 1024 * 1024]] {
        let response = Response::builder().header("x-request-id", "r1").body(Body::full(body)).unwrap();
        let told = answer(response).await;
        assert_eq!(told["statusCode"], 502);
        assert_eq!(told["headers"]["x-request-id"], "r1");
        assert!(told["body"].as_str().unwrap().contains("answer_too_large"));
    }
}
