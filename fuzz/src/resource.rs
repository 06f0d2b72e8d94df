//! Routing resources, as the Admin API takes them: what is taken is taken again, and what is refused is refused with a
//! sentence.
//!
//! The first line is the kind, the rest the resource.

use gateward_model::apisix::Kind;
use gateward_proxy::validation;

use crate::named;

pub(crate) fn run(input: &[u8]) {
    let Some((name, json)) = named(input) else { return };
    let Some(kind) = Kind::of(name) else { return };
    match validation::check(kind, "1", &json) {
        Ok(sound) => {
            let again = validation::check(kind, "1", &json).expect("what was taken is taken again");
            assert_eq!(sound.links, again.links);
        }
        Err(fault) => {
            assert!(!fault.to_string().is_empty());
            assert!(!fault.into_invalid().problem.is_empty());
        }
    }
}
