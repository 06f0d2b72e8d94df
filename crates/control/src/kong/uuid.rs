//! Version 4 UUIDs (RFC 9562), which Kong gives its entities for ids. They name, and guard nothing.

/// A new one.
pub(super) fn random() -> String {
    let random = fastrand::u128(..);
    let versioned = random & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{versioned:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Whether `text` looks like one.
pub(super) fn is_one(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_random_one_has_version_and_variant() {
        let uuid = super::random();
        assert!(super::is_one(&uuid));
        assert_eq!(&uuid[14..15], "4");
        assert!("89ab".contains(&uuid[19..20]), "{uuid}");
    }
}
