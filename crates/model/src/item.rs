//! Items: named things in the secrets tree. Here, dynamic secrets.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{GoDuration, Invalid, ProducerSettings};

/// The full name of an item, `/folder/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ItemName(String);

impl ItemName {
    /// Reads a name; a missing leading `/` is added, as Akeyless does.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Self::read(text).map_err(|problem| Invalid::new("name", problem))
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        let name = format!("/{}", text.trim_start_matches('/'));
        if name.len() < 2 || name.len() > 255 {
            return Err("a name has 1 to 255 characters");
        }
        if name.ends_with('/') || name.contains("//") {
            return Err("a name is words separated by single slashes, for example /databases/orders");
        }
        if name.chars().any(|c| c.is_control() || "\"'<>;*?\\".contains(c)) {
            // Without a quotation mark: what stands between two is left out of errors, for it may be a value.
            return Err(
                "a name may not hold control characters, quotation marks, or any of < > ; * ? and backslashes",
            );
        }
        Ok(Self(name))
    }

    /// Refuses `text` as a new name where nobody could tell it from another by sight, or would take it for a way through
    /// folders. What has such a name since before is still found by it.
    pub fn check_new(text: &str) -> Result<(), &'static str> {
        let words: Vec<_> = text.split('/').collect();
        if words.iter().any(|word| word.trim() != *word) {
            return Err("no word of a name begins or ends with a blank");
        }
        if words.iter().any(|word| matches!(*word, "." | "..")) {
            return Err("no word of a name is . or ..");
        }
        Ok(())
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ItemName {
    /// What is wrong; which field it is, the format says that is read.
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        Self::read(&text)
    }
}

impl From<ItemName> for String {
    fn from(name: ItemName) -> String {
        name.0
    }
}

impl fmt::Display for ItemName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Where a producer is called.
///
/// The documents that people paste from write the port after the path (`https://example.com/sync/create:8443`);
/// such a URL is understood, and kept as `https://example.com:8443/sync/create`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProducerUrl(Url);

impl ProducerUrl {
    /// Reads `text`; http and https only, no user, no fragment.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = |problem: &str| Invalid::new("", problem);
        let mut url = Url::parse(text)
            .map_err(|_| wrong("it is not a URL; write it as http://host:port/sync/create"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(wrong("a producer is called by http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(wrong("a producer's URL has no user, no password and no fragment"));
        }
        if let Some((path, port)) = port_after_path(&url) {
            url.set_path(&path);
            // Only a URL without host refuses a port, and this one has a host.
            let _ = url.set_port(Some(port));
            if port_after_path(&url).is_some() {
                return Err(wrong("a producer's URL has one port; write it after the host"));
            }
        }
        Ok(Self(url))
    }

    /// The URL.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The same with another last part of its path.
    #[must_use]
    pub fn beside(&self, name: &str) -> Self {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop().push(name);
        }
        Self(url)
    }

    /// `https://host:port`, the audience of a token.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }
}

/// The path and the port of a URL that has its port after its path, and none before.
fn port_after_path(url: &Url) -> Option<(String, u16)> {
    let (path, port) = url.path().rsplit_once(':')?;
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    (url.port().is_none() && url.query().is_none() && digits)
        .then(|| port.parse().ok().map(|port| (path.to_owned(), port)))?
}

impl TryFrom<String> for ProducerUrl {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<ProducerUrl> for String {
    fn from(url: ProducerUrl) -> String {
        url.0.into()
    }
}

impl fmt::Display for ProducerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A dynamic secret. What its producer is called with is kept apart, sealed; what is known of it
/// in the open (tags, state, protection) stands in the tree of items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DynamicSecret {
    /// A number of its own, as Akeyless clients expect.
    pub id: u64,
    /// Its full name.
    pub name: ItemName,
    /// What makes its credentials.
    pub producer: ProducerSettings,
    /// How long one call may take, in seconds.
    pub timeout_sec: u64,
    /// How long a credential lives.
    pub user_ttl: GoDuration,
    /// How many credentials of it may live at once, if that is bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_leases: Option<u64>,
    /// What its producer can besides the two calls.
    #[serde(default)]
    pub capabilities: ProducerCapabilities,
}

impl DynamicSecret {
    /// Where its payload is replaced, if anywhere.
    pub fn rotate_sync_url(&self) -> Option<&ProducerUrl> {
        match &self.producer {
            ProducerSettings::Custom(custom) => custom.rotate_sync_url.as_ref(),
            ProducerSettings::Postgresql(_) | ProducerSettings::Aws(_) => None,
        }
    }
}

/// What a producer has said, in the dry run, that it can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProducerCapabilities {
    /// Two create calls with the same `request_id` are answered with the same credential.
    pub request_id: bool,
    /// It lists the credentials that exist (`/sync/list`, beside the create URL).
    pub list: bool,
    /// The most ids that it takes in one revoke call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_batch: Option<u16>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_after_the_path_is_understood() {
        let url = ProducerUrl::parse("https://example.com/sync/create:8443").unwrap();
        assert_eq!(url.to_string(), "https://example.com:8443/sync/create");
        assert_eq!(url.origin(), "https://example.com:8443");
    }

    #[test]
    fn what_stands_beside_a_url_has_another_last_part() {
        for (url, beside) in [
            ("https://h/sync/create", "https://h/sync/list"),
            ("https://h:8443/create?key=a", "https://h:8443/list?key=a"),
            ("https://h", "https://h/list"),
        ] {
            assert_eq!(ProducerUrl::parse(url).unwrap().beside("list").to_string(), beside);
        }
    }

    #[test]
    fn a_colon_that_is_no_port_stays() {
        for text in ["https://example.com/a:b", "https://example.com:1/a:2", "https://example.com/a:99999"] {
            assert_eq!(ProducerUrl::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn urls_that_could_mislead_are_refused() {
        for text in ["ftp://h/", "http://u:p@h/", "/sync/create", "http://h/#x", "http://", "http://h/a:1:80"]
        {
            assert!(ProducerUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_gets_its_leading_slash_and_odd_ones_are_refused() {
        assert_eq!(ItemName::parse("a/b").unwrap().as_str(), "/a/b");
        for text in ["", "/", "a/", "a//b", "a*", "a\nb"] {
            assert!(ItemName::parse(text).is_err(), "{text:?}");
        }
    }
}
