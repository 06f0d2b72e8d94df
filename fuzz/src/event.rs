//! Events of Lambda: what a request is made of is in order where the gateway looks next, or is refused there.

use gateward_proxy::host::lambda::event::{self, Event};
use gateward_proxy::hygiene;

pub(crate) fn run(input: &[u8]) {
    match event::read(input) {
        Ok(Event::Request(call)) => {
            assert!(call.request.uri().path().starts_with('/'), "{}", call.request.uri());
            if let Ok(target) = hygiene::check(&call.request) {
                assert!(!target.host.is_empty());
            }
        }
        Ok(Event::Tick | Event::Queue(_)) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
