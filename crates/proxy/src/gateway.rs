//! One request: from its head to the head of its answer.
//!
//! [`Gateway::handle`] is all that a host calls. It reads top to bottom as what happens: is the request in order, which
//! route takes it, what do the route's plugins say, and who of the upstream's nodes answers it.

mod forward;
mod ink;
mod refusal;
mod request_id;

use std::sync::Arc;

use arc_swap::ArcSwap;
use gateward_clock::Clock;
use gateward_model::{Failure, Origin};
use gateward_net::{Body, Conn, Pool, Timeouts};
use gateward_plugins::{Consumers, Exchange, Flow, Notes, Plugin, Step};
use http::header::{CONNECTION, SERVER};
use http::{HeaderValue, Request, Response, Version};

use crate::hygiene::{self, Improper};
use crate::snapshot::{CompiledRoute, CompiledUpstream, Instance, Snapshot, Target};
use ink::Ink;
use refusal::{bad_answer, no_nodes, no_route, no_upstream, plugin_invalid, secret_unresolved};
use request_id::{RequestId, RequestIds, X_REQUEST_ID};

/// The snapshot that is served from. Loaded once per request, replaced when the configuration changes.
pub type Current = ArcSwap<Snapshot>;

/// What turns a request into its answer. Each data thread has one; it is not `Send`.
pub struct Gateway {
    current: Arc<Current>,
    pool: Pool,
    clock: Arc<dyn Clock>,
    ids: RequestIds,
    ink: Ink,
}

impl Gateway {
    /// A gateway that serves from `current` and calls by `pool`.
    pub fn new(current: Arc<Current>, pool: Pool, clock: Arc<dyn Clock>) -> Self {
        Self { current, pool, clock, ids: RequestIds::new(), ink: Ink::default() }
    }

    /// Answers `request`, which came by `conn`. Every answer has a request id.
    pub async fn handle(&self, request: Request<Body>, conn: &Conn) -> Response<Body> {
        let id = self.ids.for_request(request.headers(), &self.ink);
        let version = request.version();
        let response = match self.answer(request, conn, &id).await {
            Ok(response) => response,
            Err(Refused::Failed(failure)) => refusal::answer(&failure, &id),
            Err(Refused::Improper(improper)) => refuse(improper, version, &id),
        };
        labelled(response, id)
    }

    /// Whether a route takes `request`.
    pub(crate) fn has_route_for<B>(&self, request: &Request<B>) -> bool {
        let snapshot = self.current.load();
        hygiene::check(request).is_ok_and(|target| snapshot.find(&target, request.method()).is_some())
    }

    /// Has `request` answered elsewhere in this process, if it is in order. It gets the request id that its answer
    /// will have.
    pub(crate) async fn handle_by(
        &self,
        mut request: Request<Body>,
        elsewhere: impl AsyncFnOnce(Request<Body>) -> Response<Body>,
    ) -> Response<Body> {
        let id = self.ids.for_request(request.headers(), &self.ink);
        let response = match hygiene::check(&request) {
            Ok(_) => {
                request.headers_mut().insert(&X_REQUEST_ID, id.clone().into());
                elsewhere(request).await
            }
            Err(improper) => refuse(improper, request.version(), &id),
        };
        labelled(response, id)
    }

    async fn answer(
        &self,
        mut request: Request<Body>,
        conn: &Conn,
        id: &RequestId,
    ) -> Result<Response<Body>, Refused> {
        let snapshot = self.current.load();
        let target = hygiene::check(&request)?;
        let (route, rest) = snapshot.find(&target, request.method()).ok_or_else(no_route)?;
        let host = target.host.to_owned();
        forward::prepare(&mut request, conn, id, &self.ink);
        if !route.plugins.is_empty() {
            // Plugins may change the request's URI; what the route's `*` took is of the one that was routed by.
            let routed = request.uri().clone();
            let mut exchange = Exchange {
                request,
                target: &routed,
                host: &host,
                conn,
                client: conn.client.ip(),
                request_id: id.clone().into(),
                route: None,
                rest: rest.and_then(|at| routed.path().get(at..)),
                params: None,
                upstream_host: None,
                consumer: None,
                consumers: &Consumers::default(),
                pool: &self.pool,
                clock: &*self.clock,
                notes: Notes::default(),
            };
            for plugin in &route.plugins {
                match run(&plugin.instance, &mut exchange).await {
                    Flow::Continue => {}
                    Flow::Answer(response) => return Ok(forward::returned(*response)),
                    Flow::Fail(failure) => return Err((*failure).into()),
                }
            }
            request = exchange.request;
        }
        let response = self.proxy(route, request).await?;
        Ok(forward::returned(response))
    }

    async fn proxy(&self, route: &CompiledRoute, request: Request<Body>) -> Result<Response<Body>, Failure> {
        let upstream = match &route.target {
            Target::Upstream(upstream) => upstream,
            Target::Missing(failure) => return Err((**failure).clone()),
            Target::None => return Err(no_upstream()),
        };
        let response = self.fetch(upstream, request, &route.timeouts).await?;
        // We never asked to switch protocols, and could not.
        if response.status().is_informational() {
            return Err(bad_answer(response.status()));
        }
        Ok(response)
    }

    /// Sends `request` to the node whose turn it is, and to others if it cannot be reached. As long as there is no
    /// connection nobody has seen the request, and it is safe to send whatever it asks for.
    async fn fetch(
        &self,
        upstream: &CompiledUpstream,
        mut request: Request<Body>,
        timeouts: &Timeouts,
    ) -> Result<Response<Body>, Failure> {
        let mut node = upstream.balancer.pick().ok_or_else(no_nodes)?;
        let mut tried = Vec::new();
        loop {
            let unreached = match self.pool.fetch_or_return(&upstream.peers[node], request, timeouts).await {
                Ok(response) => return Ok(response),
                Err(unreached) => unreached,
            };
            tried.push(node);
            let (Some(unsent), Some(another)) = (unreached.request, upstream.balancer.another(&tried)) else {
                return Err(unreached.error.failure(Origin::Upstream));
            };
            tracing::debug!(error = %unreached.error, "a node cannot be reached, and another is asked");
            (request, node) = (*unsent, another);
        }
    }
}

/// Why there is no answer but our own.
enum Refused {
    Improper(Improper),
    Failed(Failure),
}

impl From<Improper> for Refused {
    fn from(improper: Improper) -> Self {
        Self::Improper(improper)
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Every answer says whose it is, and which.
fn labelled(mut response: Response<Body>, id: RequestId) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(SERVER, GATEWARD);
    headers.insert(&X_REQUEST_ID, id.into());
    response
}

/// Refuses a request that is not in order, and closes its connection where that means anything.
fn refuse(improper: Improper, version: Version, id: &RequestId) -> Response<Body> {
    let mut response = refusal::answer(&improper.failure(), id);
    if version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn run(instance: &Instance, exchange: &mut Exchange<'_>) -> Flow {
    match instance {
        Instance::Ready(plugin) => step(&**plugin, exchange).await,
        Instance::Referring(slot) => match &*slot.plugin() {
            Some(built) => step(&*built.0, exchange).await,
            None => Flow::Fail(Box::new(secret_unresolved())),
        },
        Instance::Broken => Flow::Fail(Box::new(plugin_invalid())),
    }
}

async fn step(plugin: &dyn Plugin, exchange: &mut Exchange<'_>) -> Flow {
    match plugin.access(exchange) {
        Step::Now(flow) => flow,
        Step::Later(flow) => flow.await,
    }
}

const GATEWARD: HeaderValue = HeaderValue::from_static("gateward");
