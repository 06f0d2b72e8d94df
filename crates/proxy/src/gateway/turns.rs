//! The turns of plugins at one request.
//!
//! Global rules come first, whether or not a route takes the request. Then the route's plugins rewrite the request; one
//! of them may find out who calls, and that consumer's plugins join in. Then all of them see it before it goes to the
//! upstream; and whoever answers in the end, plugins may change the answer's head, and hear what became of it.

use std::sync::Arc;

use gateward_model::{Failure, Origin};
use gateward_net::{Body, Conn};
use gateward_plugins::{Answerer, Exchange, Flow, Matched, Notes, Step};
use gateward_vars::{Condition, Params, RequestBody};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, TRANSFER_ENCODING};
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
    /// By what it was found.
    pub(super) matched: Matched,
}

impl From<gateward_router::Found<'_, Arc<CompiledRoute>>> for Found {
    fn from(found: gateward_router::Found<'_, Arc<CompiledRoute>>) -> Self {
        let matched =
            Matched { route: Arc::clone(&found.payload.matching), uri: found.uri, host: found.host };
        Self { route: Arc::clone(found.payload), rest: found.rest, params: found.params, matched }
    }
}

/// An answer, and who gave it.
pub(super) struct Answered {
    pub(super) response: Response<Body>,
    pub(super) by: Answerer,
    /// The word that the client is told, if it is a failure.
    pub(super) code: Option<&'static str>,
}

impl Gateway {
    /// Answers a request that plugins see, or of which somebody writes down what becomes of it.
    pub(super) async fn answer_in_turns(
        &self,
        snapshot: &Arc<Snapshot>,
        found: Option<Found>,
        mut request: Request<Body>,
        body: Option<&RequestBody<'_>>,
        conn: &Conn,
        id: &RequestId,
    ) -> Result<Response<Body>, Box<Refused>> {
        let target: Uri = request.uri().clone();
        let plugins_log = snapshot.global.phases().log
            || snapshot.callers.log
            || found.as_ref().is_some_and(|found| found.route.chain.phases().log);
        let ending = Ending::begin(self, plugins_log, found.as_ref(), &request, conn);
        let wanted = Wanted::take(&mut request, found.as_ref());
        let host = forward::strip(&mut request);
        forward::announce_way(request.headers_mut(), host.clone(), conn, &self.ink);
        let mut exchange = Exchange {
            target: &target,
            host: host.as_ref().map_or("", without_port),
            body,
            conn,
            client: conn.client.ip(),
            client_port: Some(conn.client.port()),
            request_id: id.clone().into(),
            route: found.as_ref().map(|found| &found.route.facts),
            rest: found.as_ref().and_then(|found| target.path().get(found.rest?..)),
            matched: found.as_ref().map(|found| &found.matched),
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
            wanted,
            ending,
            filters: Filters::default(),
            route: None,
            caller: None,
        };
        let answered = way.go(&mut exchange).await;
        let Way { ending, mut filters, route, caller, .. } = way;
        let Answered { mut response, by, code } = answered.unwrap_or_else(|failure| {
            let response = refusal::answer(&failure, id_of(&exchange));
            Answered { response, by: to_blame_for(&failure), code: Some(failure.code) }
        });
        if let Some(code) = code {
            self.counts.refused(code);
        }
        filters.ask(after(snapshot, route, caller), &exchange);
        let links = || after(snapshot, route, caller).filter(|link| filters.lets(link));
        if is_refused(&response, by, code) {
            links().for_each(Link::refused);
            route.into_iter().for_each(CompiledRoute::upstream_refused);
        }
        for link in links().filter(|link| link.phases.respond) {
            link.respond(&mut exchange, &mut response);
        }
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response = forward::returned(response);
        }
        Ok(ending.end(self, exchange, Answered { response, by, code }, links()))
    }
}

/// One request on its way through all turns.
struct Way<'w> {
    gateway: &'w Gateway,
    snapshot: &'w Snapshot,
    found: Option<&'w Found>,
    wanted: Option<Wanted>,
    ending: Ending,
    filters: Filters,
    /// The route, once its plugins see the request.
    route: Option<&'w CompiledRoute>,
    /// What the consumer brought along that calls, once its plugins see the request.
    caller: Option<&'w Caller>,
}

