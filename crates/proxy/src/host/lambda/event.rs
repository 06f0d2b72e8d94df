//! What Lambda hands to a function: a request of a client, a tick of a clock, messages of a queue.
//!
//! Requests come in three forms, which differ in where they say what the client sent, and in the form that they want
//! their answer in: API Gateway's HTTP APIs and function URLs (payload format 2.0), API Gateway's REST APIs (1.0), and
//! Application Load Balancers. An event is read once, whatever it is.

mod answer;
mod envelope;
mod http_api;
mod load_balancer;
mod mapped;
mod request;
mod rest_api;
mod target;

use gateward_net::{Body, Conn};
use http::Request;

use envelope::Envelope;

pub(super) use answer::{prelude, refusal, response};

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A client has sent a request.
    Request(Box<Call>),
    /// It is time to look what is due.
    Tick,
    /// Messages have come by a queue.
    Queue(Vec<Message>),
}

/// A client's request.
#[derive(Debug)]
pub struct Call {
    /// The request, as the client sent it.
    pub request: Request<Body>,
    /// The connection that it came by, to where it went on as an event.
    pub conn: Conn,
    /// What it came as.
    pub form: Form,
}

/// A message of a queue.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// What the queue calls it.
    pub id: String,
    /// What it says.
    pub body: String,
}

/// What a request came as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An event of an HTTP API or of a function URL, payload format 2.0.
    HttpApi,
    /// An event of a REST API, payload format 1.0.
    RestApi,
    /// An event of an Application Load Balancer.
    LoadBalancer,
}

/// Why an event cannot be answered as what it should be.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Some other kind of event.
    #[error(
        "this is no event that Gateward knows; those are requests (of HTTP APIs, REST APIs, function URLs and \
         Application Load Balancers), schedules of EventBridge, and messages of SQS"
    )]
    Unsupported,
    /// A request with something in it that no HTTP request has.
    #[error("the event has {what} that cannot stand in an HTTP request")]
    Malformed {
        /// What it came as.
        form: Form,
        /// What is wrong.
        what: &'static str,
    },
}

/// Reads what `event` says.
pub fn read(event: &[u8]) -> Result<Event, EventError> {
    let event: Envelope<'_> = serde_json::from_slice(event).map_err(|_| EventError::Unsupported)?;
    if let Some(messages) = event.records {
        return messages
            .into_iter()
            .map(envelope::Record::message)
            .collect::<Option<_>>()
            .map(Event::Queue)
            .ok_or(EventError::Unsupported);
    }
    if event.is_tick() {
        return Ok(Event::Tick);
    }
    let (form, request) = if event.version.as_deref() == Some("2.0") {
        (Form::HttpApi, http_api::request(&event))
    } else if event.context().is_some_and(|context| context.elb.is_some()) {
        (Form::LoadBalancer, load_balancer::request(&event))
    } else {
        (Form::RestApi, rest_api::request(&event))
    };
    match request {
        Ok(Some((request, conn))) => Ok(Event::Request(Box::new(Call { request, conn, form }))),
        Ok(None) => Err(EventError::Unsupported),
        Err(what) => Err(EventError::Malformed { form, what }),
    }
}

#[cfg(test)]
mod tests;
