//! Where a running gateway is asked: its control address, however it is written.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

use super::AskError;
use crate::arguments::At;
use crate::surroundings::Surroundings;

/// The address of a running gateway's control plane, perhaps with the prefix of its Akeyless API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayUrl(String);

/// Why an address cannot be a gateway's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a gateway's address is written as http://localhost:8000, with no user, no ? and no #")]
pub struct GatewayUrlError;

impl GatewayUrl {
    /// The one that was given, else the one in the environment, else the usual one.
    pub(super) fn of(at: &At, surroundings: &Surroundings) -> Result<Self, AskError> {
        if let Some(given) = &at.gateway_url {
            return Ok(given.clone());
        }
        for variable in VARIABLES {
            if let Some(text) = surroundings.variable(variable) {
                return text.parse().map_err(|source| AskError::Address { variable, source });
            }
        }
        Ok(Self(USUAL.to_owned()))
    }

    /// Whether it is on this machine, and nobody else hears what is sent there.
    pub(super) fn is_loopback(&self) -> bool {
        let url = Url::parse(&self.0).ok();
        match url.as_ref().and_then(Url::host) {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// Where `operation` of the Akeyless API is asked for: behind its prefix. At the root of a Lambda function a route comes
    /// first, and its upstream would be shown keys and tokens.
    pub(super) fn akeyless(&self, operation: &str) -> String {
        self.beside(&format!("api/v2/{operation}"))
    }

    /// Where Kong's API has the vault called `prefix`.
    pub(super) fn vault(&self, prefix: &str) -> String {
        self.beside(&format!("vaults/{prefix}"))
    }

    /// Where `path` is that is no part of the Akeyless API: beside it, not within it.
    pub(super) fn beside(&self, path: &str) -> String {
        let base = ["/api/v2", "/v2"].iter().find_map(|api| self.0.strip_suffix(api)).unwrap_or(&self.0);
        format!("{base}/{path}")
    }
}

impl FromStr for GatewayUrl {
    type Err = GatewayUrlError;

    fn from_str(text: &str) -> Result<Self, GatewayUrlError> {
        let url = Url::parse(text).map_err(|_| GatewayUrlError)?;
        let is_plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !is_plain {
            return Err(GatewayUrlError);
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for GatewayUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Ours first, and then the one that Akeyless's own command reads.
const VARIABLES: [&str; 2] = ["GATEWARD_GATEWAY_URL", "AKEYLESS_GATEWAY_URL"];

const USUAL: &str = "http://localhost:8000";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_end_as_any_document_has_it() {
        for (text, auth, vault) in [
            (
                "http://localhost:8000",
                "http://localhost:8000/api/v2/auth",
                "http://localhost:8000/vaults/a-b",
            ),
            ("http://h:1/", "http://h:1/api/v2/auth", "http://h:1/vaults/a-b"),
            ("http://h:1/v2", "http://h:1/api/v2/auth", "http://h:1/vaults/a-b"),
            ("https://h/default/api/v2/", "https://h/default/api/v2/auth", "https://h/default/vaults/a-b"),
        ] {
            let url: GatewayUrl = text.parse().unwrap();
            assert_eq!((url.akeyless("auth"), url.vault("a-b")), (auth.into(), vault.into()));
        }
    }

    #[test]
    fn this_machine_is_what_nobody_else_hears() {
        for (text, is) in [
            ("http://localhost:8000", true),
            ("http://LOCALHOST/api/v2", true),
            ("https://127.1.2.3", true),
            ("http://2130706433:8000", true),
            ("http://[::1]:8000", true),
            ("http://10.9.9.9:7998", false),
            ("http://0.0.0.0:8000", false),
            ("http://localhost.example.com", false),
            ("http://127.0.0.1.example.com", false),
            ("http://[::ffff:10.0.0.1]", false),
            ("http://gateway", false),
        ] {
            assert_eq!(text.parse::<GatewayUrl>().unwrap().is_loopback(), is, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_gateway_is_refused() {
        for text in ["localhost:8000", "8000", "", "ftp://h", "http://u:p@h", "http://h/?a", "http://h/#a"] {
            assert_eq!(text.parse::<GatewayUrl>(), Err(GatewayUrlError), "{text:?}");
        }
    }
}
