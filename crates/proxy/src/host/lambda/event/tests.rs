use gateward_net::Scheme;
use http::{Method, Response};
use serde_json::{Value, json};

use super::*;
use crate::hygiene;

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

fn call(event: &Value) -> Result<Call, EventError> {
    match super::read(event.to_string().as_bytes())? {
        Event::Request(call) => Ok(*call),
        other => panic!("{other:?}"),
    }
}

fn read(event: &Value) -> Result<(Request<Body>, Conn), EventError> {
    call(event).map(|call| (call.request, call.conn))
}

fn target(changes: &Value) -> String {
    read(&event(changes)).unwrap().0.uri().to_string()
}

async fn answer(answer: Response<Body>) -> Value {
    answer_as(Form::HttpApi, answer).await
}

async fn answer_as(form: Form, answer: Response<Body>) -> Value {
    serde_json::from_slice(&response(form, answer).await).unwrap()
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
        json!({"source": "aws.s3", "detail-type": "Object Created"}),
        json!({"Records": [{"eventSource": "aws:s3", "messageId": "1", "body": "x"}]}),
        json!({"Records": [{"eventSource": "aws:sqs", "body": "x"}]}),
        json!({"httpMethod": "GET", "requestContext": {"stage": "x"}}),
        json!({"httpMethod": "GET", "path": "/"}),
        json!({"version": "2.0", "rawPath": "/"}),
        json!({}),
        json!("text"),
    ] {
        let error = read(&other).unwrap_err();
        assert!(matches!(error, EventError::Unsupported), "{other}: {error}");
        assert!(error.to_string().contains("REST APIs") && error.to_string().contains("SQS"), "{error}");
    }
}

#[test]
fn what_cannot_stand_in_a_request_is_malformed_and_known_by_its_form() {
    let mut method = event(&json!({}));
    method["requestContext"]["http"]["method"] = json!("GE T");
    for (wrong, form) in [
        (method, Form::HttpApi),
        (event(&json!({"headers": {"a b": "c"}})), Form::HttpApi),
        (event(&json!({"headers": {"a": "b\r\nc: d"}})), Form::HttpApi),
        (event(&json!({"body": "*", "isBase64Encoded": true})), Form::HttpApi),
        (rest(&json!({"multiValueHeaders": {"a": ["\n"]}})), Form::RestApi),
        (load_balancer(&json!({"httpMethod": ""})), Form::LoadBalancer),
    ] {
        match read(&wrong) {
            Err(EventError::Malformed { form: found, .. }) => assert_eq!(found, form, "{wrong}"),
            other => panic!("{wrong}: {other:?}"),
        }
    }
}

