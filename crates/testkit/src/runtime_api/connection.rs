//! One connection from a function's process: its requests, one after the other.

use std::io::{self, BufReader, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::{Invocation, Service};
use crate::http::message;

/// Answers requests until the other side closes, or it is over.
pub(super) fn serve(stream: &TcpStream, service: &Service) {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Ok(Some(head)) = message::read_head(&mut reader) {
        let Ok(body) = message::read_body(&mut reader, &head, false) else {
            return;
        };
        let mut words = head.first_line.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let Some(answer) = answer(service, method, path, &body) else {
            return;
        };
        if answer.write_to(&mut writer).is_err() {
            return;
        }
    }
}

/// `None` when it is over.
fn answer(service: &Service, method: &str, path: &str, body: &[u8]) -> Option<Answer> {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match (method, parts.as_slice()) {
        ("GET", ["2018-06-01", "runtime", "invocation", "next"]) => service.next().map(Answer::event),
        ("POST", ["2018-06-01", "runtime", "invocation", id, "response"]) => {
            service.take_answer(id, Ok(json_or_text(body)));
            Some(Answer::accepted())
        }
        ("POST", ["2018-06-01", "runtime", "invocation", id, "error"]) => {
            service.take_answer(id, Err(json_or_text(body)));
            Some(Answer::accepted())
        }
        ("POST", ["2018-06-01", "runtime", "init", "error"]) => {
            service.take_init_error(json_or_text(body));
            Some(Answer::accepted())
        }
        ("POST", ["2020-01-01", "extension", "register"]) => Some(Answer::registered()),
        ("GET", ["2020-01-01", "extension", "event", "next"]) => {
            service.wait_until_closed();
            None
        }
        _ => Some(Answer::not_found(method, path)),
    }
}

fn json_or_text(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into())
}

struct Answer {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    fn event(invocation: Invocation) -> Self {
        let trace = "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0";
        let arn = "arn:aws:lambda:us-east-1:123456789012:function:gateward";
        let headers = vec![
            ("Lambda-Runtime-Aws-Request-Id", invocation.id),
            ("Lambda-Runtime-Deadline-Ms", invocation.deadline_millis.to_string()),
            ("Lambda-Runtime-Invoked-Function-Arn", arn.to_owned()),
            ("Lambda-Runtime-Trace-Id", trace.to_owned()),
        ];
        Self { status: "200 OK", headers, body: invocation.event }
    }

    fn accepted() -> Self {
        Self { status: "202 Accepted", headers: Vec::new(), body: json!({"status": "OK"}).to_string() }
    }

    fn registered() -> Self {
        let body = json!({"functionName": "gateward", "functionVersion": "$LATEST", "handler": "bootstrap"});
        let id = "00000000-0000-4000-8000-0000000000ff".to_owned();
        Self { status: "200 OK", headers: vec![("Lambda-Extension-Identifier", id)], body: body.to_string() }
    }

    fn not_found(method: &str, path: &str) -> Self {
        let message = format!("the Runtime API has no {method} {path}");
        let body = json!({"errorType": "NotFound", "errorMessage": message}).to_string();
        Self { status: "404 Not Found", headers: Vec::new(), body }
    }

    fn write_to(&self, writer: &mut impl Write) -> io::Result<()> {
        let mut message = format!("HTTP/1.1 {}\r\nContent-Type: application/json\r\n", self.status);
        for (name, value) in &self.headers {
            message += &format!("{name}: {value}\r\n");
        }
        message += &format!("Content-Length: {}\r\n\r\n{}", self.body.len(), self.body);
        writer.write_all(message.as_bytes())
    }
}
