//! The PROXY protocol, versions 1 and 2: how a balancer in front of the gateway says who the client is.
//!
//! It stands before everything else on a connection. A listener either demands it or does not know it: a header that
//! anybody may send would let anybody be anybody.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The balancer speaks for a client.
    Proxied {
        /// The client's end of its connection to the balancer.
        client: SocketAddr,
        /// The end that the client connected to.
        local: SocketAddr,
    },
    /// The balancer speaks for itself (a health check), or does not say for whom: the connection's own ends count.
    Own,
}

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// What came is no header.
    #[error("the connection does not begin with a PROXY protocol header")]
    Malformed,
    /// It is longer than it may be.
    #[error("the PROXY protocol header is longer than {LONGEST} bytes")]
    TooLong,
    /// The connection broke off.
    #[error("the connection broke off in the PROXY protocol header")]
    Broken(#[from] io::Error),
}

/// Reads a header from the beginning of `bytes`: what it says, and how long it is. None if more bytes are needed.
pub fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    if begins_alike(bytes, SIGNATURE) {
        return parse_binary(bytes);
    }
    if begins_alike(bytes, b"PROXY ") {
        return parse_text(bytes);
    }
    Err(HeaderError::Malformed)
}

/// Reads a header from `tcp`, and returns what came after it too. Who waits for it sets a limit.
pub(super) async fn read(tcp: &mut TcpStream) -> Result<(Header, Vec<u8>), HeaderError> {
    let mut bytes = Vec::with_capacity(256);
    loop {
        if tcp.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if let Some((header, length)) = parse(&bytes)? {
            return Ok((header, bytes.split_off(length)));
        }
        if bytes.len() > LONGEST {
            return Err(HeaderError::TooLong);
        }
    }
}

/// Whether one of the two is the beginning of the other.
fn begins_alike(bytes: &[u8], expected: &[u8]) -> bool {
    bytes.iter().zip(expected).all(|(byte, expected)| byte == expected)
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 50000 443\r\n`
fn parse_text(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    let line_end = bytes.iter().take(LONGEST_LINE).position(|byte| *byte == b'\n');
    let Some(line_end) = line_end else {
        return if bytes.len() < LONGEST_LINE { Ok(None) } else { Err(HeaderError::Malformed) };
    };
    let line = bytes[..line_end].strip_suffix(b"\r").ok_or(HeaderError::Malformed)?;
    let line = std::str::from_utf8(line).map_err(|_| HeaderError::Malformed)?;
    let mut words = line.split(' ');
    let mut word = || words.next().ok_or(HeaderError::Malformed);
    let (_proxy, family) = (word()?, word()?);
    let header = match family {
        // Whatever follows is to be ignored.
        "UNKNOWN" => return Ok(Some((Header::Own, line_end + 1))),
        "TCP4" => {
            let (client, local) = (word()?.parse::<Ipv4Addr>(), word()?.parse::<Ipv4Addr>());
            addresses(client.ok(), local.ok(), word()?, word()?)
        }
        "TCP6" => {
            let (client, local) = (word()?.parse::<Ipv6Addr>(), word()?.parse::<Ipv6Addr>());
            addresses(client.ok(), local.ok(), word()?, word()?)
        }
        _ => None,
    };
    match (header, words.next()) {
        (Some(header), None) => Ok(Some((header, line_end + 1))),
        _ => Err(HeaderError::Malformed),
    }
}

fn addresses<A: Into<IpAddr>>(
    client: Option<A>,
    local: Option<A>,
    client_port: &str,
    local_port: &str,
) -> Option<Header> {
    let client = SocketAddr::new(client?.into().to_canonical(), port(client_port)?);
    let local = SocketAddr::new(local?.into().to_canonical(), port(local_port)?);
    Some(Header::Proxied { client, local })
}

/// Digits alone, without a leading zero or sign.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// The signature, a byte each for version and command, family and protocol, two for the length of what follows:
/// addresses, then whatever else the balancer wants to say.
fn parse_binary(bytes: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    let Some((fixed, rest)) = bytes.split_at_checked(FIXED) else { return Ok(None) };
    let (version_and_command, family) = (fixed[12], fixed[13]);
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if FIXED + length > LONGEST {
        return Err(HeaderError::TooLong);
    }
    let proxied = match version_and_command {
        0x20 => false,
        0x21 => true,
        _ => return Err(HeaderError::Malformed),
    };
    let Some(rest) = rest.get(..length) else { return Ok(None) };
    let header = match (proxied, family) {
        (false, _) => Header::Own,
        (true, 0x11) => binary_addresses::<4>(rest)?,
        (true, 0x21) => binary_addresses::<16>(rest)?,
        // UDP, sockets of UNIX, and what is not said: nothing that a TCP client is known by.
        (true, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => Header::Own,
        (true, _) => return Err(HeaderError::Malformed),
    };
    Ok(Some((header, FIXED + length)))
}

/// Two addresses of `N` bytes, then two ports.
fn binary_addresses<const N: usize>(bytes: &[u8]) -> Result<Header, HeaderError>
where
    IpAddr: From<[u8; N]>,
{
    let end = |address: usize, port: usize| {
        let ip: [u8; N] = bytes.get(address..address + N)?.try_into().ok()?;
        let port: [u8; 2] = bytes.get(port..port + 2)?.try_into().ok()?;
        Some(SocketAddr::new(IpAddr::from(ip).to_canonical(), u16::from_be_bytes(port)))
    };
    let (client, local) = (end(0, 2 * N), end(N, 2 * N + 2));
    match (client, local) {
        (Some(client), Some(local)) => Ok(Header::Proxied { client, local }),
        _ => Err(HeaderError::Malformed),
    }
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The bytes of a binary header before its addresses.
const FIXED: usize = 16;

/// The longest header of version 1, its end of line included.
const LONGEST_LINE: usize = 107;

/// The longest header that is read. Balancers add some hundred bytes to the addresses at most.
const LONGEST: usize = 4096;

#[cfg(test)]
mod tests;
