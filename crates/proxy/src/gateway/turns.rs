//! The turns of plugins at one request.
//!
//! Global rules come first, whether or not a route takes the request. Then the route's plugins rewrite the request; one
//! of them may find out who calls, and that consumer's plugins join in. Then all of them see it before it goes to the
//! upstream; and whoever answers in the end, plugins may change the answer's head, and hear what became of it.

use std::sync::Arc;

use gateward_model::Failure;
use gateward_net::{Body, Conn};
use gateward_plugins::{Answerer, Exchange, Flow, Notes, Step};
use gateward_vars::{Condition, Params};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use serde_json::Value;

use super::ending::Ending;
use super::passage::Passage;
use super::refusal::{self, no_route, plugin_invalid, secret_unresolved};
use super::request_id::RequestId;
use super::upgrade::Wanted;
use super::{Gateway, Refused, forward};
use crate::snapshot::{Caller, CompiledRoute, Instance, Link, Snapshot};

/// The route that takes a request, and what it took of its path.
pub(super) struct Found {
    pub(super) route: Arc<CompiledRoute>,
    /// Where in the path that begins which a last `*` stands for.
    pub(super) rest: Option<usize>,
    pub(super) params: Params,
}

impl From<gateward_router::Found<'_, Arc<CompiledRoute>>> for Found {
    fn from(found: gateward_router::Found<'_, Arc<CompiledRoute>>) -> Self {
        Self { route: Arc::clone(found.payload), rest: found.rest, params: found.params }
    }
}

/// An answer, and who gave it.
pub(super) struct Answered {
    pub(super) response: Response<Body>,
    pub(super) by: Answerer,
}

impl Gateway {
    /// Answers a request that plugins see, or of which somebody writes down what becomes of it.
    pub(super) async fn answer_in_turns(
        &self,
        snapshot: &Arc<Snapshot>,
        found: Option<Found>,
        mut request: Request<Body>,
        conn: &Conn,
        id: &RequestId,
    ) -> Result<Response<Body>, Refused> {
        let target: Uri = request.uri().clone();
        let mut ending = Ending::begin(self, snapshot, found.as_ref(), &request, conn);
        let wanted = Wanted::take(&mut request, found.as_ref());
        let host = forward::strip(&mut request);
        let host_name = host.clone();
        let mut exchange = Exchange {
            target: &target,
            host: host_name.as_ref().map_or("", without_port),
            conn,
            client: conn.client.ip(),
            request_id: id.clone().into(),
            route: found.as_ref().map(|found| &found.route.facts),
            rest: found.as_ref().and_then(|found| target.path().get(found.rest?..)),
            params: found.as_ref().map(|found| &found.params),
            upstream_host: None,
            consumer: None,
            consumers: &snapshot.callers.consumers,
            pool: &self.pool,
            clock: &*self.clock,
            notes: Notes::default(),
            request,
        };
        let mut way = Way {
            gateway: self,
            snapshot,
            found: found.as_ref(),
            host,
            wanted,
            ending: &mut ending,
            closed: Closed::default(),
        };
        let answered = way.go(&mut exchange).await;
        let closed = way.closed;
        let Answered { mut response, by } = answered.unwrap_or_else(|failure| {
            let response = refusal::answer(&failure, exchange.request_id.to_str().unwrap_or_default());
            Answered { response, by: Answerer::Gateway }
        });
        let caller = caller(snapshot, &exchange);
        let links = || after(snapshot, found.as_ref(), caller).filter(|link| closed.lets(link));
        for link in links().filter(|link| link.phases.respond) {
            link.respond(&mut exchange, &mut response);
        }
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response = forward::returned(response);
        }
        Ok(ending.end(exchange, response, by, links()))
    }
}

/// One request on its way through all turns.
struct Way<'w> {
    gateway: &'w Gateway,
    snapshot: &'w Snapshot,
    found: Option<&'w Found>,
    /// The Host that the client named.
    host: Option<HeaderValue>,
    wanted: Option<Wanted>,
    ending: &'w mut Ending,
    closed: Closed,
}

/// The filters that do not let the request at hand pass. Each is asked once, before the request goes anywhere.
#[derive(Default)]
struct Closed(Vec<*const Condition>);

impl Closed {
    fn look<'l>(&mut self, links: impl Iterator<Item = &'l Link>, exchange: &Exchange<'_>) {
        for filter in links.filter_map(|link| link.filter.as_ref()) {
            if !filter.holds(&exchange.facts()) {
                self.0.push(Arc::as_ptr(filter));
            }
        }
    }

    /// Whether the plugin has turns at the request.
    fn lets(&self, link: &Link) -> bool {
        self.0.is_empty() || !link.filter.as_ref().is_some_and(|filter| self.0.contains(&Arc::as_ptr(filter)))
    }
}

