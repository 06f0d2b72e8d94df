//! Routing resources, as APISIX has them.

mod address_range;
mod consumer;
mod description;
mod expression;
mod id;
mod kind;
mod plugin_set;
mod route;
mod service;
mod shared_plugins;
mod ssl;
mod upstream;
mod uri_pattern;

pub use address_range::AddressRange;
pub use consumer::{Consumer, Credential};
pub use description::Description;
pub use expression::{Expression, Pattern, Relation, Scalar, lua_number};
pub use id::ResourceId;
pub use kind::Kind;
pub use plugin_set::{Meta, PluginEntry, PluginSet};
pub use route::{HttpMethod, Route, RouteUpstream, Timeout};
pub use service::Service;
pub use shared_plugins::SharedPlugins;
pub use ssl::{ClientDemand, ClientTrust, KeyPair, KeyText, Ssl, SslRole, TlsVersion};
pub use upstream::{
    ActiveCheck, ActiveHealthy, ActiveUnhealthy, Balancing, CheckType, Checks, ClientCertificate, HashOn,
    KeepalivePool, Node, PassHost, PassiveCheck, PassiveHealthy, PassiveUnhealthy, Scheme, Upstream,
    UpstreamScheme, UpstreamTls,
};
pub use uri_pattern::{UriPattern, UriPiece, UriTail};

#[cfg(test)]
mod tests;
