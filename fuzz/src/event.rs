//! Events of Lambda: what a request is made of is in order where the gateway looks next, or is refused there.

use gateward_proxy::host::lambda::event;
use gateward_proxy::hygiene;

pub(crate) fn run(input: &[u8]) {
    match event::request(input) {
        Ok((request, _conn)) => {
            assert!(request.uri().path().starts_with('/'), "{}", request.uri());
            if let Ok(target) = hygiene::check(&request) {
                assert!(!target.host.is_empty());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
