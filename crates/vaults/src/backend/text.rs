//! Secrets that are kept as bytes, as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateward_seal::SecretValue;
use zeroize::Zeroizing;

use crate::unresolved::{Miss, MissKind};

/// `bytes` as text: what they say, if they are text, else their base64, as a value must be text.
pub(super) fn of_bytes(bytes: &[u8]) -> Result<SecretValue, Miss> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(is_binary) => not_empty(SecretValue::from(text)),
        _ => {
            let encoded = Zeroizing::new(STANDARD.encode(bytes));
            Ok(SecretValue::from(encoded.as_str()))
        }
    }
}

/// `text`, unless there is nothing in it: an empty secret is none.
pub(super) fn not_empty(text: SecretValue) -> Result<SecretValue, Miss> {
    if text.is_empty() { Err(Miss::new(MissKind::NotFound, "the secret is empty")) } else { Ok(text) }
}

/// Whether no text has it. A key of random bytes that happen to be UTF-8 has one of these almost certainly.
fn is_binary(character: char) -> bool {
    character.is_control() && !matches!(character, '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_text_are_that_text_and_others_their_base64() {
        let text = |bytes: &[u8]| of_bytes(bytes).map(|text| text.expose().to_owned());
        assert_eq!(text("a \u{e9}\r\n\t".as_bytes()).as_deref(), Ok("a \u{e9}\r\n\t"));
        assert_eq!(text(&[0xff, 0xfe, 1]).as_deref(), Ok("//4B"));
        assert_eq!(text(b"key\0").as_deref(), Ok("a2V5AA=="));
        assert_eq!(text(b"").unwrap_err().kind, MissKind::NotFound);
    }
}
