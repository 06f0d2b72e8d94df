//! One request: from its head to the head of its answer.
//!
//! [`Gateway::handle`] is all that a host calls. It reads top to bottom as what happens: is the request in order, which
//! route takes it, what do the plugins say (see [`turns`]), and who of the upstream's nodes answers it (see [`passage`]).

mod by_body;
mod ending;
mod forward;
mod ink;
mod passage;
mod refusal;
mod request_id;
mod turns;
mod upgrade;

use std::sync::Arc;

use arc_swap::ArcSwap;
use gateward_clock::Clock;
use gateward_model::Failure;
use gateward_net::{Body, Conn, Pool};
use gateward_plugins::Record;
use gateward_vars::Facts;
use http::header::{CONNECTION, SERVER, UPGRADE};
use http::{HeaderValue, Request, Response, Version};

use crate::hygiene;
use crate::snapshot::{CompiledRoute, Snapshot};
use crate::traffic::{ThreadCounts, Traffic};
use ending::Ending;
use ink::Ink;
use passage::Passage;
use request_id::{RequestId, RequestIds, X_REQUEST_ID};

/// The snapshot that is served from. Loaded once per request, replaced when the configuration changes.
pub type Current = ArcSwap<Snapshot>;

/// Who writes down what became of each request. It must not wait.
pub trait AccessLog: Send + Sync {
    /// A request has ended.
    fn ended(&self, record: Box<Record>);
}

/// What turns a request into its answer. Each data thread has one; it is not `Send`.
pub struct Gateway {
    current: Arc<Current>,
    pool: Pool,
    clock: Arc<dyn Clock>,
    access_log: Option<Arc<dyn AccessLog>>,
    counts: Arc<ThreadCounts>,
    ids: RequestIds,
    ink: Ink,
}

impl Gateway {
    /// A gateway that serves from `current`, calls by `pool` and counts in `traffic`.
    pub fn new(
        current: Arc<Current>,
        pool: Pool,
        clock: Arc<dyn Clock>,
        access_log: Option<Arc<dyn AccessLog>>,
        traffic: &Traffic,
    ) -> Self {
        let counts = traffic.thread();
        Self { current, pool, clock, access_log, counts, ids: RequestIds::new(), ink: Ink::default() }
    }

    /// Answers `request`, which came by `conn`. Every answer has a request id.
    pub async fn handle(&self, request: Request<Body>, conn: &Conn) -> Response<Body> {
        let id = self.ids.for_request(request.headers(), &self.ink);
        let version = request.version();
        let response = match self.answer(request, conn, &id).await {
            Ok(response) => response,
            Err(refused) => self.refuse(*refused, version, &id),
        };
        self.counts.answered(response.status());
        labelled(response, id)
    }

    /// Whether a route takes `request`.
    pub(crate) fn has_route_for<B>(&self, request: &Request<B>, conn: &Conn) -> bool {
        let snapshot = self.current.load();
        let Ok(target) = hygiene::check(request) else { return false };
        let facts = facts(request, target.host, conn, "");
        snapshot.router.find(target.host, &target.path, request.method(), &facts).is_some()
    }

    /// Has `request` answered elsewhere in this process, if it is in order. It gets the request id that its answer
    /// will have. `code` is why it is answered there, if that is a failure.
    pub(crate) async fn handle_by(
        &self,
        mut request: Request<Body>,
        conn: &Conn,
        code: Option<&'static str>,
        elsewhere: impl AsyncFnOnce(Request<Body>) -> Response<Body>,
    ) -> Response<Body> {
        let id = self.ids.for_request(request.headers(), &self.ink);
        let ending = Ending::begin(self, false, None, &request, conn);
        let response = match hygiene::check(&request) {
            Ok(_) => {
                request.headers_mut().insert(&X_REQUEST_ID, id.clone().into());
                let response = elsewhere(request).await;
                if let Some(code) = code {
                    self.counts.refused(code);
                }
                ending.answered(self, id.clone().into(), response, code)
            }
            Err(improper) => {
                let version = request.version();
                self.refuse(Refused { failure: improper.failure(), closes: true, ending }, version, &id)
            }
        };
        self.counts.answered(response.status());
        labelled(response, id)
    }

