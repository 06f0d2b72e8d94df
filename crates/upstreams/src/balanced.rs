//! An upstream, compiled: its nodes as peers, and the way to choose among them.

mod hosts;
mod key;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateward_clock::{Clock, SystemClock, Timestamp};
use gateward_model::Invalid;
use gateward_model::apisix::{self, Balancing, PassHost, Timeout, Upstream};
use gateward_net::{ClientCertificate, Connector, Peer};
use gateward_vars::Facts;
use http::HeaderValue;
use tokio::runtime::Handle;

use crate::balancer::{Balancer, Pick};
use crate::health::{self, Plan, Rules, Running};
use crate::node::NodeState;
use crate::registry::{Group, locked};
use crate::turn::Watched;
use crate::{Registry, Tried, Turn, peers};
use hosts::Hosts;
pub use key::Key;
use key::KeySource;

/// An upstream, compiled. Belongs to a snapshot; shares what is known of the nodes with those before and after it.
pub struct Balanced {
    source: Arc<Upstream>,
    peers: Box<[Peer]>,
    hosts: Hosts,
    key: Option<KeySource>,
    balancer: Balancer,
    group: Arc<Group>,
    states: Box<[Arc<NodeState>]>,
    /// Of each node, where something must be known of it.
    watched: Box<[Arc<Watched>]>,
    /// The time, where latencies matter.
    clock: Option<Arc<dyn Clock>>,
    checks: Option<Checks>,
}

/// The active checks of an upstream that has some.
struct Checks {
    plan: Arc<Plan>,
    runtime: Handle,
    connector: Arc<Connector>,
    running: Mutex<Option<Arc<Running>>>,
}

/// Checks what only compiling would find out: certificates and keys that cannot be used, headers that cannot be sent.
/// What is a reference, and so not known yet, is taken for good.
pub fn check(upstream: &Upstream) -> Result<(), Invalid> {
    let mut known = upstream.clone();
    if known.tls.holds_reference() {
        known.tls.client = None;
        known.tls.ca = None;
    }
    // Whether the resource that it names is there is asked elsewhere.
    known.tls.client.take_if(|client| matches!(client, apisix::ClientCertificate::Id(_)));
    if known.pass_host.holds_reference() {
        known.pass_host = PassHost::Pass;
    }
    if let Some(checks) = known.checks.as_mut().filter(|checks| checks.active.holds_reference()) {
        checks.active.host = None;
        checks.active.http_path = "/".to_owned();
        checks.active.req_headers.clear();
    }
    let registry = Registry::new(Arc::new(SystemClock));
    Balanced::compile("upstreams/checked", &Arc::new(known), None, &registry).map(drop)
}

impl Balanced {
    /// Compiles `source`. The resource that it stands in is its `identity`, as `upstreams/1` or `routes/7`. `client` is the
    /// certificate that `tls.client_cert_id` names.
    pub fn compile(
        identity: &str,
        source: &Arc<Upstream>,
        client: Option<ClientCertificate<'_>>,
        registry: &Registry,
    ) -> Result<Self, Invalid> {
        let tls = peers::tls(source, client)?;
        let peers = peers::peers(source, tls.as_ref());
        let hosts = Hosts::new(&source.pass_host, &peers)?;
        let group = registry.group(identity);
        let states: Box<[_]> =
            peers.iter().map(|peer| group.node(&format!("{}:{}", peer.host(), peer.port()))).collect();
        let plan = source
            .checks
            .as_ref()
            .map(|checks| Plan::new(identity, &checks.active, source, client, &states).map(Arc::new));
        // Where nobody asks how nodes are, nobody would ever find out that one is back. So requests decide nothing, either.
        let checks = plan.transpose()?.zip(registry.checking.clone());
        let checks = checks.map(|(plan, (runtime, connector))| Checks {
            plan,
            runtime,
            connector,
            running: Mutex::default(),
        });
        if checks.is_none() {
            // What was known of them must not keep requests away for ever.
            states.iter().for_each(|state| state.health.reset());
        }
        group.sweep();
        let clock = (source.balancing == Balancing::Ewma).then(|| Arc::clone(&registry.clock));
        Ok(Self {
            key: KeySource::of(&source.balancing),
            balancer: Balancer::new(&source.balancing, &source.nodes),
            watched: watched(source, &states, clock.as_ref(), checks.is_some()),
            checks,
            source: Arc::clone(source),
            peers,
            hosts,
            group,
            states,
            clock,
        })
    }

    /// What it was compiled from.
    pub fn source(&self) -> &Arc<Upstream> {
        &self.source
    }

