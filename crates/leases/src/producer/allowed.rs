//! Where producers may stand: what an administrator has put on the list, or anywhere.
//!
//! Whoever may create a dynamic secret has the gateway call any address with a token of its own. The list is how an
//! administrator keeps that to the producers that there are. The connector refuses metadata addresses besides.
//!
//! Below a URL of the list stands only what every server reads as being below it. Some decode a path twice, take a
//! backslash for a slash, or cut off what follows a semicolon before they look for `..`; what such a one might read as a
//! way out is refused, whatever is there in truth.

use std::str::FromStr;

use gateward_model::ProducerUrl;
use url::Url;

/// Where producers may stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedProducers(Option<Vec<Place>>);

/// A place at which producers may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// This host, or all below it where it was written `*.host`; on this port, or on any.
    Host { host: String, with_below: bool, port: Option<u16> },
    /// What begins with this URL.
    Below(Url),
}

/// Whether a place has a URL; the best answer is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Has {
    Yes,
    /// It depends on who reads it.
    Perhaps,
    No,
}

/// A place that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a place of producers is a URL that theirs begin with (https://producers.example.com/users/), or a host with a port \
     or without (10.0.0.5:7070, producers.example.com, *.example.com)"
)]
pub struct NoPlace;

/// Why a producer may not stand at a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// It is nowhere on the list.
    #[error("no producer may stand at {0}; an administrator adds it to producers_allow")]
    Elsewhere(String),
    /// It begins with what is on the list, and may lead elsewhere.
    #[error(
        "a server may read this path as a way out of what producers_allow has; write it without backslashes, without parts of \
         dots alone, and without encoded dots, slashes, backslashes, semicolons and percent signs"
    )]
    WayOut,
}

impl AllowedProducers {
    /// Refuses a `url` at which no producer may stand.
    pub fn check(&self, url: &ProducerUrl) -> Result<(), NotAllowed> {
        let Some(places) = &self.0 else { return Ok(()) };
        match places.iter().map(|place| place.has(url.url())).min().unwrap_or(Has::No) {
            Has::Yes => Ok(()),
            Has::Perhaps => Err(NotAllowed::WayOut),
            Has::No => Err(NotAllowed::Elsewhere(url.origin())),
        }
    }
}

impl FromStr for AllowedProducers {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let places = text.split(',').map(|place| Place::parse(place.trim()));
        Ok(Self(Some(places.collect::<Option<_>>().ok_or(NoPlace)?)))
    }
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        if text.contains("://") {
            let url = Url::parse(text).ok().filter(|url| {
                url.has_host()
                    && url.query().is_none()
                    && url.fragment().is_none()
                    && url.username().is_empty()
            })?;
            return matches!(url.scheme(), "http" | "https").then_some(Self::Below(url));
        }
        let (with_below, text) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        // A URL's own reader knows what a host is, IPv6 and upper case included.
        let url = Url::parse(&format!("http://{text}/")).ok()?;
        let is_host_alone =
            url.path() == "/" && url.username().is_empty() && url.query().is_none() && !text.contains('/');
        let host = url.host_str().filter(|host| is_host_alone && !host.contains('*'))?.to_owned();
        // Port 80 is what a URL leaves out.
        let port = url.port().or_else(|| text.ends_with(":80").then_some(80));
        Some(Self::Host { host, with_below, port })
    }

    fn has(&self, url: &Url) -> Has {
        match self {
            Self::Host { host, with_below, port } => {
                let theirs = url.host_str().unwrap_or_default();
                let is_below =
                    || theirs.strip_suffix(host.as_str()).is_some_and(|below| below.ends_with('.'));
                let is_host = theirs == host && !with_below || *with_below && is_below();
                let is_port = port.is_none_or(|port| url.port_or_known_default() == Some(port));
                if is_host && is_port { Has::Yes } else { Has::No }
            }
            Self::Below(prefix) => {
                let rest = url
                    .path()
                    .strip_prefix(prefix.path())
                    .filter(|rest| rest.is_empty() || prefix.path().ends_with('/') || rest.starts_with('/'));
                match rest.filter(|_| prefix.origin() == url.origin()) {
                    Some(rest) if stays_below(rest) => Has::Yes,
                    Some(_) => Has::Perhaps,
                    None => Has::No,
                }
            }
        }
    }
}

/// Whether every server reads `rest` as a path below where it begins.
fn stays_below(rest: &str) -> bool {
    rest.split('/').all(|part| {
        let Some(text) = decoded(part) else { return false };
        let name = text.split(';').next().unwrap_or_default().trim();
        name.is_empty() || name.bytes().any(|byte| byte != b'.')
    })
}

/// A part of a path without its escapes, if nobody can take one of them for a part of the path's grammar.
fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut left = part.as_bytes();
    while let Some((&first, rest)) = left.split_first() {
        left = rest;
        let byte = match first {
            b'\\' => return None,
            b'%' => {
                let (digits, rest) = left.split_at_checked(2)?;
                left = rest;
                let [high, low] = [0, 1].map(|at| char::from(digits[at]).to_digit(16));
                let byte = u8::try_from(high? * 16 + low?).ok()?;
                if b"./\\%;".contains(&byte) || byte.is_ascii_control() {
                    return None;
                }
                byte
            }
            byte => byte,
        };
        bytes.push(byte);
    }
    // Not those of two bytes, either, that stand for one of these where nobody checks.
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
