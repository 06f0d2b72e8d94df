//! The endpoint is judged with signatures that botocore made by its usual way, `add_auth`.

use serde_json::{Value, json};

use super::*;
use crate::http;

const KEY: &str = "AKIATEST";
const SECRET: &str = "wJalrXUtnFEMI";

/// Signs with botocore, and prints the headers as JSON. Arguments: method, URL, body, secret key.
const SIGNER: &str = r#"
import json, sys
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
method, url, body, secret = sys.argv[1:]
request = AWSRequest(method=method, url=url, data=body.encode(), headers={"Content-Type": "application/json"})
SigV4Auth(Credentials("AKIATEST", secret), "execute-api", "us-east-1").add_auth(request)
print(json.dumps(dict(request.headers)))
"#;

fn signed(method: &str, url: &str, body: &str, secret: &str) -> Vec<(String, String)> {
    let mut python = Command::new(python_program("python"));
    let output = python.args(["-c", SIGNER, method, url, body, secret]).output().unwrap();
    let headers: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    headers.as_object().unwrap().iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

fn send(method: &str, url: &str, headers: &[(String, String)], body: &str) -> http::Response {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    http::request(method, url, &headers, body.as_bytes())
}

#[test]
fn a_right_signature_is_answered_with_what_came_in() {
    let endpoint = FunctionEndpoint::start(KEY, SECRET, "us-east-1", "execute-api");
    let body = r#"{"name": "APISIX"}"#;
    for target in ["/", "/default/test?b=2&a=1&a=0&flag", "/a%20b/%C3%A4//c/../d?q=x%2Fy+z"] {
        let url = format!("{}{target}", endpoint.url());
        let answer = send("POST", &url, &signed("POST", &url, body, SECRET), body);
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        let echo = answer.json();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        assert_eq!((&echo["path"], &echo["query"]), (&json!(path), &json!(query)));
        assert_eq!(echo["message"], "Hello, APISIX!");
        assert_eq!(echo["method"], "POST");
    }
}

#[test]
fn a_wrong_signature_is_refused() {
    let endpoint = FunctionEndpoint::start(KEY, SECRET, "us-east-1", "execute-api");
    let url = format!("{}/x?a=1", endpoint.url());
    let right = signed("POST", &url, "{}", SECRET);
    assert_eq!(send("POST", &url, &right, "{}").status, 200);

    let other_secret = signed("POST", &url, "{}", "another");
    let unsigned_amz_header = [right.clone(), vec![("X-Amz-Extra".to_owned(), "1".to_owned())]].concat();
    let changed_header: Vec<_> = right
        .iter()
        .cloned()
        .map(|(name, value)| (name, value.replace("application/json", "text/plain")))
        .collect();
    for (why, url, headers, body) in [
        ("another secret", url.as_str(), &other_secret, "{}"),
        ("another body", &url, &right, "{ }"),
        ("another path", &url.replace("/x", "/y"), &right, "{}"),
        ("another query", &url.replace("a=1", "a=2"), &right, "{}"),
        ("a header that is not signed", &url, &unsigned_amz_header, "{}"),
        ("a header that was changed", &url, &changed_header, "{}"),
        ("no signature", &url, &Vec::new(), "{}"),
    ] {
        assert_eq!(send("POST", url, headers, body).status, 403, "{why}");
    }
    assert_eq!(send("PUT", &url, &right, "{}").status, 403);
}

#[test]
fn another_region_or_service_is_refused() {
    for (region, service) in [("eu-west-1", "execute-api"), ("us-east-1", "lambda")] {
        let endpoint = FunctionEndpoint::start(KEY, SECRET, region, service);
        let headers = signed("GET", endpoint.url(), "", SECRET);
        assert_eq!(send("GET", endpoint.url(), &headers, "").status, 403, "{region} {service}");
    }
}

#[test]
fn an_api_key_is_wanted_and_not_told_back() {
    let endpoint = FunctionEndpoint::start_with_api_key("key-1");
    let url = format!("{}/aws?name=APISIX", endpoint.url());
    assert_eq!(http::get(&url).json(), json!({"message": "Forbidden"}));
    assert_eq!(http::request("GET", &url, &[("x-api-key", "key-2")], b"").status, 403);
    let answer = http::request("GET", &url, &[("X-API-KEY", "key-1")], b"");
    assert_eq!((answer.status, answer.json()["message"].as_str()), (200, Some("Hello, APISIX!")));
    assert!(!answer.text().contains("key-1"));
}