    /// Whether what requests are told apart by stands in their bodies.
    pub fn needs_body(&self) -> bool {
        self.key.as_ref().is_some_and(KeySource::needs_body)
    }

    /// What the request that `facts` are about is told apart by. Worth nothing, and nothing to work out, unless the
    /// upstream hashes; stays the same while other nodes are tried.
    pub fn key(&self, facts: &Facts<'_>) -> Key {
        self.key.as_ref().map_or(Key::default(), |source| source.key(facts))
    }

    /// The node to ask next, if there is one that was not `tried` and is not down. If all are down, all are asked.
    pub fn pick(&self, key: Key, tried: &Tried) -> Option<Turn> {
        let heed_health = self.checks.is_some() && self.any_is_up();
        let pick = Pick {
            position: self.group.position.fetch_add(1, Ordering::Relaxed),
            key: key.hash(),
            may: |node| !tried.contains(node) && (!heed_health || self.states[node as usize].health.is_up()),
            all_may: tried.is_empty() && !heed_health,
            states: &self.states,
            now: self.clock.as_ref().map_or(Timestamp::default(), |clock| clock.now()),
        };
        let node = self.balancer.pick(&pick)? as usize;
        Some(Turn::new(node, self.watched.get(node)))
    }

    /// Whether there is no node to ask, whatever happens.
    pub fn is_empty(&self) -> bool {
        self.balancer.is_empty()
    }

    /// The node's peer.
    pub fn peer(&self, node: usize) -> &Peer {
        &self.peers[node]
    }

    /// The Host that the node hears of; none if it is the one that the client named.
    pub fn host(&self, node: usize) -> Option<&HeaderValue> {
        self.hosts.of(node)
    }

    /// How many other nodes may be tried when one has failed.
    pub fn retries(&self) -> usize {
        match self.source.retries {
            Some(retries) => retries as usize,
            None => self.peers.len().saturating_sub(1),
        }
    }

    /// After how long no other node is tried any more.
    pub fn retry_timeout(&self) -> Option<Duration> {
        self.source.retry_timeout
    }

    /// How long each phase may take, if the upstream says so.
    pub fn timeout(&self) -> Option<Timeout> {
        self.source.timeout
    }

    /// Whether its nodes are to be asked how they are.
    pub fn has_checks(&self) -> bool {
        self.checks.is_some()
    }

    /// Begins with the active checks, or ends them: they should run while a route, a service or a plugin refers to
    /// the upstream. Checks that went on under the snapshot before, and would ask the same, just go on.
    pub fn run_checks(&self, wanted: bool) {
        let Some(checks) = &self.checks else { return };
        let mut running = locked(&checks.running);
        match wanted {
            true if running.is_none() => *running = Some(checks.start(&self.group)),
            true => {}
            false => *running = None,
        }
    }

    fn any_is_up(&self) -> bool {
        let nodes = self.states.iter().zip(&self.source.nodes);
        nodes.into_iter().any(|(state, node)| node.weight > 0 && state.health.is_up())
    }
}

impl Checks {
    fn start(&self, group: &Group) -> Arc<Running> {
        let mut running = locked(&group.running);
        if let Some(before) = running.upgrade() {
            if before.has(&self.plan) {
                return before;
            }
            before.stop();
        }
        let (plan, connector) = (Arc::clone(&self.plan), Arc::clone(&self.connector));
        let ask = move |target| health::ask(Arc::clone(&plan), target, Arc::clone(&connector));
        let started = Arc::new(Running::start(&self.plan, &self.runtime, &group.changed, ask));
        *running = Arc::downgrade(&started);
        started
    }
}

impl std::fmt::Debug for Balanced {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Balanced").field("identity", &self.group.identity).finish_non_exhaustive()
    }
}

/// The nodes as turns need them; none if turns need nothing.
fn watched(
    source: &Upstream,
    states: &[Arc<NodeState>],
    clock: Option<&Arc<dyn Clock>>,
    are_checked: bool,
) -> Box<[Arc<Watched>]> {
    let checks = source.checks.as_ref().filter(|_| are_checked);
    let passive = checks.and_then(|checks| checks.passive.as_ref());
    let passive = passive.map(|check| Arc::new(Rules::passive(check)));
    let counts_calls = source.balancing == Balancing::LeastConnections;
    if !counts_calls && clock.is_none() && passive.is_none() {
        return Box::default();
    }
    let watched = states.iter().map(|state| Watched {
        state: Arc::clone(state),
        counts_calls,
        clock: clock.cloned(),
        passive: passive.clone(),
    });
    watched.map(Arc::new).collect()
}

#[cfg(test)]
mod tests;
