//! Headers of the PROXY protocol: one that was read is no longer than what came, is the same when more has come, and
//! names addresses in the one form in which rules are compared with them.

use gateward_proxy::host::server::proxy_protocol::{Header, parse};

pub(crate) fn run(input: &[u8]) {
    let Ok(Some((header, length))) = parse(input) else { return };
    assert!(length <= input.len());
    let more = [input, b"GET / HTTP/1.1\r\n"].concat();
    assert!(matches!(parse(&more), Ok(Some(same)) if same == (header, length)));
    for shorter in 0..length {
        assert!(matches!(parse(&input[..shorter]), Ok(None)), "half a header is none, and no error");
    }
    if let Header::Proxied { client, local } = header {
        assert_eq!((client.ip(), local.ip()), (client.ip().to_canonical(), local.ip().to_canonical()));
    }
}