/// What the filters of plugins say of the request at hand. Each is asked once: when its plugin would have its first
/// turn, so that it knows who calls where that is known by then, and at the latest before the request goes anywhere.
#[derive(Default)]
struct Filters(Vec<(*const Condition, bool)>);

impl Filters {
    fn ask<'l>(&mut self, links: impl Iterator<Item = &'l Link>, exchange: &Exchange<'_>) {
        for filter in links.filter_map(|link| link.filter.as_ref()) {
            if self.said(filter).is_none() {
                self.0.push((Arc::as_ptr(filter), filter.holds(&exchange.facts())));
            }
        }
    }

    /// Whether the plugin has turns at the request; its filter has been asked.
    fn lets(&self, link: &Link) -> bool {
        link.filter.as_ref().is_none_or(|filter| self.said(filter) == Some(true))
    }

    fn said(&self, filter: &Arc<Condition>) -> Option<bool> {
        self.0.iter().find(|(asked, _)| *asked == Arc::as_ptr(filter)).map(|(_, holds)| *holds)
    }
}

impl<'w> Way<'w> {
    async fn go(&mut self, exchange: &mut Exchange<'_>) -> Result<Answered, Box<Failure>> {
        let global = self.snapshot.global.links();
        for phase in [Phase::Rewrite, Phase::Access] {
            if let Some(answered) = self.turns(global.iter(), phase, exchange).await? {
                return Ok(answered);
            }
        }
        let found = self.found.ok_or_else(|| Box::new(no_route(exchange.request.method())));
        let route: &'w CompiledRoute = &found?.route;
        if let Some(refused) = &route.refused {
            return Err(Box::new(Failure::clone(refused)));
        }
        self.route = Some(route);
        if let Some(answered) = self.rewrite(route, exchange).await? {
            return Ok(answered);
        }
        if let Some(caller) = caller(self.snapshot, exchange) {
            if let Some(refused) = &caller.refused {
                return Err(Box::new(Failure::clone(refused)));
            }
            self.caller = Some(caller);
            let links = caller.chain().links();
            if let Some(answered) = self.turns(links.iter(), Phase::Rewrite, exchange).await? {
                return Ok(answered);
            }
        }
        self.announce_client(exchange);
        let links = || route.chain.with(self.caller);
        self.filters.ask(links(), exchange);
        if let Some(answered) = self.turns(links(), Phase::Access, exchange).await? {
            return Ok(answered);
        }
        self.pass(route, exchange).await
    }

    /// Has the route's plugins rewrite the request. As soon as it is known who calls, those have no turn any more that
    /// the caller brings its own for.
    async fn rewrite(
        &mut self,
        route: &CompiledRoute,
        exchange: &mut Exchange<'_>,
    ) -> Result<Option<Answered>, Box<Failure>> {
        for link in route.chain.links().iter().filter(|link| link.phases.rewrite) {
            let is_replaced = caller(self.snapshot, exchange).is_some_and(|caller| caller.names(link));
            if !is_replaced && let Some(answered) = self.turn(link, Phase::Rewrite, exchange).await? {
                return Ok(Some(answered));
            }
        }
        Ok(None)
    }

    fn announce_client(&self, exchange: &mut Exchange<'_>) {
        let (client, id) = (exchange.client, exchange.request_id.clone());
        forward::announce_client(exchange.request.headers_mut(), client, id, &self.gateway.ink);
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
        let status = response.as_ref().ok().map(Response::status);
        self.ending.passed(passage.peer, passage.latency, status);
        Ok(Answered { response: response?, by: Answerer::Upstream, code: None })
    }

