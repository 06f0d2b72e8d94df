//! Plugins: what a route does with a request besides passing it on.
//!
//! A plugin is one file here and one line in [`kinds`]. It knows its own settings and nothing of the others. It is
//! built when the configuration changes, with every reference in it replaced by its value, and shared by all data
//! threads; what it needs of the request at hand comes in an [`Exchange`].
//!
//! A request goes through four phases: every plugin's [`rewrite`](Plugin::rewrite), by priority, then every plugin's
//! [`access`](Plugin::access); the upstream's answer through [`respond`](Plugin::respond); and when the answer's body
//! has ended, [`log`](Plugin::log).

mod answer;
mod authentication;
mod aws_lambda;
mod confidential;
mod consumers;
mod cors;
mod exchange;
mod exposition;
mod fault_injection;
mod ip_restriction;
mod jwt_auth;
mod key_auth;
mod limit_count;
mod opentelemetry;
mod prometheus;
mod proxy_rewrite;
mod query;
mod real_ip;
mod record;
mod request_id;
mod shared;
#[cfg(test)]
mod testing;

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use gateward_model::{Failure, Invalid};
use gateward_net::Body;
use http::Response;
use serde_json::Value;

pub use confidential::Confidential;
pub use consumers::{Caller, Consumer, Consumers, ConsumersBuilder, Credential, Taken};
pub use exchange::{Exchange, Notes};
pub use exposition::{Exposition, Family, MetricKind};
pub use gateward_router::Matched;
pub use gateward_vars::RouteFacts;
pub use jwt_auth::TokenClaims;
pub use opentelemetry::{SpanId, Spans, TraceId, TraceNote};
pub use prometheus::Requests;
pub use record::{Answerer, Record};
pub use shared::{Shared, SharedParts};

/// A kind of plugin, by the name that configurations call it.
#[derive(Debug)]
pub struct Kind {
    /// Its name, such as `aws-lambda`.
    pub name: &'static str,
    /// Where in its settings secrets stand, as JSON pointers (RFC 6901): they can be written and not read.
    pub secrets: &'static [&'static str],
    /// Plugins run from the highest priority to the lowest.
    pub priority: i32,
    /// The phases that it has a turn in.
    pub phases: Phases,
    /// Whether settings have the right structure. A string that holds a reference is taken for any text.
    pub check: fn(&Value) -> Result<(), Invalid>,
    /// Makes the plugin of settings whose references have been replaced by their values.
    pub build: fn(&Value, &Site<'_>) -> Built,
    /// The JSON schema of its settings, for people and programs that ask for it. A text in which the plugin reads variables
    /// has `x-variables`: the values of references in it come as [`gateward_vars::literal`].
    pub schema: fn() -> Value,
    /// What consumers show, if it is a plugin that authenticates.
    pub consumer: Option<ConsumerKind>,
    /// What its metadata are, if it has any.
    pub metadata: Option<MetadataKind>,
}

/// A plugin that could be made of its settings.
pub type Built = Result<Arc<dyn Plugin>, Invalid>;

/// What the consumers of a plugin that authenticates have.
#[derive(Debug)]
pub struct ConsumerKind {
    /// Where secrets stand, as [`Kind::secrets`].
    pub secrets: &'static [&'static str],
    /// As [`Kind::check`].
    pub check: fn(&Value) -> Result<(), Invalid>,
    /// What a consumer is recognised by.
    pub build: fn(&Value) -> Result<Credential, Invalid>,
    /// As [`Kind::schema`].
    pub schema: fn() -> Value,
}

/// What all instances of a plugin have in common.
#[derive(Debug)]
pub struct MetadataKind {
    /// Where secrets stand, as [`Kind::secrets`]; `*` stands for each field of an object.
    pub secrets: &'static [&'static str],
    /// As [`Kind::check`].
    pub check: fn(&Value) -> Result<(), Invalid>,
    /// As [`Kind::schema`].
    pub schema: fn() -> Value,
}

/// The phases that a plugin has a turn in. A phase that it has none in costs it nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Before anything is decided.
    pub rewrite: bool,
    /// Before the request goes to the upstream.
    pub access: bool,
    /// When there is an answer.
    pub respond: bool,
    /// When the answer has been sent.
    pub log: bool,
}

/// Where a plugin is built for.
#[derive(Clone, Copy, Debug)]
pub struct Site<'s> {
    /// Whose settings they are, such as `route/1`. Counters that go by it outlive a change of the configuration.
    pub owner: &'s str,
    /// The plugin's metadata, if there are any.
    pub metadata: Option<&'s Value>,
    /// What the plugins of this process share.
    pub shared: &'s Arc<Shared>,
}

impl Phases {
    /// The phases of either.
    pub fn or(self, other: Self) -> Self {
        Self {
            rewrite: self.rewrite || other.rewrite,
            access: self.access || other.access,
            respond: self.respond || other.respond,
            log: self.log || other.log,
        }
    }
}

/// A plugin with its settings.
pub trait Plugin: Send + Sync + std::fmt::Debug {
    /// Sees a request first. Who authenticates does it here.
    fn rewrite<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let _ = exchange;
        Step::CONTINUE
    }

    /// Sees a request that all plugins have rewritten, before it goes to the upstream.
    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let _ = exchange;
        Step::CONTINUE
    }

    /// Sees the answer before it goes to the client, whoever gave it. The request may be gone by now.
    fn respond(&self, exchange: &mut Exchange<'_>, response: &mut Response<Body>) {
        let _ = (exchange, response);
    }

    /// Hears what became of a request when its answer has ended. It must not wait.
    fn log(&self, record: &Record) {
        let _ = record;
    }
}

/// A plugin's turn: over at once, or later. Only what must wait pays for a box.
pub enum Step<'a> {
    /// Over.
    Now(Flow),
    /// Over when this is.
    Later(LocalBoxFuture<'a, Flow>),
}

impl Step<'_> {
    /// Over, and nothing more to say.
    pub const CONTINUE: Self = Self::Now(Flow::Continue);
}

impl From<Failure> for Step<'_> {
    fn from(failure: Failure) -> Self {
        Self::Now(Flow::Fail(Box::new(failure)))
    }
}

impl From<Response<Body>> for Step<'_> {
    fn from(response: Response<Body>) -> Self {
        Self::Now(Flow::Answer(Box::new(response)))
    }
}

/// How a request goes on after a plugin's turn.
#[derive(Debug)]
pub enum Flow {
    /// To the next plugin, and at last to the upstream.
    Continue,
    /// Not at all: this is the answer.
    Answer(Box<Response<Body>>),
    /// Not at all: this is what a function answered.
    Function(Box<Response<Body>>),
    /// Not at all, for this reason.
    Fail(Box<Failure>),
}

/// The kind of that name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// All kinds.
pub fn kinds() -> &'static [Kind] {
    KINDS
}

const KINDS: &[Kind] = &[
    aws_lambda::KIND,
    cors::KIND,
    fault_injection::KIND,
    ip_restriction::KIND,
    jwt_auth::KIND,
    key_auth::KIND,
    limit_count::KIND,
    opentelemetry::KIND,
    prometheus::KIND,
    proxy_rewrite::KIND,
    real_ip::KIND,
    request_id::KIND,
];

/// Whether `text` is not yet what the plugin will get, because it holds a reference to a vault.
fn holds_reference(text: &str) -> bool {
    text.contains("{vault://")
}

#[cfg(test)]
mod tests;
