//! What became of a request.

use std::sync::Arc;
use std::time::Duration;

use gateward_clock::Timestamp;
use gateward_net::Conn;
use gateward_router::Matched;
use http::{HeaderValue, Method, StatusCode, Uri, Version};

use crate::exchange::Notes;
use crate::{Consumer, RouteFacts};

/// What became of a request, told when its answer has ended.
pub struct Record {
    /// The id that the answer carried.
    pub request_id: HeaderValue,
    /// The request's method.
    pub method: Method,
    /// Its target, as the client sent it.
    pub target: Uri,
    /// The version of HTTP that the client spoke.
    pub version: Version,
    /// The host that was asked for, with the port if the client named one.
    pub host: Option<HeaderValue>,
    /// `User-Agent`.
    pub user_agent: Option<HeaderValue>,
    /// `Referer`.
    pub referer: Option<HeaderValue>,
    /// Who asked: the other end of the connection, or whom a trusted proxy named.
    pub client: std::net::IpAddr,
    /// The connection that it came in by.
    pub conn: Conn,
    /// The route that took it.
    pub route: Option<Arc<RouteFacts>>,
    /// By which of its uris, and at which of its hosts.
    pub matched: Option<Matched>,
    /// Who called.
    pub consumer: Option<Arc<Consumer>>,
    /// The status of the answer.
    pub status: StatusCode,
    /// Why the gateway or a plugin gave it, where it is a failure: the word that the client was told.
    pub code: Option<&'static str>,
    /// Who gave the answer.
    pub answerer: Answerer,
    /// The node that was asked last.
    pub node: Option<gateward_net::Peer>,
    /// The status that it answered with.
    pub upstream_status: Option<StatusCode>,
    /// How long the upstream took to answer, all tries together.
    pub upstream_latency: Option<Duration>,
    /// When the request came.
    pub started: Timestamp,
    /// From the request's head to the end of its answer.
    pub latency: Duration,
    /// The length of the request's body, if it was told.
    pub request_bytes: u64,
    /// How much of the answer's body was sent.
    pub response_bytes: u64,
    /// Whether the answer was sent to its end.
    pub complete: bool,
    /// What plugins have written down.
    pub notes: Notes,
}

/// Who gave an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answerer {
    /// A node of an upstream.
    Upstream,
    /// A plugin.
    Plugin,
    /// A function, or the gateway because the function gave no answer.
    Function,
    /// The gateway itself, which had to refuse or to report a failure.
    Gateway,
}
