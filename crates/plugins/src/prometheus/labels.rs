//! The labels of requests, and which of them are left empty.

use std::collections::BTreeSet;

/// What requests are told apart by, besides their status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Labels<T> {
    pub(super) route: T,
    /// The uri and the host of the route that took the request.
    pub(super) uri: T,
    pub(super) host: T,
    pub(super) service: T,
    pub(super) consumer: T,
    pub(super) node: T,
}

/// A metric that tells requests apart.
pub(super) struct Family {
    pub(super) name: &'static str,
    /// The labels that can be left empty.
    pub(super) labels: &'static [&'static str],
}

/// The labels that are left empty, each with its metric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Disabled(BTreeSet<(&'static str, Box<str>)>);

impl Labels<&str> {
    /// The same, to be kept.
    pub(super) fn owned(&self) -> Labels<Box<str>> {
        let Self { route, uri, host, service, consumer, node } = *self;
        Labels {
            route: route.into(),
            uri: uri.into(),
            host: host.into(),
            service: service.into(),
            consumer: consumer.into(),
            node: node.into(),
        }
    }

    /// The same, as the metric `family` shows them.
    pub(super) fn shown(self, family: &'static str, disabled: &Disabled) -> Self {
        if disabled.0.is_empty() {
            return self;
        }
        let shown = |label: &str, value| {
            let hidden = disabled.0.iter().any(|(metric, name)| *metric == family && **name == *label);
            if hidden { "" } else { value }
        };
        Self {
            route: shown("route", self.route),
            uri: shown("matched_uri", self.uri),
            host: shown("matched_host", self.host),
            service: shown("service", self.service),
            consumer: shown("consumer", self.consumer),
            node: shown("node", self.node),
        }
    }
}

impl Labels<Box<str>> {
    pub(super) fn borrowed(&self) -> Labels<&str> {
        Labels {
            route: &self.route,
            uri: &self.uri,
            host: &self.host,
            service: &self.service,
            consumer: &self.consumer,
            node: &self.node,
        }
    }
}

impl Disabled {
    pub(super) fn add(&mut self, family: &'static str, label: &str) {
        self.0.insert((family, label.into()));
    }
}

/// The metrics that tell requests apart.
pub(super) const FAMILIES: [Family; 3] = [
    Family {
        name: "http_status",
        labels: &["route", "matched_uri", "matched_host", "service", "consumer", "node"],
    },
    Family { name: "http_latency", labels: &["route", "service", "consumer", "node"] },
    Family { name: "bandwidth", labels: &["route", "service", "consumer", "node"] },
];
