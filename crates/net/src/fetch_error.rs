//! Why a call got no answer, and what the client hears of it.

use gateward_model::{ErrorStatus, Failure, Origin};
use http::StatusCode;

use crate::BodyError;

/// What lies beneath an error.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a call got no (whole) answer. Names no address and no content: those who call know whom they called.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address is none that can be called.
    #[error("the address is not a callable http or https address")]
    Address,
    /// The name has no address.
    #[error("the name could not be resolved")]
    Resolve(#[source] std::io::Error),
    /// The address is one that the gateway does not call for anybody.
    #[error("the address may not be called through the gateway")]
    Forbidden,
    /// Nobody there, or nobody who listens.
    #[error("the connection could not be opened")]
    Connect(#[source] std::io::Error),
    /// The forward proxy on the way to the peer opens no tunnel to it.
    #[error("the forward proxy opened no tunnel; it answered {status}")]
    ProxyRefused {
        /// What it answered.
        status: u16,
    },
    /// No TLS session: a certificate that we do not trust, most often.
    #[error("the TLS session could not be opened")]
    Tls(#[source] std::io::Error),
    /// Not connected in time.
    #[error("the connection was not open in time")]
    ConnectTimeout,
    /// The peer did not take the request in time.
    #[error("the request was not taken in time")]
    SendTimeout,
    /// The peer did not answer in time.
    #[error("no answer came in time")]
    ReadTimeout,
    /// The peer closed the connection instead of answering.
    #[error("the connection was closed before an answer came")]
    Closed(#[source] Cause),
    /// The answer is not HTTP/1.1 as we know it.
    #[error("the answer is not valid HTTP")]
    Protocol(#[source] Cause),
    /// The connection ended before the peer had said a word of HTTP/2.
    #[error("the peer does not speak HTTP/2")]
    NotHttp2,
    /// The answer is a change of protocol that nobody asked for.
    #[error("the answer switches to another protocol unasked")]
    Switched,
    /// The answer's body broke off.
    #[error("the answer broke off")]
    AnswerBody(#[source] BodyError),
    /// The answer's body is larger than the caller allows.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// What the caller allows.
        limit: usize,
    },
    /// The body that we were to send broke off.
    #[error("the request's body broke off")]
    RequestBody(#[source] Cause),
    /// The body that we were to send did not come.
    #[error("the request's body did not come in time")]
    RequestBodyTimeout,
}

/// A word for programs with the name of who failed before it, such as `function_timeout`.
macro_rules! code {
    ($origin:expr, $what:literal) => {
        match $origin {
            Origin::Function => concat!("function_", $what),
            Origin::Vault => concat!("vault_", $what),
            Origin::Producer => concat!("producer_", $what),
            _ => concat!("upstream_", $what),
        }
    };
}

impl FetchError {
    /// Whether the peer answered, and what it spoke was no TLS: plain HTTP, most often.
    pub fn is_no_tls(&self) -> bool {
        let Self::Tls(cause) = self else { return false };
        let inner = cause.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        matches!(inner, Some(rustls::Error::InvalidMessage(_)))
    }

    /// What the client hears when it was `origin` that was called.
    pub fn failure(&self, origin: Origin) -> Failure {
        let who = match origin {
            Origin::Function => "function",
            Origin::Vault => "vault",
            Origin::Producer => "producer",
            _ => "upstream",
        };
        let (status, code, message) = match self {
            Self::Address => (
                ErrorStatus::BAD_GATEWAY,
                code!(origin, "bad_address"),
                format!("the {who}'s address cannot be called"),
            ),
            Self::Resolve(_) => (
                ErrorStatus::BAD_GATEWAY,
                code!(origin, "dns_failed"),
                format!("the {who}'s name could not be resolved"),
            ),
            Self::Forbidden => (
                ErrorStatus::BAD_GATEWAY,
                code!(origin, "forbidden"),
                format!("the {who}'s address is one that the gateway does not call"),
            ),
            Self::Connect(_) => (
                ErrorStatus::BAD_GATEWAY,
                code!(origin, "connect_failed"),
                format!("the {who} could not be reached"),
            ),
            Self::ProxyRefused { status } => (
                ErrorStatus::BAD_GATEWAY,
                code!(origin, "proxy_refused"),
                format!("the forward proxy opened no tunnel to the {who}; it answered {status}"),
            ),
            Self::Tls(_) => (
                ErrorStatus::BAD_GATEWAY,
                code!(origin, "tls_failed"),
                format!("no TLS session with the {who} could be opened"),
            ),
            Self::ConnectTimeout | Self::SendTimeout | Self::ReadTimeout => (
                ErrorStatus::GATEWAY_TIMEOUT,
                code!(origin, "timeout"),
                format!("the {who} did not answer in time"),
            ),
            Self::Closed(_)
            | Self::Protocol(_)
            | Self::NotHttp2
            | Self::Switched
            | Self::AnswerBody(_)
            | Self::TooLarge { .. } => (
                ErrorStatus::BAD_GATEWAY,
                code!(origin, "bad_answer"),
                format!("the {who} gave no usable answer"),
            ),
            Self::RequestBody(_) => return self.clients(ErrorStatus::BAD_REQUEST, "request_body_broken"),
            Self::RequestBodyTimeout => {
                let status =
                    ErrorStatus::new(StatusCode::REQUEST_TIMEOUT).unwrap_or(ErrorStatus::BAD_REQUEST);
                return self.clients(status, "request_body_timeout");
            }
        };
        Failure::new(status, origin, code, message).with_detail(self.chain())
    }

    /// A failure that the client brought about.
    fn clients(&self, status: ErrorStatus, code: &'static str) -> Failure {
        Failure::new(status, Origin::Client, code, self.to_string()).with_detail(self.chain())
    }

    /// The error and its causes, for the log.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }

    /// Sorts what hyper says about a request that got no answer.
    pub(crate) fn unanswered(error: hyper::Error) -> Self {
        if error.is_user() {
            Self::RequestBody(error.into())
        } else if error.is_parse() {
            Self::Protocol(error.into())
        } else {
            Self::Closed(error.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_origin_has_its_own_codes() {
        let refused = FetchError::Connect(std::io::ErrorKind::ConnectionRefused.into());
        for (origin, code) in [
            (Origin::Upstream, "upstream_connect_failed"),
            (Origin::Function, "function_connect_failed"),
            (Origin::Vault, "vault_connect_failed"),
            (Origin::Producer, "producer_connect_failed"),
        ] {
            let failure = refused.failure(origin);
            assert_eq!((failure.status, failure.code), (ErrorStatus::BAD_GATEWAY, code));
        }
        let late = FetchError::ReadTimeout.failure(Origin::Function);
        assert_eq!((late.status, late.code), (ErrorStatus::GATEWAY_TIMEOUT, "function_timeout"));
    }

    #[test]
    fn the_cause_is_for_the_log_and_not_for_the_client() {
        let failure = FetchError::Tls(std::io::Error::other("canary")).failure(Origin::Upstream);
        assert!(!failure.message.contains("canary"));
        assert!(failure.detail.is_some_and(|detail| detail.contains("canary")));
    }
}