/// An event of a REST API, as API Gateway documents it.
fn rest(changes: &Value) -> Value {
    let mut event = json!({
        "version": "1.0",
        "resource": "/{proxy+}",
        "path": "/my/path",
        "httpMethod": "GET",
        "headers": {"header1": "value1", "header2": "value2", "Host": "id.execute-api.us-east-1.amazonaws.com"},
        "multiValueHeaders": {
            "header1": ["value1"], "header2": ["value1", "value2"], "X-Forwarded-For": ["10.0.0.1, 192.0.2.1"],
            "Host": ["id.execute-api.us-east-1.amazonaws.com"], "Cookie": ["a=1; b=2"]
        },
        "queryStringParameters": {"parameter1": "value1", "parameter2": "value"},
        "multiValueQueryStringParameters": {"parameter1": ["value1", "a&b=c d"], "p\u{e9}": [""]},
        "requestContext": {
            "accountId": "123456789012", "apiId": "id", "authorizer": {"claims": null, "scopes": null},
            "domainName": "id.execute-api.us-east-1.amazonaws.com", "domainPrefix": "id",
            "extendedRequestId": "request-id", "httpMethod": "GET",
            "identity": {"accessKey": null, "sourceIp": "192.0.2.1", "userAgent": "agent", "clientCert": null},
            "path": "/default/my/path", "protocol": "HTTP/1.1", "requestId": "id=", "requestTime": "04/Mar/2020:19:15:17 +0000",
            "requestTimeEpoch": 1_583_349_317_135_u64, "resourceId": null, "resourcePath": "/{proxy+}", "stage": "default"
        },
        "pathParameters": {"proxy": "my/path"}, "stageVariables": null, "body": "Hello from Lambda!",
        "isBase64Encoded": false
    });
    for (name, value) in changes.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

/// An event of an Application Load Balancer, as its documentation has it.
fn load_balancer(changes: &Value) -> Value {
    let mut event = json!({
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/lambda/49e9d65c45c6791a"}},
        "httpMethod": "GET",
        "path": "/lambda",
        "queryStringParameters": {"query": "1234ABCD", "a%20b": "c%26d|"},
        "headers": {
            "accept": "*/*", "connection": "keep-alive", "host": "lambda-alb.us-east-2.elb.amazonaws.com",
            "x-amzn-trace-id": "Root=1-5c536348-3d683b8b04734faae651f476",
            "x-forwarded-for": "72.12.164.125", "x-forwarded-port": "8080", "x-forwarded-proto": "http"
        },
        "body": "",
        "isBase64Encoded": false
    });
    for (name, value) in changes.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

#[tokio::test]
async fn an_event_of_a_rest_api_becomes_the_request_that_the_client_sent() {
    let call = call(&rest(&json!({}))).unwrap();
    assert_eq!(call.form, Form::RestApi);
    let (request, conn) = (call.request, call.conn);
    assert_eq!(request.method(), Method::GET);
    assert_eq!(request.uri(), "/my/path?parameter1=value1&parameter1=a%26b%3Dc%20d&p%C3%A9=");
    let header2: Vec<_> = request.headers().get_all("header2").iter().collect();
    assert_eq!(header2, ["value1", "value2"]);
    assert_eq!(request.headers()["cookie"], "a=1; b=2");
    assert_eq!(request.headers()["x-forwarded-for"], "10.0.0.1");
    assert_eq!((conn.client.ip().to_string().as_str(), conn.scheme), ("192.0.2.1", Scheme::Https));
    assert_eq!(request.into_body().collect(100).await.unwrap(), "Hello from Lambda!");
}

#[test]
fn an_older_rest_api_says_no_version_and_a_test_from_the_console_no_headers() {
    let changes = json!({"version": null, "headers": null, "multiValueHeaders": null, "body": null,
        "queryStringParameters": null, "multiValueQueryStringParameters": null});
    let (request, _) = read(&rest(&changes)).unwrap();
    assert_eq!(request.uri(), "/my/path");
    assert_eq!(request.headers()["host"], "id.execute-api.us-east-1.amazonaws.com");
}

/// The path that a route is looked for with, of an event that came by `domain` to `resource`.
fn behind(domain: &str, path: &str, resource: &str, parameters: &Value) -> String {
    let mut rest = rest(&json!({"path": path, "resource": resource, "pathParameters": parameters}));
    rest["requestContext"]["domainName"] = json!(domain);
    let mut http = event(&json!({"rawPath": path, "pathParameters": parameters}));
    http["routeKey"] = json!(format!("ANY {resource}"));
    http["requestContext"]["domainName"] = json!(domain);
    let [rest, http] = [rest, http].map(|event| read(&event).unwrap().0.uri().path().to_owned());
    assert_eq!(rest, http);
    rest
}

#[test]
fn the_base_path_of_a_custom_domain_is_no_part_of_the_path() {
    let behind = |path, resource, parameters| behind("api.example.com", path, resource, &parameters);
    assert_eq!(behind("/shop/orders/17", "/{proxy+}", json!({"proxy": "orders/17"})), "/orders/17");
    assert_eq!(behind("/shop/v2/orders", "/{proxy+}", json!({"proxy": "orders"})), "/orders");
    assert_eq!(behind("/shop/orders/", "/{proxy+}", json!({"proxy": "orders"})), "/orders/");
    assert_eq!(behind("/shop/api/orders", "/api/{rest+}", json!({"rest": "orders"})), "/api/orders");
    assert_eq!(behind("/shop/u/17/x", "/u/{id}/x", json!({"id": "17"})), "/u/17/x");
    assert_eq!(behind("/shop", "/", json!(null)), "/");
    // One of the two may have been decoded.
    assert_eq!(behind("/shop/a%20b%2Fc", "/{proxy+}", json!({"proxy": "a b/c"})), "/a%20b%2Fc");
    assert_eq!(behind("/shop/a b", "/{proxy+}", json!({"proxy": "a%20b"})), "/a%20b");
}

#[test]
fn a_path_without_a_base_path_stays_as_it_is() {
    for (path, resource, parameters) in [
        ("/orders/17", "/{proxy+}", json!({"proxy": "orders/17"})),
        ("/a/a", "/{proxy+}", json!({"proxy": "a/a"})),
        ("/api/x", "/api/{proxy+}", json!({"proxy": "x"})),
        // What does not fit together, or does not tell.
        ("/orders/17", "/{proxy+}", json!({"proxy": "items"})),
        ("/orders/17", "/{proxy+}", json!(null)),
        ("/orders/17", "$default", json!(null)),
    ] {
        assert_eq!(behind("api.example.com", path, resource, &parameters), path, "{resource} {parameters}");
    }
    // A path that begins as the stage is called.
    let mut staged = event(&json!({"rawPath": "/shop/api/x", "pathParameters": {"proxy": "api/x"}}));
    staged["routeKey"] = json!("ANY /{proxy+}");
    staged["requestContext"]["domainName"] = json!("api.example.com");
    staged["requestContext"]["stage"] = json!("api");
    assert_eq!(read(&staged).unwrap().0.uri().path(), "/api/x");
    // Nothing is mapped to a path of an API's own domain.
    let domain = "id.execute-api.us-east-1.amazonaws.com";
    assert_eq!(behind(domain, "/a/b", "/{proxy+}", &json!({"proxy": "b"})), "/a/b");
}

#[test]
fn an_event_of_a_load_balancer_becomes_the_request_that_the_client_sent() {
    let call = call(&load_balancer(&json!({}))).unwrap();
    assert_eq!(call.form, Form::LoadBalancer);
    assert_eq!(call.request.uri(), "/lambda?a%20b=c%26d%7C&query=1234ABCD");
    assert!(!call.request.headers().contains_key("x-forwarded-for"));
    assert_eq!(
        (call.conn.client.ip().to_string().as_str(), call.conn.scheme),
        ("72.12.164.125", Scheme::Http)
    );
    assert_eq!(call.conn.local.port(), 8080);
    let multi = json!({
        "headers": null, "queryStringParameters": null,
        "multiValueHeaders": {"host": ["h"], "x-a": ["1", "2"], "x-forwarded-for": ["9.9.9.9, 72.12.164.125"],
                              "x-forwarded-proto": ["https"], "x-forwarded-port": ["443"]},
        "multiValueQueryStringParameters": {"q": ["1", "2"]},
    });
    let (request, conn) = read(&load_balancer(&multi)).unwrap();
    assert_eq!(request.uri(), "/lambda?q=1&q=2");
    assert_eq!(request.headers().get_all("x-a").iter().count(), 2);
    assert_eq!(request.headers()["x-forwarded-for"], "9.9.9.9");
    assert_eq!((conn.client.ip().to_string().as_str(), conn.scheme), ("72.12.164.125", Scheme::Https));
    // A client's own line and the load balancer's; and one that was told to add the client's port.
    for last in ["72.12.164.125", "72.12.164.125:54321"] {
        let lines = json!({"multiValueHeaders": {"host": ["h"], "x-forwarded-for": ["9.9.9.9", last]}});
        let (request, conn) = read(&load_balancer(&lines)).unwrap();
        assert_eq!(conn.client.ip().to_string(), "72.12.164.125", "{last}");
        let chain: Vec<_> = request.headers().get_all("x-forwarded-for").iter().collect();
        assert_eq!(chain, ["9.9.9.9"], "{last}");
    }
}

/// The event by which a load balancer asks whether its target is healthy.
fn health_check(changes: &Value) -> Value {
    let mut event = json!({
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/lambda/49e9d65c45c6791a"}},
        "httpMethod": "GET", "path": "/health", "queryStringParameters": {},
        "headers": {"user-agent": "ELB-HealthChecker/2.0"}, "body": "", "isBase64Encoded": false
    });
    for (name, value) in changes.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

#[test]
fn a_load_balancers_own_health_check_has_a_host_that_no_client_has() {
    let multi = json!({
        "headers": null, "queryStringParameters": null, "multiValueQueryStringParameters": {},
        "multiValueHeaders": {"user-agent": ["ELB-HealthChecker/2.0"]},
    });
    for changes in [json!({}), multi, json!({"headers": null}), json!({"headers": {}})] {
        let (request, conn) = read(&health_check(&changes)).unwrap();
        let target = hygiene::check(&request).unwrap();
        assert_eq!((target.host, request.uri().path()), ("load-balancer.invalid", "/health"), "{changes}");
        assert_eq!(conn.client.ip().to_string(), "0.0.0.0");
    }
}

#[test]
fn a_host_that_a_client_has_sent_wrong_stays_wrong_in_every_form() {
    let twice = json!({"headers": null, "multiValueHeaders": {"host": ["a.example", "b.example"]}});
    let empty = json!({"headers": {"host": ""}, "multiValueHeaders": null});
    let mut nameless = rest(&json!({"headers": {}, "multiValueHeaders": null}));
    nameless["requestContext"]["domainName"] = Value::Null;
    for event in [
        load_balancer(&twice),
        load_balancer(&empty),
        rest(&twice),
        rest(&empty),
        event(&json!({"headers": {"host": ""}})),
        nameless,
    ] {
        let (request, _) = read(&event).unwrap();
        assert!(hygiene::check(&request).is_err(), "{event}");
    }
}

#[test]
fn schedules_tick_and_queues_bring_messages() {
    let read = |event: &Value| super::read(event.to_string().as_bytes()).unwrap();
    let rule = json!({
        "version": "0", "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", "detail-type": "Scheduled Event",
        "source": "aws.events", "account": "123456789012", "time": "2015-10-08T16:53:06Z", "region": "us-east-1",
        "resources": ["arn:aws:events:us-east-1:123456789012:rule/my-scheduled-rule"], "detail": {}
    });
    assert!(matches!(read(&rule), Event::Tick));
    assert!(matches!(read(&json!({"source": "aws.scheduler"})), Event::Tick));
    let queue = json!({"Records": [
        {"messageId": "m1", "receiptHandle": "r", "body": "one", "attributes": {"ApproximateReceiveCount": "1"},
         "messageAttributes": {}, "md5OfBody": "x", "eventSource": "aws:sqs",
         "eventSourceARN": "arn:aws:sqs:us-east-2:123456789012:q", "awsRegion": "us-east-2"},
        {"messageId": "m2", "body": "two", "eventSource": "aws:sqs"},
    ]});
    match read(&queue) {
        Event::Queue(messages) => {
            let message = |id: &str, body: &str| Message { id: id.to_owned(), body: body.to_owned() };
            assert_eq!(messages, [message("m1", "one"), message("m2", "two")]);
        }
        other => panic!("{other:?}"),
    }
}

fn with_cookies() -> Response<Body> {
    let response = Response::builder().status(404).header("set-cookie", "a=1").header("set-cookie", "b=2");
    response.header("vary", "a").header("vary", "b").body(Body::full("no")).unwrap()
}

#[tokio::test]
async fn a_rest_api_is_answered_with_lists_alone() {
    let expected = json!({
        "statusCode": 404, "multiValueHeaders": {"set-cookie": ["a=1", "b=2"], "vary": ["a", "b"]},
        "body": "no", "isBase64Encoded": false
    });
    assert_eq!(answer_as(Form::RestApi, with_cookies()).await, expected);
}

#[tokio::test]
async fn a_load_balancer_is_answered_in_both_ways_that_it_may_want() {
    let expected = json!({
        "statusCode": 404, "statusDescription": "404 Not Found",
        "headers": {"set-cookie": "a=1", "Set-cookie": "b=2", "vary": "a, b"},
        "multiValueHeaders": {"set-cookie": ["a=1", "b=2"], "vary": ["a", "b"]},
        "body": "no", "isBase64Encoded": false
    });
    assert_eq!(answer_as(Form::LoadBalancer, with_cookies()).await, expected);
}

#[test]
fn a_streamed_answer_begins_with_its_head_and_eight_zeros() {
    let (head, _) = with_cookies().into_parts();
    let bytes = prelude(Form::HttpApi, head.status, &head.headers);
    let (json, zeros) = bytes.split_at(bytes.len() - 8);
    assert_eq!(zeros, [0; 8]);
    let expected = json!({"statusCode": 404, "headers": {"vary": "a, b"}, "cookies": ["a=1", "b=2"]});
    assert_eq!(serde_json::from_slice::<Value>(json).unwrap(), expected);
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
async fn an_answer_that_lambda_or_what_asked_it_would_not_take_is_a_502_with_the_request_id() {
    const MB: usize = 1024 * 1024;
    for (form, body, limit) in [
        (Form::HttpApi, vec![b'a'; 6 * MB + 1], "6 MB"),
        (Form::RestApi, vec![255; 5 * MB], "6 MB"),
        (Form::LoadBalancer, vec![b'a'; MB + 1], "1 MB"),
        (Form::LoadBalancer, vec![255; MB - MB / 5], "1 MB"),
    ] {
        let response = Response::builder().header("x-request-id", "r1").body(Body::full(body)).unwrap();
        let told = answer_as(form, response).await;
        assert_eq!(told["statusCode"], 502);
        let id = if form == Form::RestApi {
            &told["multiValueHeaders"]["x-request-id"][0]
        } else {
            &told["headers"]["x-request-id"]
        };
        assert_eq!(id, "r1");
        let body: Value = serde_json::from_str(told["body"].as_str().unwrap()).unwrap();
        assert_eq!(body["code"], "answer_too_large");
        assert!(body["error_msg"].as_str().unwrap().contains(limit), "{form:?}: {body}");
    }
}

#[tokio::test]
async fn an_answer_that_just_fits_into_its_form_is_given() {
    for (form, length) in
        [(Form::LoadBalancer, 1_000_000), (Form::HttpApi, 6_000_000), (Form::RestApi, 6_000_000)]
    {
        let told = answer_as(form, Response::new(Body::full(vec![b'a'; length]))).await;
        assert_eq!((&told["statusCode"], told["body"].as_str().unwrap().len()), (&json!(200), length));
    }
}
