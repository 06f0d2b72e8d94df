//! A failure of the gateway's own, as its clients hear of it.

use http::StatusCode;

/// A status that tells of a failure. It cannot hold a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorStatus(StatusCode);

impl ErrorStatus {
    /// 400: the request is wrong.
    pub const BAD_REQUEST: Self = Self(StatusCode::BAD_REQUEST);
    /// 401: who are you?
    pub const UNAUTHORIZED: Self = Self(StatusCode::UNAUTHORIZED);
    /// 403: you may not.
    pub const FORBIDDEN: Self = Self(StatusCode::FORBIDDEN);
    /// 404: there is no such thing.
    pub const NOT_FOUND: Self = Self(StatusCode::NOT_FOUND);
    /// 405: not with this method.
    pub const METHOD_NOT_ALLOWED: Self = Self(StatusCode::METHOD_NOT_ALLOWED);
    /// 409: something is in the way.
    pub const CONFLICT: Self = Self(StatusCode::CONFLICT);
    /// 413: the body is too large.
    pub const TOO_LARGE: Self = Self(StatusCode::PAYLOAD_TOO_LARGE);
    /// 415: not in this content type.
    pub const UNSUPPORTED_MEDIA_TYPE: Self = Self(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    /// 500: a bug of ours.
    pub const INTERNAL: Self = Self(StatusCode::INTERNAL_SERVER_ERROR);
    /// 502: whom we asked gave no usable answer.
    pub const BAD_GATEWAY: Self = Self(StatusCode::BAD_GATEWAY);
    /// 503: not now.
    pub const UNAVAILABLE: Self = Self(StatusCode::SERVICE_UNAVAILABLE);
    /// 504: whom we asked took too long.
    pub const GATEWAY_TIMEOUT: Self = Self(StatusCode::GATEWAY_TIMEOUT);

    /// The status, if it tells of a failure.
    pub fn new(status: StatusCode) -> Option<Self> {
        (status.is_client_error() || status.is_server_error()).then_some(Self(status))
    }

    /// As HTTP has it.
    pub fn status(self) -> StatusCode {
        self.0
    }
}

/// Where a failure came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The request was wrong.
    Client,
    /// A service behind an upstream.
    Upstream,
    /// A function.
    Function,
    /// A vault.
    Vault,
    /// A producer of credentials.
    Producer,
    /// The store.
    Store,
    /// The gateway itself.
    Gateway,
}

/// A failure: what the client hears, and what only the log hears.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The status of the answer.
    pub status: ErrorStatus,
    /// Where it came from.
    pub origin: Origin,
    /// A stable word for programs, such as `upstream_timeout`.
    pub code: &'static str,
    /// One sentence for people, which says what to do where they can do something.
    pub message: String,
    /// What only the log should hear, such as the address that refused a connection.
    pub detail: Option<String>,
    /// What else the client hears: names of fields, and what stands in them.
    pub told: Vec<(&'static str, String)>,
    /// After how many seconds it may be worth another try.
    pub retry_after: Option<u32>,
}

impl Failure {
    /// A failure without private detail.
    pub fn new(status: ErrorStatus, origin: Origin, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            origin,
            code,
            message: message.into(),
            detail: None,
            told: Vec::new(),
            retry_after: None,
        }
    }

    /// The same with a detail for the log.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same, and the client hears of `what` besides.
    #[must_use]
    pub fn with_told(mut self, name: &'static str, what: impl Into<String>) -> Self {
        self.told.push((name, what.into()));
        self
    }

    /// The same, and the client is told to try again after so many seconds.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
