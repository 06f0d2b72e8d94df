//! Where the services of AWS are.

use gateward_model::Invalid;
use url::Url;

/// Checks that `region` could be the name of one.
pub fn check_region(region: &str) -> Result<(), Invalid> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !region.is_empty() && region.len() <= 64 && region.bytes().all(allowed) {
        return Ok(());
    }
    Err(Invalid::new("region", "a region is lower-case letters, digits and -, such as us-east-1"))
}

/// Checks an endpoint: `http` or `https`, a host, perhaps a port and a path; nothing else.
pub fn check_endpoint(url: &str) -> Result<Url, Invalid> {
    let wrong = |problem: &str| Invalid::new("endpoint_url", problem);
    let url = Url::parse(url).map_err(|_| wrong("a complete URL is needed, such as https://host:port"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("only http and https are known"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("a user or password cannot stand in it"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("a query or fragment cannot stand in it"));
    }
    if authority(&url).is_empty() || url.as_str().parse::<http::Uri>().is_err() {
        return Err(wrong("it names no host"));
    }
    Ok(url)
}

/// The domain that the services of `region` are in.
pub fn domain(region: &str) -> &'static str {
    // The regions in China are a world of their own, with a domain of its own.
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

/// The host, and the port where it is not the scheme's own.
pub(crate) fn authority(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Two parsers see an endpoint, one when it is set and one when it is called: they must not see two hosts.
        #[test]
        fn whatever_is_accepted_can_be_called_at_the_host_that_was_checked(
            url in prop_oneof![
                "https?:[/\\\\]{1,3}[ -~]{0,40}",
                "https?://[a-z0-9.:@%_\\[\\]-]{1,30}(/\\PC{0,20})?",
                "https?://\\PC{1,30}",
                "\\PC{0,40}",
            ]
        ) {
            if let Ok(checked) = check_endpoint(&url) {
                let request = http::Request::post(checked.as_str()).body(()).unwrap();
                prop_assert_eq!(request.uri().host(), checked.host_str());
                prop_assert_eq!(request.uri().port_u16(), checked.port());
                prop_assert!(request.uri().query().is_none());
                prop_assert!(http::HeaderValue::from_str(&authority(&checked)).is_ok());
                let beneath = format!("{}latest", checked.as_str());
                prop_assert!(beneath.parse::<http::Uri>().is_ok());
            }
        }
    }

    #[test]
    fn an_endpoint_is_a_plain_url() {
        for url in ["http://127.0.0.1:5000", "https://vpce.example.com/path", "http://[::1]:5000/"] {
            assert!(check_endpoint(url).is_ok(), "{url}");
        }
        for url in
            ["", "localhost:5000", "ftp://host", "http://u:canary@host", "http://host?x=canary", "http://"]
        {
            let error = check_endpoint(url).unwrap_err();
            assert_eq!(error.field, "endpoint_url");
            assert!(!error.problem.contains("canary"), "{error}");
        }
        assert!(check_region("us-east-1").is_ok());
        assert!(check_region("us-east-1.evil.example").is_err() && check_region("").is_err());
    }
}
