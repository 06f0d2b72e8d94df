//! Plugins: what a route does with a request besides passing it on.
//!
//! A plugin is one file here and one line in [`kinds`]. It knows its own configuration and nothing of the others. It is
//! built when the configuration changes, with every reference in it replaced by its value, and shared by all data
//! threads; what it needs of the request at hand comes in an [`Exchange`].

mod aws_lambda;

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use gateward_clock::Clock;
use gateward_model::{Failure, Invalid};
use gateward_net::{Body, Conn, Pool};
use http::{Request, Response};
use serde_json::Value;

/// A kind of plugin, by the name that configurations call it.
#[derive(Debug)]
pub struct Kind {
    /// Its name, such as `aws-lambda`.
    pub name: &'static str,
    /// Where in a configuration secrets stand, as JSON pointers (RFC 6901): they can be written and not read.
    pub secrets: &'static [&'static str],
    /// Plugins run from the highest priority to the lowest.
    pub priority: i32,
    /// Whether a configuration has the right structure. A string that holds a reference is taken for any text.
    pub check: fn(&Value) -> Result<(), Invalid>,
    /// Makes the plugin of a configuration whose references have been replaced by their values.
    pub build: fn(&Value) -> Result<Arc<dyn Plugin>, Invalid>,
}

/// The kind of that name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// All kinds.
pub fn kinds() -> &'static [Kind] {
    KINDS
}

/// A plugin with its configuration.
pub trait Plugin: Send + Sync + std::fmt::Debug {
    /// Sees a request before it goes to the upstream.
    fn access<'a>(&'a self, request: Request<Body>, exchange: &'a Exchange<'a>) -> Step<'a>;
}

/// A plugin's turn: over at once, or later. Only what must wait pays for a box.
#[expect(clippy::large_enum_variant, reason = "lives for a moment on the stack; a box would cost more")]
pub enum Step<'a> {
    /// Over.
    Now(Flow),
    /// Over when this is.
    Later(LocalBoxFuture<'a, Flow>),
}

/// How a request goes on after a plugin's turn.
#[derive(Debug)]
pub enum Flow {
    /// To the next plugin, and at last to the upstream.
    Continue(Request<Body>),
    /// Not at all: this is the answer.
    Answer(Response<Body>),
    /// Not at all, for this reason.
    Fail(Failure),
}

/// What a plugin may know and use of the request at hand.
#[derive(Clone, Copy)]
pub struct Exchange<'a> {
    /// The data thread's connections, for calls.
    pub pool: &'a Pool,
    /// The connection that the request came in by.
    pub conn: &'a Conn,
    /// The time.
    pub clock: &'a dyn Clock,
    /// The id that the answer will carry.
    pub request_id: &'a str,
    /// What the `*` segment at the end of the route's `uri` stands for in this request's path, as the client wrote
    /// it: still encoded, without a slash in front, free of dot segments.
    pub rest: Option<&'a str>,
}

const KINDS: &[Kind] = &[aws_lambda::KIND];

/// Whether `text` is not yet what the plugin will get, because it holds a reference to a vault.
fn holds_reference(text: &str) -> bool {
    text.contains("{vault://")
}
