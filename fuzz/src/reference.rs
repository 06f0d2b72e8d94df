//! References to vaults: what a reference shows of itself is that reference, and what it names is not empty.

use gateward_vaults::Reference;

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Reference::parse(text) {
        // What begins like a reference is one, or is refused.
        Ok(None) => assert!(!text.starts_with("{vault://")),
        Ok(Some(reference)) => {
            assert!(!reference.vault().is_empty() && !reference.secret().is_empty());
            let again = Reference::parse(&reference.to_string());
            assert_eq!(again.expect("a reference can be read again"), Some(reference));
        }
        Err(error) => assert!(!error.problem().is_empty()),
    }
}
