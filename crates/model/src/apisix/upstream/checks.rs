//! How nodes that are down are found out: by asking them (active), and by what requests meet (passive).

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::{HttpMethod, holds_reference, is_host, span};
use crate::Invalid;

/// How nodes that are down are found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checks {
    /// By asking them.
    pub active: ActiveCheck,
    /// By what requests meet.
    pub passive: Option<PassiveCheck>,
}

/// What a check is made with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckType {
    /// A request.
    #[default]
    Http,
    /// A request over TLS.
    Https,
    /// No more than a connection.
    Tcp,
}

impl CheckType {
    /// As it stands in a resource.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Tcp => "tcp",
        }
    }
}

/// How nodes are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveCheck {
    /// What with.
    pub r#type: CheckType,
    /// How long one check may take.
    pub timeout: Duration,
    /// How many of the upstream's nodes are asked at the same time.
    pub concurrency: usize,
    /// The Host header and TLS name, in place of the node's own.
    pub host: Option<String>,
    /// The port, in place of the node's own.
    pub port: Option<u16>,
    /// The method of the request.
    pub http_method: HttpMethod,
    /// The path of the request, with its query.
    pub http_path: String,
    /// The body of the request.
    pub http_req_body: String,
    /// Whether the node must show a certificate that we trust; as `tls.verify` has it if it is not said.
    pub https_verify_certificate: Option<bool>,
    /// Headers of the request, by name and value.
    pub req_headers: Vec<(String, String)>,
    /// When a node counts as up.
    pub healthy: ActiveHealthy,
    /// When a node counts as down.
    pub unhealthy: ActiveUnhealthy,
}

/// When a node that is asked counts as up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveHealthy {
    /// Time between two checks of a node that is up.
    pub interval: Duration,
    /// Answers that count.
    pub http_statuses: Vec<u16>,
    /// How many of them in a row.
    pub successes: u8,
}

/// When a node that is asked counts as down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveUnhealthy {
    /// Time between two checks of a node that is down.
    pub interval: Duration,
    /// Answers that count.
    pub http_statuses: Vec<u16>,
    /// How many of them.
    pub http_failures: u8,
    /// How many broken connections.
    pub tcp_failures: u8,
    /// How many checks that took too long.
    pub timeouts: u8,
}

/// What requests tell about nodes. A count of 0 means that what it counts tells nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassiveCheck {
    /// What APISIX has here. Answers count by their status in any case.
    pub r#type: CheckType,
    /// When a node counts as up.
    pub healthy: PassiveHealthy,
    /// When a node counts as down.
    pub unhealthy: PassiveUnhealthy,
}

/// When a node that is called counts as up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassiveHealthy {
    /// Answers that count.
    pub http_statuses: Vec<u16>,
    /// How many of them in a row.
    pub successes: u8,
}

/// When a node that is called counts as down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassiveUnhealthy {
    /// Answers that count.
    pub http_statuses: Vec<u16>,
    /// How many of them.
    pub http_failures: u8,
    /// How many broken connections.
    pub tcp_failures: u8,
    /// How many requests that took too long.
    pub timeouts: u8,
}

impl ActiveCheck {
    /// Whether the host, the path or a header holds a reference, and so is not known yet.
    pub fn holds_reference(&self) -> bool {
        let host = self.host.as_deref().is_some_and(holds_reference);
        host || holds_reference(&self.http_path)
            || self.req_headers.iter().any(|(_, value)| holds_reference(value))
    }
}

