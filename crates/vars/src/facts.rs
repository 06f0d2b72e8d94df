//! What is known of a request.
//!
//! Facts only refer to what exists anyway, so they cost nothing to put together, and whoever asks for one variable pays
//! for that one. Whatever is compared with routes or rules is the normal form: a rule about `$uri` holds however the
//! client wrote its path.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use gateward_model::apisix::Scalar;
use gateward_net::{Conn, Scheme};
use http::header::{COOKIE, HOST, HeaderMap, HeaderValue};
use http::{HeaderName, Method, Request, Uri, Version};

use crate::variable::Known;
use crate::{Params, RequestBody, RoutePath, Variable, arguments};

/// What is known of a request, at one moment of its way.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its target, as the client sent it.
    pub target: &'a Uri,
    /// The version of HTTP that it came in.
    pub version: Version,
    /// The host that was asked for, without port, in whatever case.
    pub host: &'a str,
    /// Its header fields.
    pub headers: &'a HeaderMap,
    /// Its body, where somebody collected it.
    pub body: Option<&'a RequestBody<'a>>,
    /// The connection that it came in by.
    pub conn: &'a Conn,
    /// Who asks: the other end of the connection, or whom a trusted proxy names.
    pub client: IpAddr,
    /// The port that goes with it; none where a proxy does not name it.
    pub client_port: Option<u16>,
    /// Its id.
    pub request_id: &'a str,
    /// The parameters in its path.
    pub params: Option<&'a Params>,
    /// The route that took it.
    pub route: Option<&'a RouteFacts>,
    /// The name of the consumer who sent it.
    pub consumer: Option<&'a str>,
    /// The group that this consumer belongs to.
    pub consumer_group: Option<&'a str>,
    /// Where it goes.
    pub upstream: Option<UpstreamFacts<'a>>,
}

impl<'a> Facts<'a> {
    /// What is known of a request for `host` that has just come in by `conn`: nothing has happened to it yet.
    pub fn of<B>(request: &'a Request<B>, host: &'a str, conn: &'a Conn) -> Self {
        Self {
            method: request.method(),
            target: request.uri(),
            version: request.version(),
            host,
            headers: request.headers(),
            body: None,
            conn,
            client: conn.client.ip(),
            client_port: Some(conn.client.port()),
            request_id: "",
            params: None,
            route: None,
            consumer: None,
            consumer_group: None,
            upstream: None,
        }
    }
}

/// What is known of a route besides what it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteFacts {
    /// Its id.
    pub id: Box<str>,
    /// What people call it.
    pub name: Option<Box<str>>,
    /// The service that it belongs to.
    pub service_id: Option<Box<str>>,
    /// What people call that.
    pub service_name: Option<Box<str>>,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamFacts<'a> {
    /// Plain, or over TLS.
    pub scheme: Scheme,
    /// The Host that it is sent with.
    pub host: &'a str,
    /// The path and query that it is sent with.
    pub uri: &'a str,
    /// The node's name or address, without port.
    pub node_host: &'a str,
    /// The node's port.
    pub node_port: u16,
}

