//! When a request that failed at one node may go to another.

use gateward_net::{FetchError, Left};
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

/// Whether a request of which there is `left` this may go to another node.
///
/// - As long as nothing of it was sent no node has seen it, and it may, whatever it asks for.
/// - Once it was sent it may have been carried out. It may go on only if doing it twice is doing it once (its method is
///   idempotent) and its body is still at hand.
/// - When the node did not fail but the client did (`failed` is none), there is nobody to do it for.
///
/// An answer with a bad status is an answer, and so is one that cannot be read. This is nginx's `proxy_next_upstream error
/// timeout`, but that a method that nobody knows counts as one that must not be repeated.
pub fn may_try_another(method: &Method, left: Left, failed: Option<Failed>) -> bool {
    let may = match left {
        Left::Untouched => true,
        Left::AtHand => method.is_idempotent(),
        Left::Spent => false,
    };
    may && failed.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_sent_may_go_on_and_what_was_sent_only_if_it_can_be_repeated() {
        let purge = Method::from_bytes(b"PURGE").unwrap();
        let cases = [
            (Method::POST, Left::Untouched, true),
            (Method::POST, Left::AtHand, false),
            (Method::PATCH, Left::AtHand, false),
            (purge, Left::AtHand, false),
            (Method::GET, Left::AtHand, true),
            (Method::PUT, Left::AtHand, true),
            (Method::PUT, Left::Spent, false),
            (Method::PUT, Left::Untouched, true),
        ];
        for (method, left, may) in cases {
            for failed in [Failed::Connection, Failed::Timeout] {
                assert_eq!(may_try_another(&method, left, Some(failed)), may, "{method} {left:?}");
            }
            assert!(!may_try_another(&method, left, None), "{method}");
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