impl Way<'_> {
    async fn go(&mut self, exchange: &mut Exchange<'_>) -> Result<Answered, Box<Failure>> {
        let global = self.snapshot.global.links();
        self.closed.look(global.iter(), exchange);
        for phase in [Phase::Rewrite, Phase::Access] {
            if let Some(answered) = self.turns(global.iter(), phase, exchange).await? {
                return Ok(answered);
            }
        }
        let route = &self.found.ok_or_else(|| Box::new(no_route()))?.route;
        if let Some(refused) = &route.refused {
            return Err(Box::new(Failure::clone(refused)));
        }
        self.closed.look(route.chain.links().iter(), exchange);
        if let Some(answered) = self.turns(route.chain.links().iter(), Phase::Rewrite, exchange).await? {
            return Ok(answered);
        }
        let caller = caller(self.snapshot, exchange);
        if let Some(caller) = caller {
            let links = caller.chain().links();
            self.closed.look(links.iter(), exchange);
            if let Some(answered) = self.turns(links.iter(), Phase::Rewrite, exchange).await? {
                return Ok(answered);
            }
        }
        self.announce(exchange);
        if let Some(answered) = self.turns(route.chain.with(caller), Phase::Access, exchange).await? {
            return Ok(answered);
        }
        self.pass(route, exchange).await
    }

    fn announce(&mut self, exchange: &mut Exchange<'_>) {
        let id = exchange.request_id.clone();
        let (headers, ink) = (exchange.request.headers_mut(), &self.gateway.ink);
        forward::announce(headers, self.host.take(), exchange.client, exchange.conn, id, ink);
    }

    async fn pass(
        &mut self,
        route: &CompiledRoute,
        exchange: &mut Exchange<'_>,
    ) -> Result<Answered, Box<Failure>> {
        let mut passage = Passage::new(route, &exchange.facts());
        passage.host = exchange.upstream_host.take();
        passage.is_watched = self.ending.is_wanted();
        let request = std::mem::take(&mut exchange.request);
        let response = match self.wanted.take() {
            Some(wanted) => self.gateway.pass_upgrade(&mut passage, request, wanted).await,
            None => self.gateway.pass(&mut passage, request).await,
        };
        self.ending.passed(passage.peer, passage.latency);
        Ok(Answered { response: response?, by: Answerer::Upstream })
    }

    /// Has each of `links` take its turn, until one ends the request.
    async fn turns<'l>(
        &self,
        links: impl Iterator<Item = &'l Link>,
        phase: Phase,
        exchange: &mut Exchange<'_>,
    ) -> Result<Option<Answered>, Box<Failure>> {
        for link in links {
            let has_turn = match phase {
                Phase::Rewrite => link.phases.rewrite,
                Phase::Access => link.phases.access,
            };
            if !has_turn || !self.closed.lets(link) {
                continue;
            }
            match link.turn(phase, exchange).await {
                Flow::Continue => {}
                Flow::Answer(response) => {
                    return Ok(Some(Answered { response: link.worded(*response), by: Answerer::Plugin }));
                }
                Flow::Fail(failure) => {
                    let Some(words) = &link.entry.meta.error_response else { return Err(failure) };
                    let response = with_words(failure.status.status(), words);
                    return Ok(Some(Answered { response, by: Answerer::Plugin }));
                }
            }
        }
        Ok(None)
    }
}

/// The phases in which plugins can end a request.
#[derive(Clone, Copy)]
enum Phase {
    Rewrite,
    Access,
}

impl Link {
    async fn turn(&self, phase: Phase, exchange: &mut Exchange<'_>) -> Flow {
        match &self.instance {
            Instance::Ready(plugin) => over(phase, &**plugin, exchange).await,
            Instance::Referring(slot) => match &*slot.plugin() {
                Some(built) => over(phase, &*built.0, exchange).await,
                None => Flow::Fail(Box::new(secret_unresolved())),
            },
            Instance::Broken => Flow::Fail(Box::new(plugin_invalid())),
        }
    }

    fn respond(&self, exchange: &mut Exchange<'_>, response: &mut Response<Body>) {
        match &self.instance {
            Instance::Ready(plugin) => plugin.respond(exchange, response),
            Instance::Referring(slot) => {
                if let Some(built) = &*slot.plugin() {
                    built.0.respond(exchange, response);
                }
            }
            Instance::Broken => {}
        }
    }

    /// The plugin's answer; in the words of `_meta.error_response`, if it refuses and there are such.
    fn worded(&self, response: Response<Body>) -> Response<Body> {
        let status = response.status();
        match &self.entry.meta.error_response {
            Some(words) if status.is_client_error() || status.is_server_error() => with_words(status, words),
            _ => response,
        }
    }
}

async fn over(phase: Phase, plugin: &dyn gateward_plugins::Plugin, exchange: &mut Exchange<'_>) -> Flow {
    let step = match phase {
        Phase::Rewrite => plugin.rewrite(exchange),
        Phase::Access => plugin.access(exchange),
    };
    match step {
        Step::Now(flow) => flow,
        Step::Later(flow) => flow.await,
    }
}

fn with_words(status: StatusCode, words: &Value) -> Response<Body> {
    let (kind, text) = match words {
        Value::String(text) => ("text/plain; charset=utf-8", text.clone()),
        words => ("application/json", words.to_string()),
    };
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// What the consumer brings along that calls, if it is known who calls.
fn caller<'s>(snapshot: &'s Snapshot, exchange: &Exchange<'_>) -> Option<&'s Caller> {
    let consumer = exchange.consumer.as_ref()?;
    snapshot.callers.by_name.get(&*consumer.username)
}

/// All plugins that saw a request, in the order of their turns.
pub(super) fn after<'a>(
    snapshot: &'a Snapshot,
    found: Option<&'a Found>,
    caller: Option<&'a Caller>,
) -> impl Iterator<Item = &'a Link> {
    let global = snapshot.global.links().iter();
    global.chain(found.into_iter().flat_map(move |found| found.route.chain.with(caller)))
}

fn without_port(host: &HeaderValue) -> &str {
    let host = host.to_str().unwrap_or_default();
    match host.rfind(':') {
        Some(colon) if !host.ends_with(']') => &host[..colon],
        _ => host,
    }
}
