//! Lists of vaults: pages, and the tags that those on them have.

use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::entity;
use super::error::KongError;
use crate::ControlParts;
use crate::resources::VAULTS;

/// What a list is asked with.
#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct Query {
    size: Option<String>,
    offset: Option<String>,
    tags: Option<String>,
}

/// Which tags a vault must have to be listed.
enum Tags<'q> {
    All(Vec<&'q str>),
    Any(Vec<&'q str>),
}

/// One page.
pub(super) async fn list(parts: &ControlParts, query: &Query) -> Result<Value, KongError> {
    let size = query.size.as_deref().map_or(Ok(USUAL_SIZE), size)?;
    let after = query.offset.as_deref().map(after).transpose()?;
    let tags = query.tags.as_deref().map(Tags::read).transpose()?;
    let mut vaults = Vec::new();
    let mut last = None;
    let mut there_are_more = false;
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    parts
        .each(VAULTS, (from, Bound::Unbounded), |document| {
            let Ok(vault) = super::vault(&document.json) else { return true };
            if !tags.as_ref().is_none_or(|tags| tags.fit(vault.tags.as_deref().unwrap_or_default())) {
                return true;
            }
            there_are_more = vaults.len() == size;
            if !there_are_more {
                vaults.push(entity::shown(&vault));
                last = Some(document.id);
            }
            !there_are_more
        })
        .await?;
    let Some(last) = last.filter(|_| there_are_more) else {
        return Ok(json!({"data": vaults, "next": null}));
    };
    let offset = URL_SAFE_NO_PAD.encode(last);
    let mut next = format!("/vaults?offset={offset}");
    if let Some(tags) = &query.tags {
        next.push_str(&format!("&tags={}", utf8_percent_encode(tags, NON_ALPHANUMERIC)));
    }
    if query.size.is_some() {
        next.push_str(&format!("&size={size}"));
    }
    Ok(json!({"data": vaults, "offset": offset, "next": next}))
}

impl<'q> Tags<'q> {
    /// `a,b` is both, `a/b` is one of them.
    fn read(text: &'q str) -> Result<Self, KongError> {
        let (separator, all): (char, bool) = if text.contains('/') { ('/', false) } else { (',', true) };
        let names: Vec<&str> = text.trim_end_matches(separator).split(separator).collect();
        let wrong =
            |name: &&str| name.is_empty() || name.contains([',', '/']) || name.contains(char::is_control);
        match (names.iter().any(wrong), all) {
            (true, _) => Err(KongError::Tags),
            (false, true) => Ok(Self::All(names)),
            (false, false) => Ok(Self::Any(names)),
        }
    }

    fn fit(&self, tags: &[String]) -> bool {
        let has = |name: &&str| tags.iter().any(|tag| tag == name);
        match self {
            Self::All(names) => names.iter().all(has),
            Self::Any(names) => names.iter().any(has),
        }
    }
}

fn size(text: &str) -> Result<usize, KongError> {
    let number: f64 = text.parse().map_err(|_| KongError::Size("size must be a number"))?;
    let whole = (1.0..=LARGEST_SIZE).contains(&number) && number.fract() == 0.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number from 1 to 1000"
    )]
    let size = number as usize;
    if whole { Ok(size) } else { Err(KongError::Size("size must be an integer between 1 and 1000")) }
}

fn after(offset: &str) -> Result<String, KongError> {
    let decoded = URL_SAFE_NO_PAD.decode(offset).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.ok_or_else(|| KongError::Offset(format!("'{offset}' is not a valid offset: bad base64 encoding")))
}

const USUAL_SIZE: usize = 100;
const LARGEST_SIZE: f64 = 1000.0;
