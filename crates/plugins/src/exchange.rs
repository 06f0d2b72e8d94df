//! The request at hand, and what plugins may know and do about it.

use std::any::Any;
use std::net::IpAddr;
use std::sync::Arc;

use gateward_clock::Clock;
use gateward_net::{Body, Conn, Pool};
use gateward_router::Matched;
use gateward_vars::{Facts, Params, RequestBody, RouteFacts};
use http::{HeaderValue, Request, Uri};

use crate::{Consumer, Consumers};

/// The request at hand. Lives from the moment that its route was found until its answer's head is sent.
pub struct Exchange<'e> {
    /// The request. A plugin that answers may take it.
    pub request: Request<Body>,
    /// The request's target as the client sent it; plugins may change the request's own.
    pub target: &'e Uri,
    /// The host that was asked for, without port.
    pub host: &'e str,
    /// Its body, where somebody has a use for a variable from it and it is not too long.
    pub body: Option<&'e RequestBody<'e>>,
    /// The connection that it came in by.
    pub conn: &'e Conn,
    /// Who asks: the other end of the connection, or whom a trusted proxy names.
    pub client: IpAddr,
    /// The port that goes with it; none where a proxy does not name it.
    pub client_port: Option<u16>,
    /// The id that the answer will carry.
    pub request_id: HeaderValue,
    /// The route; none when nothing takes the request, and only global rules see it.
    pub route: Option<&'e Arc<RouteFacts>>,
    /// What the `*` segment at the end of the route's `uri` stands for in this request's path, as the client wrote
    /// it: still encoded, without a slash in front, free of dot segments.
    pub rest: Option<&'e str>,
    /// By which of its uris, and at which of its hosts, the route took the request.
    pub matched: Option<&'e Matched>,
    /// What the parameters in the route's `uri` stand for.
    pub params: Option<&'e Params>,
    /// What is sent as Host to the upstream, instead of what the upstream's `pass_host` says.
    pub upstream_host: Option<HeaderValue>,
    /// Who calls, once a plugin knows.
    pub consumer: Option<Arc<Consumer>>,
    /// Everybody who may call.
    pub consumers: &'e Consumers,
    /// The data thread's connections, for calls.
    pub pool: &'e Pool,
    /// The time.
    pub clock: &'e dyn Clock,
    /// What plugins have written down for their later phases.
    pub notes: Notes,
}

impl Exchange<'_> {
    /// What is known of the request now, for conditions and templates.
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            method: self.request.method(),
            target: self.target,
            version: self.request.version(),
            host: self.host,
            headers: self.request.headers(),
            body: self.body,
            conn: self.conn,
            client: self.client,
            client_port: self.client_port,
            request_id: self.request_id.to_str().unwrap_or_default(),
            params: self.params,
            route: self.route.map(|route| &**route),
            consumer: self.consumer.as_ref().map(|consumer| &*consumer.username),
            consumer_group: self.consumer.as_ref().and_then(|consumer| consumer.group.as_deref()),
            upstream: None,
        }
    }
}

/// What plugins have written down, each for itself.
#[derive(Default)]
pub struct Notes(Vec<Box<dyn Any + Send>>);

impl Notes {
    /// Writes `note` down; one of each type is kept, so a plugin's note has a type of its own.
    pub fn put<T: Any + Send>(&mut self, note: T) {
        match self.0.iter_mut().find_map(|kept| kept.downcast_mut::<T>()) {
            Some(kept) => *kept = note,
            None => self.0.push(Box::new(note)),
        }
    }

    /// The note of type `T`.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.iter().find_map(|kept| kept.downcast_ref::<T>())
    }

    /// Takes the note of type `T`.
    pub fn take<T: Any>(&mut self) -> Option<T> {
        let place = self.0.iter().position(|kept| kept.is::<T>())?;
        self.0.swap_remove(place).downcast().ok().map(|note| *note)
    }
}
