//! `request-id`: gives a request an id that the upstream and the client hear of.
//!
//! Every request has an id anyway, in `X-Request-Id`. With this plugin it is made by another algorithm, or a second one
//! stands in another field, such as one that older systems look for.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateward_clock::Timestamp;
use gateward_model::Invalid;
use gateward_net::Body;
use http::{HeaderName, HeaderValue, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::authentication::{check_name, header_name};
use crate::{Exchange, Kind, Phases, Plugin, Step, holds_reference};

pub(crate) const KIND: Kind = Kind {
    name: "request-id",
    priority: 12_015,
    secrets: &[],
    phases: Phases { rewrite: true, access: false, respond: true, log: false },
    check: |json| Settings::read(json)?.check(),
    build: |json, _site| Ok(Arc::new(RequestId::build(json)?)),
    schema,
    consumer: None,
    metadata: None,
};

/// How ids are made, and where they stand.
#[derive(Debug)]
struct RequestId {
    header: HeaderName,
    tells: bool,
    ids: Ids,
}

#[derive(Debug)]
enum Ids {
    Uuid,
    UuidV7,
    NanoId,
    Ksuid,
    Range { length: usize, characters: Box<[u8]> },
}

/// The id that a request has got, and in which field.
struct Given(HeaderName, HeaderValue);

impl RequestId {
    fn build(json: &Value) -> Result<Self, Invalid> {
        let settings = Settings::read(json)?;
        settings.check()?;
        let ids = match settings.algorithm {
            Algorithm::Uuid => Ids::Uuid,
            Algorithm::Uuidv7 => Ids::UuidV7,
            Algorithm::Nanoid => Ids::NanoId,
            Algorithm::Ksuid => Ids::Ksuid,
            Algorithm::RangeId => Ids::Range {
                length: settings.range_id.length,
                characters: settings.range_id.char_set.into_bytes().into(),
            },
        };
        Ok(Self {
            header: header_name("header_name", &settings.header_name)?,
            tells: settings.include_in_response,
            ids,
        })
    }
}

impl Plugin for RequestId {
    fn rewrite<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let is_the_id = self.header == X_REQUEST_ID;
        let sent = exchange.request.headers().get(&self.header);
        let id = match sent {
            // The gateway has looked whether the client's own may stand in logs.
            Some(sent) if is_the_id && *sent == exchange.request_id => sent.clone(),
            Some(sent) if !is_the_id && !sent.is_empty() => sent.clone(),
            _ => self.ids.next(exchange.clock.now()),
        };
        exchange.request.headers_mut().insert(&self.header, id.clone());
        if is_the_id {
            exchange.request_id = id;
        } else if self.tells {
            exchange.notes.put(Given(self.header.clone(), id));
        }
        Step::CONTINUE
    }

    fn respond(&self, exchange: &mut Exchange<'_>, response: &mut Response<Body>) {
        let Some(Given(header, id)) = exchange.notes.get::<Given>() else { return };
        if self.tells && response.headers().get(header).is_none_or(HeaderValue::is_empty) {
            response.headers_mut().insert(header, id.clone());
        }
    }
}

impl Ids {
    fn next(&self, now: Timestamp) -> HeaderValue {
        let text = match self {
            Self::Uuid => uuid(fastrand::u128(..), 4),
            Self::UuidV7 => {
                let random = fastrand::u128(..) >> 48;
                uuid(u128::from(now.millis()) << 80 | random, 7)
            }
            // 16 bytes are 22 characters of the alphabet that nanoid has too, in another order; it takes 21.
            Self::NanoId => {
                let mut text = URL_SAFE_NO_PAD.encode(fastrand::u128(..).to_be_bytes());
                text.truncate(21);
                text
            }
            Self::Ksuid => ksuid(now),
            Self::Range { length, characters } => {
                (0..*length).map(|_| char::from(characters[fastrand::usize(..characters.len())])).collect()
            }
        };
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("none"))
    }
}

/// `bits` as the text of a UUID of that version (RFC 9562).
fn uuid(bits: u128, version: u128) -> String {
    let bits = bits & !(0xf << 76) & !(0b11 << 62) | version << 76 | 0b10 << 62;
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Seconds since May 2014 and 16 random bytes, in base 62: later ones sort behind earlier ones.
fn ksuid(now: Timestamp) -> String {
    let seconds = u32::try_from(now.secs().saturating_sub(1_400_000_000)).unwrap_or(u32::MAX);
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&seconds.to_be_bytes());
    bytes[4..].copy_from_slice(&fastrand::u128(..).to_be_bytes());
    let mut text = [b'0'; 27];
    for digit in text.iter_mut().rev() {
        let mut rest = 0_u32;
        for byte in &mut bytes {
            let value = rest << 8 | u32::from(*byte);
            *byte = (value / 62) as u8;
            rest = value % 62;
        }
        *digit = BASE_62[rest as usize];
    }
    text.iter().copied().map(char::from).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Settings {
    #[serde(default = "default_header")]
    header_name: String,
    #[serde(default = "yes")]
    include_in_response: bool,
    #[serde(default)]
    algorithm: Algorithm,
    #[serde(default)]
    range_id: RangeSettings,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Algorithm {
    #[default]
    Uuid,
    Uuidv7,
    Nanoid,
    RangeId,
    Ksuid,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
struct RangeSettings {
    length: usize,
    char_set: String,
}

impl Default for RangeSettings {
    fn default() -> Self {
        Self { length: 16, char_set: CHARACTERS.to_owned() }
    }
}

impl Settings {
    fn read(json: &Value) -> Result<Self, Invalid> {
        gateward_model::parse(json)
    }

    fn check(&self) -> Result<(), Invalid> {
        check_name("header_name", &self.header_name)?;
        if !(6..=256).contains(&self.range_id.length) {
            return Err(Invalid::new("range_id.length", "must be from 6 to 256"));
        }
        let characters = &self.range_id.char_set;
        if holds_reference(characters) {
            return Ok(());
        }
        match characters.len() >= 6 && characters.bytes().all(|byte| (b'!'..=b'~').contains(&byte)) {
            true => Ok(()),
            false => Err(Invalid::new("range_id.char_set", "holds at least 6 visible ASCII characters")),
        }
    }
}

fn default_header() -> String {
    "X-Request-Id".to_owned()
}

fn yes() -> bool {
    true
}

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// APISIX's own, a `G` in the place of the `J` included.
const CHARACTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIGKLMNOPQRSTUVWXYZ0123456789";
const BASE_62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "header_name": {"type": "string", "default": "X-Request-Id"},
            "include_in_response": {"type": "boolean", "default": true},
            "algorithm": {
                "type": "string", "enum": ["uuid", "nanoid", "range_id", "ksuid", "uuidv7"], "default": "uuid",
            },
            "range_id": {
                "type": "object",
                "properties": {
                    "length": {"type": "integer", "minimum": 6, "maximum": 256, "default": 16},
                    "char_set": {"type": "string", "minLength": 6, "default": CHARACTERS},
                },
            },
        },
    })
}

#[cfg(test)]
mod tests;