    /// Has each of `links` take its turn, until one ends the request.
    async fn turns<'l>(
        &mut self,
        links: impl Iterator<Item = &'l Link>,
        phase: Phase,
        exchange: &mut Exchange<'_>,
    ) -> Result<Option<Answered>, Box<Failure>> {
        for link in links {
            let has_turn = match phase {
                Phase::Rewrite => link.phases.rewrite,
                Phase::Access => link.phases.access,
            };
            if has_turn && let Some(answered) = self.turn(link, phase, exchange).await? {
                return Ok(Some(answered));
            }
        }
        Ok(None)
    }

    /// Has `link` take its turn, if its filter lets it; and whether that ends the request.
    async fn turn(
        &mut self,
        link: &Link,
        phase: Phase,
        exchange: &mut Exchange<'_>,
    ) -> Result<Option<Answered>, Box<Failure>> {
        self.filters.ask(std::iter::once(link), exchange);
        if !self.filters.lets(link) {
            return Ok(None);
        }
        let (response, by, code) = match link.turn(phase, exchange).await {
            Flow::Continue => return Ok(None),
            Flow::Answer(response) => (*response, Answerer::Plugin, None),
            Flow::Function(response) => (*response, Answerer::Function, None),
            Flow::Fail(failure) if link.entry.meta.error_response.is_none() => return Err(failure),
            Flow::Fail(failure) => {
                let by = match to_blame_for(&failure) {
                    Answerer::Function => Answerer::Function,
                    _ => Answerer::Plugin,
                };
                (refusal::answer(&failure, id_of(exchange)), by, Some(failure.code))
            }
        };
        Ok(Some(Answered { response: link.worded(response), by, code }))
    }
}

/// Whether whoever was asked, and not the gateway, says that it may not.
fn is_refused(response: &Response<Body>, by: Answerer, code: Option<&'static str>) -> bool {
    match code {
        None => {
            matches!(by, Answerer::Upstream | Answerer::Function)
                && refusal::is_of_credentials(response.status())
        }
        Some(code) => code == "function_access_denied",
    }
}

/// Whose failure it was, for those who count: a function's are not the gateway's.
fn to_blame_for(failure: &Failure) -> Answerer {
    match failure.origin {
        Origin::Function => Answerer::Function,
        _ => Answerer::Gateway,
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
            Instance::Unresolved => Flow::Fail(Box::new(secret_unresolved())),
            Instance::Broken => Flow::Fail(Box::new(plugin_invalid())),
        }
    }

    /// Who answered refused the request, perhaps because of a secret that has changed.
    fn refused(&self) {
        if let Instance::Referring(slot) = &self.instance {
            slot.refused();
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
            Instance::Unresolved | Instance::Broken => {}
        }
    }

    /// The plugin's answer; in the words of `_meta.error_response`, if it refuses and there are such.
    fn worded(&self, response: Response<Body>) -> Response<Body> {
        let status = response.status();
        match &self.entry.meta.error_response {
            Some(words) if status.is_client_error() || status.is_server_error() => {
                with_words(response, words)
            }
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

/// `response` with `words` for a body. What else it tells stays, such as how to authenticate.
fn with_words(mut response: Response<Body>, words: &Value) -> Response<Body> {
    let (kind, text) = match words {
        Value::String(text) => ("text/plain; charset=utf-8", text.clone()),
        words => ("application/json", words.to_string()),
    };
    *response.body_mut() = Body::full(text);
    let headers = response.headers_mut();
    for of_the_body_before in [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE, TRANSFER_ENCODING, ETAG] {
        headers.remove(of_the_body_before);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn id_of<'e>(exchange: &'e Exchange<'_>) -> &'e str {
    exchange.request_id.to_str().unwrap_or_default()
}

/// What the consumer brings along that calls, if it is known who calls.
fn caller<'s>(snapshot: &'s Snapshot, exchange: &Exchange<'_>) -> Option<&'s Caller> {
    let consumer = exchange.consumer.as_ref()?;
    snapshot.callers.by_name.get(&*consumer.username)
}

/// All plugins that saw a request, in the order of their turns.
fn after<'a>(
    snapshot: &'a Snapshot,
    route: Option<&'a CompiledRoute>,
    caller: Option<&'a Caller>,
) -> impl Iterator<Item = &'a Link> {
    let global = snapshot.global.links().iter();
    global.chain(route.into_iter().flat_map(move |route| route.chain.with(caller)))
}

fn without_port(host: &HeaderValue) -> &str {
    let host = host.to_str().unwrap_or_default();
    match host.rfind(':') {
        Some(colon) if !host.ends_with(']') => &host[..colon],
        _ => host,
    }
}
