//! A request's way to a node of its upstream.
//!
//! The balancer says which node has its turn. When that node fails, another one may get the request: as long as nothing
//! of it was sent whatever it asks for, and afterwards if doing it twice is doing it once.

use std::time::Duration;

use gateward_model::{Failure, Origin};
use gateward_net::{Body, Missed, Peer, Timeouts};
use gateward_upstreams::{Balanced, Failed, Key, Tried, Turn, may_try_another};
use gateward_vars::Facts;
use http::header::HOST;
use http::{HeaderValue, Request, Response};
use tokio::time::Instant;

use super::Gateway;
use super::refusal::{bad_answer, no_nodes, no_upstream};
use crate::snapshot::{CompiledRoute, Target};

/// One request's way.
pub(super) struct Passage<'p> {
    route: &'p CompiledRoute,
    /// What the request is told apart by, where the upstream hashes.
    key: Key,
    /// The Host that a plugin wants to be sent.
    pub(super) host: Option<HeaderValue>,
    /// Whether somebody wants to know the two below.
    pub(super) is_watched: bool,
    /// The node that was asked last.
    pub(super) peer: Option<Peer>,
    /// How long it took until there was an answer, all tries together.
    pub(super) latency: Option<Duration>,
}

impl<'p> Passage<'p> {
    /// The way of a request that `facts` are about, to where `route` says.
    pub(super) fn new(route: &'p CompiledRoute, facts: &Facts<'_>) -> Self {
        let key = match &route.target {
            Target::Upstream(upstream) => upstream.key(facts),
            Target::Unusable(_) | Target::None => Key::default(),
        };
        Self { route, key, host: None, is_watched: false, peer: None, latency: None }
    }

    fn upstream(&self) -> Result<&'p Balanced, Box<Failure>> {
        match &self.route.target {
            Target::Upstream(upstream) => Ok(upstream),
            Target::Unusable(failure) => Err(Box::new(Failure::clone(failure))),
            Target::None => Err(Box::new(no_upstream())),
        }
    }

    /// Writes the Host that the node of `turn` hears of, if it is not the one that the client named.
    fn address(&self, upstream: &Balanced, turn: &Turn, request: &mut Request<Body>) {
        if let Some(host) = self.host.as_ref().or_else(|| upstream.host(turn.node())) {
            request.headers_mut().insert(HOST, host.clone());
        }
    }
}

/// A request that has arrived.
pub(super) struct Passed<A> {
    pub(super) answer: A,
    /// The turn of the node that answered.
    pub(super) turn: Turn,
    /// When that node was asked; those that failed before took their own time.
    pub(super) asked: Instant,
}

impl Gateway {
    /// Sends `request` to the node whose turn it is, and to others if that fails.
    pub(super) async fn pass(
        &self,
        passage: &mut Passage<'_>,
        request: Request<Body>,
    ) -> Result<Response<Body>, Box<Failure>> {
        let send = async |peer: &Peer, request: &mut Request<Body>, timeouts: &Timeouts| {
            self.pool.send(peer, request, timeouts).await
        };
        let Passed { answer: response, turn, asked } = self.pass_by(passage, request, send).await?;
        // We never asked to switch protocols, and could not.
        if response.status().is_informational() {
            turn.failed(Failed::Connection);
            return Err(Box::new(bad_answer(response.status())));
        }
        turn.answered(response.status(), asked.elapsed());
        if !turn.counts_until_dropped() {
            return Ok(response);
        }
        Ok(response.map(|body| body.when_done(move |_end| drop(turn))))
    }

    /// Does with one node after the other what `send` does, until one has answered.
    pub(super) async fn pass_by<A>(
        &self,
        passage: &mut Passage<'_>,
        mut request: Request<Body>,
        send: impl AsyncFn(&Peer, &mut Request<Body>, &Timeouts) -> Result<A, Missed>,
    ) -> Result<Passed<A>, Box<Failure>> {
        let upstream = passage.upstream()?;
        let begun = Instant::now();
        let mut asked = begun;
        let mut tried = Tried::default();
        let mut turn = upstream.pick(passage.key, &tried).ok_or_else(|| Box::new(no_nodes(upstream)))?;
        loop {
            passage.address(upstream, &turn, &mut request);
            let peer = upstream.peer(turn.node());
            let missed = match send(peer, &mut request, &passage.route.timeouts).await {
                Ok(answer) => {
                    passage.arrived(peer, begun);
                    return Ok(Passed { answer, turn, asked });
                }
                Err(missed) => missed,
            };
            let failed = Failed::of(&missed.error);
            if let Some(failed) = failed {
                turn.failed(failed);
            }
            tried.add(&turn);
            let in_time = upstream.retry_timeout().is_none_or(|timeout| begun.elapsed() < timeout);
            let may_repeat = may_try_another(request.method(), missed.left, failed);
            let may = may_repeat && in_time && tried.count() <= upstream.retries();
            let another = if may { upstream.pick(passage.key, &tried) } else { None };
            let Some(another) = another else {
                passage.arrived(peer, begun);
                return Err(Box::new(missed.error.failure(Origin::Upstream)));
            };
            tracing::debug!(error = %missed.error, "a node failed, and another is asked");
            turn = another;
            asked = Instant::now();
        }
    }
}

impl Passage<'_> {
    /// How long each phase may take.
    pub(super) fn timeouts(&self) -> &Timeouts {
        &self.route.timeouts
    }

    /// It was `peer` who was asked last.
    fn arrived(&mut self, peer: &Peer, begun: Instant) {
        if self.is_watched {
            self.peer = Some(peer.clone());
            self.latency = Some(begun.elapsed());
        }
    }
}