impl Checks {
    pub(super) fn check(fields: Fields) -> Result<Self, Invalid> {
        let active = fields.active.ok_or_else(|| {
            let problem =
                "is required: a node that passive checks have taken out needs an active one to come back";
            Invalid::new("checks.active", problem)
        })?;
        Ok(Self {
            active: active.check().map_err(|error| error.within("checks.active"))?,
            passive: fields
                .passive
                .map(PassiveFields::check)
                .transpose()
                .map_err(|error| error.within("checks.passive"))?,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fields {
    active: Option<ActiveFields>,
    passive: Option<PassiveFields>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActiveFields {
    #[serde(default)]
    r#type: CheckType,
    timeout: Option<f64>,
    concurrency: Option<usize>,
    host: Option<String>,
    port: Option<u16>,
    http_method: Option<HttpMethod>,
    http_path: Option<String>,
    http_req_body: Option<String>,
    https_verify_certificate: Option<bool>,
    req_headers: Option<Vec<String>>,
    #[serde(default)]
    healthy: HealthyFields,
    #[serde(default)]
    unhealthy: UnhealthyFields,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PassiveFields {
    #[serde(default)]
    r#type: CheckType,
    #[serde(default)]
    healthy: HealthyFields,
    #[serde(default)]
    unhealthy: UnhealthyFields,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HealthyFields {
    interval: Option<u32>,
    http_statuses: Option<Vec<u16>>,
    successes: Option<u8>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnhealthyFields {
    interval: Option<u32>,
    http_statuses: Option<Vec<u16>>,
    http_failures: Option<u8>,
    tcp_failures: Option<u8>,
    timeouts: Option<u8>,
}

impl ActiveFields {
    fn check(self) -> Result<ActiveCheck, Invalid> {
        if self.host.as_deref().is_some_and(|host| !is_host(host)) {
            return Err(Invalid::new("host", "is a name or an address, with a port if need be"));
        }
        if self.port == Some(0) {
            return Err(Invalid::new("port", "is from 1 to 65535"));
        }
        let http_path = self.http_path.unwrap_or_else(|| "/".to_owned());
        let is_path =
            http_path.starts_with('/') && http_path.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        if !is_path && !holds_reference(&http_path) {
            return Err(Invalid::new("http_path", "begins with / and has visible ASCII characters only"));
        }
        if !(1..=MOST_AT_ONCE).contains(&self.concurrency.unwrap_or(1)) {
            return Err(Invalid::new("concurrency", format!("is from 1 to {MOST_AT_ONCE}")));
        }
        let timeout = match span("timeout", self.timeout)? {
            Some(timeout) => timeout,
            None if self.timeout.is_none() => Duration::from_secs(1),
            None => return Err(Invalid::new("timeout", "is seconds, more than 0")),
        };
        let headers = self.req_headers.unwrap_or_default();
        let headers = headers.iter().enumerate().map(|(at, line)| header(at, line));
        let at_least_one = Counts { least: 1 };
        Ok(ActiveCheck {
            r#type: self.r#type,
            timeout,
            concurrency: self.concurrency.unwrap_or(10),
            host: self.host,
            port: self.port,
            http_method: self.http_method.unwrap_or(HttpMethod::Get),
            http_path,
            http_req_body: self.http_req_body.unwrap_or_default(),
            https_verify_certificate: self.https_verify_certificate,
            req_headers: headers.collect::<Result<_, _>>()?,
            healthy: ActiveHealthy {
                interval: interval("healthy", self.healthy.interval)?,
                http_statuses: statuses("healthy", self.healthy.http_statuses, &[200, 302])?,
                successes: at_least_one.read("healthy.successes", self.healthy.successes, 2)?,
            },
            unhealthy: ActiveUnhealthy {
                interval: interval("unhealthy", self.unhealthy.interval)?,
                http_statuses: statuses("unhealthy", self.unhealthy.http_statuses, &ACTIVE_BAD)?,
                http_failures: at_least_one.read(
                    "unhealthy.http_failures",
                    self.unhealthy.http_failures,
                    5,
                )?,
                tcp_failures: at_least_one.read("unhealthy.tcp_failures", self.unhealthy.tcp_failures, 2)?,
                timeouts: at_least_one.read("unhealthy.timeouts", self.unhealthy.timeouts, 3)?,
            },
        })
    }
}

impl PassiveFields {
    fn check(self) -> Result<PassiveCheck, Invalid> {
        let asked =
            [("healthy.interval", self.healthy.interval), ("unhealthy.interval", self.unhealthy.interval)];
        if let Some((field, _)) = asked.into_iter().find(|(_, interval)| interval.is_some()) {
            return Err(Invalid::new(
                field,
                "belongs to active checks: passive ones go by the requests that come",
            ));
        }
        let any = Counts { least: 0 };
        Ok(PassiveCheck {
            r#type: self.r#type,
            healthy: PassiveHealthy {
                http_statuses: statuses("healthy", self.healthy.http_statuses, &PASSIVE_GOOD)?,
                successes: any.read("healthy.successes", self.healthy.successes, 5)?,
            },
            unhealthy: PassiveUnhealthy {
                http_statuses: statuses("unhealthy", self.unhealthy.http_statuses, &[429, 500, 503])?,
                http_failures: any.read("unhealthy.http_failures", self.unhealthy.http_failures, 5)?,
                tcp_failures: any.read("unhealthy.tcp_failures", self.unhealthy.tcp_failures, 2)?,
                timeouts: any.read("unhealthy.timeouts", self.unhealthy.timeouts, 7)?,
            },
        })
    }
}

struct Counts {
    least: u8,
}

impl Counts {
    fn read(&self, field: &str, given: Option<u8>, usual: u8) -> Result<u8, Invalid> {
        let count = given.unwrap_or(usual);
        if (self.least..=254).contains(&count) {
            return Ok(count);
        }
        Err(Invalid::new(field, format!("is from {} to 254", self.least)))
    }
}

fn interval(state: &str, given: Option<u32>) -> Result<Duration, Invalid> {
    match given.unwrap_or(1) {
        seconds @ 1..=86_400 => Ok(Duration::from_secs(seconds.into())),
        _ => Err(Invalid::new("interval", "is seconds, from 1 to 86400").within(state)),
    }
}

fn statuses(state: &str, given: Option<Vec<u16>>, usual: &[u16]) -> Result<Vec<u16>, Invalid> {
    let Some(mut statuses) = given else { return Ok(usual.to_vec()) };
    let count = statuses.len();
    statuses.sort_unstable();
    statuses.dedup();
    let wrong = |problem: &str| Err(Invalid::new("http_statuses", problem).within(state));
    if statuses.is_empty() || statuses.len() < count {
        return wrong("has at least one status, and each once");
    }
    if !statuses.iter().all(|status| (200..=599).contains(status)) {
        return wrong("has statuses from 200 to 599");
    }
    Ok(statuses)
}

fn header(at: usize, line: &str) -> Result<(String, String), Invalid> {
    let wrong = || Invalid::new(format!("req_headers[{at}]"), "is written as \"Name: value\"");
    if line.starts_with("{vault://") {
        // The whole line, or its name, is not known yet.
        return Ok(("x-reference".to_owned(), line.to_owned()));
    }
    let (name, value) = line.split_once(':').ok_or_else(wrong)?;
    let value = value.trim();
    HeaderName::try_from(name).map_err(|_| wrong())?;
    if !holds_reference(value) {
        HeaderValue::try_from(value).map_err(|_| wrong())?;
    }
    Ok((name.to_owned(), value.to_owned()))
}

const ACTIVE_BAD: [u16; 8] = [404, 429, 500, 501, 502, 503, 504, 505];
const PASSIVE_GOOD: [u16; 19] =
    [200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 306, 307, 308];
const MOST_AT_ONCE: usize = 1000;
