//! The names of variables.

use http::HeaderName;

use crate::body::BodyPath;

/// A variable, by name. Names that nobody knows are those of variables that are always absent, as in nginx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable(pub(crate) Known);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Uri,
    RequestUri,
    Request,
    Method,
    Protocol,
    Scheme,
    Https,
    Host,
    Query,
    IsArgs,
    Argument(Box<str>),
    Header(HeaderName),
    Cookie(Box<str>),
    UriParam(Box<str>),
    PostArgument(Box<str>),
    PostPath(BodyPath),
    RemoteAddr,
    RemotePort,
    PeerAddr,
    PeerPort,
    ServerAddr,
    ServerPort,
    RequestId,
    ConsumerName,
    ConsumerGroupId,
    RouteId,
    RouteName,
    ServiceId,
    ServiceName,
    UpstreamScheme,
    UpstreamHost,
    UpstreamUri,
    UpstreamAddr,
    NodeHost,
    NodePort,
    Unknown,
}

impl Variable {
    /// The variable called `name`, written without `$`.
    pub fn parse(name: &str) -> Self {
        Self(known(name).or_else(|| with_prefix(name)).unwrap_or(Known::Unknown))
    }

    /// Whether its value stands in the request's body.
    pub fn needs_body(&self) -> bool {
        matches!(self.0, Known::PostArgument(_) | Known::PostPath(_))
    }
}

fn known(name: &str) -> Option<Known> {
    Some(match name {
        "uri" | "document_uri" => Known::Uri,
        "request_uri" => Known::RequestUri,
        "request" => Known::Request,
        "request_method" | "method" => Known::Method,
        "server_protocol" => Known::Protocol,
        "scheme" => Known::Scheme,
        "https" => Known::Https,
        "host" => Known::Host,
        "query_string" | "args" => Known::Query,
        "is_args" => Known::IsArgs,
        "content_type" => Known::Header(http::header::CONTENT_TYPE),
        "content_length" => Known::Header(http::header::CONTENT_LENGTH),
        "remote_addr" => Known::RemoteAddr,
        "remote_port" => Known::RemotePort,
        "realip_remote_addr" => Known::PeerAddr,
        "realip_remote_port" => Known::PeerPort,
        "server_addr" => Known::ServerAddr,
        "server_port" => Known::ServerPort,
        "request_id" | "apisix_request_id" => Known::RequestId,
        "consumer_name" => Known::ConsumerName,
        "consumer_group_id" => Known::ConsumerGroupId,
        "route_id" => Known::RouteId,
        "route_name" => Known::RouteName,
        "service_id" => Known::ServiceId,
        "service_name" => Known::ServiceName,
        "upstream_scheme" => Known::UpstreamScheme,
        "upstream_host" => Known::UpstreamHost,
        "upstream_uri" => Known::UpstreamUri,
        "upstream_addr" => Known::UpstreamAddr,
        "balancer_ip" => Known::NodeHost,
        "balancer_port" => Known::NodePort,
        _ => return None,
    })
}

/// Makes a variable of what stands behind its prefix.
type Make = fn(&str) -> Known;

fn with_prefix(name: &str) -> Option<Known> {
    if let Some(header) = name.strip_prefix("http_") {
        return HeaderName::from_bytes(header.replace('_', "-").as_bytes()).ok().map(Known::Header);
    }
    let prefixes: [(&str, Make); 5] = [
        ("arg_", |name| Known::Argument(name.into())),
        ("cookie_", |name| Known::Cookie(name.into())),
        ("uri_param_", |name| Known::UriParam(name.into())),
        ("post_arg_", |name| Known::PostArgument(name.into())),
        ("post_arg.", |path| Known::PostPath(BodyPath::parse(path))),
    ];
    prefixes.iter().find_map(|(prefix, make)| name.strip_prefix(prefix).map(make))
}
