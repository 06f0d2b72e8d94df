//! The request at hand, and what plugins may know and do about it.

use std::any::Any;
use std::net::IpAddr;
use std::sync::Arc;

use gateward_clock::Clock;
use gateward_net::{Body, Conn, Pool};
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
    /// The connection that it came in by.
    pub conn: &'e Conn,
    /// Who asks: the other end of the connection, or whom a trusted proxy names.
    pub client: IpAddr,
    /// The id that the answer will carry.
    pub request_id: HeaderValue,
    /// The route; none when nothing takes the request, and only global rules see it.
    pub route: Option<&'e Arc<RouteFacts>>,
    /// What the `*` segment at the end of the route's `uri` stands for in this request's path, as the client wrote
    /// it: still encoded, without a slash in front, free of dot segments.
    pub rest: Option<&'e str>,
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

/// What plugins have written down, each for itself.
#[derive(Default)]
pub struct Notes(Vec<Box<dyn Any>>);

impl Notes {
    /// Writes `note` down; one of each type is kept, so a plugin's note has a type of its own.
    pub fn put<T: Any>(&mut self, note: T) {
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
