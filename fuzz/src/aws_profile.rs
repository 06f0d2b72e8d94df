//! Shared profile files: whatever stands in one, a property that is added at its end is the one that counts, and comes
//! back as it was written.
//!
//! The first line is the value that is added, the rest the file.

use gateward_aws::readers::property;

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (value, file) = text.split_once('\n').unwrap_or((text, ""));
    let headings = ["profile orders".to_owned(), "orders".to_owned()];
    if let Some(found) = property(file, &headings, "aws_access_key_id") {
        let found = found.expose();
        assert!(!found.is_empty() && found == found.trim(), "an empty key is none");
        assert!(!found.contains(['\n', '\r']) || found.contains('\r'), "a value has one line");
        assert!(file.contains(found), "nothing is made up");
    }
    let added = format!("{file}\n[profile orders]\naws_access_key_id = {value}\n");
    let found = property(&added, &headings, "AWS_ACCESS_KEY_ID".to_ascii_lowercase().as_str());
    let found = found.as_ref().map_or("", |found| found.expose());
    let is_plain = !value.contains(['#', ';', '\r']);
    if is_plain && !value.trim().is_empty() {
        assert_eq!(found, value.trim(), "what was added last counts");
    }
    assert!(
        value.trim().starts_with(found) || value.trim().is_empty(),
        "a comment may be cut off, and no more"
    );
}
