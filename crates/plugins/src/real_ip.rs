//! `real-ip`: takes the client's address from where a proxy in front of the gateway has written it.
//!
//! Only what a trusted peer says is believed. Whom to trust should be said; where it is not, addresses of private
//! networks are trusted and public ones are not, for there anybody could write whatever address a rule asks for.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use gateward_model::Invalid;
use gateward_model::apisix::AddressRange;
use gateward_vars::Variable;
use http::HeaderName;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Exchange, Kind, Phases, Plugin, Step, holds_reference};

pub(crate) const KIND: Kind = Kind {
    name: "real-ip",
    priority: 23_000,
    secrets: &[],
    phases: Phases { rewrite: true, access: false, respond: false, log: false },
    check: |json| Settings::read(json)?.check(),
    build: |json, _site| Ok(Arc::new(Settings::read(json)?.build()?)),
    schema,
    consumer: None,
    metadata: None,
};

/// Whose word is taken for the client's address, and where that stands.
#[derive(Debug)]
struct RealIp {
    source: Source,
    trusted: Box<[AddressRange]>,
    /// Whether the first address from the right counts that is not trusted, and not just the last one.
    recursive: bool,
}

#[derive(Debug)]
enum Source {
    ForwardedFor,
    Variable(Variable),
}

impl RealIp {
    fn end(&self, exchange: &Exchange<'_>) -> Option<End> {
        if !self.trusts(exchange.client) {
            return None;
        }
        match &self.source {
            Source::Variable(variable) => end(&exchange.facts().get(variable)?),
            Source::ForwardedFor => self.forwarded_for(exchange),
        }
    }

    /// Each proxy appends whom it saw, so the list is read from its end.
    fn forwarded_for(&self, exchange: &Exchange<'_>) -> Option<End> {
        let fields = exchange.request.headers().get_all(&X_FORWARDED_FOR).iter().rev();
        let texts = fields.map(|field| field.to_str().map_or(Cow::Borrowed("?"), Cow::Borrowed));
        let mut first = None;
        for text in texts {
            for item in text.rsplit(',') {
                // What is no address was not written by a proxy of ours: nothing to the left of it is believed.
                let Some(end) = end(item) else { return first };
                first = Some(end);
                if !self.recursive || !self.trusts(end.0) {
                    return first;
                }
            }
        }
        first
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|range| range.contains(address))
    }
}

impl Plugin for RealIp {
    fn rewrite<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        if let Some((address, port)) = self.end(exchange) {
            (exchange.client, exchange.client_port) = (address, port);
        }
        Step::CONTINUE
    }
}

/// An address, and the port that stands with it.
type End = (IpAddr, Option<u16>);

/// An address, with a port or without, in brackets or without.
fn end(text: &str) -> Option<End> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Some((address.to_canonical(), None));
    }
    let end = text.parse::<SocketAddr>().ok().filter(|end| end.port() > 0)?;
    Some((end.ip().to_canonical(), Some(end.port())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Settings {
    source: String,
    trusted_addresses: Option<Vec<String>>,
    #[serde(default)]
    recursive: bool,
}

impl Settings {
    fn read(json: &Value) -> Result<Self, Invalid> {
        let settings: Self = gateward_model::parse(json)?;
        if settings.source.is_empty() {
            return Err(Invalid::new("source", "names the variable that the address stands in"));
        }
        if settings.trusted_addresses.as_ref().is_some_and(Vec::is_empty) {
            return Err(Invalid::new("trusted_addresses", "must name at least one address"));
        }
        Ok(settings)
    }

    fn check(&self) -> Result<(), Invalid> {
        let texts = self.trusted_addresses.iter().flatten().enumerate();
        for (index, text) in texts.filter(|(_, text)| !holds_reference(text)) {
            range(index, text)?;
        }
        Ok(())
    }

    fn build(self) -> Result<RealIp, Invalid> {
        let trusted: Result<Box<[_]>, _> = match &self.trusted_addresses {
            Some(texts) => texts.iter().enumerate().map(|(index, text)| range(index, text)).collect(),
            None => PRIVATE.iter().enumerate().map(|(index, text)| range(index, text)).collect(),
        };
        let source = match &*self.source {
            "http_x_forwarded_for" => Source::ForwardedFor,
            source => Source::Variable(Variable::parse(source)),
        };
        Ok(RealIp { source, trusted: trusted?, recursive: self.recursive })
    }
}

fn range(index: usize, text: &str) -> Result<AddressRange, Invalid> {
    text.parse().map_err(|error: Invalid| error.within(&format!("trusted_addresses[{index}]")))
}

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Loopback, link-local and private networks, and those behind a carrier's translation.
const PRIVATE: &[&str] = &[
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["source"],
        "properties": {
            "source": {"type": "string", "minLength": 1},
            "trusted_addresses": {"type": "array", "minItems": 1, "items": {"type": "string"}},
            "recursive": {"type": "boolean", "default": false},
        },
    })
}

#[cfg(test)]
mod tests;
