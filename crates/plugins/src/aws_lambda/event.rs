//! A request as an event: the JSON that a function called by its name gets to see.
//!
//! There are three forms: Kong's own ([`kong`]), and the two that API Gateway has, of REST APIs ([`rest`], "1.0") and of
//! HTTP APIs ([`http_api`], "2.0"). A function that was written for one of these need not know who calls it. What is JSON
//! in the request goes in byte for byte: nothing is decoded and written anew, so no number loses a digit.

mod arguments;
mod client_certificate;
mod content;
mod fields;
mod http_api;
mod kong;
mod resource;
mod rest;

use std::net::IpAddr;

use gateward_clock::Timestamp;
use gateward_model::Failure;
use gateward_vars::{Params, RouteFacts};
use http::request::Parts;
use http::{HeaderMap, Version};
use serde::Serialize;

use client_certificate::ClientCertificate;
pub(super) use kong::Forward;

/// What of a request can stand in an event.
pub(super) struct Source<'s> {
    pub(super) head: &'s Parts,
    pub(super) body: &'s [u8],
    /// The host that was asked for, without port.
    pub(super) host: &'s str,
    pub(super) client: IpAddr,
    /// The certificate that the client has shown, in DER.
    pub(super) certificate: Option<&'s [u8]>,
    pub(super) request_id: &'s str,
    pub(super) now: Timestamp,
    pub(super) route: Option<&'s RouteFacts>,
    /// By which of its uris the route took it.
    pub(super) uri: Option<&'s str>,
    pub(super) params: Option<&'s Params>,
    /// What the `*` at the end of the route's `uri` stands for, still encoded.
    pub(super) rest: Option<&'s str>,
    /// The account that the function belongs to, as far as its name tells.
    pub(super) account: &'s str,
}

/// Which form events have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Kong's own.
    Kong(Forward),
    /// API Gateway's for REST APIs.
    Rest,
    /// API Gateway's for HTTP APIs.
    HttpApi,
}

/// When a body is written in base64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Encode {
    /// When its content type and encoding do not say that it is text, or when it is none.
    #[default]
    AsNeeded,
    /// Always.
    Always,
    /// Only when it is no text: JSON has no other way to hold it.
    OnlyBytes,
}

/// What both of API Gateway's forms say of where a request came in.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entrance<'s> {
    account_id: &'s str,
    api_id: &'s str,
    domain_name: &'s str,
    /// The first label of the host.
    domain_prefix: &'s str,
    request_id: &'s str,
    stage: &'static str,
}

impl Form {
    /// The event that `source` is, in JSON.
    pub(super) fn write(self, source: &Source<'_>, encode: Encode) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Kong(forward) => kong::write(source, forward, encode),
            Self::Rest => Ok(json(source, &rest::Event::of(source, encode))),
            Self::HttpApi => Ok(json(source, &http_api::Event::of(source, encode))),
        }
    }
}

fn json(source: &Source<'_>, event: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::with_capacity(2048 + source.body.len() + source.body.len() / 2);
    // Texts always have a JSON form, and a vector takes whatever comes.
    let _written = serde_json::to_writer(&mut text, event);
    text
}

impl<'s> Source<'s> {
    fn headers(&self) -> &'s HeaderMap {
        &self.head.headers
    }

    fn path(&self) -> &'s str {
        self.head.uri.path()
    }

    fn query(&self) -> &'s str {
        self.head.uri.query().unwrap_or_default()
    }

    fn protocol(&self) -> &'static str {
        match self.head.version {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2.0",
            Version::HTTP_3 => "HTTP/3.0",
            _ => "HTTP/1.1",
        }
    }

    fn user_agent(&self) -> Option<&'s str> {
        self.headers().get(http::header::USER_AGENT)?.to_str().ok()
    }

    fn client_certificate(&self) -> Option<ClientCertificate> {
        ClientCertificate::read(self.certificate?)
    }

    fn entrance(&self) -> Entrance<'s> {
        Entrance {
            account_id: self.account,
            api_id: self.route.map_or("", |route| &route.id),
            domain_name: self.host,
            domain_prefix: self.host.split('.').next().unwrap_or_default(),
            request_id: self.request_id,
            stage: "$default",
        }
    }
}

#[cfg(test)]
mod tests;
