use proptest::prelude::*;

use super::*;

fn proxied(client: &str, local: &str) -> Header {
    Header::Proxied { client: client.parse().unwrap(), local: local.parse().unwrap() }
}

fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, rest].concat()
}

const IPV4: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0xc3, 0x50, 0x01, 0xbb];

#[test]
fn lines_are_read_as_their_specification_has_them() {
    for (line, expected) in [
        ("PROXY TCP4 192.0.2.1 192.0.2.2 50000 443\r\n", proxied("192.0.2.1:50000", "192.0.2.2:443")),
        ("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", proxied("[2001:db8::1]:1", "[2001:db8::2]:65535")),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n", proxied("192.0.2.1:1", "192.0.2.2:2")),
        ("PROXY UNKNOWN\r\n", Header::Own),
        ("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", Header::Own),
    ] {
        let followed = format!("{line}GET / HTTP/1.1\r\n");
        assert_eq!(parse(followed.as_bytes()).unwrap(), Some((expected, line.len())), "{line}");
    }
}

#[test]
fn binary_headers_are_read_as_their_specification_has_them() {
    let ipv6 = [&[0; 15][..], &[1], &[0; 15], &[2], &[0, 80, 1, 187]].concat();
    let with_more = [&IPV4[..], &[4, 0, 1, 9]].concat();
    for (bytes, expected) in [
        (binary(0x21, 0x11, &IPV4), proxied("192.0.2.1:50000", "192.0.2.2:443")),
        (binary(0x21, 0x11, &with_more), proxied("192.0.2.1:50000", "192.0.2.2:443")),
        (binary(0x21, 0x21, &ipv6), proxied("[::1]:80", "[::2]:443")),
        (binary(0x20, 0x00, &[]), Header::Own),
        (binary(0x20, 0x11, &IPV4), Header::Own),
        (binary(0x21, 0x31, &[0; 216]), Header::Own),
        (binary(0x21, 0x00, &[1, 2, 3]), Header::Own),
    ] {
        let followed = [&bytes[..], b"GET /"].concat();
        assert_eq!(parse(&followed).unwrap(), Some((expected, bytes.len())), "{bytes:?}");
    }
}

#[test]
fn what_is_no_header_is_refused() {
    let cases: [&[u8]; 15] = [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 50000\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 443 1\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 65536\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 443\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 01 443\r\n",
        b"PROXY TCP4 2001:db8::1 192.0.2.2 1 443\r\n",
        b"PROXY TCP4  192.0.2.1 192.0.2.2 1 443\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 443\n",
        b"PROXY TCP5 192.0.2.1 192.0.2.2 1 443\r\n",
        b"PROXY \r\n",
        &binary(0x11, 0x11, &IPV4),
        &binary(0x21, 0x11, &IPV4[..11]),
        &binary(0x21, 0x44, &IPV4),
    ];
    for case in cases {
        assert!(parse(case).is_err(), "{:?}", String::from_utf8_lossy(case));
    }
}

#[test]
fn a_header_that_does_not_end_is_not_waited_for_for_ever() {
    let endless = ["PROXY TCP6 ", &"1".repeat(200)].concat();
    assert!(matches!(parse(endless.as_bytes()), Err(HeaderError::Malformed)));
    let huge = [SIGNATURE, &[0x21, 0x11, 0xff, 0xff]].concat();
    assert!(matches!(parse(&huge), Err(HeaderError::TooLong)));
}

#[test]
fn a_header_is_the_same_in_whatever_pieces_it_comes() {
    for whole in [binary(0x21, 0x11, &IPV4), b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 443\r\n".to_vec()] {
        for end in 0..whole.len() {
            assert!(matches!(parse(&whole[..end]), Ok(None)), "{end} bytes of {whole:?}");
        }
        assert!(matches!(parse(&whole), Ok(Some(_))));
    }
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(tail in proptest::collection::vec(any::<u8>(), 0..300), text in any::<bool>()) {
        let beginning: &[u8] = if text { b"PROXY " } else { SIGNATURE };
        let bytes = [beginning, &tail].concat();
        if let Ok(Some((_, length))) = parse(&bytes) {
            prop_assert!(length <= bytes.len());
        }
    }
}