    async fn answer(
        &self,
        mut request: Request<Body>,
        conn: &Conn,
        id: &RequestId,
    ) -> Result<Response<Body>, Box<Refused>> {
        let snapshot = self.current.load();
        if snapshot.router.needs_body() && by_body::decides(&snapshot, &request, conn) {
            return Box::pin(self.answer_by_body(&snapshot, request, conn, id)).await;
        }
        let turned_away = |failure, closes| self.turned_away(&request, conn, failure, closes);
        let target = hygiene::check(&request).map_err(|improper| turned_away(improper.failure(), true))?;
        let facts = facts(&request, target.host, conn, id.as_str());
        let permitted = snapshot.certificates().permits(conn, target.host, &target.path);
        permitted.map_err(|failure| turned_away(failure, false))?;
        let found = snapshot.router.find(target.host, &target.path, request.method(), &facts);
        let plain = found.as_ref().map(|found| found.payload).filter(|route| self.is_plain(&snapshot, route));
        let Some(route) = plain.filter(|_| !request.headers().contains_key(UPGRADE)) else {
            let found = found.map(turns::Found::from);
            // What few requests need must not make the future of all others larger.
            return match by_body::is_of_use(&snapshot, found.as_ref()) {
                true => Box::pin(self.answer_with_body(&snapshot, found, request, conn, id)).await,
                false => Box::pin(self.answer_in_turns(&snapshot, found, request, None, conn, id)).await,
            };
        };
        let mut passage = Passage::new(route, &facts);
        let host = forward::strip(&mut request);
        forward::announce_way(request.headers_mut(), host, conn, &self.ink);
        forward::announce_client(request.headers_mut(), conn.client.ip(), id.clone().into(), &self.ink);
        let response = self.pass(&mut passage, request).await?;
        if refusal::is_of_credentials(response.status()) {
            route.upstream_refused();
        }
        Ok(forward::returned(response))
    }

    /// Why `request` gets no further, of which nothing was written down yet.
    fn turned_away(
        &self,
        request: &Request<Body>,
        conn: &Conn,
        failure: Failure,
        closes: bool,
    ) -> Box<Refused> {
        Box::new(Refused { failure, closes, ending: Ending::begin(self, false, None, request, conn) })
    }

    /// Answers a request that gets no further.
    fn refuse(&self, refused: Refused, version: Version, id: &RequestId) -> Response<Body> {
        let Refused { failure, closes, ending } = refused;
        self.counts.refused(failure.code);
        let mut response = refusal::answer(&failure, id.as_str());
        if closes && version < Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        ending.answered(self, id.clone().into(), response, Some(failure.code))
    }

    /// Whether a request of `route` just goes through: no plugin sees it, and nobody writes down what becomes of it.
    fn is_plain(&self, snapshot: &Snapshot, route: &CompiledRoute) -> bool {
        self.access_log.is_none()
            && snapshot.global.is_empty()
            && route.chain.is_empty()
            && route.refused.is_none()
            && !route.needs_body
    }
}

/// Why there is no answer but our own.
struct Refused {
    failure: Failure,
    /// Whether the connection is to be closed, where that means anything.
    closes: bool,
    ending: Ending,
}

impl From<Box<Failure>> for Box<Refused> {
    fn from(failure: Box<Failure>) -> Self {
        Self::new(Refused { failure: *failure, closes: false, ending: Ending::unheard() })
    }
}

/// What is known of a request that just came in.
fn facts<'f, B>(request: &'f Request<B>, host: &'f str, conn: &'f Conn, id: &'f str) -> Facts<'f> {
    Facts { request_id: id, ..Facts::of(request, host, conn) }
}

/// Every answer says whose it is, and which.
fn labelled(mut response: Response<Body>, id: RequestId) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(SERVER, GATEWARD);
    headers.insert(&X_REQUEST_ID, id.into());
    response
}

const GATEWARD: HeaderValue = HeaderValue::from_static("gateward");
