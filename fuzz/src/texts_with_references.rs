//! Texts with references in them: the text comes back when each reference stands for itself, and a value that looks
//! like a reference stays a value.

use gateward_seal::SecretValue;
use gateward_vaults::Template;

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Template::parse(text) {
        Ok(None) => assert!(!text.contains("{vault://")),
        Ok(Some(template)) => {
            let itself: Vec<SecretValue> =
                template.references().map(|reference| SecretValue::from(reference.text())).collect();
            assert!(!itself.is_empty());
            let filled = template.fill(&mut itself.iter()).expect("there is a value for each reference");
            assert_eq!(filled.expose(), text);
            assert!(template.fill(&mut itself.iter().skip(1)).is_none());
        }
        Err(error) => assert!(text.contains("{vault://") && !error.problem().is_empty()),
    }
}
