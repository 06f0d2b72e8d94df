//! What became of a request, for those who want to know: plugins that log, and the access log.
//!
//! Whoever wants to know has to be told when the answer's body has ended, long after the request is gone. So what there
//! is to tell is gathered on the way; where nobody wants to know, nothing is.

use std::sync::Arc;
use std::time::Duration;

use gateward_net::{Body, Conn, Peer};
use gateward_plugins::{Answerer, Exchange, Notes, Plugin, Record};
use http::header::{CONTENT_LENGTH, HOST, REFERER, USER_AGENT};
use http::{HeaderName, Request, Response, StatusCode};
use tokio::time::Instant;

use super::turns::Found;
use super::{AccessLog, Gateway};
use crate::snapshot::{Instance, Link, Snapshot};

/// What is gathered; nothing, if nobody wants to know.
pub(super) struct Ending(Option<Box<Gathered>>);

struct Gathered {
    begun: Instant,
    record: Record,
    access_log: Option<Arc<dyn AccessLog>>,
}

impl Ending {
    /// Begins to gather, if `gateway` or a plugin that may see the request wants to know.
    pub(super) fn begin(
        gateway: &Gateway,
        snapshot: &Snapshot,
        found: Option<&Found>,
        request: &Request<Body>,
        conn: &Conn,
    ) -> Self {
        let plugins_log = snapshot.global.phases().log
            || snapshot.callers.log
            || found.is_some_and(|found| found.route.chain.phases().log);
        if gateway.access_log.is_none() && !plugins_log {
            return Self(None);
        }
        let header = |name: HeaderName| request.headers().get(name).cloned();
        let length = header(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let record = Record {
            request_id: http::HeaderValue::from_static(""),
            method: request.method().clone(),
            target: request.uri().clone(),
            version: request.version(),
            host: header(HOST),
            user_agent: header(USER_AGENT),
            referer: header(REFERER),
            client: conn.client.ip(),
            conn: conn.clone(),
            route: found.map(|found| Arc::clone(&found.route.facts)),
            consumer: None,
            status: StatusCode::OK,
            answerer: Answerer::Gateway,
            node: None,
            upstream_latency: None,
            started: gateway.clock.now(),
            latency: Duration::ZERO,
            request_bytes: length.unwrap_or_default(),
            response_bytes: 0,
            complete: false,
            notes: Notes::default(),
        };
        let access_log = gateway.access_log.clone();
        Self(Some(Box::new(Gathered { begun: Instant::now(), record, access_log })))
    }

    /// Whether somebody wants to know.
    pub(super) fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// `node` was asked last, and there was an answer, or none, after `latency`.
    pub(super) fn passed(&mut self, node: Option<Peer>, latency: Option<Duration>) {
        if let Some(gathered) = &mut self.0 {
            gathered.record.node = node;
            gathered.record.upstream_latency = latency;
        }
    }

    /// The head of the answer stands. `links` had turns at the request.
    pub(super) fn end<'l>(
        self,
        exchange: Exchange<'_>,
        response: Response<Body>,
        answerer: Answerer,
        links: impl Iterator<Item = &'l Link>,
    ) -> Response<Body> {
        let Some(mut gathered) = self.0 else { return response };
        let record = &mut gathered.record;
        record.request_id = exchange.request_id;
        record.client = exchange.client;
        record.consumer = exchange.consumer;
        record.notes = exchange.notes;
        record.status = response.status();
        record.answerer = answerer;
        let plugins: Vec<Arc<dyn Plugin>> = links.filter(|link| link.phases.log).filter_map(plugin).collect();
        response.map(|body| {
            body.when_done(move |end| {
                let Gathered { begun, mut record, access_log } = *gathered;
                record.latency = begun.elapsed();
                record.response_bytes = end.bytes;
                record.complete = end.complete;
                for plugin in plugins {
                    plugin.log(&record);
                }
                if let Some(access_log) = access_log {
                    access_log.ended(&record);
                }
            })
        })
    }
}

/// The plugin, as long as its secrets are there.
fn plugin(link: &Link) -> Option<Arc<dyn Plugin>> {
    match &link.instance {
        Instance::Ready(plugin) => Some(Arc::clone(plugin)),
        Instance::Referring(slot) => Some(Arc::clone(&slot.plugin().as_ref()?.0)),
        Instance::Unresolved | Instance::Broken => None,
    }
}
