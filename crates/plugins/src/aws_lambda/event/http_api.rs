//! The event of API Gateway's HTTP APIs, "2.0", which function URLs have too.

use std::borrow::Cow;

use serde::Serialize;

use super::arguments::{self, Arguments, Shown};
use super::client_certificate::ClientCertificate;
use super::content::Content;
use super::fields::{self, Fields, cookies};
use super::resource::{PathParameters, resource};
use super::{Encode, Entrance, Source};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event<'s> {
    version: &'static str,
    route_key: String,
    raw_path: &'s str,
    raw_query_string: &'s str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<Cow<'s, str>>,
    headers: Fields<'s>,
    #[serde(skip_serializing_if = "Query::is_empty")]
    query_string_parameters: Query<'s>,
    request_context: Context<'s>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Content<'s>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_parameters: Option<PathParameters<'s>>,
    is_base64_encoded: bool,
}

struct Query<'s>(Arguments<'s>);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'s> {
    #[serde(flatten)]
    entrance: Entrance<'s>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authentication: Option<Authentication>,
    http: Http<'s>,
    route_key: String,
    time: String,
    time_epoch: u64,
}

/// By what else than a signature a client says who it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Authentication {
    client_cert: ClientCertificate,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'s> {
    method: &'s str,
    path: &'s str,
    protocol: &'static str,
    source_ip: String,
    user_agent: &'s str,
}

impl<'s> Event<'s> {
    pub(super) fn of(source: &'s Source<'_>, encode: Encode) -> Self {
        let body = Content::of(source.headers(), source.body, encode);
        let method = source.head.method.as_str();
        let route_key = format!("{method} {}", resource(source));
        Self {
            version: "2.0",
            raw_path: source.path(),
            raw_query_string: source.query(),
            cookies: cookies(source.headers()),
            headers: Fields(source.headers(), fields::How::JoinedWithoutCookies),
            query_string_parameters: Query(Arguments::of(source.query())),
            request_context: Context {
                entrance: source.entrance(),
                authentication: source.client_certificate().map(|client_cert| Authentication { client_cert }),
                http: Http {
                    method,
                    path: source.path(),
                    protocol: source.protocol(),
                    source_ip: source.client.to_string(),
                    user_agent: source.user_agent().unwrap_or_default(),
                },
                route_key: route_key.clone(),
                time: source.now.common_log_format(),
                time_epoch: source.now.millis(),
            },
            route_key,
            path_parameters: PathParameters::of(source),
            is_base64_encoded: body.is_some_and(Content::is_base64),
            body,
        }
    }
}

impl Query<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Query<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Shown(&self.0, arguments::How::Joined).serialize(serializer)
    }
}