impl<'a> Facts<'a> {
    /// The value of `variable`, if it has one.
    pub fn get(&self, variable: &Variable) -> Option<Cow<'a, str>> {
        let owned = |text: String| Some(Cow::Owned(text));
        let query = || self.target.query().unwrap_or_default();
        let text = match &variable.0 {
            Known::Uri => return Some(self.normal_path()),
            Known::RequestUri => self.request_uri(),
            Known::Request => {
                return owned(format!("{} {} {}", self.method, self.request_uri(), protocol(self.version)));
            }
            Known::Method => self.method.as_str(),
            Known::Protocol => protocol(self.version),
            Known::Scheme => scheme(self.conn.scheme),
            Known::Https => match self.conn.scheme {
                Scheme::Https => "on",
                Scheme::Http => "",
            },
            Known::Host => return Some(lower_case(self.host.strip_suffix('.').unwrap_or(self.host))),
            Known::Query => query(),
            Known::IsArgs => match query() {
                "" => "",
                _ => "?",
            },
            Known::Argument(name) => return arguments::first(query(), name),
            Known::Header(name) => return self.header(name),
            Known::Cookie(name) => return self.cookie(name),
            Known::UriParam(name) => self.params?.get(name)?,
            Known::PostArgument(name) => return self.body?.argument(self.headers, name),
            Known::PostPath(path) => return self.body?.at(self.headers, path),
            Known::RemoteAddr => return owned(self.client.to_canonical().to_string()),
            Known::RemotePort => return owned(self.client_port?.to_string()),
            Known::PeerPort => return owned(self.conn.client.port().to_string()),
            Known::PeerAddr => return owned(address(self.conn.client)),
            Known::ServerAddr => return owned(address(self.conn.local)),
            Known::ServerPort => return owned(self.conn.local.port().to_string()),
            Known::RequestId => self.request_id,
            Known::ConsumerName => self.consumer?,
            Known::ConsumerGroupId => self.consumer_group?,
            Known::RouteId => &self.route?.id,
            Known::RouteName => self.route?.name.as_deref()?,
            Known::ServiceId => self.route?.service_id.as_deref()?,
            Known::ServiceName => self.route?.service_name.as_deref()?,
            Known::UpstreamScheme => scheme(self.upstream?.scheme),
            Known::UpstreamHost => self.upstream?.host,
            Known::UpstreamUri => self.upstream?.uri,
            Known::UpstreamAddr => {
                let upstream = self.upstream?;
                return owned(format!("{}:{}", upstream.node_host, upstream.node_port));
            }
            Known::NodeHost => self.upstream?.node_host,
            Known::NodePort => return owned(self.upstream?.node_port.to_string()),
            Known::Unknown => return None,
        };
        Some(Cow::Borrowed(text))
    }

    /// Whether the value of `variable` is a list that has `wanted` in it. Only bodies have lists.
    pub fn has(&self, variable: &Variable, wanted: &Scalar) -> bool {
        match (&variable.0, self.body) {
            (Known::PostPath(path), Some(body)) => body.has(self.headers, path, wanted),
            _ => false,
        }
    }

    /// The value of `variable` as an address, if it is one.
    pub(crate) fn address(&self, variable: &Variable) -> Option<IpAddr> {
        match variable.0 {
            Known::RemoteAddr => Some(self.client),
            Known::PeerAddr => Some(self.conn.client.ip()),
            Known::ServerAddr => Some(self.conn.local.ip()),
            _ => self.get(variable)?.trim_matches(['[', ']']).parse().ok(),
        }
    }

    fn normal_path(&self) -> Cow<'a, str> {
        let raw = self.target.path();
        match RoutePath::new(raw) {
            Ok(path) => path.into_text(),
            Err(_) => Cow::Borrowed(raw),
        }
    }

    fn request_uri(&self) -> &'a str {
        self.target.path_and_query().map_or("/", |target| target.as_str())
    }

    /// All fields of that name; nginx joins them with commas too. What HTTP/2 says in `:authority` is its Host.
    fn header(&self, name: &HeaderName) -> Option<Cow<'a, str>> {
        let mut values = self.headers.get_all(name).iter();
        let first = match values.next() {
            Some(first) => text(first),
            None if *name == HOST => return Some(Cow::Borrowed(self.target.authority()?.as_str())),
            None => return None,
        };
        let separator = if *name == COOKIE { "; " } else { ", " };
        Some(values.fold(first, |joined, value| joined + separator + text(value)))
    }

    /// The last cookie of that name, as APISIX takes it.
    fn cookie(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut found = None;
        for field in self.headers.get_all(COOKIE) {
            let Ok(cookies) = field.to_str() else { continue };
            for cookie in cookies.split(';') {
                if let Some((key, value)) = cookie.split_once('=')
                    && key.trim() == name
                {
                    found = Some(Cow::Borrowed(value.trim()));
                }
            }
        }
        found
    }
}

fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

fn lower_case(host: &str) -> Cow<'_, str> {
    match host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(host.to_ascii_lowercase()),
        false => Cow::Borrowed(host),
    }
}

fn address(end: SocketAddr) -> String {
    end.ip().to_canonical().to_string()
}

fn scheme(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

#[cfg(test)]
mod tests;
