//! What a request must look like before anything else looks at it.
//!
//! hyper takes requests that two servers can understand differently: without Host or with two, with an absolute
//! target that names another host, with bytes in the target that no URI has. A gateway that routes by one reading while
//! the upstream serves by another can be talked past. Such requests end here with 400, and the connection with them,
//! for nobody knows where the next request would begin.
//!
//! What hyper itself refuses stays with hyper: framing (two lengths, a broken chunk, `Transfer-Encoding` on
//! HTTP/1.0), more than 100 header fields, heads that are too large or too slow (see `host::server`).

use std::net::Ipv6Addr;

use gateward_model::{ErrorStatus, Failure, Origin};
use http::header::{HOST, HeaderMap, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, StatusCode, Version};

use gateward_vars::{PathError, RoutePath};

/// What routes are found by. A request that has one is in order.
#[derive(Debug)]
pub struct Target<'r> {
    /// The host that was asked for, without port.
    pub host: &'r str,
    /// The path that was asked for.
    pub path: RoutePath<'r>,
}

/// Why a request is refused before it is routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Improper {
    /// No Host, or a second one.
    #[error("a request has exactly one Host")]
    HostCount,
    /// A Host that is no host.
    #[error("the Host is not a host with an optional port")]
    Host,
    /// An absolute target or `:authority` that differs from the Host.
    #[error("the Host differs from the host in the request's target")]
    HostMismatch,
    /// A byte in the target that is not visible ASCII.
    #[error("the request's target has bytes that are not visible ASCII characters; percent-encode them")]
    Bytes,
    /// A target that is longer than the host takes.
    #[error("the request's target is longer than is taken here")]
    TooLong,
    /// A body in a transfer coding other than `chunked`, once.
    #[error("the only transfer coding that is taken is chunked, and only once")]
    Coding,
    /// A path that cannot be compared with routes.
    #[error(transparent)]
    Path(#[from] PathError),
    /// CONNECT.
    #[error("this gateway opens no tunnels")]
    Connect,
}

/// Checks `request`, and says what to route it by.
pub fn check<B>(request: &Request<B>) -> Result<Target<'_>, Improper> {
    if request.method() == Method::CONNECT {
        return Err(Improper::Connect);
    }
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Improper::Bytes);
    }
    let host = without_port(host(request)?)?;
    let path = RoutePath::new(request.uri().path())?;
    Ok(Target { host, path })
}

/// Checks the transfer coding of a request that has a body. hyper is content when the last of several is `chunked`;
/// what the others did to the body would then be nobody's concern any more, and forgotten on the way.
pub fn check_coding(headers: &HeaderMap) -> Result<(), Improper> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Improper::Coding),
    }
}

impl Improper {
    /// What the client hears.
    pub fn failure(self) -> Failure {
        let (status, code) = match self {
            Self::HostCount | Self::Host => (ErrorStatus::BAD_REQUEST, "bad_host"),
            Self::HostMismatch => (ErrorStatus::BAD_REQUEST, "host_mismatch"),
            Self::Bytes | Self::Path(_) => (ErrorStatus::BAD_REQUEST, "bad_path"),
            Self::TooLong => {
                let status = ErrorStatus::new(StatusCode::URI_TOO_LONG).unwrap_or(ErrorStatus::BAD_REQUEST);
                (status, "target_too_long")
            }
            Self::Coding => {
                let status =
                    ErrorStatus::new(StatusCode::NOT_IMPLEMENTED).unwrap_or(ErrorStatus::BAD_REQUEST);
                (status, "bad_transfer_coding")
            }
            Self::Connect => (ErrorStatus::METHOD_NOT_ALLOWED, "no_tunnels"),
        };
        Failure::new(status, Origin::Client, code, self.to_string())
    }
}

/// The host with its port, from where this version of HTTP has it.
fn host<B>(request: &Request<B>) -> Result<&str, Improper> {
    let headers = request.headers();
    // Where no name repeats, Host does not either; that is much cheaper to see.
    if headers.len() != headers.keys_len() && headers.get_all(HOST).iter().nth(1).is_some() {
        return Err(Improper::HostCount);
    }
    let field = headers.get(HOST).map(HeaderValue::to_str).transpose().map_err(|_| Improper::Host)?;
    match (field, request.uri().authority().map(Authority::as_str)) {
        (Some(field), None) => Ok(field),
        (Some(field), Some(authority)) if field.eq_ignore_ascii_case(authority) => Ok(field),
        (Some(_), Some(_)) => Err(Improper::HostMismatch),
        // HTTP/2 says it in `:authority` alone; HTTP/1.1 must say it in Host also when the target is absolute.
        (None, Some(authority)) if request.version() >= Version::HTTP_2 => Ok(authority),
        (None, _) => Err(Improper::HostCount),
    }
}

fn without_port(host: &str) -> Result<&str, Improper> {
    let (name, port) = match host.find(']') {
        Some(end) if host.starts_with('[') => host.split_at(end + 1),
        Some(_) => return Err(Improper::Host),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let name_is_fine = match name.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !name.is_empty() && name.bytes().all(named),
    };
    let port_is_fine = match port.strip_prefix(':') {
        Some(digits) => digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    };
    if name_is_fine && port_is_fine && name.len() <= LONGEST_HOST { Ok(name) } else { Err(Improper::Host) }
}

/// No name in DNS is longer.
const LONGEST_HOST: usize = 255;

#[cfg(test)]
mod tests;
