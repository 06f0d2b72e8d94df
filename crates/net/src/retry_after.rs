//! For how long a service wants to be left alone.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// How long whoever answered with `headers` wants to be left alone, where it says so in seconds (RFC 9110, 10.2.3).
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_a_number_of_seconds_says_for_how_long() {
        let says = |text: &'static str| {
            retry_after(&[(RETRY_AFTER, HeaderValue::from_static(text))].into_iter().collect())
        };
        assert_eq!(says(" 30 "), Some(Duration::from_secs(30)));
        for other in ["0", "-1", "1.5", "soon", "", "Fri, 31 Dec 1999 23:59:59 GMT"] {
            assert_eq!(says(other), None, "{other}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
