//! Where producers may stand: what an administrator has put on the list, or anywhere.
//!
//! Whoever may create a dynamic secret has the gateway call any address with a token of its own. The list is how an
//! administrator keeps that to the producers that there are. The connector refuses metadata addresses besides.

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

/// A place that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a place of producers is a URL that theirs begin with (https://producers.example.com/users/), or a host with a port \
     or without (10.0.0.5:7070, producers.example.com, *.example.com)"
)]
pub struct NoPlace;

impl AllowedProducers {
    /// Whether a producer may stand at `url`.
    pub fn permits(&self, url: &ProducerUrl) -> bool {
        self.0.as_ref().is_none_or(|places| places.iter().any(|place| place.has(url.url())))
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

    fn has(&self, url: &Url) -> bool {
        match self {
            Self::Host { host, with_below, port } => {
                let theirs = url.host_str().unwrap_or_default();
                let is_below =
                    || theirs.strip_suffix(host.as_str()).is_some_and(|below| below.ends_with('.'));
                (theirs == host && !with_below || *with_below && is_below())
                    && port.is_none_or(|port| url.port_or_known_default() == Some(port))
            }
            Self::Below(prefix) => {
                let path = url.path().strip_prefix(prefix.path());
                let whole_parts = path.is_some_and(|rest| {
                    rest.is_empty() || prefix.path().ends_with('/') || rest.starts_with('/')
                });
                // What a server may read as a way out of the folder is not in it.
                let stays = !url.path().to_ascii_lowercase().contains("%2e") && !url.path().contains("%2f");
                prefix.origin() == url.origin() && whole_parts && stays
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(list: &str, url: &str) -> bool {
        list.parse::<AllowedProducers>().unwrap().permits(&ProducerUrl::parse(url).unwrap())
    }

    #[test]
    fn without_a_list_producers_stand_anywhere() {
        assert!(AllowedProducers::default().permits(&ProducerUrl::parse("http://anywhere/x").unwrap()));
    }

    #[test]
    fn a_host_is_taken_with_its_port_or_with_any() {
        let list = "producers.example.com, 10.0.0.5:7070,[::1]:80,*.lambda-url.eu-west-1.on.aws";
        for url in [
            "https://producers.example.com/any/path",
            "http://PRODUCERS.example.com:8443/",
            "http://10.0.0.5:7070/sync/create",
            "http://[::1]/x",
            "https://abc.lambda-url.eu-west-1.on.aws/sync/create",
        ] {
            assert!(permits(list, url), "{url}");
        }
        for url in [
            "https://producers.example.com.evil.example/",
            "https://evilproducers.example.com/",
            "http://10.0.0.5:7071/",
            "http://10.0.0.5/",
            "https://[::1]/x",
            "https://lambda-url.eu-west-1.on.aws/",
            "https://evillambda-url.eu-west-1.on.aws/",
        ] {
            assert!(!permits(list, url), "{url}");
        }
    }

    #[test]
    fn a_url_is_taken_with_all_below_it() {
        let list = "https://h.example/users,https://h.example:8443/any/";
        for url in [
            "https://h.example/users",
            "https://h.example/users/sync/create?a=b",
            "https://h.example:8443/any/x",
        ] {
            assert!(permits(list, url), "{url}");
        }
        for url in [
            "http://h.example/users",
            "https://h.example/users2",
            "https://h.example/users/../admin",
            "https://h.example/users/%2e%2e/admin",
            "https://h.example/users/..%2fadmin",
            "https://h.example:8443/any",
            "https://other.example/users",
        ] {
            assert!(!permits(list, url), "{url}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in ["", "a,,b", "ftp://h/", "https://u@h/", "h/path", "*", "a*b", "https://h/?q"] {
            assert_eq!(text.parse::<AllowedProducers>(), Err(NoPlace), "{text}");
        }
    }
}
