//! A token as it stands in a request, taken apart and not yet believed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A token, taken apart.
pub(super) struct Token<'t> {
    /// By which algorithm it says that it is signed.
    pub(super) algorithm: String,
    /// What it says of its bearer.
    pub(super) claims: Map<String, Value>,
    /// What is signed.
    pub(super) message: &'t [u8],
    pub(super) signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// Extensions that whoever does not know them must refuse; we know none.
    crit: Option<Value>,
}

impl<'t> Token<'t> {
    /// Takes `text` apart, if it has the form of a token (RFC 7515, compact).
    pub(super) fn read(text: &'t str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (message, signature) = text.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        // As text, for what is not looked at must be UTF-8 too.
        let header = String::from_utf8(decoded(header)?).ok()?;
        let header: Header = serde_json::from_str(&header).ok()?;
        if header.crit.is_some() {
            return None;
        }
        Some(Self {
            algorithm: header.alg,
            claims: serde_json::from_slice(&decoded(claims)?).ok()?,
            message: message.as_bytes(),
            signature: decoded(signature)?,
        })
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// No header is longer; a query could be.
const LONGEST: usize = 16 * 1024;
