//! When a request that failed at one node may go to another.

use gateward_net::FetchError;
use http::Method;

/// How a node failed a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// The connection could not be opened, broke, or carried no HTTP.
    Connection,
    /// The node took too long.
    Timeout,
}

impl Failed {
    /// What `error` says of the node; nothing if it was the client who failed.
    pub fn of(error: &FetchError) -> Option<Self> {
        match error {
            FetchError::ConnectTimeout | FetchError::SendTimeout | FetchError::ReadTimeout => {
                Some(Self::Timeout)
            }
            FetchError::RequestBody(_) | FetchError::RequestBodyTimeout => None,
            _ => Some(Self::Connection),
        }
    }
}

/// Whether a request may go to another node.
///
/// - As long as nothing of it was sent (`unsent`) no node has seen it, and it may, whatever it asks for.
/// - Once it was sent it may have been carried out. It may go on only if doing it twice is doing it once (its method is
///   idempotent) and its body is still at hand (`replayable`).
/// - When the node did not fail but the client did (`failed` is none), there is nobody to do it for.
///
/// An answer with a bad status is an answer. This is nginx's `proxy_next_upstream error timeout`, but that a method that
/// nobody knows counts as one that must not be repeated.
pub fn may_try_another(method: &Method, unsent: bool, replayable: bool, failed: Option<Failed>) -> bool {
    failed.is_some() && (unsent || (method.is_idempotent() && replayable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_sent_may_go_on_and_what_was_sent_only_if_it_can_be_repeated() {
        let purge = Method::from_bytes(b"PURGE").unwrap();
        let cases = [
            (Method::POST, true, false, true),
            (Method::POST, false, true, false),
            (Method::PATCH, false, true, false),
            (purge, false, true, false),
            (Method::GET, false, true, true),
            (Method::PUT, false, true, true),
            (Method::PUT, false, false, false),
            (Method::PUT, true, false, true),
        ];
        for (method, unsent, replayable, may) in cases {
            for failed in [Failed::Connection, Failed::Timeout] {
                let answer = may_try_another(&method, unsent, replayable, Some(failed));
                assert_eq!(answer, may, "{method} unsent={unsent} replayable={replayable}");
            }
            assert!(!may_try_another(&method, unsent, replayable, None), "{method}");
        }
    }

    #[test]
    fn a_client_that_breaks_off_is_no_fault_of_the_node() {
        assert_eq!(Failed::of(&FetchError::RequestBodyTimeout), None);
        assert_eq!(Failed::of(&FetchError::ReadTimeout), Some(Failed::Timeout));
        let refused = FetchError::Connect(std::io::ErrorKind::ConnectionRefused.into());
        assert_eq!(Failed::of(&refused), Some(Failed::Connection));
    }
}
