//! A forward proxy: whom a peer is reached through where the machine itself may not call out.
//!
//! It is asked for a tunnel to the peer by `CONNECT` (RFC 9110, section 9.3.6), whether or not TLS is spoken inside: what goes
//! through it is then nothing that it can change. Names are resolved by the proxy, so that the filter of addresses sees the
//! proxy's own address, and the peer's only where that is written as one.

use std::io;
use std::net::IpAddr;

use http::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::FetchError;

/// A forward proxy. Spoken to without TLS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ForwardProxy {
    host: Box<str>,
    port: u16,
    authorization: Option<HeaderValue>,
}

impl ForwardProxy {
    /// The proxy at `host`, which may be an IPv6 address with or without brackets; `authorization` is what it is told
    /// in `Proxy-Authorization`.
    pub fn new(host: &str, port: u16, authorization: Option<HeaderValue>) -> Self {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let authorization = authorization.map(|mut value| {
            value.set_sensitive(true);
            value
        });
        Self { host: host.to_ascii_lowercase().into(), port, authorization }
    }

    /// Its name or address, an IPv6 address without its brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Makes `tcp`, a connection to this proxy, one to `host` and `port`.
    pub(crate) async fn open(&self, tcp: &mut TcpStream, host: &str, port: u16) -> Result<(), FetchError> {
        let brackets = host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6());
        let (open, close) = if brackets { ("[", "]") } else { ("", "") };
        let target = format!("{open}{host}{close}:{port}");
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n").into_bytes();
        if let Some(authorization) = &self.authorization {
            request.extend_from_slice(b"proxy-authorization: ");
            request.extend_from_slice(authorization.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        tcp.write_all(&request).await.map_err(FetchError::Connect)?;
        match status(tcp).await.map_err(FetchError::Connect)? {
            200..=299 => Ok(()),
            status => Err(FetchError::ProxyRefused { status }),
        }
    }
}

/// Whether some proxy may take `host`, which does not read as an address here, for one: `2852039166` and `0xa9.254.43518` are
/// 169.254.169.254 to `inet_aton`. No name of DNS ends in a number (RFC 3696, section 2).
pub(crate) fn may_be_an_address(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let digits = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = match digits {
        Some(digits) => digits.bytes().all(|digit| digit.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|digit| digit.is_ascii_digit()),
    };
    is_number && host.parse::<IpAddr>().is_err()
}

/// The status that a proxy answers with. Nothing of the tunnel may have come with it: inside, it is we who speak first.
async fn status(tcp: &mut TcpStream) -> io::Result<u16> {
    let mut head = Vec::with_capacity(512);
    loop {
        if tcp.read_buf(&mut head).await? == 0 {
            return Err(io::Error::other("the forward proxy closed the connection instead of answering"));
        }
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&head) {
            Ok(httparse::Status::Complete(length)) => {
                let status = response.code.unwrap_or_default();
                // An answer that refuses has a body, which nobody reads: the connection is closed.
                return match length == head.len() || !(200..300).contains(&status) {
                    true => Ok(status),
                    false => Err(io::Error::other("the forward proxy spoke inside the tunnel")),
                };
            }
            Ok(httparse::Status::Partial) if head.len() < LONGEST_HEAD => {}
            Ok(httparse::Status::Partial) => {
                return Err(io::Error::other("the forward proxy's answer has a head without an end"));
            }
            Err(_invalid) => return Err(io::Error::other("the forward proxy does not speak HTTP")),
        }
    }
}

const MOST_HEADERS: usize = 64;

/// In bytes.
const LONGEST_HEAD: usize = 16 * 1024;

#[cfg(test)]
mod tests;
