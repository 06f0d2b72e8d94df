//! What active checks ask, and whom.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateward_model::Invalid;
use gateward_model::apisix::{ActiveCheck, CheckType, PassHost, Upstream};
use gateward_net::{ClientCertificate, Peer, Protocol, Scheme};
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use super::{NodeHealth, Outcome, Rules, UpstreamHealth};
use crate::node::NodeState;
use crate::peers::{name_of, special_tls};

/// What to ask, and whom. Two that are equal ask the same.
pub(crate) struct Plan {
    name: String,
    check: ActiveCheck,
    rules: Rules,
    question: Question,
    targets: Box<[Target]>,
}

/// The request that is sent to every node.
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) target: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// One of those who are asked.
pub(crate) struct Target {
    state: Arc<NodeState>,
    /// As it is called by the upstream.
    node_host: String,
    pub(crate) peer: Peer,
    pub(crate) host: HeaderValue,
}

impl Plan {
    /// What `check` says about `upstream`, which stands in the resource `identity`.
    pub(crate) fn new(
        identity: &str,
        check: &ActiveCheck,
        upstream: &Upstream,
        client: Option<ClientCertificate<'_>>,
        states: &[Arc<NodeState>],
    ) -> Result<Self, Invalid> {
        let question = Question::new(check)?;
        let host = match (&check.host, &upstream.pass_host) {
            (Some(host), _) | (None, PassHost::Rewrite(host)) => Some(host.as_str()),
            _ => None,
        };
        let verify = check.https_verify_certificate.unwrap_or(upstream.tls.verify);
        let (scheme, tls) = match check.r#type {
            CheckType::Http | CheckType::Tcp => (Scheme::Http, None),
            CheckType::Https => (Scheme::Https, special_tls(upstream, client, verify, host.map(name_of))?),
        };
        let mut targets: Vec<Target> = Vec::with_capacity(states.len());
        for (node, state) in upstream.nodes.iter().zip(states) {
            // A node may stand in an upstream twice, with different priorities.
            if targets.iter().any(|target| Arc::ptr_eq(&target.state, state)) {
                continue;
            }
            let mut peer = Peer::new(scheme, &node.host, check.port.unwrap_or(node.port), verify);
            if upstream.scheme.is_grpc() {
                peer = peer.with_protocol(Protocol::Http2);
            }
            if let Some(tls) = &tls {
                peer = peer.with_tls(Arc::clone(tls));
            }
            let host = host.map_or_else(|| peer.authority(), str::to_owned);
            targets.push(Target {
                state: Arc::clone(state),
                node_host: node.host.clone(),
                host: HeaderValue::try_from(host).map_err(|_| unsendable("host"))?,
                peer,
            });
        }
        Ok(Self {
            name: format!("/apisix/{identity}"),
            rules: Rules::active(check),
            check: check.clone(),
            question,
            targets: targets.into(),
        })
    }

    pub(crate) fn targets(&self) -> &[Target] {
        &self.targets
    }

    #[cfg(test)]
    pub(crate) fn state(&self, target: usize) -> &Arc<NodeState> {
        &self.targets[target].state
    }

    #[cfg(test)]
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(crate) fn question(&self) -> &Question {
        &self.question
    }

    pub(crate) fn r#type(&self) -> CheckType {
        self.check.r#type
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.check.timeout
    }

    /// How many are asked at the same time.
    pub(crate) fn concurrency(&self) -> usize {
        self.check.concurrency
    }

    /// How long it is to be between two questions to `target`.
    pub(crate) fn interval(&self, target: usize) -> Duration {
        match self.targets[target].state.health.is_up() {
            true => self.check.healthy.interval,
            false => self.check.unhealthy.interval,
        }
    }

    /// Takes in what asking `target` met.
    pub(crate) fn note(&self, target: usize, outcome: Outcome) {
        self.targets[target].state.report(outcome, &self.rules);
    }

    /// What is known of the nodes.
    pub(crate) fn report(&self) -> UpstreamHealth {
        let node = |target: &Target| {
            let record = target.state.health.record();
            NodeHealth {
                ip: target.node_host.clone(),
                port: target.peer.port(),
                hostname: String::from_utf8_lossy(target.host.as_bytes()).into_owned(),
                status: record.health,
                counter: record.counters,
            }
        };
        UpstreamHealth {
            name: self.name.clone(),
            r#type: self.check.r#type.as_str(),
            nodes: self.targets.iter().map(node).collect(),
        }
    }
}

impl PartialEq for Plan {
    fn eq(&self, other: &Self) -> bool {
        // The rules and the question are made of the check.
        self.name == other.name && self.check == other.check && self.targets == other.targets
    }
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state) && self.peer == other.peer && self.host == other.host
    }
}

impl Question {
    fn new(check: &ActiveCheck) -> Result<Self, Invalid> {
        let mut headers = HeaderMap::new();
        for (name, value) in &check.req_headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|_| unsendable("req_headers"))?;
            let value = HeaderValue::try_from(value.as_str()).map_err(|_| unsendable("req_headers"))?;
            headers.append(name, value);
        }
        // Who is asked is said by the target, and each connection serves one question.
        headers.remove(HOST);
        headers.remove(CONNECTION);
        headers.entry(USER_AGENT).or_insert(PROBE);
        let path = PathAndQuery::try_from(check.http_path.as_str()).map_err(|_| unsendable("http_path"))?;
        Ok(Self {
            method: Method::try_from(check.http_method.as_str()).map_err(|_| unsendable("http_method"))?,
            target: Uri::from(path),
            headers,
            body: Bytes::from(check.http_req_body.clone()),
        })
    }
}

fn unsendable(field: &str) -> Invalid {
    Invalid::new(format!("checks.active.{field}"), "cannot be sent in a request")
}

const PROBE: HeaderValue = HeaderValue::from_static("gateward-health-check");
