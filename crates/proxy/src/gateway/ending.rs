//! What became of a request, for those who want to know: plugins that log, and the access log.
//!
//! Whoever wants to know has to be told when the answer's body has ended, long after the request is gone. So what there
//! is to tell is gathered on the way; where nobody wants to know, nothing is.

use std::sync::Arc;
use std::time::Duration;

use gateward_net::{Body, Conn, Peer};
use gateward_plugins::{Answerer, Exchange, Notes, Plugin, Record};
use http::header::{CONTENT_LENGTH, HOST, REFERER, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use tokio::time::Instant;

use super::Gateway;
use super::turns::{Answered, Found};
use crate::snapshot::{Instance, Link};

/// What is gathered; nothing, if nobody wants to know.
pub(super) struct Ending(Option<Gathered>);

struct Gathered {
    begun: Instant,
    record: Box<Record>,
}

impl Ending {
    /// Begins to gather, if `gateway` wants to know, or `plugins` do that may see the request.
    pub(super) fn begin(
        gateway: &Gateway,
        plugins: bool,
        found: Option<&Found>,
        request: &Request<Body>,
        conn: &Conn,
    ) -> Self {
        if gateway.access_log.is_none() && !plugins {
            return Self(None);
        }
        let header = |name: HeaderName| request.headers().get(name).cloned();
        let length = request.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let record = Record {
            request_id: HeaderValue::from_static(""),
            method: request.method().clone(),
            target: request.uri().clone(),
            version: request.version(),
            host: header(HOST).or_else(|| authority(request)),
            user_agent: header(USER_AGENT),
            referer: header(REFERER),
            client: conn.client.ip(),
            conn: conn.clone(),
            route: found.map(|found| Arc::clone(&found.route.facts)),
            matched: found.map(|found| found.matched.clone()),
            consumer: None,
            status: StatusCode::OK,
            code: None,
            answerer: Answerer::Gateway,
            node: None,
            upstream_status: None,
            upstream_latency: None,
            started: gateway.clock.now(),
            latency: Duration::ZERO,
            request_bytes: length.unwrap_or_default(),
            response_bytes: 0,
            complete: false,
            notes: Notes::default(),
        };
        Self(Some(Gathered { begun: Instant::now(), record: Box::new(record) }))
    }

    /// The end of a request that nobody wants to know of.
    pub(super) fn unheard() -> Self {
        Self(None)
    }

    /// Whether somebody wants to know.
    pub(super) fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// `node` was asked last, and answered with `status`, or not at all, after `latency`.
    pub(super) fn passed(
        &mut self,
        node: Option<Peer>,
        latency: Option<Duration>,
        status: Option<StatusCode>,
    ) {
        if let Some(Gathered { record, .. }) = &mut self.0 {
            record.node = node;
            record.upstream_latency = latency;
            record.upstream_status = status;
        }
    }

    /// The head of the answer stands, and no plugin has seen the request. `code` is what the client is told, if it is a
    /// failure.
    pub(super) fn answered(
        self,
        gateway: &Gateway,
        id: HeaderValue,
        response: Response<Body>,
        code: Option<&'static str>,
    ) -> Response<Body> {
        let Some(mut gathered) = self.0 else { return response };
        gathered.record.request_id = id;
        gathered.record.code = code;
        gathered.tell(gateway, response, Vec::new())
    }

    /// The head of the answer stands. `links` had turns at the request.
    pub(super) fn end<'l>(
        self,
        gateway: &Gateway,
        exchange: Exchange<'_>,
        answered: Answered,
        links: impl Iterator<Item = &'l Link>,
    ) -> Response<Body> {
        let Answered { response, by, code } = answered;
        let Some(mut gathered) = self.0 else { return response };
        let record = &mut gathered.record;
        record.request_id = exchange.request_id;
        record.client = exchange.client;
        record.consumer = exchange.consumer;
        record.notes = exchange.notes;
        record.code = code;
        record.answerer = by;
        let plugins = links.filter(|link| link.phases.log).filter_map(plugin);
        gathered.tell(gateway, response, plugins.collect())
    }
}

impl Gathered {
    /// Tells `plugins` and the access log, once the body of `response` has ended.
    fn tell(
        self,
        gateway: &Gateway,
        response: Response<Body>,
        plugins: Vec<Arc<dyn Plugin>>,
    ) -> Response<Body> {
        let Self { begun, mut record } = self;
        record.status = response.status();
        let access_log = gateway.access_log.clone();
        response.map(|body| {
            body.when_done(move |end| {
                record.latency = begun.elapsed();
                record.response_bytes = end.bytes;
                record.complete = end.complete;
                for plugin in plugins {
                    plugin.log(&record);
                }
                if let Some(access_log) = access_log {
                    access_log.ended(record);
                }
            })
        })
    }
}

/// Where HTTP/2 has the host.
fn authority(request: &Request<Body>) -> Option<HeaderValue> {
    HeaderValue::from_str(request.uri().authority()?.as_str()).ok()
}

/// The plugin, as long as its secrets are there.
fn plugin(link: &Link) -> Option<Arc<dyn Plugin>> {
    match &link.instance {
        Instance::Ready(plugin) => Some(Arc::clone(plugin)),
        Instance::Referring(slot) => Some(Arc::clone(&slot.plugin().as_ref()?.0)),
        Instance::Unresolved | Instance::Broken => None,
    }
}
