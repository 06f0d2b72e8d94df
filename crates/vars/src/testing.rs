//! A request to ask about, for tests.

use std::net::SocketAddr;

use gateward_net::{Conn, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

use crate::{Facts, RequestBody};

/// What facts refer to.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) target: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) conn: Conn,
    pub(crate) body: Option<RequestBody<'static>>,
}

impl Request {
    pub(crate) fn get(target: &str) -> Self {
        let client: SocketAddr = "192.0.2.7:4711".parse().unwrap();
        let local: SocketAddr = "[::ffff:10.0.0.1]:9080".parse().unwrap();
        Self {
            method: Method::GET,
            target: target.parse().unwrap(),
            headers: HeaderMap::new(),
            conn: Conn { client, local, scheme: Scheme::Http, tls: None },
            body: None,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers
            .append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    pub(crate) fn json(self, body: &'static str) -> Self {
        let request = self.header("content-type", "application/json");
        Self { body: Some(RequestBody::new(body.as_bytes())), ..request }
    }

    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            method: &self.method,
            target: &self.target,
            version: Version::HTTP_11,
            host: "Www.Example.com",
            headers: &self.headers,
            body: self.body.as_ref(),
            conn: &self.conn,
            client: "::ffff:203.0.113.9".parse().unwrap(),
            client_port: Some(5100),
            request_id: "id-1",
            params: None,
            route: None,
            consumer: None,
            consumer_group: None,
            upstream: None,
        }
    }
}
