//! An API Gateway HTTP API event (payload format 2.0, which function URLs have too), as a request, and an answer in
//! the form that such an event wants.

mod answer;

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gateward_net::{Body, Conn, Scheme};
use http::header::{CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use serde::Deserialize;

pub(super) use answer::response;

/// Why there is no request in an event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Some other kind of event.
    #[error(
        "this is not an event of an API Gateway HTTP API or of a function URL; only those, with payload format \
         version 2.0, are supported"
    )]
    Unsupported,
    /// The right kind, with something in it that no HTTP request has.
    #[error("the event has {0} that cannot stand in an HTTP request")]
    Malformed(&'static str),
}

impl EventError {
    /// A word for programs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unsupported => "Gateward.UnsupportedEvent",
            Self::Malformed(_) => "Gateward.MalformedEvent",
        }
    }
}

/// The request that `event` is, and the connection that it came to API Gateway by.
pub fn request(event: &[u8]) -> Result<(Request<Body>, Conn), EventError> {
    let event: HttpEvent<'_> = serde_json::from_slice(event).map_err(|_| EventError::Unsupported)?;
    if event.version != "2.0" {
        return Err(EventError::Unsupported);
    }
    let http = &event.request_context.http;
    let client = http.source_ip.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let conn = Conn {
        client: SocketAddr::new(client, 0),
        local: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 443),
        scheme: Scheme::Https,
        tls: None,
    };
    let mut request = Request::new(event.body()?);
    *request.method_mut() =
        Method::from_bytes(http.method.as_bytes()).map_err(|_| EventError::Malformed("a method"))?;
    *request.uri_mut() = event.target()?;
    *request.headers_mut() = event.headers()?;
    Ok((request, conn))
}

/// What is needed of the event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpEvent<'e> {
    #[serde(borrow)]
    version: Cow<'e, str>,
    #[serde(borrow)]
    raw_path: Cow<'e, str>,
    #[serde(borrow, default)]
    raw_query_string: Cow<'e, str>,
    #[serde(default)]
    cookies: Option<Vec<String>>,
    #[serde(default)]
    headers: Fields,
    #[serde(borrow, default)]
    body: Option<Cow<'e, str>>,
    #[serde(default)]
    is_base64_encoded: bool,
    #[serde(borrow)]
    request_context: RequestContext<'e>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'e> {
    #[serde(borrow)]
    http: HttpContext<'e>,
    #[serde(borrow, default)]
    domain_name: Option<Cow<'e, str>>,
    #[serde(borrow, default)]
    stage: Option<Cow<'e, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpContext<'e> {
    #[serde(borrow)]
    method: Cow<'e, str>,
    #[serde(borrow, default)]
    source_ip: Cow<'e, str>,
}

type Fields = std::collections::BTreeMap<String, String>;

impl HttpEvent<'_> {
    fn body(&self) -> Result<Body, EventError> {
        match &self.body {
            None => Ok(Body::empty()),
            Some(text) if self.is_base64_encoded => BASE64_STANDARD
                .decode(text.as_bytes())
                .map(Body::full)
                .map_err(|_| EventError::Malformed("a body that is not base64")),
            Some(text) => Ok(Body::full(text.as_bytes().to_vec())),
        }
    }

    /// Path and query, without the stage, which is part of the path but not of what was deployed behind it.
    fn target(&self) -> Result<Uri, EventError> {
        let path = self.without_stage();
        let mut target = String::with_capacity(path.len() + self.raw_query_string.len() + 2);
        if !path.starts_with('/') {
            target.push('/');
        }
        // API Gateway decodes the path on its way here; what a target cannot hold is encoded again.
        escape(path, &mut target);
        if !self.raw_query_string.is_empty() {
            target.push('?');
            target.push_str(&self.raw_query_string);
        }
        target.try_into().map_err(|_| EventError::Malformed("a path or query"))
    }

    fn without_stage(&self) -> &str {
        let stage = self.request_context.stage.as_deref().filter(|stage| *stage != "$default");
        let after = |stage: &str| self.raw_path.strip_prefix('/')?.strip_prefix(stage);
        match stage.and_then(after) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
            _ => &self.raw_path,
        }
    }

    fn headers(&self) -> Result<HeaderMap, EventError> {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 2);
        for (name, value) in &self.headers {
            headers.append(field_name(name)?, field_value(value)?);
        }
        // The body is whole, and may have been decoded: these say nothing true about it any more.
        headers.remove(CONTENT_LENGTH);
        headers.remove(TRANSFER_ENCODING);
        if let Some(cookies) = self.cookies.as_deref().filter(|cookies| !cookies.is_empty()) {
            headers.insert(COOKIE, field_value(&cookies.join("; "))?);
        }
        if let Some(domain) =
            self.request_context.domain_name.as_deref().filter(|_| !headers.contains_key(HOST))
        {
            headers.insert(HOST, field_value(domain)?);
        }
        self.drop_own_hop(&mut headers);
        Ok(headers)
    }

    /// API Gateway has appended the client's address already, and the gateway is going to do it again.
    fn drop_own_hop(&self, headers: &mut HeaderMap) {
        let name = HeaderName::from_static("x-forwarded-for");
        let Some(chain) = headers.get(&name).and_then(|chain| chain.to_str().ok()) else { return };
        let (before, last) = chain.rsplit_once(',').unwrap_or(("", chain));
        if last.trim() != self.request_context.http.source_ip {
            return;
        }
        match HeaderValue::from_str(before.trim_end()) {
            Ok(before) if !before.is_empty() => headers.insert(name, before),
            _ => headers.remove(name),
        };
    }
}

fn field_name(name: &str) -> Result<HeaderName, EventError> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| EventError::Malformed("a header name"))
}

fn field_value(value: &str) -> Result<HeaderValue, EventError> {
    HeaderValue::from_bytes(value.as_bytes()).map_err(|_| EventError::Malformed("a header value"))
}

/// Appends `path` to `target`, with an escape in place of each byte that a path cannot have.
fn escape(path: &str, target: &mut String) {
    let bytes = path.as_bytes();
    for (place, byte) in bytes.iter().enumerate() {
        let begins_escape =
            || bytes.get(place + 1..place + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let stays = match byte {
            b'%' => begins_escape(),
            b'?' | b'#' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => false,
            byte => byte.is_ascii_graphic(),
        };
        if stays {
            target.push(char::from(*byte));
        } else {
            target.push('%');
            for digit in [byte >> 4, byte & 15] {
                target.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
    }
}

#[cfg(test)]
mod tests;
