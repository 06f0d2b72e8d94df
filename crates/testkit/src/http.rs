//! A small blocking HTTP/1.1 client, for loopback only.
//!
//! Written by hand so that a test sees what was on the wire: nothing is retried, redirected, decompressed or put in
//! order, and [`raw`] sends any bytes at all. One connection a request.

pub(crate) mod message;

use std::io::{self, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::Value;

use crate::deadline::Deadline;

/// How long a request may take when the test does not say.
const USUAL_DEADLINE: Duration = Duration::from_secs(30);

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names (in lower case) and values, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header called `name` (in any case).
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON. Ends the test if it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(json) => json,
            Err(error) => panic!("status {}: the body is no JSON ({error}): {}", self.status, self.text()),
        }
    }
}

/// Sends a request and reads the whole answer. `Host` and `Content-Length` are added where `headers` has none. Ends
/// the test if there is no answer.
#[track_caller]
pub fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    match try_request(USUAL_DEADLINE, method, url, headers, body) {
        Ok(response) => response,
        Err(error) => panic!("{method} {url}: {error}"),
    }
}

/// [`request`] without a body.
#[track_caller]
pub fn get(url: &str) -> Response {
    request("GET", url, &[], b"")
}

/// [`request`] with a JSON body, and the content type for it unless `headers` has one.
#[track_caller]
pub fn send_json(method: &str, url: &str, headers: &[(&str, &str)], body: &Value) -> Response {
    let mut headers = headers.to_vec();
    if !has(&headers, "content-type") {
        headers.push(("Content-Type", "application/json"));
    }
    request(method, url, &headers, body.to_string().as_bytes())
}

/// [`request`] for a server that may be down, within `span`.
pub fn try_request(
    span: Duration,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Response> {
    let after_scheme =
        url.strip_prefix("http://").ok_or_else(|| io::Error::other("the URL is not http://"))?;
    let (authority, target) = match after_scheme.find(['/', '?']) {
        Some(end) if after_scheme[end..].starts_with('/') => after_scheme.split_at(end),
        Some(_) => return Err(io::Error::other("the URL's path is missing")),
        None => (after_scheme, "/"),
    };
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    if !has(headers, "host") {
        head += &format!("Host: {authority}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !has(headers, "content-length")
        && !has(headers, "transfer-encoding")
        && (!body.is_empty() || method != "GET")
    {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    head += "Connection: close\r\n\r\n";
    exchange(span, authority, &[head.as_bytes(), body].concat(), method == "HEAD")
}

/// Sends `bytes` as they are to `address` (`127.0.0.1:9080`) and reads one answer.
pub fn raw(span: Duration, address: &str, bytes: &[u8]) -> io::Result<Response> {
    exchange(span, address, bytes, bytes.starts_with(b"HEAD "))
}

fn exchange(span: Duration, address: &str, bytes: &[u8], to_head: bool) -> io::Result<Response> {
    let deadline = Deadline::after(span);
    let mut stream = connect(deadline, address)?;
    // A server may answer (413, say) and close before it has read everything: the answer counts, not the write.
    let written = stream.write_all(bytes);
    let mut reader = BufReader::new(Timed { stream, deadline });
    let answer = read_response(&mut reader, to_head);
    match (answer, written) {
        (Err(_), Err(write_error)) => Err(write_error),
        (answer, _) => answer,
    }
}

fn connect(deadline: Deadline, address: &str) -> io::Result<TcpStream> {
    let left = deadline.left().ok_or(io::ErrorKind::TimedOut)?;
    let mut last = io::Error::other("the host has no address");
    for address in address.to_socket_addrs()? {
        if !address.ip().is_loopback() {
            return Err(io::Error::other("tests talk to loopback only"));
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(left))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn read_response(reader: &mut impl io::BufRead, to_head: bool) -> io::Result<Response> {
    loop {
        let head = message::read_head(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = head.first_line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status: u16 = status.ok_or_else(|| io::Error::other("this is no HTTP answer"))?;
        if (100..200).contains(&status) && status != 101 {
            continue;
        }
        let has_no_body = to_head || matches!(status, 101 | 204 | 304);
        let body = if has_no_body { Vec::new() } else { message::read_body(reader, &head, true)? };
        return Ok(Response { status, headers: head.headers, body });
    }
}

fn has(headers: &[(&str, &str)], name: &str) -> bool {
    headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
}

/// A stream whose reads end at a deadline, all together.
struct Timed {
    stream: TcpStream,
    deadline: Deadline,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.left().ok_or(io::ErrorKind::TimedOut)?;
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}

#[cfg(test)]
mod tests;
