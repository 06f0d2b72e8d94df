//! Writes short header values, many to one buffer.
//!
//! A value that has memory of its own costs an allocation, and another one when it is first cloned. Those that a
//! request gains are pieces of a buffer that its data thread has filled with them; the buffer goes when the last of
//! them has gone.

use std::cell::RefCell;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::BytesMut;
use http::HeaderValue;

/// What header values are written with. Each data thread has its own.
#[derive(Debug, Default)]
pub(super) struct Ink {
    buffer: RefCell<BytesMut>,
    /// What was written last. Requests that follow each other often come from one balancer, and by one listener.
    address: RefCell<Option<(IpAddr, HeaderValue)>>,
    number: RefCell<Option<(u16, HeaderValue)>>,
}

impl Ink {
    /// `text` as a header value; `unknown` if no header value can hold it.
    pub(super) fn value(&self, text: &[u8]) -> HeaderValue {
        let mut buffer = self.buffer.borrow_mut();
        if buffer.capacity() < text.len() {
            *buffer = BytesMut::with_capacity(WELL.max(text.len()));
        }
        buffer.extend_from_slice(text);
        HeaderValue::from_maybe_shared(buffer.split().freeze()).unwrap_or(HeaderValue::from_static("unknown"))
    }

    /// An address as people write it.
    pub(super) fn address(&self, ip: IpAddr) -> HeaderValue {
        remembered(&self.address, ip, || match ip.to_canonical() {
            // An IPv6 socket also takes IPv4 clients, which then have both kinds of address.
            IpAddr::V4(ip) => self.ipv4(ip),
            IpAddr::V6(ip) => self.ipv6(ip),
        })
    }

    /// A number.
    pub(super) fn number(&self, number: u16) -> HeaderValue {
        remembered(&self.number, number, || {
            let mut digits = Digits::default();
            digits.push(number);
            self.value(digits.text())
        })
    }

    fn ipv4(&self, ip: Ipv4Addr) -> HeaderValue {
        let mut digits = Digits::default();
        for (place, octet) in ip.octets().into_iter().enumerate() {
            if place > 0 {
                digits.push_byte(b'.');
            }
            digits.push(u16::from(octet));
        }
        self.value(digits.text())
    }

    fn ipv6(&self, ip: Ipv6Addr) -> HeaderValue {
        let mut text = [0; LONGEST_IPV6];
        let mut room = &mut text[..];
        // It fits.
        let _ = write!(room, "{ip}");
        let left = room.len();
        self.value(&text[..LONGEST_IPV6 - left])
    }
}

/// The value of `key`: the one that is in `memory`, or a new one, which is there from then on.
fn remembered<K: Copy + PartialEq>(
    memory: &RefCell<Option<(K, HeaderValue)>>,
    key: K,
    write: impl FnOnce() -> HeaderValue,
) -> HeaderValue {
    let mut memory = memory.borrow_mut();
    match &*memory {
        Some((known, value)) if *known == key => value.clone(),
        _ => memory.insert((key, write())).1.clone(),
    }
}

/// A text of digits and dots. `write!` takes ten times as long.
#[derive(Default)]
struct Digits {
    text: [u8; LONGEST_IPV4],
    length: usize,
}

impl Digits {
    fn push(&mut self, number: u16) {
        for unit in [10_000, 1000, 100, 10, 1] {
            if number >= unit || unit == 1 {
                // A digit.
                self.push_byte(b'0' + (number / unit % 10) as u8);
            }
        }
    }

    fn push_byte(&mut self, byte: u8) {
        self.text[self.length] = byte;
        self.length += 1;
    }

    fn text(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

/// How much is written before a new buffer is taken.
const WELL: usize = 4096;

/// `255.255.255.255`
const LONGEST_IPV4: usize = 15;

/// `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`
const LONGEST_IPV6: usize = 45;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_people_write_them() {
        let ink = Ink::default();
        for (ip, text) in [
            ("0.0.0.0", "0.0.0.0"),
            ("192.0.2.1", "192.0.2.1"),
            ("255.255.255.255", "255.255.255.255"),
            ("10.100.9.90", "10.100.9.90"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:db8:1111:2222:3333:4444:5555:6666", "2001:db8:1111:2222:3333:4444:5555:6666"),
        ] {
            assert_eq!(ink.address(ip.parse().unwrap()), text);
        }
    }

    #[test]
    fn numbers_have_their_digits() {
        for number in [0, 1, 9, 10, 80, 443, 1000, 9080, 65535] {
            assert_eq!(Ink::default().number(number), number.to_string());
        }
    }

    #[test]
    fn values_stay_as_they_were_when_more_are_written() {
        let ink = Ink::default();
        let values: Vec<HeaderValue> = (0..2000).map(|number| ink.number(number)).collect();
        for (number, value) in values.iter().enumerate() {
            assert_eq!(*value, number.to_string());
        }
        let long = "a".repeat(WELL + 1);
        assert_eq!(ink.value(long.as_bytes()), long);
    }
}
